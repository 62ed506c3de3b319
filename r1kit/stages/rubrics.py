"""The rubric that a stage's `rewards:` mapping asks for, and the models that give some of its terms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from r1kit.rewards.file_scorers import file_scorers
from r1kit.rewards.learned import TEACHER, LearnedParameters, TeacherParameters
from r1kit.rewards.registry import Scorer
from r1kit.rewards.rubric import Rubric, TermSpec, check_terms, term_parameters
from r1kit.schedules import Schedule
from r1kit.stages.protocol import ModelSource, Need, StageContext
from r1kit.stages.settings import RewardTerm

Rewards = Mapping[str, float | RewardTerm]


def term_specs(rewards: Rewards) -> list[TermSpec]:
    """`{"accuracy": 1, "format": RewardTerm(weight=0.1)}` as terms, checked. Raises UserError."""
    specs = [
        TermSpec(name=name, **term.model_dump())
        if isinstance(term, RewardTerm)
        else TermSpec(name=name, weight=term)
        for name, term in rewards.items()
    ]
    check_terms(specs)
    return specs


def reward_needs(rewards: Rewards) -> tuple[Need, ...]:
    """The reward models and the teacher that a stage reads."""
    needs = []
    for spec in term_specs(rewards):
        parameters = term_parameters(spec)
        if isinstance(parameters, LearnedParameters) and parameters.model:
            needs.append(Need(_role(spec), parameters.model, "reward_model"))
        elif isinstance(parameters, TeacherParameters):
            needs.append(Need(TEACHER, parameters.model, "model"))
    return tuple(needs)


def teacher_weight(rewards: Rewards) -> float | Schedule | None:
    """The weight of the per-token reward `teacher`, None without it."""
    return next((spec.weight for spec in term_specs(rewards) if spec.name == TEACHER), None)


def make_rubric(rewards: Rewards, context: StageContext) -> Rubric:
    """The rubric of whole responses with its reward models loaded. Raises UserError."""
    specs = [spec for spec in term_specs(rewards) if spec.name != TEACHER]
    scorers: dict[str, Scorer] = {
        spec.name: model_scorer(
            spec.name,
            parameters,
            context.inputs.get(_role(spec)),
            context.device,
            context.folder / f"judged-{spec.name}.jsonl",
        )
        for spec in specs
        if isinstance(parameters := term_parameters(spec), LearnedParameters)
    }
    return Rubric(specs, scorers | file_scorers(specs, context.folder / "rewards"))


def model_scorer(
    name: str,
    parameters: LearnedParameters,
    source: ModelSource | None,
    device: str,
    memory: Path | None = None,
) -> Scorer:
    """The scorer of helpfulness or harmlessness. Raises UserError.

    Args:
        name: of the term.
        parameters: its parameters.
        source: the reward model, unless the parameters name a judge.
        device: where a reward model computes.
        memory: file that keeps a judge's grades.
    """
    from r1kit.rewards.judge import JudgeSettings, Quality
    from r1kit.rewards.model_terms import JudgeScorer, RewardModelScorer

    helpful = name == "helpfulness"
    if parameters.judge is not None:
        quality: Quality = "helpfulness" if helpful else "harmlessness"
        return JudgeScorer(JudgeSettings(endpoint=parameters.judge, quality=quality), memory)
    assert source is not None
    return RewardModelScorer(
        source.place,
        "summary" if helpful else "response",
        device,
        squash=parameters.squash,
        revision=source.revision,
        trust_remote_code=source.trust_remote_code,
    )


def _role(spec: TermSpec) -> str:
    return f"reward/{spec.name}"

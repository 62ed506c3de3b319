"""From problems to scored groups: render, sample, read, verify (beside sampling where it pays), score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from r1kit import seeds
from r1kit.errors import UnknownNameError
from r1kit.rewards.registry import RewardInput
from r1kit.rewards.rubric import Rubric
from r1kit.rollouts.grading import Grading
from r1kit.rollouts.protocol import Sampler, SamplingParams
from r1kit.tasks.protocol import Task
from r1kit.text.templates import render
from r1kit.types import Problem, Reward, Rollout, RolloutGroup, Unscored


def collect(
    problems: Sequence[Problem],
    tasks: Mapping[str, Task],
    sampler: Sampler,
    rubric: Rubric | None,
    template: str,
    tokenizer: Any,
    params: SamplingParams,
    group_size: int,
    seed: int,
    steps_left: int | None = None,
    step: int = 1,
) -> list[RolloutGroup]:
    """`group_size` graded responses for each problem, in order.

    A group's random numbers follow from `seed`, the problem's task and id, and how often the problem came
    before in this call; the order of the problems does not matter. A verifier that raises gives that sample
    the outcome ERROR (in `rewards.rubric`, the only place that catches it). `reward` is None without a
    rubric, or when the sample cannot be scored; then `unscored` says why.

    Args:
        tasks: by name; every problem's task must be there, else UnknownNameError.
        rubric: None to verify without scoring.
        template: a name of `text.templates.TEMPLATES`.
        steps_left: of the run, this one included, for rewards that count in its last steps alone.
        step: of the run, from 1, for rewards whose weight follows a schedule.
    """
    for problem in problems:
        if problem.task not in tasks:
            raise UnknownNameError("task", problem.task, tasks, f"problem {problem.id}")
    prompts = [render(template, problem, tokenizer) for problem in problems]
    asked = [problem for problem in problems for _ in range(group_size)]
    with Grading(asked, tasks) as grading:
        finished = grading.take if grading.wanted else None
        drawn = sampler.sample(prompts, group_size, params, _group_seeds(problems, seed), finished)
        completions = [completion for group in drawn for completion in group]
        graded = grading.results(completions)
    samples = [
        RewardInput(problem, completion, *found)
        for problem, completion, found in zip(asked, completions, graded, strict=True)
    ]
    scored = [None] * len(samples) if rubric is None else rubric.outcomes(samples, steps_left, step)
    rollouts = (_rollout(sample, outcome) for sample, outcome in zip(samples, scored, strict=True))
    return [
        RolloutGroup(problem, prompt, tuple(islice(rollouts, len(group))))
        for problem, prompt, group in zip(problems, prompts, drawn, strict=True)
    ]


def _rollout(sample: RewardInput, outcome: Reward | Unscored | None) -> Rollout:
    if isinstance(outcome, Unscored):
        return Rollout(sample.completion, sample.verdict, None, outcome)
    return Rollout(sample.completion, sample.verdict, outcome)


def _group_seeds(problems: Sequence[Problem], seed: int) -> list[int]:
    """One seed per problem; a problem that comes twice gets two."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for problem in problems:
        key = (problem.task, problem.id)
        found.append(seeds.derive(seed, *key, seen[key]))
        seen[key] += 1
    return found

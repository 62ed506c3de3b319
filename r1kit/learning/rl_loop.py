"""Reinforcement learning: each step samples a group of responses per problem and credits every token of a
response with its reward relative to the group, or to what a critic expects at that token (PPO).

The loop is one function, top to bottom. Left out of textbook PPO: the critic's value where a response is cut
off (`objectives/gae.py` says why).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from r1kit import seeds
from r1kit.errors import DataError, Interrupted
from r1kit.learning import ranks
from r1kit.learning.alarms import Alarm, Alarms, Rule
from r1kit.learning.batch import Batch, no_rows
from r1kit.learning.checkpoint import Checkpoints
from r1kit.learning.collecting import Collector
from r1kit.learning.compute import operations
from r1kit.learning.credit import assign_credit, rollout_batch
from r1kit.learning.critic import Critic, make_critic
from r1kit.learning.difficulty import AdaptiveQuestions, Asked, DifficultySettings
from r1kit.learning.distillation import Teacher, with_teacher_credit
from r1kit.learning.learner import Learner
from r1kit.learning.order import fingerprint
from r1kit.learning.policy_update import update_policy
from r1kit.learning.questions import Questions, Source
from r1kit.learning.refill import draw_step
from r1kit.learning.rollout_alarms import GROUP_RULES, ROLLOUT_RULES, hacking_rules
from r1kit.learning.rollout_stats import rollout_metrics, rollout_rows, versions_behind
from r1kit.learning.settings import RLSettings
from r1kit.learning.timing import StepClock
from r1kit.learning.update_alarms import UPDATE_RULES
from r1kit.models.reference import frozen_copy, refresh
from r1kit.rewards.rubric import Rubric
from r1kit.rollouts.collect import collect
from r1kit.rollouts.protocol import Sampler
from r1kit.schedules import Schedule, value_at
from r1kit.tasks.protocol import Task
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import RolloutGroup


def train_rl(
    policy: nn.Module,
    tokenizer: Any,
    tasks: Mapping[str, Task],
    sources: Mapping[str, Source],
    sampler: Sampler,
    rubric: Rubric,
    settings: RLSettings,
    *,
    seed: int,
    workdir: Path,
    log: RunLog,
    progress: Progress,
    stop: StopFlag,
    name: str = "reinforcement learning",
    teacher: Teacher | None = None,
    difficulty: DifficultySettings | None = None,
) -> dict[str, float]:
    """Train `policy` in place, going on from the newest checkpoint in `workdir`.

    `sources` are the problems by task with their shares of each step; one source may hold several tasks. With
    `difficulty` each is a level, and the pass rate decides which levels are asked.

    Returns "steps", "skipped" (updates), "tokens" (read in training), "sampled_tokens", "teraflop" (but for
    reward models) and, of the first and the last step, "first/accuracy" and so on: `_SUMMARISED`.

    Raises:
        Interrupted: after saving, when `stop` asks for it before the end.
        CheckpointError: when `workdir` is of another run, or nothing in it is whole.
        UserError: when too many rollouts could not be scored or too many updates in a row were not finite.
    """
    learner = _learner(policy, sources, settings)
    critic = make_critic(learner, settings)
    company = _frozen_copies(policy, settings)
    run = _identity(sources, rubric, settings, seed, difficulty)
    checkpoints = Checkpoints(workdir, settings.keep_checkpoints, run, company, critic=critic)
    start, saved = checkpoints.begin(learner, log, progress)
    questions = _questions(sources, settings, seed, difficulty, saved.get("questions"))
    summary: dict[str, float] = dict(saved.get("summary", {}))
    alarms = Alarms(_alarm_rules(rubric, len(sources) > 1, settings), saved.get("alarms"))
    ask = partial(collect, tasks=tasks, rubric=rubric, tokenizer=tokenizer)
    draw = partial(_drawn, ask, questions, settings, seed)
    collector = Collector(draw, sampler, policy, company["older"], start, stop)
    with progress.bar(name, settings.steps, start) as bar, collector:
        for done in _steps_left(start, summary, settings):
            clock, step_seed = StepClock(), seeds.derive(seed, "step", done)
            now = settings.at(done)
            learner.settle(now.optimizer.learning_rate, now.sampling.temperature)
            groups, spent = collector.take(done)
            asked, to_ask = questions.learn(groups), questions.state()
            ended = done == settings.steps or _spent(summary, settings, spent.tokens)
            credit = assign_credit(groups, settings.objective.advantage)
            credit.require_scored(settings.limits.unscored_share)
            batch = rollout_batch(groups, credit, now)
            clock.collected()

            collector.go_ahead(done, last=ended)
            batch, opinion = _with_opinion(learner, batch, teacher, done)
            age = versions_behind(groups, done - 1) | opinion
            stats = update_policy(learner, batch, now, company["reference"], step_seed, critic)
            _require_progress(learner, critic, settings.limits.skipped_updates)
            collector.learned()
            _refresh(company["reference"], policy, done, settings)
            timings, counts = clock.learned(spent, 0 if batch is None else int(batch.lengths_B.sum()))
            log.timings(done, timings)
            metrics = rollout_metrics(groups, credit, tokenizer) | age | stats | counts | asked
            _tell(alarms.look(metrics), log, progress, name, done)
            log.metrics(done, metrics)
            log.rollouts(done, rollout_rows(groups, credit, tokenizer, now.log_rollouts_share, step_seed))
            summary = _summary(summary, metrics, done, learner, critic)
            stopping = stop.requested  # read once: a signal after this line is for the next step
            if ended or _due(done, settings.save_every) or stopping:
                extra = {"summary": summary, "alarms": alarms.history, "questions": to_ask}
                checkpoints.save(done, learner, log_offsets=log.offsets(), extra=extra)
            bar.update(done, **{name: metrics[name] for name in _SUMMARISED})
            if ended:
                break
            if stopping:
                raise Interrupted(f"{name}: stopped after step {done} of {settings.steps}, {_SAVED}")
    return summary


def _drawn(
    ask: Callable[..., list[RolloutGroup]],
    questions: Asked,
    settings: RLSettings,
    seed: int,
    step: int,
    sampler: Sampler,
) -> list[RolloutGroup]:
    """The scored groups of a step."""
    step_seed = seeds.derive(seed, "step", step)
    return draw_step(partial(ask, sampler=sampler), questions, step, settings.at(step), step_seed)


def _frozen_copies(policy: nn.Module, settings: RLSettings) -> dict[str, nn.Module | None]:
    """The reference, and the policy of the step before; None for what the run does without."""
    return {
        "reference": frozen_copy(policy) if settings.ever("objective.kl_beta") > 0 else None,
        "older": frozen_copy(policy) if settings.rollouts.staleness else None,
    }


def _steps_left(start: int, summary: Mapping[str, float], settings: RLSettings) -> range:
    """Steps to come, counted from 1; none when an ended run is taken up again."""
    return range(start + 1, start + 1 if _spent(summary, settings) else settings.steps + 1)


def _spent(summary: Mapping[str, float], settings: RLSettings, more: int = 0) -> bool:
    """Whether the run, with so many tokens more, has sampled all that it may."""
    limit = settings.limits.sampled_tokens
    return limit is not None and summary.get("sampled_tokens", 0.0) + more >= limit


def _learner(policy: nn.Module, sources: Mapping[str, Source], settings: RLSettings) -> Learner:
    if not all(source.problems for source in sources.values()):
        raise DataError("problems: there are none to train on")
    return Learner(
        policy,
        settings.optimizer,
        settings.batch,
        total_updates=settings.updates,
        temperature=settings.sampling.temperature,
    )


def _questions(
    sources: Mapping[str, Source],
    settings: RLSettings,
    seed: int,
    difficulty: DifficultySettings | None,
    saved: Mapping[str, float] | None,
) -> Asked:
    per_step = settings.schedules.get("questions_per_step", settings.questions_per_step)
    if difficulty is None:
        return Questions(sources, settings.steps, per_step, seed)
    problems = {level: source.problems for level, source in sources.items()}
    return AdaptiveQuestions(problems, difficulty, per_step, seed, saved)


def _with_opinion(
    learner: Learner, batch: Batch | None, teacher: Teacher | None, step: int
) -> tuple[Batch | None, dict[str, float]]:
    if teacher is None or not ranks.total(0 if batch is None else len(batch)):
        return batch, {}
    share = no_rows() if batch is None else batch  # another rank has rollouts, and waits for this one
    return with_teacher_credit(learner, share, teacher.model, value_at(teacher.weight, step))


def _require_progress(learner: Learner, critic: Critic | None, limit: int) -> None:
    learner.require_progress(limit)
    if critic is not None:
        critic.require_progress(limit)


def _refresh(reference: nn.Module | None, policy: nn.Module, done: int, settings: RLSettings) -> None:
    if reference is not None and _due(done, settings.objective.reference_refresh):
        refresh(reference, policy)


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0


def _tell(alarms: Sequence[Alarm], log: RunLog, progress: Progress, name: str, step: int) -> None:
    """Say alarms in the terminal and write them down."""
    for alarm in alarms:
        progress.say(f"{name}, step {step}: {alarm.text}")
    log.alarms(step, [{"alarm": a.name, "severity": a.severity, "text": a.text} for a in alarms])


def _alarm_rules(rubric: Rubric, by_task: bool, settings: RLSettings) -> list[Rule]:
    """All rules that apply. For reward hacking, of each term that a model gives: what should not fall while
    it rises are the share of right responses in the term's own tasks and the accuracy reward.
    """
    compared = settings.objective.advantage not in ("gae", "raw")  # else equal rewards teach too
    watched = {}
    for spec in rubric.specs:
        if f"reward/{spec.name}" in rubric.learned:
            own = [f"accuracy/{task}" for task in spec.tasks] if spec.tasks and by_task else ["accuracy"]
            watched[f"reward/{spec.name}"] = [*own, "reward/accuracy"]
    groups = GROUP_RULES if compared else ()
    # where rollouts are older, the gap is also the size of an update
    updates = [
        rule for rule in UPDATE_RULES if not (settings.rollouts.staleness and rule.name == "logprob_gap")
    ]
    return [*groups, *ROLLOUT_RULES, *updates, *hacking_rules(watched)]


_SAVED = "the state is saved"
_SUMMARISED = ("reward", "accuracy", "format_rate", "thinking_tokens")
_COUNTED = ("tokens", "sampled_tokens")


def _summary(
    summary: Mapping[str, float],
    metrics: Mapping[str, float],
    steps: int,
    learner: Learner,
    critic: Critic | None,
) -> dict[str, float]:
    found = {name: metrics[name] for name in _SUMMARISED if math.isfinite(metrics[name])}
    first = {f"first/{name}": value for name, value in found.items()}
    last = {f"last/{name}": value for name, value in found.items()}
    counts = {name: summary.get(name, 0.0) + metrics[name] for name in _COUNTED}
    cost = learner.operations + operations(learner.model, forward=int(counts["sampled_tokens"]))
    cost += 0 if critic is None else critic.operations
    done = {"steps": float(steps), "skipped": float(learner.skipped), "teraflop": cost / 1e12}
    return {**first, **summary, **last, **counts, **done}


def _plain(value: float | Schedule) -> object:
    return value.model_dump(mode="json") if isinstance(value, Schedule) else value


def _identity(
    sources: Mapping[str, Source],
    rubric: Rubric,
    settings: RLSettings,
    seed: int,
    difficulty: DifficultySettings | None,
) -> dict[str, object]:
    return {
        "settings": settings.model_dump(mode="json"),
        "rewards": [spec.model_dump(mode="json") for spec in rubric.specs],
        "seed": seed,
        "difficulty": None if difficulty is None else difficulty.model_dump(mode="json"),
        "shares": {name: [_plain(source.share), source.last_steps] for name, source in sources.items()},
        "problems": fingerprint(
            f"{problem.task}/{problem.id}".encode()
            for source in sources.values()
            for problem in source.problems
        ),
    }

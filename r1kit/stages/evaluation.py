"""Evaluation of one model on the frozen test problems of the recipe's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from r1kit.errors import Interrupted, RecipeError
from r1kit.models.precision import resolve
from r1kit.rollouts.collect import collect
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.memory import MOST_ROWS
from r1kit.rollouts.protocol import Sampler
from r1kit.seeds import derive
from r1kit.stages.checkpoint import load_source
from r1kit.stages.metrics import AnswerKeys, evaluate_groups, same_value
from r1kit.stages.problems import named_problems
from r1kit.stages.protocol import ModelSource
from r1kit.stages.settings import EvaluationSettings
from r1kit.tasks.protocol import GroupsAnswers, Task
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Problem, RolloutGroup

_ROUND = MOST_ROWS  # samples between two looks at the stop flag; enough to keep the sampler's batch full


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of one model, and one sampled response for each problem."""

    tasks: dict[str, dict[str, Any]]  # task -> metrics of `evaluate_groups`
    rows: tuple[dict[str, Any], ...]  # of each problem: how many samples are correct, and its first sample


def evaluate_model(
    model: ModelSource,
    tasks: Mapping[str, Task],
    settings: EvaluationSettings,
    *,
    name: str,
    seed: int,
    device: str,
    progress: Progress,
    stop: StopFlag,
) -> Evaluation:
    """Sample every test problem of `settings.tasks` and count.

    Args:
        model: what to test.
        tasks: the recipe's tasks by name.
        settings: problems, samples, sampling.
        name: of the model, for the progress bar.
        seed: the same one for every model of a run, so that differences are the models' own.
        device: where to sample.
        progress: shows the share done.
        stop: looked at between rounds.

    Raises:
        Interrupted: the stop flag was set; nothing of this evaluation is kept.
        RecipeError: a task has no test problems.
    """
    dtype = resolve(settings.precision, torch.device(device))
    policy, tokenizer = load_source(model, dtype, device)
    sampler = LocalSampler(policy, tokenizer)
    metrics: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for task_name in settings.tasks:
        draw = TestDraw(task_name, tasks[task_name], settings, derive(seed, "evaluation", task_name))
        groups = sample_groups(draw, sampler, tokenizer, f"evaluate {name} on {task_name}", progress, stop)
        metrics[task_name] = evaluate_groups(groups, tokenizer, _same_answers(tasks[task_name]))
        rows += [_row(group) for group in groups]
    return Evaluation(metrics, tuple(rows))


def _same_answers(task: Task) -> AnswerKeys:
    return task.same_answers if isinstance(task, GroupsAnswers) else same_value


@dataclass(frozen=True, slots=True)
class TestDraw:
    """What to sample: the test problems of one task, under evaluation settings and a seed."""

    __test__ = False  # the name is not a test's

    name: str
    task: Task
    settings: EvaluationSettings
    seed: int


def sample_groups(
    draw: TestDraw, sampler: Sampler, tokenizer: Any, label: str, progress: Progress, stop: StopFlag
) -> list[RolloutGroup]:
    """The verified, unscored groups of a draw, in the order of its problems. Raises Interrupted."""
    settings = draw.settings
    problems = test_problems(draw.name, draw.task, settings.problems)
    if settings.problems is not None and len(problems) < settings.problems:
        progress.say(f"{label}: the task has {len(problems)} test problems, not {settings.problems}")
    groups: list[RolloutGroup] = []
    step = max(1, _ROUND // settings.samples)
    with progress.bar(label, len(problems)) as bar:
        for first in range(0, len(problems), step):
            if stop.requested:
                raise Interrupted(f"{label}: stopped after {first} of {len(problems)} problems")
            groups += collect(
                problems[first : first + step],
                {draw.name: draw.task},
                sampler,
                None,
                settings.template,
                tokenizer,
                settings.sampling(),
                settings.samples,
                draw.seed,
            )
            bar.update(len(groups), **{"pass@1": _pass_rate(groups)})
    return groups


def test_problems(name: str, task: Task, count: int | None) -> Sequence[Problem]:
    """The first `count` test problems of a task, all without it: frozen, the order never depends on a run."""
    problems = named_problems(name, task, "test")
    if not problems:
        raise RecipeError(f"tasks.{name}: has no test problems to evaluate on; is its data file empty?")
    return problems[:count]


def _pass_rate(groups: Sequence[RolloutGroup]) -> float:
    return sum(group.num_correct for group in groups) / sum(len(group.rollouts) for group in groups)


def _row(group: RolloutGroup) -> dict[str, Any]:
    rollout = group.rollouts[0]
    return {
        "problem": group.problem.id,
        "task": group.problem.task,
        "question": group.problem.messages[-1].content,
        "correct": group.num_correct,
        "samples": len(group.rollouts),
        "completion": rollout.completion.text,
        "verdict": str(rollout.verdict.outcome),
        "extracted": rollout.verdict.extracted,
        "finish": rollout.completion.finish,
    }

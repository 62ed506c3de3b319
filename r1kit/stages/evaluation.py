"""Evaluation of one model on the frozen test problems of the recipe's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from r1kit.errors import Interrupted, RecipeError
from r1kit.models.load import load_model, load_tokenizer
from r1kit.models.precision import resolve
from r1kit.rollouts.collect import collect
from r1kit.rollouts.local import LocalSampler
from r1kit.seeds import derive
from r1kit.stages.metrics import evaluate_groups
from r1kit.stages.problems import named_problems
from r1kit.stages.settings import EvaluationSettings
from r1kit.tasks.protocol import Task
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Problem, RolloutGroup

_ROUND = 512  # samples between two looks at the stop flag; large enough to keep the sampler's batch full


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of one model, and one sampled response for each problem."""

    tasks: dict[str, dict[str, Any]]  # task -> metrics of `evaluate_groups`
    rows: tuple[dict[str, Any], ...]  # problem, task, prompt, completion, verdict, extracted


def evaluate_model(
    model: str,
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
        model: folder or hub name.
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
    tokenizer = load_tokenizer(model)
    dtype = resolve(settings.precision, torch.device(device))
    sampler = LocalSampler(load_model(model, dtype, device), tokenizer)
    metrics: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for task_name in settings.tasks:
        problems = test_problems(task_name, tasks[task_name], settings.problems)
        groups: list[RolloutGroup] = []
        step = max(1, _ROUND // settings.samples)
        with progress.bar(f"evaluate {name} on {task_name}", len(problems)) as bar:
            for first in range(0, len(problems), step):
                if stop.requested:
                    raise Interrupted(f"stopped while evaluating {name}")
                groups += collect(
                    problems[first : first + step],
                    {task_name: tasks[task_name]},
                    sampler,
                    None,
                    settings.template,
                    tokenizer,
                    settings.sampling(),
                    settings.samples,
                    derive(seed, "evaluation", task_name),
                )
                bar.update(len(groups), **{"pass@1": _pass_rate(groups)})
        metrics[task_name] = evaluate_groups(groups, tokenizer)
        rows += [_row(group) for group in groups]
    return Evaluation(metrics, tuple(rows))


def test_problems(name: str, task: Task, count: int) -> Sequence[Problem]:
    """The first `count` test problems of a task: frozen, because the order never depends on a run."""
    problems = named_problems(name, task, "test")
    if not problems:
        raise RecipeError(f"tasks.{name}: has no test problems to evaluate on")
    return problems[:count]


def _pass_rate(groups: Sequence[RolloutGroup]) -> float:
    verdicts = [rollout.verdict.correct for group in groups for rollout in group.rollouts]
    return sum(verdicts) / len(verdicts)


def _row(group: RolloutGroup) -> dict[str, Any]:
    rollout = group.rollouts[0]
    return {
        "problem": group.problem.id,
        "task": group.problem.task,
        "question": group.problem.messages[-1].content,
        "completion": rollout.completion.text,
        "verdict": str(rollout.verdict.outcome),
        "extracted": rollout.verdict.extracted,
        "finish": rollout.completion.finish,
    }

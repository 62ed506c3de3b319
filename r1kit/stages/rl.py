"""Reinforcement learning: R1-Zero from a base model, reasoning RL from a tuned one, RL for all scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from r1kit.learning.questions import Source
from r1kit.learning.rl_loop import train_rl
from r1kit.models.load import revision_of
from r1kit.models.precision import resolve
from r1kit.rollouts.local import LocalSampler
from r1kit.seeds import derive
from r1kit.stages.checkpoint import load_source, publish_model
from r1kit.stages.problems import mixed_problems
from r1kit.stages.protocol import StageContext
from r1kit.stages.rubrics import make_rubric, teacher_weight
from r1kit.stages.settings import RLStageSettings, TaskShare
from r1kit.stages.teacher import load_teacher
from r1kit.tasks.protocol import Task
from r1kit.types import Artifact

Tasks = tuple[str, ...] | Mapping[str, float | TaskShare]


def question_sources(tasks: Mapping[str, Task], wanted: Tasks, seed: int) -> dict[str, Source]:
    """The training problems of a stage: one source of all tasks shuffled together, or one for each share."""
    if isinstance(wanted, tuple):
        return {"+".join(wanted): Source(mixed_problems(tasks, wanted, "train", seed))}
    sources = {}
    for name, share in wanted.items():
        of_task = share if isinstance(share, TaskShare) else TaskShare(share=share)
        problems = mixed_problems(tasks, [name], "train", seed)
        sources[name] = Source(problems, of_task.share, of_task.last_steps)
    return sources


class RLStage:
    """Sample groups, score them, take policy-gradient steps; leaves the trained model."""

    def __init__(self, settings: RLStageSettings) -> None:
        self.settings = settings

    def run(self, context: StageContext) -> Artifact:
        """Train from `context.inputs["model"]` and publish the result."""
        settings, start = self.settings, context.inputs["model"]
        asked = dict.fromkeys(settings.difficulty.levels, 1.0) if settings.difficulty else settings.tasks
        sources = question_sources(context.tasks, asked, derive(context.seed, "problems"))
        policy, tokenizer = load_source(start, torch.float32, context.device)
        dtype, apart = resolve(settings.batch.precision, context.device), settings.rollouts.staleness > 0
        sampler = LocalSampler(policy, tokenizer, dtype=dtype, apart=apart)
        summary = train_rl(
            policy,
            tokenizer,
            context.tasks,
            sources,
            sampler,
            make_rubric(settings.rewards, context),
            settings,
            seed=context.seed,
            workdir=context.workdir,
            log=context.log,
            progress=context.progress,
            stop=context.stop,
            name=context.name,
            teacher=load_teacher(context, tokenizer, teacher_weight(settings.rewards)),
            difficulty=settings.difficulty,
        )
        made: dict[str, Any] = {
            "kind": "rl",
            "settings": settings.model_dump(mode="json"),
            "start": {"model": start.place, "commit": revision_of(start.place, start.revision)},
            "summary": summary,
        }
        story = (
            f"Trained by {summary['steps']:.0f} steps of reinforcement learning on"
            f" {', '.join(settings.tasks)} with the rewards {', '.join(settings.rewards)}; prompt template"
            f" `{settings.template}`."
        )
        publish_model(context, policy, tokenizer, made, story)
        return Artifact("model", context.output, context.fingerprint, summary)

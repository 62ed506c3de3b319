"""Reinforcement learning with rule rewards: R1-Zero from a base model, reasoning RL from a tuned one."""

from __future__ import annotations

from typing import Any

import torch

from r1kit.learning.rl_loop import train_rl
from r1kit.models.load import revision_of
from r1kit.models.precision import resolve
from r1kit.rollouts.local import LocalSampler
from r1kit.seeds import derive
from r1kit.stages.checkpoint import load_source, publish_model
from r1kit.stages.problems import mixed_problems
from r1kit.stages.protocol import StageContext
from r1kit.stages.rubrics import make_rubric
from r1kit.stages.settings import RLStageSettings
from r1kit.types import Artifact


class RLStage:
    """Sample groups, score them by rules, take policy-gradient steps; leaves the trained model."""

    def __init__(self, settings: RLStageSettings) -> None:
        self.settings = settings

    def run(self, context: StageContext) -> Artifact:
        """Train from `context.inputs["model"]` and publish the result."""
        settings, start = self.settings, context.inputs["model"]
        problems = mixed_problems(context.tasks, settings.tasks, "train", derive(context.seed, "problems"))
        policy, tokenizer = load_source(start, torch.float32, context.device)
        sampler = LocalSampler(policy, tokenizer, dtype=resolve(settings.batch.precision, context.device))
        summary = train_rl(
            policy,
            tokenizer,
            context.tasks,
            problems,
            sampler,
            make_rubric(settings.rewards),
            settings,
            seed=context.seed,
            workdir=context.workdir,
            log=context.log,
            progress=context.progress,
            stop=context.stop,
            name=context.name,
        )
        made: dict[str, Any] = {
            "kind": "rl",
            "settings": settings.model_dump(mode="json"),
            "start": {"model": start.place, "commit": revision_of(start.place, start.revision)},
            "summary": summary,
        }
        story = (
            f"Trained by {settings.steps} steps of reinforcement learning on {', '.join(settings.tasks)} "
            f"with the rewards {', '.join(settings.rewards)}; prompt template `{settings.template}`."
        )
        publish_model(context, policy, tokenizer, made, story)
        return Artifact("model", context.output, context.fingerprint, summary)

"""r1kit's side: from rollouts to the gradient that the optimizer gets, through the functions of its loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.trl_losses.gradient import Gradient
from bench.trl_losses.scene import GROUP, LONGEST, STYLE_WEIGHT, Sample, Scene, cut_off, load
from r1kit.learning.batch import Batch
from r1kit.learning.credit import assign_credit, rollout_batch
from r1kit.learning.learner import Learner
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings, RLSettings
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Completion, Outcome, Problem, Prompt, Reward, Rollout, RolloutGroup, Verdict

TOKENS_PER_MICROBATCH = 64  # several micro-batches, whatever TRL cuts


def gradient(
    scene: Scene,
    folder: Path,
    objective: Mapping[str, Any],
    *,
    on_policy: bool = False,
    temperature: float = 1.0,
    change: Callable[[Batch], Batch] = lambda batch: batch,
) -> Gradient:
    """r1kit's loss and gradient.

    Args:
        scene: the rollouts.
        folder: of the model's states.
        objective: fields of `ObjectiveSettings`.
        on_policy: the rollouts come from the state that is trained.
        temperature: that of the sampling.
        change: to the batch before the update.
    """
    settings = RLSettings(
        group_size=GROUP,
        sampling=SamplingParams(max_new_tokens=LONGEST, temperature=temperature),
        objective=ObjectiveSettings(constant_length=LONGEST, **objective),
        optimizer=OptimizerSettings(max_grad_norm=1e9),
        batch=BatchSettings(tokens_per_microbatch=TOKENS_PER_MICROBATCH, precision="float32"),
    )
    groups = _groups(scene)
    batch = rollout_batch(groups, assign_credit(groups, settings.objective.advantage), settings)
    assert batch is not None
    if not on_policy:
        batch = replace(batch, old_logprobs_BT=_learner(folder, "old", settings).logprobs(batch))
    reference = load(folder, "reference").requires_grad_(False) if settings.objective.kl_beta else None
    learner = _learner(folder, "now", settings)
    found: dict[str, Any] = {}

    def keep() -> None:
        found.update(
            {name: p.grad.clone() for name, p in learner.model.named_parameters() if p.grad is not None}
        )

    learner.optimizer.step = keep  # type: ignore[method-assign,assignment]
    stats = update_policy(learner, change(batch), settings, reference, seed=0)
    return Gradient(stats["loss"], found)


def _learner(folder: Path, state: str, settings: RLSettings) -> Learner:
    return Learner(
        load(folder, state),
        settings.optimizer,
        settings.batch,
        total_updates=1,
        temperature=settings.sampling.temperature,
    )


def _groups(scene: Scene) -> list[RolloutGroup]:
    samples = scene.samples
    return [_group(samples[start : start + GROUP]) for start in range(0, len(samples), GROUP)]


def _group(samples: Sequence[Sample]) -> RolloutGroup:
    first = samples[0]
    problem = Problem(f"scene/{first.problem}", "scene", (), {})
    return RolloutGroup(problem, Prompt(first.prompt), tuple(_rollout(sample) for sample in samples))


def _rollout(sample: Sample) -> Rollout:
    completion = Completion(
        prompt_tokens=sample.prompt,
        tokens=sample.tokens,
        logprobs=sample.logprobs,
        sampling_logprobs=sample.logprobs,
        text="",
        finish="length" if cut_off(sample) else "stop",
        policy_version=0,
    )
    reward = None
    if sample.reward is not None:
        terms = {"right": sample.reward, "style": sample.style}
        reward = Reward(sample.reward, terms, {"right": 1.0, "style": STYLE_WEIGHT})
    return Rollout(completion, Verdict(Outcome.WRONG), reward)

"""The settings in which the two differ, each with the reason and with TRL's number in r1kit's terms.

That a difference is understood shows in this: r1kit's own gradients, combined as the reason says, give TRL's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.trl_losses.comparisons import (
    BNPO,
    BONUS,
    CENTRED,
    DAPO,
    DR_GRPO,
    GDPO,
    GRPO,
    GSPO,
    MASKED,
    WEIGHTS,
    Comparison,
)
from bench.trl_losses.gradient import Gradient
from bench.trl_losses.scene import Scene, cut_off
from r1kit.learning.batch import Batch
from r1kit.objectives.policy import importance_weights

Own = Callable[..., Gradient]
"""r1kit's side: (fields of `ObjectiveSettings`, change=…) -> loss and gradient."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A comparison that comes out unequal, and why."""

    comparison: Comparison
    reason: str
    snippet: str  # the words of TRL's trainer that make the difference
    in_own_terms: Callable[[Own, Scene], Gradient]


def _kept(scene: Scene) -> list[int]:
    return [row for row, sample in enumerate(scene.samples) if not cut_off(sample)]


def _scored(scene: Scene) -> list[int]:
    return [row for row, sample in enumerate(scene.samples) if sample.reward is not None]


def _of_all_sequences(objective: Mapping[str, Any]) -> Callable[[Own, Scene], Gradient]:
    return lambda own, scene: own(objective) * scene.share(_kept(scene))


def _halves(own: Own, scene: Scene) -> Gradient:
    half, end = len(scene.samples) // 2, len(scene.samples)
    shares = (range(half), range(half, end))
    first, second = (own(BNPO[1], change=lambda b, rows=rows: b.part(rows).on_its_own()) for rows in shares)
    return (first + second) * 0.5


def _bonus_by_token(own: Own, scene: Scene) -> Gradient:
    bonus = own(DAPO[1] | BONUS[1]) + own(DAPO[1]) * -1.0
    return own(GRPO[1]) + bonus


def _by_the_batchs_std(own: Own, scene: Scene) -> Gradient:
    rewards = [sample.reward or 0.0 for sample in scene.samples]
    mean = sum(rewards) / len(rewards)
    std = (sum((reward - mean) ** 2 for reward in rewards) / (len(rewards) - 1)) ** 0.5
    return own(GRPO[1] | CENTRED[1]) * (1.0 / (std + 1e-4))


def _with_mean_weights(batch: Batch) -> Batch:
    """Each advantage times the mean of its sequence's importance weights."""
    weights_BT = importance_weights(
        batch.old_logprobs_BT, batch.sampler_logprobs_BT, WEIGHTS[1]["importance_cap"]
    )
    mask_BT = batch.loss_mask_BT
    mean_B1 = (weights_BT * mask_BT).sum(1, keepdim=True) / mask_BT.sum(1, keepdim=True)
    return replace(batch, advantages_BT=batch.advantages_BT * mean_B1)


def _whitened_by_sample(batch: Batch) -> Batch:
    """Advantages less their mean over sequences, over their std + 1e-4."""
    mask_BT = batch.loss_mask_BT
    of_sample_B = (batch.advantages_BT * mask_BT).sum(1) / mask_BT.sum(1)
    scaled_B = (of_sample_B - of_sample_B.mean()) / (of_sample_B.std() + 1e-4)
    return replace(batch, advantages_BT=scaled_B[:, None] * mask_BT)


def _gradient_of_k2(own: Own, scene: Scene) -> Gradient:
    value = own(GRPO[1] | {"kl_beta": 0.1, "kl_kind": "k3"}).loss
    return Gradient(value, own(GRPO[1] | {"kl_beta": 0.1, "kl_kind": "k2"}).by_name)


DIFFERING = (
    Difference(
        Comparison("GRPO, truncated left out", (GRPO, MASKED)),
        "TRL's mean over sequences counts those that are masked; r1kit's counts those that carry loss."
        " TRL = r1kit x kept / all",
        "mask.sum(-1).clamp(min=1.0)).mean()",
        _of_all_sequences(GRPO[1] | MASKED[1]),
    ),
    Difference(
        Comparison("Dr.GRPO, truncated left out", (DR_GRPO, CENTRED, MASKED)),
        "as above: TRL divides by all sequences x length. TRL = r1kit x kept / all",
        "per_token_loss.size(0) * self.max_completion_length",
        _of_all_sequences(DR_GRPO[1] | CENTRED[1] | MASKED[1]),
    ),
    Difference(
        Comparison("GRPO, two rewards unknown", (GRPO,), unscored=(1, 6)),
        "TRL trains on an unscored sample with the advantage 0; r1kit leaves it out of the batch."
        " TRL = r1kit x scored sequences / all",
        "advantages = torch.nan_to_num(advantages, nan=0.0)",
        lambda own, scene: own(GRPO[1]) * scene.share(_scored(scene)),
    ),
    Difference(
        Comparison("DAPO, two rewards unknown", (DAPO,), unscored=(1, 6)),
        "as above. TRL = r1kit x scored tokens / all",
        "advantages = torch.nan_to_num(advantages, nan=0.0)",
        lambda own, scene: own(DAPO[1]) * scene.token_share(_scored(scene)),
    ),
    Difference(
        Comparison("BNPO, two micro-batches", (BNPO,), parts=2),
        "TRL divides each micro-batch by its own tokens, so that the gradient depends on how the batch is"
        " cut; r1kit by the whole batch's. TRL = mean of r1kit's on each micro-batch alone",
        "(per_token_loss * mask).sum() / mask.sum().clamp(min=1.0)",
        _halves,
    ),
    Difference(
        Comparison("GRPO, entropy bonus", (GRPO, BONUS)),
        "TRL's bonus is a mean over tokens whatever the loss; r1kit's is aggregated as the loss is."
        " TRL = r1kit without it + r1kit's bonus under token_mean",
        "(entropies * effective_mask).sum() / effective_mask.sum()",
        _bonus_by_token,
    ),
    Difference(
        Comparison("GSPO, importance weights", (GSPO, WEIGHTS)),
        "with one ratio for a sequence, each of its tokens' weights multiplies the gradient of the whole"
        " sequence in TRL, in r1kit (GSPO's form by token) that of its own token. TRL = r1kit without weights"
        " and each advantage times the mean of its sequence's",
        "log_importance_weights = log_importance_weights.unsqueeze(-1)",
        lambda own, scene: own(GSPO[1], change=_with_mean_weights),
    ),
    Difference(
        Comparison(
            "GRPO, rewards scaled by the batch's std", (GRPO, ({"scale_rewards": "batch"}, CENTRED[1]))
        ),
        "r1kit has none of this kind (`whiten` works on tokens). TRL = r1kit's unscaled / (std of all rewards"
        " + 1e-4)",
        "std_rewards = nanstd(rewards).expand_as(rewards)",
        _by_the_batchs_std,
    ),
    Difference(
        Comparison("GDPO's advantages of two rewards", (DAPO, GDPO, ({}, {"whiten": True}))),
        "GDPO's last step, over the batch, counts samples in TRL, in r1kit (`whiten`) tokens. TRL = r1kit"
        " without it and each advantage less the samples' mean, over their std + 1e-4",
        "advantages = (rewards - torch.nanmean(rewards)) / (std_rewards + 1e-4)",
        lambda own, scene: own(DAPO[1] | GDPO[1], change=_whitened_by_sample),
    ),
    Difference(
        Comparison(
            "GRPO, TRL's default KL, on policy", (GRPO, ({"beta": 0.1}, {"kl_beta": 0.1})), on_policy=True
        ),
        "TRL weighs k3 by the ratio (`use_bias_correction_kl`). On policy the value is k3's and the gradient"
        " that of k2, which r1kit has by name. TRL = (loss of k3, gradient of k2)",
        "per_token_kl = per_token_kl * coef_1",
        _gradient_of_k2,
    ),
    Difference(
        Comparison("GRPO, dual clip below clip_high", (GRPO, ({"delta": 1.1}, {"dual_clip": 1.1}))),
        "TRL caps the ratio before the clip, whatever the advantage's sign: below 1 + epsilon_high the cap"
        " becomes the clip of good tokens. TRL = r1kit with clip_high 0.1 and dual_clip 1.2",
        "coef_1 = torch.clamp(coef_1, max=self.args.delta)",
        lambda own, scene: own(GRPO[1] | {"clip_high": 0.1, "dual_clip": 1.2}),
    ),
)

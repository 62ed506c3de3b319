"""The losses a learner can apply to a part of a batch, composed from the pure functions of `objectives`.

A loss is a function (logprobs_N, entropy_N, batch) -> LossOutput over the N tokens that carry loss, in
row-major order, with the entropies of the distributions that they were drawn from; or, where these are not
enough, a `StatesLoss` or a `TeacherLoss`.
Shapes: B sequences, T tokens, N tokens that carry loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from r1kit.learning.batch import Batch
from r1kit.learning.policy_stats import policy_stats
from r1kit.learning.settings import ObjectiveSettings
from r1kit.models.logprobs import States
from r1kit.objectives.aggregation import AGGREGATIONS
from r1kit.objectives.kl import KL_ESTIMATORS
from r1kit.objectives.policy import POLICY_LOSSES, Clip, Tokens, importance_weights
from r1kit.objectives.supervised import cross_entropy


@dataclass(frozen=True, slots=True)
class LossOutput:
    """What one part adds to the loss of the whole batch."""

    loss: Tensor  # scalar; the parts' losses add up to the batch's
    token_sums: Mapping[str, Tensor] = field(
        default_factory=dict
    )  # name -> sum over tokens; reported as means
    extremes: Mapping[str, Tensor] = field(default_factory=dict)  # over tokens; names end in /max or /min


class TeacherLoss(ABC):
    """A loss over whole distributions: the model's and, at the same positions, those of a frozen teacher.

    The learner computes the last hidden states of both, the teacher's without gradient.
    """

    teacher: nn.Module  # a causal model that reads the same token ids

    @abstractmethod
    def __call__(self, logprobs_N: Tensor, batch: Batch, student: States, teacher: States) -> LossOutput:
        """The loss of a part of a batch; `student` carries gradients, as do `logprobs_N`."""


class StatesLoss(ABC):
    """A loss that also reads the hidden states from which the log-probabilities follow."""

    @abstractmethod
    def __call__(self, logprobs_N: Tensor, entropy_N: Tensor, batch: Batch, states: States) -> LossOutput:
        """The loss of a part of a batch; the states carry gradients too."""


Loss = Callable[[Tensor, Tensor, Batch], LossOutput] | TeacherLoss | StatesLoss


def supervised_loss(logprobs_N: Tensor, entropy_N: Tensor, batch: Batch) -> LossOutput:
    """Mean negative log-likelihood of the response tokens of the whole batch."""
    loss_N = cross_entropy(logprobs_N)
    weights_N = token_weights(batch, "token_mean", 1).to(loss_N)
    return LossOutput((loss_N * weights_N).sum())


def policy_loss(settings: ObjectiveSettings) -> Callable[[Tensor, Tensor, Batch], LossOutput]:
    """The policy loss of the settings, aggregated as they say.

    Per token: the loss of that name, times the truncated importance weight of the sampler; plus `kl_beta`
    times the KL estimator where the batch has the reference's log-probabilities; less `entropy_bonus` times
    the entropy.

    Without old log-probabilities the policy's own are taken: the ratio is then exactly 1 and only its
    gradient counts, which is right for the single update of strictly on-policy training and saves a forward
    pass.
    """
    clip = Clip(settings.clip_low, settings.clip_high, settings.dual_clip)
    of_tokens = POLICY_LOSSES[settings.loss]

    def loss(logprobs_N: Tensor, entropy_N: Tensor, batch: Batch) -> LossOutput:
        assert batch.advantages_BT is not None
        mask_BT = batch.loss_mask_BT
        old_BT = batch.old_logprobs_BT
        old_N = logprobs_N.detach() if old_BT is None else old_BT[mask_BT]
        sampler_N = None if batch.sampler_logprobs_BT is None else batch.sampler_logprobs_BT[mask_BT]
        tokens = Tokens(logprobs_N, old_N, batch.advantages_BT[mask_BT], _sequences(mask_BT))
        policy = of_tokens(tokens, clip)
        loss_N = policy.loss_N
        stats = policy_stats(tokens, policy, sampler_N)
        sums = dict(stats.sums)
        if settings.importance_cap is not None and sampler_N is not None:
            weight_N = importance_weights(old_N, sampler_N, settings.importance_cap)
            loss_N = loss_N * weight_N
            sums["importance"] = weight_N.sum()
        if batch.ref_logprobs_BT is not None:
            kl_N = KL_ESTIMATORS[settings.kl_kind](logprobs_N, batch.ref_logprobs_BT[mask_BT])
            loss_N = loss_N + settings.kl_beta * kl_N
            sums["kl"] = kl_N.detach().sum()
        if settings.entropy_bonus:
            loss_N = loss_N - settings.entropy_bonus * entropy_N
        weights_N = token_weights(batch, settings.aggregation, settings.constant_length).to(loss_N)
        return LossOutput((loss_N * weights_N).sum(), sums, stats.extremes)

    return loss


def _sequences(mask_BT: Tensor) -> Tensor:
    """The row of each token that carries loss, (N,) int64."""
    rows_B = torch.arange(len(mask_BT), device=mask_BT.device)
    return rows_B.repeat_interleave(mask_BT.sum(1))


def token_weights(batch: Batch, aggregation: str, constant_length: int) -> Tensor:
    """The weight of each token that carries loss, (N,) float64; they depend on the whole batch's totals."""
    loss_tokens_B = batch.loss_mask_BT.sum(1)
    weights_B = AGGREGATIONS[aggregation](loss_tokens_B, batch.totals, constant_length)
    return weights_B.repeat_interleave(loss_tokens_B)

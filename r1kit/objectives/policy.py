"""Policy losses per token: what a token's log-probability is pushed by. Shapes: N tokens, S sequences.

rho = exp(logprobs - old_logprobs) is the ratio of the policy to the one that the rollouts are credited to, A
the advantage, sg(...) a number without gradient. On policy (rho = 1) all of them have the gradient of
-A log pi.
"""

# ruff: noqa: N815 - fields that are tensors carry shape suffixes
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tokens:
    """The N tokens that carry loss, sequence after sequence."""

    logprobs_N: Tensor  # nats, with gradient
    old_logprobs_N: Tensor  # nats, before any update on these rollouts
    advantages_N: Tensor
    sequence_N: Tensor  # int64, from 0: which sequence a token belongs to


@dataclass(frozen=True, slots=True)
class Clip:
    """Where a ratio is cut off."""

    low: float  # below 1 - low
    high: float  # above 1 + high
    dual: float | None = None  # of ppo and gspo: with A < 0 no push where the ratio is above this


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """Loss per token, and what the clip did."""

    loss_N: Tensor
    clipped_low_N: Tensor  # bool: cut off at 1 - low
    clipped_high_N: Tensor  # bool: cut off at 1 + high, or by the dual clip


def ppo(tokens: Tokens, clip: Clip) -> PolicyLoss:
    """-min(rho A, clip(rho, 1 - low, 1 + high) A); with the dual clip c and A < 0: at most -c A.

    Sources: PPO, arXiv 1707.06347, eq. 7; GRPO, arXiv 2402.03300, eq. 3; separate bounds: DAPO, arXiv
    2503.14476, eq. 8; dual clip: Ye et al., arXiv 1912.09729, eq. 5.
    """
    ratio_N = bounded_exp(tokens.logprobs_N - tokens.old_logprobs_N)
    return _pessimistic(ratio_N, tokens.advantages_N, clip)


def gspo(tokens: Tokens, clip: Clip) -> PolicyLoss:
    """As `ppo`, with one ratio for a sequence: s = exp(mean over its tokens of log rho).

    Each token carries sg(s) pi / sg(pi): where all tokens of a sequence have one advantage, the mean over
    them (aggregation `sequence_mean`) has the value and the gradient of the sequence's own loss. Source:
    GSPO, arXiv 2507.18071, eq. 5 and 7, and section 4.3 for the form by token.
    """
    log_ratio_N = (tokens.logprobs_N - tokens.old_logprobs_N).detach()
    count_S = torch.bincount(tokens.sequence_N)
    sum_S = torch.zeros(len(count_S), dtype=log_ratio_N.dtype, device=log_ratio_N.device)
    sum_S.index_add_(0, tokens.sequence_N, log_ratio_N)
    sequence_ratio_N = bounded_exp(sum_S / count_S.clamp_min(1))[tokens.sequence_N]
    ratio_N = sequence_ratio_N * torch.exp(tokens.logprobs_N - tokens.logprobs_N.detach())
    return _pessimistic(ratio_N, tokens.advantages_N, clip)


def cispo(tokens: Tokens, clip: Clip) -> PolicyLoss:
    """-sg(clip(rho, 1 - low, 1 + high)) A log pi: every token keeps its gradient, cut-off ones weigh less.

    Source: CISPO, MiniMax-M1, arXiv 2506.13585, eq. 4 and 5 (there without a lower bound: low = 1).
    """
    with torch.no_grad():
        ratio_N = bounded_exp(tokens.logprobs_N - tokens.old_logprobs_N)
        weight_N = ratio_N.clamp(1.0 - clip.low, 1.0 + clip.high)
    loss_N = -weight_N * tokens.advantages_N * tokens.logprobs_N
    return PolicyLoss(loss_N, ratio_N < 1.0 - clip.low, ratio_N > 1.0 + clip.high)


def reinforce(tokens: Tokens, clip: Clip) -> PolicyLoss:
    """-A log pi, without any ratio. Source: Williams 1992, Machine Learning 8, eq. 4."""
    never_N = torch.zeros_like(tokens.logprobs_N, dtype=torch.bool)
    return PolicyLoss(-tokens.advantages_N * tokens.logprobs_N, never_N, never_N)


def _pessimistic(ratio_N: Tensor, advantages_N: Tensor, clip: Clip) -> PolicyLoss:
    """The smaller of both objectives, clipped and not, negated."""
    clipped_N = ratio_N.clamp(1.0 - clip.low, 1.0 + clip.high)
    objective_N = torch.minimum(ratio_N * advantages_N, clipped_N * advantages_N)
    low_N = (advantages_N < 0) & (ratio_N < 1.0 - clip.low)
    high_N = (advantages_N > 0) & (ratio_N > 1.0 + clip.high)
    if clip.dual is not None:
        floor_N = clip.dual * advantages_N
        cut_N = (advantages_N < 0) & (objective_N < floor_N)
        objective_N, high_N = torch.where(cut_N, floor_N, objective_N), high_N | cut_N
    return PolicyLoss(-objective_N, low_N, high_N)


def importance_weights(old_logprobs_N: Tensor, sampler_logprobs_N: Tensor, cap: float) -> Tensor:
    """min(pi_old / pi_sampler, cap): truncated importance sampling for rollouts drawn by other arithmetic.

    Sampler and learner compute the same model in different ways (kernels, precision), so that the rollouts
    come from a slightly other distribution; or the sampler has older weights (`rollouts.staleness`). Sources:
    Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL Training",
    https://fengyao.notion.site/off-policy-rl; the truncation: Ionides
    2008, "Truncated Importance Sampling".
    """
    return bounded_exp(old_logprobs_N - sampler_logprobs_N).clamp_max(cap)


def bounded_exp(log_ratio_N: Tensor) -> Tensor:
    """exp of at most 20 in size: no ratio is infinite, which a zero advantage would turn into NaN."""
    return log_ratio_N.clamp(-20.0, 20.0).exp()


POLICY_LOSSES: Mapping[str, Callable[[Tokens, Clip], PolicyLoss]] = MappingProxyType(
    {"ppo": ppo, "gspo": gspo, "cispo": cispo, "reinforce": reinforce}
)

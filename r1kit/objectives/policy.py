"""Policy losses per token. Shapes: N tokens."""

# ruff: noqa: N815 - fields that are tensors carry shape suffixes
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """Loss per token, and where the clip took its gradient away."""

    loss_N: Tensor
    clipped_low_N: Tensor  # bool: advantage < 0 and the ratio below 1 - clip_low
    clipped_high_N: Tensor  # bool: advantage > 0 and the ratio above 1 + clip_high


def clipped_surrogate(
    logprobs_N: Tensor, old_logprobs_N: Tensor, advantages_N: Tensor, clip_low: float, clip_high: float
) -> PolicyLoss:
    """-min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A) with rho = exp(logprobs - old_logprobs).

    Sources: PPO, arXiv 1707.06347, eq. 7; GRPO, arXiv 2402.03300, eq. 3; separate bounds: DAPO, arXiv
    2503.14476, eq. 8.
    """
    ratio_N = torch.exp(logprobs_N - old_logprobs_N)
    clipped_N = ratio_N.clamp(1.0 - clip_low, 1.0 + clip_high)
    with torch.no_grad():
        low_N = (advantages_N < 0) & (ratio_N < 1.0 - clip_low)
        high_N = (advantages_N > 0) & (ratio_N > 1.0 + clip_high)
    return PolicyLoss(-torch.minimum(ratio_N * advantages_N, clipped_N * advantages_N), low_N, high_N)

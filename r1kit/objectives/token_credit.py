"""Credit that differs from token to token of a response. Shapes: B sequences, T tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def returns_to_go(rewards_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """At each token the undiscounted sum of its own and all later rewards of its sequence.

    Tokens outside the mask have no reward and get 0.
    """
    counted_BT = torch.where(mask_BT, rewards_BT, 0.0)
    return torch.where(mask_BT, counted_BT.flip(1).cumsum(1).flip(1), 0.0)


def kl_penalty(kl_BT: Tensor, mask_BT: Tensor, beta: float) -> Tensor:
    """What a penalty of beta x KL on every token takes from each token's return: -beta x (own and later KL).

    Added to advantages, it is the KL as a part of the reward. Sources: InstructGPT, arXiv 2203.02155, eq. 2;
    REINFORCE++, arXiv 2501.03262, eq. 4.
    """
    return -beta * returns_to_go(kl_BT, mask_BT)


def whitened(
    advantages_BT: Tensor, mask_BT: Tensor, summed: Callable[[Tensor], Tensor] = lambda sums: sums
) -> Tensor:
    """(A - mean) / std over all tokens of the batch, 0 outside the mask; population std, at least 1e-4.

    A sequence counts once for each of its tokens. Equal advantages become 0. Where the batch is spread over
    processes, `summed` adds up their sums. Source: REINFORCE++, arXiv 2501.03262, eq. 5.
    """
    kept_N = advantages_BT[mask_BT].double()
    count, amount = summed(torch.stack([mask_BT.sum().double(), kept_N.sum()])).unbind()
    mean = amount / count.clamp_min(1)
    variance = summed((kept_N - mean).square().sum()) / count.clamp_min(1)
    scaled_BT = (advantages_BT.double() - mean) / variance.sqrt().clamp_min(1e-4)
    return torch.where(mask_BT, scaled_BT, 0.0).to(advantages_BT)

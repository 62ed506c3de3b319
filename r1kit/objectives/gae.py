"""A critic's opinion of each token as its advantage, and what the critic learns from.

The value at a token is what the critic expects, before the token is drawn, of all rewards from there on.

A response ends with its last token, also one that was cut off at the length limit: nothing is expected beyond
it. The limit is a part of the task (case (i) of Pardo et al., "Time limits in reinforcement learning", arXiv
1712.00378), and the reward is that of the response as it was cut. With the value at the cut in its place
(bootstrapping) a policy that thinks for ever would be paid for what it never says. verl, OpenRLHF and TRL do
the same; `objective.truncated: leave_out` keeps such responses out altogether.

Shapes: B sequences, T tokens, N tokens that carry loss.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def terminal_rewards(rewards_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """The rewards of the sequences' last tokens alone: a scalar reward of a response comes at its end.

    The last token is the last one inside the mask; all others get 0.
    """
    later_BT = mask_BT.flip(1).cumsum(1).flip(1)
    return torch.where(mask_BT & (later_BT == 1), rewards_BT, 0.0)


def gae(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, gamma: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Advantages and returns (advantages + values) of the tokens inside the mask, 0 outside it.

    A_t = sum over l of (gamma lambda)^l delta_{t+l}, delta_t = r_t + gamma V_{t+1} - V_t, where the value
    after the last token is 0. Tokens outside the mask are passed over: they are no step of the policy.
    Lambda 1 gives the reward to come less the value, lambda 0 delta itself. Source: GAE, arXiv 1506.02438,
    eq. 16; computed backwards, A_t = delta_t + gamma lambda A_{t+1}.
    """
    advantages_BT = torch.zeros_like(values_BT)
    next_value_B = values_BT.new_zeros(len(values_BT))
    next_advantage_B = torch.zeros_like(next_value_B)
    for t in reversed(mask_BT.any(0).nonzero().flatten().tolist()):
        here_B = mask_BT[:, t]
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        advantage_B = delta_B + gamma * gae_lambda * next_advantage_B
        advantages_BT[:, t] = torch.where(here_B, advantage_B, 0.0)
        next_advantage_B = torch.where(here_B, advantage_B, next_advantage_B)
        next_value_B = torch.where(here_B, values_BT[:, t], next_value_B)
    return advantages_BT, torch.where(mask_BT, advantages_BT + values_BT, 0.0)


def value_loss(
    values_N: Tensor, old_values_N: Tensor, returns_N: Tensor, clip: float | None
) -> tuple[Tensor, Tensor]:
    """Half the squared error of each value, and whether its clipped form is the one that counts.

    0.5 max((V - R)^2, (clip(V, V_old - eps, V_old + eps) - R)^2): a value that has moved farther than eps
    towards its return is not pulled on. None = not clipped. Source: the PPO of OpenAI's baselines; Huang et
    al. 2022, "The 37 implementation details of PPO", detail 9.
    """
    error_N = (values_N - returns_N).square()
    if clip is None:
        return 0.5 * error_N, torch.zeros_like(error_N, dtype=torch.bool)
    near_N = old_values_N + (values_N - old_values_N).clamp(-clip, clip)
    clipped_N = (near_N - returns_N).square()
    return 0.5 * torch.maximum(error_N, clipped_N), clipped_N > error_N


def explained_variance(values_N: Tensor, returns_N: Tensor) -> float:
    """1 - Var(R - V) / Var(R): 1 for a critic that knows, 0 for one that knows the mean alone, below 0 for a
    worse one. NaN where all returns are equal.
    """
    values_N, returns_N = values_N.double(), returns_N.double()
    variance = _variance(returns_N)
    if not variance > 1e-12:  # rounding alone tells the returns apart
        return math.nan
    return 1 - _variance(returns_N - values_N) / variance


def _variance(numbers_N: Tensor) -> float:
    return float((numbers_N - numbers_N.mean()).square().mean())

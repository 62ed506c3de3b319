"""How the losses of tokens become one number: a weight for each token, fixed before a batch is split.

The loss is sum over tokens of weight x token loss. Because the weights come from the counts of the WHOLE
batch, the gradients of its micro-batches add up to its gradient. Shapes: B sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over the whole batch: every micro-batch, every process."""

    num_sequences: int  # sequences that carry loss
    num_tokens: int  # tokens that carry loss


def sequence_mean(loss_tokens_B: Tensor, totals: Totals, constant_length: int) -> Tensor:
    """Mean over sequences of the mean over tokens: 1 / (B |o_i|). Source: GRPO, arXiv 2402.03300, eq. 3."""
    return 1.0 / (totals.num_sequences * loss_tokens_B.clamp_min(1).double())


def token_mean(loss_tokens_B: Tensor, totals: Totals, constant_length: int) -> Tensor:
    """Sum over tokens / number of tokens of the whole batch. Source: DAPO, arXiv 2503.14476, eq. 8."""
    return torch.full_like(loss_tokens_B, 1.0 / max(totals.num_tokens, 1), dtype=torch.float64)


def constant(loss_tokens_B: Tensor, totals: Totals, constant_length: int) -> Tensor:
    """Sum over tokens / (B x a constant length). Source: Dr.GRPO, arXiv 2503.20783, section 3.2."""
    weight = 1.0 / (totals.num_sequences * constant_length)
    return torch.full_like(loss_tokens_B, weight, dtype=torch.float64)


Aggregation = Callable[[Tensor, Totals, int], Tensor]
AGGREGATIONS: Mapping[str, Aggregation] = MappingProxyType(
    {"sequence_mean": sequence_mean, "token_mean": token_mean, "constant": constant}
)

"""One new token per row through a model and its cache: what an engine asks of a model.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from r1kit.rollouts.cache import SlotCache

Forward = Callable[[Tensor, Tensor, Tensor | None, SlotCache], Tensor]
"""(tokens_B, positions_B, additive mask (B, 1, 1, T) or None, cache) -> logits_BV"""


@dataclass(frozen=True, slots=True)
class Decoder:
    """How an engine decodes: the forward pass, and what it needs of the engine."""

    forward: Forward
    cache: Callable[[int, int, torch.device], SlotCache] = SlotCache  # of (layers, slots, device)
    masked: bool = True  # whether the pass has to be told which positions a row does not have


def model_forward(model: Any) -> Forward:
    """The forward pass of any `transformers` decoder, for one new token per row."""

    def forward(tokens_B: Tensor, positions_B: Tensor, mask: Tensor | None, cache: SlotCache) -> Tensor:
        output = model(
            input_ids=tokens_B[:, None],
            position_ids=positions_B[:, None],
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
        )
        logits_BV: Tensor = output.logits[:, -1]
        return logits_BV

    return forward

"""One new token per row through a model and its cache: what an engine asks of a model.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from r1kit.rollouts.cache import SlotCache

Forward = Callable[[Tensor, Tensor, Tensor | None, Any], Tensor]
"""(tokens_B, positions_B, additive mask (B, 1, 1, T) or None, cache) -> logits_BV"""


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

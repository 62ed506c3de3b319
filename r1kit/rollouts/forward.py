"""One new token per row through a model and its cache: what an engine asks of a model.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r1kit.rollouts.cache import SlotCache


class RowCache(Protocol):
    """The keys and values of rows in flight; `SlotCache` says what each method does."""

    def begin_step(self, width: int, lengths_B: Tensor | None, slots: int, held: NDArray[np.int64]) -> None:
        """Announce a step."""
        ...

    def write_prompts(
        self,
        first: int,
        index: Tensor,
        prompts: Sequence[tuple[int, ...]],
        prefilled: list[tuple[Tensor, Tensor]],
    ) -> None:
        """Rows first, first + 1, … take prefilled prompts."""
        ...

    def move(self, sources: Tensor, holes: Tensor, width: int, stay: int, live: int) -> None:
        """Rows `sources` take the places of rows `holes`."""
        ...


Forward = Callable[[Tensor, Tensor, Tensor | None, Any], Tensor]
"""(tokens_B, positions_B, additive mask (B, 1, 1, T) or None, cache) -> logits_BV"""

StepAndDraw = Callable[[Tensor, int, Any, float, Tensor, Tensor], None]
"""(state_4B, live rows, cache, temperature, drawn_BT, logprobs_BT2): a whole step, see `Engine`"""


@dataclass(frozen=True, slots=True)
class Decoder:
    """How an engine decodes: the forward pass, and what it needs of the engine."""

    forward: Forward
    cache: Callable[[int, int, torch.device], RowCache] = SlotCache  # of (layers, slots, device)
    masked: bool = True  # whether the pass has to be told which positions a row does not have
    # computed in multiples, since for each shape of a product oneDNN generates code anew; the compiled step's
    # is 1, it knows the live rows alone
    rows: int = 16
    step_and_draw: StepAndDraw | None = None  # from the whole distribution, on the CPU


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

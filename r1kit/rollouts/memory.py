"""How many rows to decode at once, by the memory that they may take."""

from __future__ import annotations

from typing import Any

import torch

from r1kit.rollouts.jobs import prefill

MOST_ROWS = 1024  # where memory allows; more do not make a laptop faster
ROWS_MEMORY = 4 << 30  # bytes; on a CUDA device a quarter of its own
_DRAW_BYTES = 32  # of a draw's tables, for each row and token of the vocabulary


def position_bytes(model: Any) -> int:
    """Memory of one position of one row in the cache, all layers together; measured, in inference mode."""
    return sum(states[0, :, 0].nbytes for layer in prefill(model, [(0, 0)]) for states in layer)


def rows_within_memory(model: Any, position: int, capacity: int) -> int:
    """Rows with room for `capacity` positions of `position` bytes each, with what drawing their next tokens
    takes.

    At least 1, at most `MOST_ROWS`.
    """
    memory: int = ROWS_MEMORY
    if model.device.type == "cuda":
        memory = torch.cuda.get_device_properties(model.device).total_memory // 4
    vocabulary: int = model.get_output_embeddings().weight.shape[0]
    return min(MOST_ROWS, rows_within(memory, position, capacity, vocabulary))


def rows_within(memory: int, position: int, capacity: int, vocabulary: int) -> int:
    """Rows that `memory` bytes hold, at least 1; the rest as for `rows_within_memory`."""
    return max(1, memory // (position * capacity + _DRAW_BYTES * vocabulary))

"""The key-value cache of the compiled step: keys in blocks, so that scores of neighbours are one vector.

Keys of a layer are (slots, K, T / BLOCK, W, BLOCK), values (slots, K, T, W). Rows have slots, which they keep
for life: where a finished row's place is taken by another, only the list of their slots changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r1kit.kernels import BLOCK
from r1kit.kernels.arrays import as_array
from r1kit.rollouts.cache import more_capacity


class BlockCache:
    """A `RowCache` on the CPU. Args: layers; slots; heads K; width W; dtype float32 or bfloat16."""

    def __init__(self, layers: int, slots: int, heads: int, width: int, dtype: torch.dtype) -> None:
        self._heads, self._width, self._dtype = heads, width, dtype
        self.capacity = 0  # positions there is room for
        self.slots = np.arange(slots)  # of each row
        empty = [self._empty() for _ in range(layers)]
        self.keys, self.values = tuple(k for k, _ in empty), tuple(v for _, v in empty)  # of each layer

    def begin_step(self, width: int, lengths_B: Tensor | None, slots: int) -> None:
        """See `SlotCache.begin_step`."""
        self._reserve(width, slots)

    def write_prompts(self, first: int, index: Tensor, prompts: list[tuple[Tensor, Tensor]]) -> None:
        """See `SlotCache.write_prompts`."""
        length = prompts[0][0].shape[2]
        self._reserve(length, len(self.slots))
        rows, chosen, blocks = self.slots[first : first + len(index)], index.numpy(), -(-length // BLOCK)
        for place, (keys, values) in enumerate(prompts):
            filled = torch.nn.functional.pad(keys, (0, 0, 0, blocks * BLOCK - length))
            by_block = filled.reshape(*keys.shape[:2], blocks, BLOCK, self._width).transpose(3, 4)
            self.keys[place][rows, :, :blocks] = as_array(by_block)[chosen]
            self.values[place][rows, :, :length] = as_array(values)[chosen]

    def move(self, sources: Tensor, holes: Tensor, width: int) -> None:
        """Let the rows `holes` have the slots of the rows `sources`, and the other way round."""
        to, of = holes.numpy(), sources.numpy()
        self.slots[to], self.slots[of] = self.slots[of], self.slots[to]

    def _reserve(self, capacity: int, slots: int) -> None:
        """Room for `capacity` positions of the first `slots` rows; the others are given up where it grows."""
        if capacity <= self.capacity:
            return
        self.capacity = -(-more_capacity(self.capacity, capacity) // BLOCK) * BLOCK
        kept = self.slots[:slots]
        self.slots = np.arange(len(kept))
        keys, values = list(self.keys), list(self.values)
        self.keys = self.values = ()  # so that a layer's old memory goes when it has its new one
        for place in range(len(keys)):
            new_keys, new_values = self._empty()
            new_keys[:, :, : keys[place].shape[2]] = keys[place][kept]
            new_values[:, :, : values[place].shape[2]] = values[place][kept]
            keys[place], values[place] = new_keys, new_values
        self.keys, self.values = tuple(keys), tuple(values)

    def _empty(self) -> tuple[NDArray[Any], NDArray[Any]]:
        slots, heads, width = len(self.slots), self._heads, self._width
        kind = np.uint16 if self._dtype == torch.bfloat16 else np.float32
        # NumPy asks for huge pages: reading many rows' keys in pages of 4 KiB takes twice as long (LOG.md)
        return (
            np.empty((slots, heads, self.capacity // BLOCK, width, BLOCK), kind),
            np.empty((slots, heads, self.capacity, width), kind),
        )

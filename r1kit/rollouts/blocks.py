"""The key-value cache of the compiled step: keys in blocks, so that scores of neighbours are one vector.

Keys of a layer are (slots, K, T / BLOCK, W, BLOCK), values (slots, K, T, W); the rest is as in `cache`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r1kit.kernels import BLOCK
from r1kit.rollouts.cache import SlotCache, SlotLayer, Step


def as_array(tensor: Tensor) -> NDArray[Any]:
    """The tensor's memory as an array; bfloat16 as uint16."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


class BlockLayer(SlotLayer):
    """Keys and values of one decoder layer, written by the compiled step itself."""

    def __init__(self, step: Step, heads: int, width: int, dtype: torch.dtype) -> None:
        super().__init__(step)
        self._heads, self._width = heads, width
        self.dtype = dtype
        self._allocate(0)

    def grow(self) -> None:
        """Make room for the step's `capacity` positions in its first `slots` rows, keeping what is there."""
        old_keys, old_values = self.keys, self.values
        slots, blocks = min(self.step.slots, len(old_keys)), old_keys.shape[2]
        self._allocate(-(-self.step.capacity // BLOCK))
        self.keys[:slots, :, :blocks] = old_keys[:slots]
        self.values[:slots, :, : blocks * BLOCK] = old_values[:slots]

    def write(self, first: int, index: Tensor, keys: Tensor, values: Tensor) -> None:
        """Slots first, first+1, … take the prompts `index` of `keys` and `values` ((U, H, T, D))."""
        rows, length = slice(first, first + index.shape[0]), keys.shape[2]
        blocks = -(-length // BLOCK)
        filled = torch.nn.functional.pad(keys, (0, 0, 0, blocks * BLOCK - length))
        self.keys[rows, :, :blocks] = filled.unflatten(2, (blocks, BLOCK)).transpose(3, 4)[index]
        self.values[rows, :, :length] = values[index]

    def move(self, sources: Tensor, holes: Tensor, width: int) -> None:
        """Copy the first `width` positions of slots `sources` over slots `holes`."""
        blocks = -(-width // BLOCK)
        self.keys[holes, :, :blocks] = self.keys[sources, :, :blocks]
        self.values[holes, :, :width] = self.values[sources, :, :width]

    def _allocate(self, blocks: int) -> None:
        slots, kind = self.step.slots, np.uint16 if self.dtype == torch.bfloat16 else np.float32
        # NumPy asks for huge pages: reading many rows' keys in pages of 4 KiB takes twice as long (LOG.md)
        keys = np.empty((slots, self._heads, blocks, self._width, BLOCK), kind)
        values = np.empty((slots, self._heads, blocks * BLOCK, self._width), kind)
        self.arrays = (keys, values)
        self.keys, self.values = (torch.from_numpy(array).view(self.dtype) for array in (keys, values))


class BlockCache(SlotCache):
    """The layers of one decoder for the compiled step."""

    def __init__(
        self, layers: int, slots: int, device: torch.device, heads: int, width: int, dtype: torch.dtype
    ) -> None:
        self._shape = (heads, width, dtype)
        super().__init__(layers, slots, device)

    def make_layers(self, layers: int) -> list[SlotLayer]:
        """The cache of each layer, empty."""
        return [BlockLayer(self.step, *self._shape) for _ in range(layers)]

    def arrays(self, layer: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Keys and values of a layer."""
        found: tuple[NDArray[Any], NDArray[Any]] = self.layers[layer].arrays
        return found

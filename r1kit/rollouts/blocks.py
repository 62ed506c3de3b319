"""The key-value cache of the compiled step: blocks of positions, those of a prompt once for all its rows.

A block has the keys and values of `BLOCK` positions, of all layers (`kernels/attending.py`). A row's own
blocks begin with its prompt's last token; those of a prompt are there while one of its rows is. What a row or
a prompt leaves is taken by the next that needs a block, so nothing is copied. Memory comes in pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r1kit.kernels import BLOCK
from r1kit.kernels.arrays import as_array

if TYPE_CHECKING:
    from r1kit.kernels.attending import Past

_PIECE = 32 << 20  # bytes asked for at once, at least: the C library gives these back at once, mallopt(3)
_LINE = 64  # bytes: blocks begin with one
_NO_PROMPT = 0  # the prompt of rows that have none: it has no positions


_States = Sequence[tuple[NDArray[Any], NDArray[Any]]]  # keys and values of each layer, (U, K, T, W)


class BlockCache:
    """Keys and values of rows in slots. Args: layers; slots; heads K; width W; dtype float32 or bfloat16."""

    def __init__(self, layers: int, slots: int, heads: int, width: int, dtype: torch.dtype) -> None:
        from r1kit.kernels.attending import head_numbers

        self._kind = np.dtype(np.uint16 if dtype == torch.bfloat16 else np.float32)
        self._shape = (layers, heads, head_numbers(width))
        self._width = width
        self._pieces: list[NDArray[np.uint8]] = []
        self._free = np.zeros(0, np.int64)  # addresses of blocks, the next one last
        self._blocks, self._held = np.zeros((slots, 1), np.int64), np.zeros(slots, np.int64)  # of each slot
        self._prompts = np.zeros(slots, np.int64)  # of each slot
        self._shared, self._lengths = np.zeros((1, 1), np.int64), np.zeros(1, np.int64)  # of each prompt
        self._users = np.zeros(1, np.int64)  # slots of each prompt
        self._known: dict[tuple[int, ...], int] = {}  # the places of prompts that have rows
        self._names: dict[int, tuple[int, ...]] = {}  # the other way round
        self._unused: list[int] = []  # places

    @property
    def block_bytes(self) -> int:
        """Bytes of a block."""
        return int(np.prod(self._shape)) * self._kind.itemsize

    @property
    def blocks_in_use(self) -> int:
        """Blocks that rows and prompts hold."""
        return sum(len(piece) // self.block_bytes for piece in self._pieces) - len(self._free)

    def past(self, slots: NDArray[np.int64]) -> Past:
        """What the rows in `slots` attend to, until the next `reserve`, `enter` or `leave`."""
        from r1kit.kernels.attending import Past

        return Past(slots, self._prompts, self._lengths, self._shared, self._blocks)

    def together(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The slots with those of equal prompts beside each other."""
        return slots[np.argsort(self._prompts[slots], kind="stable")]

    def reserve(self, slots: NDArray[np.int64], positions: NDArray[np.int64]) -> None:
        """Let the rows in `slots` have so many positions each, those of their prompts included."""
        wanted = -(-(positions - self._lengths[self._prompts[slots]]) // BLOCK)
        most = int(wanted.max())
        if most > self._blocks.shape[1]:
            self._blocks = np.pad(self._blocks, ((0, 0), (0, most)))
        lacking = np.arange(most) < wanted[:, None]
        lacking &= np.arange(most) >= self._held[slots][:, None]
        rows, places = np.nonzero(lacking)
        if len(rows):
            self._blocks[slots[rows], places] = self._take(len(rows))
            self._held[slots] = np.maximum(self._held[slots], wanted)

    def enter(
        self,
        slots: NDArray[np.int64],
        index: NDArray[np.int64],
        prompts: Sequence[tuple[int, ...]],
        prefilled: Sequence[tuple[Tensor, Tensor]],
    ) -> None:
        """Rows that begin with the prompts `index` of `prompts` take free slots; `prefilled` has the prompts'
        keys and values by layer, (U, K, T, W), without the last token.
        """
        arrays = [(as_array(keys), as_array(values)) for keys, values in prefilled]
        places = np.array([self._stored(prompt, u, arrays) for u, prompt in enumerate(prompts)])
        self._prompts[slots] = places[index]
        np.add.at(self._users, places[index], 1)

    def leave(self, slots: NDArray[np.int64]) -> None:
        """The rows in `slots` have ended."""
        prompts = self._prompts[slots]
        np.subtract.at(self._users, prompts, 1)
        ended = [place for place in np.unique(prompts).tolist() if place and not self._users[place]]
        for blocks, held in ((self._blocks[slots], self._held[slots]), self._blocks_of(ended)):
            self._free = np.concatenate((self._free, blocks[np.arange(blocks.shape[1]) < held[:, None]]))
        self._unused += ended
        for place in ended:
            del self._known[self._names.pop(place)]
        self._held[slots], self._prompts[slots] = 0, _NO_PROMPT

    def _blocks_of(self, places: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The blocks of prompts, and how many each has."""
        return self._shared[places], -(-self._lengths[places] // BLOCK)

    def _stored(self, prompt: tuple[int, ...], u: int, prefilled: _States) -> int:
        """The place of a prompt; what was prefilled is written into blocks unless it is there."""
        length = len(prompt) - 1
        if length == 0:
            return _NO_PROMPT
        if prompt in self._known:
            return self._known[prompt]
        count = -(-length // BLOCK)
        place = self._unused.pop() if self._unused else len(self._lengths)
        more, wider = int(place == len(self._lengths)), max(0, count - self._shared.shape[1])
        self._shared = np.pad(self._shared, ((0, more), (0, wider)))
        self._lengths, self._users = np.pad(self._lengths, (0, more)), np.pad(self._users, (0, more))
        self._known[prompt], self._names[place], self._lengths[place] = place, prompt, length
        self._shared[place, :count] = self._take(count)
        for block in range(count):
            self._write(int(self._shared[place, block]), u, block * BLOCK, length, prefilled)
        return place

    def _write(self, address: int, u: int, begin: int, end: int, prefilled: _States) -> None:
        """Keys and values of prompt `u` from position `begin` on, into a block."""
        count, width = min(BLOCK, end - begin), self._width
        block = self._view(address)
        keys = block[..., : width * BLOCK].reshape(*block.shape[:2], width, BLOCK)
        values = block[..., width * BLOCK :].reshape(*block.shape[:2], BLOCK, -1)
        for layer, (k, v) in enumerate(prefilled):
            keys[layer, :, :, :count] = k[u, :, begin : begin + count].swapaxes(1, 2)
            values[layer, :, :count, :width] = v[u, :, begin : begin + count]

    def _view(self, address: int) -> NDArray[Any]:
        """The block at an address."""
        for piece in reversed(self._pieces):
            offset = address - piece.ctypes.data
            if 0 <= offset < len(piece):
                part = piece[offset : offset + self.block_bytes]
                return part.view(self._kind).reshape(self._shape)
        raise AssertionError("an address outside of the pieces")

    def _take(self, count: int) -> NDArray[np.int64]:
        """Addresses of blocks that nobody uses."""
        if count > len(self._free):
            piece = self._empty(max(count - len(self._free), -(-_PIECE // self.block_bytes)))
            self._pieces.append(piece)
            found = piece.ctypes.data + np.arange(0, len(piece), self.block_bytes)
            self._free = np.concatenate((found[::-1], self._free))
        taken, self._free = self._free[len(self._free) - count :][::-1], self._free[: len(self._free) - count]
        return taken

    def _empty(self, blocks: int) -> NDArray[np.uint8]:
        # NumPy asks for huge pages: reading many rows' keys in pages of 4 KiB takes twice as long (LOG.md)
        size = blocks * self.block_bytes
        whole = np.empty(size + _LINE, np.uint8)
        skipped = -whole.ctypes.data % _LINE
        return whole[skipped : skipped + size]

"""Memory that one pass through a small decoder leaves to the next.

What layers keep for their derivatives are hundreds of megabytes. The C library gives memory of that size
back to the system as soon as it is free, and each page of it that is taken anew costs a fault: 5 to 15% of an
update of a model with 5 M parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from threading import Lock
from typing import Any
from weakref import ref

import torch
from torch import Tensor

_LINE = 64  # bytes of a cache line, where tensors begin

Size = tuple[tuple[int, ...], torch.dtype]


class Blocks:
    """Blocks of bytes for the tensors of a pass, each lent until the last tensor in it is gone.

    Threads may take from it side by side. It holds as many blocks as were lent at the same time.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks: list[tuple[Tensor, ref[Any]]] = []  # with who has it

    def take(self, sizes: Sequence[Size]) -> list[Tensor]:
        """Tensors of these shapes and formats on the CPU, whatever they may hold."""
        ends, end = [], 0
        for shape, dtype in sizes:
            ends.append(end := end + -(-prod(shape) * dtype.itemsize // _LINE) * _LINE)
        lent = torch.from_numpy(self._lend(end))
        begins = [0, *ends[:-1]]
        return [
            lent[begin : begin + prod(shape) * dtype.itemsize].view(dtype).view(shape)
            for begin, (shape, dtype) in zip(begins, sizes, strict=True)
        ]

    def held(self) -> int:
        """Bytes of all blocks."""
        return sum(len(block) for block, _ in self._blocks)

    def _lend(self, size: int) -> Any:
        """An array over a free block: the least that is large enough, or a new one in the largest's place."""
        with self._lock:
            free = sorted(
                (place for place, (_, owner) in enumerate(self._blocks) if owner() is None),
                key=lambda place: len(self._blocks[place][0]),
            )
            fitting = [place for place in free if len(self._blocks[place][0]) >= size]
            if fitting:
                block, _ = self._blocks.pop(fitting[0])
            else:
                if free:
                    self._blocks.pop(free[-1])
                block = torch.empty(size, dtype=torch.uint8)
            # tensors made of an array hold the array, whose end can be told
            array = block.numpy()
            self._blocks.append((block, ref(array)))
            return array

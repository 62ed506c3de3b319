"""Work of small models in threads of its own: one thread for each that torch may use, each using one.

What a small model computes at once is too little to share out operation by operation; whole halves of a batch
side by side use two cores better. PyTorch's operations and compiled loops run without the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

import torch

T = TypeVar("T")


def in_threads(pieces: Sequence[Callable[[], T]], stop: Event | None = None) -> list[T]:
    """What each piece returns, in their order. A single piece runs in the calling thread, with all of
    torch's.

    Gradient and inference modes hold for a thread: a piece enters its own. What a piece raises is raised
    here, when all have ended. So that they end soon, Ctrl-C too sets `stop`, which pieces look at.
    """
    if len(pieces) <= 1:
        return [piece() for piece in pieces]
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(pieces), "r1kit", torch.set_num_threads, (1,)) as pool:
            try:
                return [piece.result() for piece in [pool.submit(piece) for piece in pieces]]
            except BaseException:
                if stop is not None:
                    stop.set()
                raise
    finally:
        torch.set_num_threads(threads)

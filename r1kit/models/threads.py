"""Work of small models in threads of its own: one thread for each that torch may use, each using one.

What a small model computes at once is too little to share out operation by operation; whole halves of a batch
side by side use two cores better. PyTorch's operations and compiled loops run without the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import TypeVar

import torch

T = TypeVar("T")
_LOOK = 0.5  # seconds after which the caller looks for signals again

Piece = Callable[[Event], T]
"""Work that looks at its event now and then: once that is set, nobody wants the result any more."""


def in_threads(pieces: Sequence[Piece[T]]) -> list[T]:
    """What each piece returns, in their order. A single one runs in the calling thread, with all of torch's.

    Gradient and inference modes hold for a thread: a piece enters its own. When one fails, or the caller is
    interrupted (Ctrl-C), the pieces' event is set; the exception is raised here when all have ended.
    """
    begin, stop = Event(), Event()
    if len(pieces) <= 1:
        return [piece(stop) for piece in pieces]
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(pieces), "r1kit") as pool:
            try:
                futures = [pool.submit(partial(_run, piece, begin, stop)) for piece in pieces]
                begin.set()
                while wait(futures, timeout=_LOOK).not_done:  # a signal may come just before waiting begins
                    pass
                return [future.result() for future in futures]
            finally:
                stop.set()  # before the pool waits for its threads
                begin.set()
    finally:
        torch.set_num_threads(threads)


def _run(piece: Piece[T], begin: Event, stop: Event) -> T:
    begin.wait()  # a pool interrupted in `submit` does not know its last thread, and would not wait for it
    if not stop.is_set():
        torch.set_num_threads(1)
    try:
        return piece(stop)
    except BaseException:
        stop.set()
        raise

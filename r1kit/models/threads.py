"""Work of small models in threads of its own: one thread for each that torch may use, each using one.

What a small model computes at once is too little to share out operation by operation; whole halves of a batch
side by side use two cores better. PyTorch's operations and compiled loops run without the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread, local
from typing import Generic, TypeVar

import torch
from torch import nn

from r1kit.models.llama_like import FIXED_ROTATIONS, MOST_PARAMETERS

T = TypeVar("T")
_LOOK = 0.5  # seconds after which the caller looks for signals again
_MOST = 8
_CALLER = local()

Piece = Callable[[Event], T]
"""Work that looks at its event now and then: once that is set, nobody wants the result any more."""


class UnwantedError(Exception):
    """What a thread was at is not wanted any more."""


def threads_for(model: nn.Module, device: torch.device) -> int:
    """Threads among which this model's batches are shared out: 1 but for small models on a CPU.

    At most `_MOST`, since each has gradients of its own; and 1 where angles of positions change on the way.
    """
    small = sum(parameter.numel() for parameter in model.parameters()) <= MOST_PARAMETERS
    rotations = {module.rope_type for module in model.modules() if hasattr(module, "rope_type")}
    if not small or device.type != "cpu" or not rotations <= FIXED_ROTATIONS:
        return 1
    return min(torch.get_num_threads(), _MOST)


def use_threads(count: int) -> None:
    """Let torch's operations in the calling thread use so many threads, whatever other threads set.

    The first that a new thread asks of torch gives it the number that any thread set last; so that comes
    first.
    """
    torch.get_num_threads()
    torch.set_num_threads(count)


@contextmanager
def ended_by(stop: Event) -> Iterator[None]:
    """Within, in this thread: once `stop` is set, `in_threads` raises UnwantedError as soon as its pieces
    have looked.
    """
    _CALLER.stop = stop
    try:
        yield
    finally:
        del _CALLER.stop


def in_threads(pieces: Sequence[Piece[T]]) -> list[T]:
    """What each piece returns, in their order. A single one runs in the calling thread, with all of torch's.

    Gradient and inference modes hold for a thread: a piece enters its own. When one fails, or the caller is
    interrupted (Ctrl-C), the pieces' event is set; the exception is raised here when all have ended.
    """
    unwanted: Event = getattr(_CALLER, "stop", Event())
    found = [piece(unwanted) for piece in pieces] if len(pieces) <= 1 else _side_by_side(pieces, unwanted)
    if unwanted.is_set():
        raise UnwantedError
    return found


def _side_by_side(pieces: Sequence[Piece[T]], unwanted: Event) -> list[T]:
    begin, stop = Event(), Event()
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(pieces), "r1kit") as pool:
            try:
                futures = [pool.submit(partial(_run, piece, begin, stop)) for piece in pieces]
                begin.set()
                while wait(futures, timeout=_LOOK).not_done:  # a signal may come just before waiting begins
                    if unwanted.is_set():
                        stop.set()
                return [future.result() for future in futures]
            finally:
                stop.set()  # before the pool waits for its threads
                begin.set()
    finally:
        use_threads(threads)


def _run(piece: Piece[T], begin: Event, stop: Event) -> T:
    begin.wait()  # a pool interrupted in `submit` does not know its last thread, and would not wait for it
    if not stop.is_set():
        use_threads(1)
    try:
        return piece(stop)
    except BaseException:
        stop.set()
        raise


class Beside(Generic[T]):
    """Work in a thread of its own, with as many of torch's threads as the caller has.

    Args:
        name: of the thread.
        work: what it does, from now on.
    """

    def __init__(self, name: str, work: Callable[[], T]) -> None:
        self._work, self._threads = work, torch.get_num_threads()
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._stop, self._ended = Event(), Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        use_threads(self._threads)
        try:
            with ended_by(self._stop):
                self._found.append(self._work())
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()

    def end(self) -> None:
        """Nobody wants it any more: what it does by `in_threads` ends at the pieces' next look."""
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Until it has ended; signals are taken meanwhile."""
        while not self._ended.wait(_LOOK):  # after an interrupted `join` a thread seems to have ended
            pass
        self._thread.join()

    def result(self) -> T:
        """What came of it; what an exception ended is raised here."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._found[0]

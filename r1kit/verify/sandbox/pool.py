"""A fixed number of zygotes, started when needed and replaced when they die."""

from __future__ import annotations

import os
import queue
import weakref
from collections.abc import Sequence

from r1kit.verify.program_run import Ending, Limits, ProgramRun
from r1kit.verify.sandbox.worker import Plan, Zygote, ZygoteDiedError

_ATTEMPTS = 2


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """Runs programs, as many at a time as it has zygotes; a `program_run.Runner` for any thread.

    The zygotes end with the pool, with the interpreter, and with the process if it is killed. A forked copy
    of the process starts its own.
    """

    def __init__(self, plan: Plan, size: int) -> None:
        self._plan = plan
        self._size = size
        self.empty()
        _pools.add(self)

    def empty(self) -> None:
        """Forget the zygotes. For a forked copy of the process: the original goes on with them."""
        self._idle: queue.LifoQueue[Zygote | None] = queue.LifoQueue()  # the one last used is the warmest
        for _ in range(self._size):
            self._idle.put(None)

    def __call__(self, code: str, entry: str | None, inputs: Sequence[str], limits: Limits) -> ProgramRun:
        """Wait for a free zygote and run the program in it. Never raises on any `code`.

        A zygote that dies is replaced and the program tried once more; NOT_STARTED if that one dies as well.
        """
        zygote = self._idle.get()
        try:
            for _ in range(_ATTEMPTS):
                try:
                    zygote = zygote or Zygote(self._plan)
                    return zygote.run(code, entry, inputs, limits)
                except (ZygoteDiedError, OSError) as error:
                    reason = str(error)
                    zygote = _end(zygote)
            return ProgramRun((), Ending.NOT_STARTED, reason)
        except BaseException:  # an interrupt in the middle: what the zygote does now is unknown
            zygote = _end(zygote)
            raise
        finally:
            self._idle.put(_end(zygote) if zygote is not None and zygote.spent else zygote)

    def close(self) -> None:
        """End the zygotes that are idle; those at work end after it."""
        idle = [self._idle.get() for _ in range(self._idle.qsize())]
        for zygote in idle:
            self._idle.put(_end(zygote))


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _begin_anew() -> None:
    for pool in list(_pools):
        pool.empty()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def _end(zygote: Zygote | None) -> Zygote | None:
    """End a zygote; returns the empty place that it leaves."""
    if zygote is not None:
        zygote.close()
    return None

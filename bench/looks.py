"""Looks at what the threads of its own process are doing, every few milliseconds.

Python's threads take turns, so a look happens when the thread at work lets go of the interpreter: after a
turn's length, or earlier where it calls a compiled loop or an operation of torch. With long turns looks would
gather at such calls, wherever the time goes; turns are therefore short while there are looks, and each look
counts for the time since the last one.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

Stack = tuple[str, ...]
"""Outermost first: ("r1kit/cli.py:main", …, "r1kit/rollouts/engine.py:Engine._decode")."""

EVERY = 0.005  # seconds between looks
_MOST = 1.0  # second that one look counts for: a process that is stopped meanwhile does nothing
_TURN = 0.0001  # seconds that a thread keeps the interpreter while another one wants it
WAITING = (
    *("threading.py:Condition.wait", "threading.py:Event.wait", "threading.py:Thread.join"),
    *("threading.py:Thread._wait_for_tstate_lock", "concurrent/futures/thread.py:_worker"),
    *("concurrent/futures/_base.py:wait", "queue.py:Queue.get"),
)
"""Ends of the stacks of threads that have nothing to do."""
_ROOT = f"{Path(__file__).parents[1]}/"
_LIBRARIES = ("/site-packages/", f"/python{sys.version_info[0]}.{sys.version_info[1]}/")
FORK, JOIN = "r1kit/models/threads.py:in_threads", "r1kit/models/threads.py:_run"
"""Where the main thread hands over work, and where that of another thread begins."""


class Looks:
    """`with Looks() as looks: …` leaves the seconds of each stack in `looks.seconds`."""

    def __init__(self, every: float = EVERY) -> None:
        self.seconds: Counter[Stack] = Counter()
        self.count = 0
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_often, name="looks", daemon=True)
        self._turn = sys.getswitchinterval()

    def __enter__(self) -> Looks:
        sys.setswitchinterval(_TURN)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        sys.setswitchinterval(self._turn)

    def _look_often(self) -> None:
        own, main = threading.get_ident(), threading.main_thread().ident
        assert main is not None
        last = time.perf_counter()
        while not self._ended.wait(self._every):
            stacks = {ident: stack_of(frame) for ident, frame in sys._current_frames().items()}
            stacks.pop(own)
            now = time.perf_counter()
            at_work = busy(stacks, main)
            for stack in at_work:
                self.seconds[stack] += min(now - last, _MOST) / len(at_work)
            self.count += 1
            last = now


def busy(stacks: Mapping[int, Stack], main: int) -> list[Stack]:
    """The stacks of the threads at work; the main thread's where all of them wait.

    Work that the main thread handed over stands under its own frames, so that it tells what it is for.
    """
    outer = stacks[main]
    shown = outer[: outer.index(FORK) + 1] if FORK in outer else ()
    found = []
    for stack in stacks.values():
        if stack and stack[-1] not in WAITING:
            found.append(shown + stack[stack.index(JOIN) :] if JOIN in stack else stack)
    return found or [outer]


def stack_of(frame: FrameType | None) -> Stack:
    """The names of a frame and of those that led to it, outermost first."""
    names = []
    while frame is not None:
        names.append(_name(frame.f_code))
        frame = frame.f_back
    return tuple(reversed(names))


@cache
def _name(code: CodeType) -> str:
    return f"{short(code.co_filename)}:{code.co_qualname}"


def short(path: str) -> str:
    """A file's path from its package on: "r1kit/cli.py", "torch/nn/modules/module.py"."""
    for mark in _LIBRARIES:
        _, found, rest = path.rpartition(mark)
        if found:
            return rest
    return path.removeprefix(_ROOT)

"""The symbolic check of pairs of expressions, in processes that can be stopped.

A helper process imports SymPy once and forks a child for every question, which has limits of CPU time and
memory and leaves nothing behind. Only trees of our own parser go there, never text. The caller uses no
signal, so that any thread may ask. A helper ends when its pipe closes, whatever ended the caller.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.util
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from r1kit.verify.line_process import clean_environment
from r1kit.verify.maths.declared import Tolerance
from r1kit.verify.maths.symbolic_worker import MEMORY_STATUS
from r1kit.verify.maths.trees import Tree

WALL_SECONDS = 30.0
"""Backstop for one question, generous as the machine may be busy; the child's own limits are in
`symbolic_worker`."""

MAX_CACHED = 8192
"""Questions whose results are kept."""

INSTALL = "pip install 'r1kit[math]'"
_START_SECONDS = 120.0
_PROCESSES = min(2, os.cpu_count() or 1)
# Status of a child -> what is remembered of its question, which would come to the same again.
_BOUNDS = {
    -int(getattr(signal, name)): "the symbolic check took too much processor time"
    for name in ("SIGXCPU", "SIGPROF")
    if hasattr(signal, name)
} | {MEMORY_STATUS: "the symbolic check took too much memory"}

Question = tuple[Tree, Tree]


class TimedOut(Exception):  # noqa: N818 - an outcome
    """The question hit a bound: processor time, memory, or wall clock."""


class Failed(Exception):  # noqa: N818 - an outcome
    """No answer: the process died twice, or the library is missing."""


class _Died(Exception):  # noqa: N818
    """The helper or its child ended without an answer."""


def available() -> bool:
    """Whether this system can run the check: SymPy is installed, and processes can fork."""
    return os.name == "posix" and importlib.util.find_spec("sympy") is not None


def compare(pairs: Sequence[Question], tolerance: Tolerance | None = None) -> list[bool | None]:
    """Whether (gold, answer) are equal, for each pair; None where it cannot be decided. Raises TimedOut,
    Failed.

    All pairs of one call share the limits of one answer.
    """
    request = _request(pairs, tolerance)
    key = hashlib.sha256(request.encode("ascii")).digest()
    cached = _cache.get(key)
    if cached is None:
        if not available():
            raise Failed(f"this answer needs the symbolic check, which is not installed: {INSTALL}")
        cached = _pool.ask(request)
        _cache.put(key, cached)
    if isinstance(cached, str):
        raise TimedOut(cached)
    return cached


def answers(pairs: Sequence[Question], tolerance: Tolerance | None) -> dict[Question, bool | None]:
    """The results of `compare` by pair."""
    return dict(zip(pairs, compare(pairs, tolerance), strict=True))


def close() -> None:
    """Stop the helpers; a later question starts new ones."""
    _pool.close()


def _request(pairs: Sequence[Question], tolerance: Tolerance | None) -> str:
    bound = None if tolerance is None else [str(tolerance.size), tolerance.relative]
    return json.dumps({"pairs": pairs, "tolerance": bound}, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> str:
    assert isinstance(value, Fraction)
    return str(value)


class _Cache:
    """The latest results, and bounds that were hit, by a hash of the question, which may be long."""

    def __init__(self) -> None:
        self._found: OrderedDict[bytes, list[bool | None] | str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> list[bool | None] | str | None:
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: bytes, result: list[bool | None] | str) -> None:
        with self._lock:
            self._found[key] = result
            if len(self._found) > MAX_CACHED:
                self._found.popitem(last=False)


class _Pool:
    """A fixed number of helpers, each started when it is first needed; threads wait for a free one."""

    def __init__(self) -> None:
        self._free: queue.LifoQueue[_Helper] = queue.LifoQueue()
        self._all = [_Helper() for _ in range(_PROCESSES)]
        for helper in self._all:
            self._free.put(helper)

    def ask(self, request: str) -> list[bool | None] | str:
        """The results, or which bound it hit and would hit again. Raises TimedOut (wall clock), Failed."""
        helper = self._free.get()
        try:
            try:
                return helper.ask(request)
            except _Died:
                return helper.ask(request)
        except _Died as error:
            raise Failed(str(error)) from None
        finally:
            self._free.put(helper)

    def close(self) -> None:
        """Stop idle helpers; a busy one is killed, and the thread that waits for it cleans up."""
        idle: list[_Helper] = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._free.get_nowait())
        for helper in self._all:
            helper.stop() if helper in idle else helper.kill()
        for helper in idle:
            self._free.put(helper)

    def forget(self) -> None:
        """In a forked child: close its copies of the pipes, whose other ends belong to the parent."""
        for helper in self._all:
            helper.forget()


class _Helper:
    """One process, running `symbolic_worker`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = bytearray()

    def ask(self, request: str) -> list[bool | None] | str:
        """One question; the helper is stopped where it does not answer."""
        try:
            process = self._process or self._start()
            return self._answer(process, request)
        except BaseException:  # an interrupt too: a late answer must not be taken for the next question's
            self.stop()
            raise

    def stop(self) -> None:
        """End the process and its child, and close the pipes."""
        self.kill()
        process, self._process = self._process, None
        if process is not None:
            process.wait()
            _close(process)

    def kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own until it is waited for

    def forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _close(process)
            process.returncode = 0  # it is the parent's to wait for

    def _start(self) -> subprocess.Popen[bytes]:
        self._lines.clear()
        try:
            process = self._process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-m", "r1kit.verify.maths.symbolic_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # an interrupt from the keyboard is the caller's to handle
            )
        except OSError as error:
            raise _Died(f"the symbolic check could not be started: {error}") from None
        if self._line(process, time.monotonic() + _START_SECONDS) != {"ready": True}:
            raise _Died("the symbolic check could not be started")
        return process

    def _answer(self, process: subprocess.Popen[bytes], request: str) -> list[bool | None] | str:
        deadline = time.monotonic() + WALL_SECONDS
        _write(process, request.encode("ascii") + b"\n", deadline)
        results: list[bool | None] | None = None
        while True:
            reply = self._line(process, deadline)
            if "results" in reply:
                results = reply["results"]
            elif reply["ended"] in _BOUNDS:
                return _BOUNDS[reply["ended"]]
            elif reply["ended"] == -signal.SIGALRM:
                raise TimedOut("the symbolic check got no processor for too long")
            elif reply["ended"] or results is None:
                raise _Died(f"the symbolic check ended with status {reply['ended']}")
            else:
                return results

    def _line(self, process: subprocess.Popen[bytes], deadline: float) -> dict[str, Any]:
        """The next line from the process."""
        assert process.stdout is not None
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        while b"\n" not in self._lines:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimedOut("the symbolic check took too long")
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise _Died("the symbolic check ended without an answer")
            self._lines += chunk
        line, _, rest = bytes(self._lines).partition(b"\n")
        self._lines[:] = rest
        reply = json.loads(line)
        assert isinstance(reply, dict)
        return reply


def _write(process: subprocess.Popen[bytes], data: bytes, deadline: float) -> None:
    """Write all of it; a pipe that nobody empties is a helper that does not answer."""
    assert process.stdin is not None
    descriptor = process.stdin.fileno()
    os.set_blocking(descriptor, False)
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while data:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimedOut("the symbolic check took too long")
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            continue
        except OSError:
            raise _Died("the symbolic check ended before the question") from None


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with contextlib.suppress(OSError):  # what was not flushed has no reader
            stream.close()


def _environment() -> dict[str, str]:
    """The hash seed in it is fixed: the order of SymPy's steps, and so what it can prove, follows it."""
    return clean_environment() | {"SYMPY_GROUND_TYPES": "python"}


def _after_fork() -> None:
    """Locks and queues of a forked child may be held by threads that it does not have."""
    global _pool, _cache
    _pool.forget()
    _pool, _cache = _Pool(), _Cache()


_pool = _Pool()
_cache = _Cache()
atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

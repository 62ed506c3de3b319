"""What a program may use, what came of it, and how the lines that its process wrote are read."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from r1kit.verify.program_values import is_well_formed

_READY = b'["ready"]'
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use, all its tests together."""

    seconds: int = 2  # of CPU time
    wall_seconds: float = 8.0  # the backstop; generous, as the machine may be busy
    sleep_seconds: float = 3.0  # of doing nothing at all, where it runs in a sandbox
    memory_mb: int = 512  # of address space; 30 MB are the interpreter's
    file_mb: int = 16  # of one file
    open_files: int = 64
    processes: int = 2048  # of the user, the caller's own and their threads included
    result_bytes: int = 1 << 20  # of JSON, all results together
    folder_mb: int = 64  # of all files in its folder, where it runs in a sandbox

    def resources(self) -> dict[str, tuple[int, int]]:
        """Name after `RLIMIT_` -> soft and hard limit. The CPU's soft limit ends the process with SIGXCPU."""
        same = {
            "AS": self.memory_mb << 20,
            "FSIZE": self.file_mb << 20,
            "NOFILE": self.open_files,
            "NPROC": self.processes,
            "CORE": 0,
        }
        if sys.platform == "darwin":
            del same["AS"]  # refused there
        return {name: (most, most) for name, most in same.items()} | {"CPU": (self.seconds, self.seconds + 1)}


class Ending(StrEnum):
    """How a run ended. Only FINISHED has a result for every input."""

    FINISHED = "finished"
    NOT_COMPILED = "not compiled"  # Python refuses the text
    FAILED = "failed"  # it raised before the first test, or lacks the function
    TOO_SLOW = "too slow"
    TOO_MUCH = "too much"  # more than `Limits.result_bytes` came back
    BROKE_OFF = "broke off"  # the process ended, or closed its pipe, before the last test
    NOT_STARTED = "not started"  # the interpreter did not come up; nothing of the program ran


@dataclass(frozen=True, slots=True)
class Result:
    """What one test gave: `Result([42, 1])`, or `Result(error="ValueError")`."""

    value: Any = None  # plain JSON in the notation of `program_values`; for a script, what it printed
    error: str = ""  # name of the exception


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """The results in the order of the inputs, and how it ended."""

    results: tuple[Result, ...]
    ending: Ending
    reason: str = ""  # the exception, or the signal of a crash
    # Of the process with all its threads, as the kernel counted it; never the same twice.
    cpu_seconds: float = field(default=0.0, compare=False)


class Runner(Protocol):
    """Runs a program; `programs.run_program`, or a sandbox."""

    def __call__(self, code: str, entry: str | None, inputs: Sequence[str], limits: Limits) -> ProgramRun:
        """Run `code` on every input. Never raises on any `code`.

        Args:
            code: Python text.
            entry: the function to call, at the top level or a method of a class `Solution`; None for a script
                that reads stdin and prints.
            inputs: one for each test. With `entry`: the arguments as Python text of a list of literals, e.g.
                `"[[3, 1], 42]"`, read anew for each test; for a script: its stdin.
            limits: what it may use.
        """
        ...


def payload(code: str, entry: str | None, inputs: Sequence[str]) -> str:
    """Code, entry and inputs as they are handed to the process: the text of a Python literal."""
    texts = [ascii(text) for text in inputs] if entry is None else list(inputs)
    return f"{code!a}, {entry!a}, [{', '.join(texts)}]"


def read_lines(descriptor: int, lines: int, limits: Limits) -> tuple[bytes, bool]:
    """What comes until the pipe closes, `lines` lines are there, it is too much, or (True) time is up."""
    deadline = time.monotonic() + limits.wall_seconds
    data = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while lines > 0 and len(data) <= limits.result_bytes:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return bytes(data), True
            chunk = os.read(descriptor, _CHUNK)
            if not chunk:
                break
            lines -= chunk.count(b"\n")
            data += chunk
    return bytes(data), False


def read_run(
    data: bytes, too_slow: bool, status: int, cpu: float, expected: int, limits: Limits
) -> ProgramRun:
    """The run that the lines tell of, read with care: the program may have written them.

    Args:
        data: what the process wrote.
        too_slow: whether the wall clock ended it.
        status: its exit status; the negative signal if one ended it.
        cpu: seconds of processor time that it took.
        expected: the number of inputs.
        limits: under which it ran.
    """
    first, *lines = data.split(b"\n")[:-1] or [b""]
    if first != _READY:
        reason = first.decode("ascii", "replace")[:160] if first else f"exit status {status}"
        return ProgramRun((), Ending.NOT_STARTED, reason)
    results: list[Result] = []
    for line in lines[: expected + 1]:  # one more is enough to see that there are too many
        kind, content = _read_line(line)
        if kind == "syntax":
            return ProgramRun((), Ending.NOT_COMPILED, cpu_seconds=cpu)
        if kind == "failed":
            return ProgramRun((), Ending.FAILED, content, cpu)
        results.append(Result(error=content) if kind == "raised" else Result(content))
    if len(data) > limits.result_bytes:
        return ProgramRun(tuple(results), Ending.TOO_MUCH, "", cpu)
    if len(results) == expected and cpu < limits.seconds:  # a program may catch the signal of its limit
        return ProgramRun(tuple(results), Ending.FINISHED, "", cpu)
    if too_slow or status == -signal.SIGXCPU or cpu >= limits.seconds:
        return ProgramRun(tuple(results), Ending.TOO_SLOW, "", cpu)
    return ProgramRun(tuple(results), Ending.BROKE_OFF, _crash(status), cpu)


def _read_line(line: bytes) -> tuple[str, Any]:
    """Kind and content of a line; a line that is not of the form holds a value equal to nothing."""
    try:
        found = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        found = None
    match found:
        case ["syntax"]:
            return "syntax", None
        case ["failed" | "raised" as kind, str(name)]:
            return kind, name if name.isidentifier() and len(name) < 60 else "an exception"
        case ["value", value] if is_well_formed(value):
            return "value", value
    return "value", {"__other__": "unreadable"}


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _crash(status: int) -> str:
    """`"SIGSEGV"` for -11; "" for an exit, and for SIGKILL, which may be this module's own."""
    if status >= 0 or status == -signal.SIGKILL:
        return ""
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"

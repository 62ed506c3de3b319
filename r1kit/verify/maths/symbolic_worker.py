"""The helper process of `symbolic`: JSON lines in, JSON lines out, one forked child per question."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

CPU_SECONDS = 1.2
"""Processor time of one question, so that reading the answer and this stay below 2 s together; RLIMIT_CPU,
which counts whole seconds, stands behind it at 2."""
REAL_SECONDS = 20.0
"""Wall clock of one question, should it not run at all; below the caller's own backstop."""
MEMORY_BYTES = 1 << 30
"""Address space of a child."""
MEMORY_STATUS = 3
"""Exit status of a child that ran out of memory."""


def main() -> None:
    """Answer until the input ends."""
    # The library may print; what it prints is lost, and the caller's lines stay whole.
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for name in (signal.SIGPROF, signal.SIGALRM, signal.SIGXCPU):
        signal.signal(name, signal.SIG_DFL)  # a caller may have had them ignored
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    from r1kit.verify.maths.symbolic_decide import decide

    decide(
        {"pairs": [[["root", ["num", "2"], ["sym", "x"]], ["fn", "sin", ["num", "1"]]]], "tolerance": None}
    )
    gc.collect()
    gc.freeze()  # children share these pages
    _write(output, {"ready": True})
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            _answer(decide, line, output)
        _, status = os.waitpid(child, 0)
        _write(output, {"ended": os.waitstatus_to_exitcode(status)})


def _answer(decide: Any, line: bytes, output: int) -> None:
    """In the child: decide within the limits, write one line, and end."""
    status = 1
    try:
        limit()
        _write(output, {"results": decide(json.loads(line))})
        status = 0
    except MemoryError:
        status = MEMORY_STATUS
    finally:
        os._exit(status)


def limit() -> None:
    """Limits of this process: CPU time, wall clock, memory, no file."""
    import resource  # not on Windows, where `symbolic` is imported and starts nothing

    for name, value in (("CPU", 2), ("AS", MEMORY_BYTES), ("FSIZE", 0), ("CORE", 0)):
        with contextlib.suppress(ValueError, OSError):  # macOS refuses a limit of address space
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, REAL_SECONDS)


def _write(output: int, message: Mapping[str, Any]) -> None:
    os.write(output, json.dumps(message).encode("ascii") + b"\n")


if __name__ == "__main__":
    main()

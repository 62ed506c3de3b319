"""A process of this interpreter that answers requests, JSON lines in and out, within limits of time."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import IO, Any

_LAST_WORDS = 5.0  # seconds for what a stopped process had still written


class TimedOutError(Exception):
    """The process did not answer in time and must be stopped."""


class DiedError(Exception):
    """The process ended without an answer."""


class LineProcess:
    """A started module of the package, `LineProcess("r1kit.tasks.gym_worker")`, and who reads its lines.

    It leads a process group of its own, which `stop` ends; an interrupt from the keyboard is the caller's to
    handle. It starts with little of the caller's environment, no secret, and a fixed hash seed.
    """

    def __init__(self, module: str, arguments: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True)
        reader.start()
        self.stop = weakref.finalize(self, _end, self._process, reader)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one line; a process that has died says so at the next `receive`."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def receive(self, seconds: float) -> dict[str, Any]:
        """The next line. Raises TimedOutError, DiedError; the process must then be stopped."""
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise TimedOutError(f"no answer within {seconds:g} s") from None
        if line is None:
            status = self._process.wait()
            if status == -getattr(signal, "SIGXCPU", 0):
                raise TimedOutError("too much processor time")
            raise DiedError(f"its process ended with status {status}")
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            raise DiedError("its process wrote something that is no answer")
        return reply


def _read(output: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    for line in output:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str], reader: threading.Thread) -> None:
    """Stop the process and what it has started, and close what is open to it."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()
    reader.join(_LAST_WORDS)
    streams = (process.stdin, process.stdout) if not reader.is_alive() else (process.stdin,)
    for stream in streams:
        assert stream is not None
        with contextlib.suppress(OSError):  # what was not flushed has no reader
            stream.close()


def clean_environment() -> dict[str, str]:
    """Little of the caller's, no secret; a fixed hash seed repeats what is drawn on every machine."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return kept | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONHASHSEED": "0",
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
    }

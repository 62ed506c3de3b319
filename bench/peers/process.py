"""The benchmark's end of the talk with a side: start it, ask for repeats, end it.

    with Side(python, "bench.peers.vllm_side", job) as side:
        side.start()
        side.repeat({"lengths": [3, 5]})  # {"seconds": 0.2, "new_tokens": 8, …}

The last line of what a side wrote to standard error is the reason where it fails.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from bench.peers.talk import Record

ROOT = Path(__file__).parents[2]
START_SECONDS = 1800.0  # compilation included
REPEAT_SECONDS = 1800.0
_TAIL = 8000  # bytes of standard error in which the reason is looked for


class SideFailedError(Exception):
    """A side could not do its work; the message is the reason."""


class Side:
    """One process that does the work once for each request."""

    def __init__(
        self, python: Path, module: str, job: Record, environment: Mapping[str, str] | None = None
    ) -> None:
        self._job = job
        self._errors = TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [str(python), "-m", module],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
        )
        threading.Thread(target=self._read, daemon=True).start()

    def start(self) -> Record:
        """Hand over the job and wait until everything is loaded; returns its facts."""
        self._send(self._job)
        facts: Record = self._answer("ready", START_SECONDS)
        return facts

    def ask(self, request: Record) -> None:
        """Let a repeat begin; `answer` waits for its end."""
        self._send(request)

    def answer(self) -> Record:
        """What the repeat under way came to."""
        result: Record = self._answer("done", REPEAT_SECONDS)
        return result

    def repeat(self, request: Record) -> Record:
        """The work once."""
        self.ask(request)
        return self.answer()

    def close(self) -> None:
        """End the process, kindly first."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.close()
            self._process.wait(timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _send(self, record: Record) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(record) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise SideFailedError(self._reason()) from None

    def _answer(self, kind: str, seconds: float) -> Any:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise SideFailedError(f"no answer within {seconds:.0f} s") from None
        if not line:
            raise SideFailedError(self._reason())
        return json.loads(line)[kind]

    def _reason(self) -> str:
        code = self._process.wait()
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _TAIL))
        lines = [line for line in self._errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return f"ended with code {code}: {lines[-1].strip() if lines else 'it wrote nothing'}"


class Together:
    """Several sides that share a repeat and run at the same time; looks like one."""

    def __init__(self, sides: Sequence[Side]) -> None:
        self._sides = sides

    def start(self) -> Record:
        """Start each; the facts are the first one's."""
        first, *_ = [side.start() for side in self._sides]
        return first

    def repeat(self, request: Record) -> Record:
        """All at once; seconds are those until the last has ended."""
        began = time.perf_counter()
        for side in self._sides:
            side.ask(request)
        results = [side.answer() for side in self._sides]
        seconds = time.perf_counter() - began
        lengths = [length for result in results for length in result["lengths"]]
        return {"seconds": seconds, "new_tokens": sum(lengths), "lengths": lengths}

    def close(self) -> None:
        """End each."""
        for side in self._sides:
            side.close()

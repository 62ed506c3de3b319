"""Asking the process that runs reasoning-gym, within limits of time; it is started when first needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from r1kit.errors import DataError, RecipeError, UnknownNameError
from r1kit.tasks.gym_generators import VERSION
from r1kit.verify.line_process import DiedError, LineProcess, TimedOutError

START_SECONDS = 120.0
ITEM_SECONDS = 120.0  # for one problem
SCORE_SECONDS = 30.0  # wall clock for one answer; its processor time is limited to 2 s inside
_INSTALL = "pip install 'r1kit[reasoning-gym]'"


class GymProcess:
    """One generator, opened with the same parameters in every process that is started for it."""

    def __init__(self, generator: str, params: Mapping[str, Any], seed: int, size: int) -> None:
        self._opening = {"generator": generator, "params": dict(params), "seed": seed, "size": size}
        self._running: LineProcess | None = None
        self._lock = threading.Lock()

    def items(self) -> list[dict[str, Any]]:
        """Every problem in order, as `{"index": 0, "question": "…", "answer": "…" or None}`.

        Raises DataError (no library, or another version, or it fails), RecipeError or UnknownNameError (the
        parameters).
        """
        found: list[dict[str, Any]] = []
        with self._lock:
            try:
                running = self._process()
                running.send({"items": True})
                while not found or "index" in found[-1]:
                    found.append(running.receive(ITEM_SECONDS))
            except (TimedOutError, DiedError) as error:
                self._stop()
                found.append({"failed": str(error)})
        if reason := found.pop().get("failed"):
            name = self._opening["generator"]
            raise DataError(f"task 'gym': generator {name!r} stopped at problem {len(found)}: {reason}")
        return found

    def score(self, index: int, question: str, answer: str) -> dict[str, Any]:
        """`score`, `changed` or `raised`, see `gym_worker.score`. Raises TimedOutError, DiedError."""
        with self._lock:
            try:
                running = self._process()
                running.send({"index": index, "question": question, "answer": answer})
                return running.receive(SCORE_SECONDS)
            except (TimedOutError, DiedError):
                self._stop()
                raise

    def _process(self) -> LineProcess:
        if self._running is None:
            running = LineProcess("r1kit.tasks.gym_worker")
            running.send(self._opening)
            reply = running.receive(START_SECONDS)
            if "ready" not in reply:
                running.stop()
                raise _refusal(reply)
            self._running = running
        return self._running

    def _stop(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None


def _refusal(reply: Mapping[str, Any]) -> Exception:
    """The error for a reply other than "ready"."""
    if "unknown" in reply:
        return UnknownNameError("parameter", reply["unknown"], reply["known"], "task 'gym': params")
    if "refused" in reply:
        return RecipeError(f"task 'gym': params: {reply['refused']}")
    if "version" in reply:
        found = reply["version"]
        return DataError(f"task 'gym': needs reasoning-gym {VERSION}, found {found}; {_INSTALL}")
    return DataError(f"task 'gym': needs the package reasoning-gym ({reply['missing']}); {_INSTALL}")

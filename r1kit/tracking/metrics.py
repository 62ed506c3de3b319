"""The logs of a stage: numbers per step, wall-clock timings per step, sampled rollouts, and alarms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from r1kit.errors import CheckpointError
from r1kit.files import JsonlLog, finite_or_none

METRICS = "metrics.jsonl"
TIMINGS = "timings.jsonl"
ROLLOUTS = "rollouts.jsonl"
ALARMS = "alarms.jsonl"


class ScalarWriter(Protocol):
    """A further destination of the numbers, such as TensorBoard."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record the finite numbers of one step."""

    def rewind(self, step: int) -> None:
        """Forget everything from `step` on: a resumed run writes it again."""

    def close(self) -> None:
        """Write out what is buffered."""


class RunLog:
    """Four JSONL files in `folder`, each row `{"step": 12, …}`.

    `metrics.jsonl` holds only numbers that the seed and the settings determine, so that it is bit-identical
    after a crash and resume; seconds and tokens per second go to `timings.jsonl`. NaN and inf become null.
    """

    def __init__(self, folder: Path, writers: Sequence[ScalarWriter] = ()) -> None:
        self._logs = {name: JsonlLog(folder / name) for name in (METRICS, TIMINGS, ROLLOUTS, ALARMS)}
        self._writers = tuple(writers)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log the deterministic numbers of `step`."""
        self._numbers(METRICS, step, values)

    def timings(self, step: int, values: Mapping[str, float]) -> None:
        """Log what the wall clock says of `step`: seconds, tokens per second, bytes in use."""
        self._numbers(TIMINGS, step, values)

    def rollouts(self, step: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log rollouts of `step` (JSON-serialisable; non-finite numbers at any depth become null)."""
        self._rows(ROLLOUTS, step, rows)

    def alarms(self, step: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Log what alarms said of `step`: `{"alarm": "truncation", "severity": "warning", "text": "…"}`."""
        self._rows(ALARMS, step, rows)

    def _rows(self, name: str, step: int, rows: Iterable[Mapping[str, Any]]) -> None:
        log = self._logs[name]
        for row in rows:
            log.append({"step": step, **_storable(dict(row))})
        log.flush()

    def _numbers(self, name: str, step: int, values: Mapping[str, float]) -> None:
        numbers = {key: value if isinstance(value, int) else float(value) for key, value in values.items()}
        log = self._logs[name]
        log.append({"step": step, **_storable(numbers)})
        log.flush()
        finite = {key: value for key, value in numbers.items() if finite_or_none(value) is not None}
        for writer in self._writers:
            writer.scalars(step, finite)

    def offsets(self) -> dict[str, int]:
        """Make all rows durable and return each file's length in bytes; part of a checkpoint's state."""
        for log in self._logs.values():
            log.sync()
        return {name: log.offset for name, log in self._logs.items()}

    def truncate(self, offsets: Mapping[str, int], step: int = 0) -> None:
        """Go back to the state of `offsets`; the next row is of `step`. CheckpointError if it cannot be."""
        if offsets.keys() != self._logs.keys():
            raise CheckpointError(f"log offsets name {sorted(offsets)}, expected {sorted(self._logs)}")
        for name, log in self._logs.items():
            log.truncate(offsets[name])
        for writer in self._writers:
            writer.rewind(step)

    def close(self) -> None:
        """Make all rows durable and close the other writers."""
        for log in self._logs.values():
            log.close()
        for writer in self._writers:
            writer.close()

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _storable(value: Any) -> Any:
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, Mapping):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value

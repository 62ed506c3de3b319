"""TensorBoard event files, through the extra `r1kit[tensorboard]`; needs no torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from r1kit.errors import UserError


class TensorBoardWriter:
    """Writes scalars as TensorBoard events into `folder`; a `ScalarWriter` for `RunLog`."""

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise UserError("tensorboard is not installed: pip install 'r1kit[tensorboard]'") from error
        self._event: Any = Event
        self._session: Any = SessionLog
        self._summary: Any = Summary
        self._file = EventFileWriter(str(folder))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record one point per name."""
        points = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._file.add_event(
            self._event(wall_time=time.time(), step=step, summary=self._summary(value=points))
        )

    def rewind(self, step: int) -> None:
        """Tell TensorBoard that the run restarts at `step`, so that it hides the points from there on."""
        start = self._session(status=self._session.START)
        self._file.add_event(self._event(wall_time=time.time(), step=step, session_log=start))

    def close(self) -> None:
        """Write out the events."""
        self._file.close()

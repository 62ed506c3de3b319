"""The user's wish to stop: Ctrl-C and SIGTERM become a flag that loops look at after every step."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopFlag:
    """`with StopFlag() as stop:` sets `stop.requested` on the first SIGINT or SIGTERM.

    A second signal raises KeyboardInterrupt at once; what is on disk is safe even then. Off the main thread,
    where Python allows no signal handlers, nothing is installed and only `request` sets the flag.
    """

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """True once a signal arrived or `request` was called."""
        return self._requested.is_set()

    def request(self) -> None:
        """Ask for a stop from within the program."""
        self._requested.set()

    def __enter__(self) -> StopFlag:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.request()
        # os.write, because a handler may interrupt a print that holds the stream's lock
        with suppress(OSError):  # stderr may be closed or its reader gone; the wish stands all the same
            os.write(2, b"\nstopping at the next point to resume from; once more to quit at once\n")

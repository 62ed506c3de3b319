"""Progress in the terminal: bars with the time left and a few live figures, or plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TextIO

from r1kit.tracking.terminal import printable

_REFRESHES = 4  # of bars, per second: each is a millisecond of the interpreter, which the work waits for


class Bar(Protocol):
    """One running count. `bar.update(12, reward=0.43, length=61)` after step 12 of the total."""

    def update(self, done: int, **figures: float) -> None:
        """Show that `done` units are finished, with the latest figures."""


class Progress:
    """Where a run shows how far it is; one object serves all stages.

    On a terminal it draws rich progress bars; otherwise it prints one plain line per bar at most every
    `every` seconds. `quiet=True` prints nothing.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        every: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._quiet = quiet
        self._every = every
        self._clock = clock
        self._rich: Any = None  # the rich display, alive while a bar is open

    @contextmanager
    def bar(self, name: str, total: int, done: int = 0) -> Iterator[Bar]:
        """A bar of `total` units of which `done` were finished before (a resumed run)."""
        if self._quiet:
            yield _QuietBar()
        elif self._stream.isatty():
            nested = self._rich is not None
            with self._display() as display:
                task = display.add_task(printable(name), total=total, completed=done, figures="")
                yield _RichBar(display, task)
                if nested:  # the outer bar stays on the screen, those of its parts make room for the next
                    display.refresh()
                    display.remove_task(task)
        else:
            plain = _PlainBar(self._stream, printable(name), total, done, self._every, self._clock)
            yield plain
            plain.finish()

    def say(self, text: str) -> None:
        """Print a line, above the bars where there are any; escape sequences in it are dropped."""
        if self._quiet:
            return
        if self._rich is not None:
            self._rich.console.print(printable(text), markup=False, highlight=False)
        else:
            _print_line(self._stream, printable(text))

    @contextmanager
    def _display(self) -> Iterator[Any]:
        if self._rich is not None:  # a bar within a bar shares the display
            yield self._rich
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[figures]}", markup=False),
        )
        console = Console(file=self._stream)
        with RichProgress(*columns, console=console, refresh_per_second=_REFRESHES) as display:
            self._rich = display
            try:
                yield display
            finally:
                self._rich = None


class _QuietBar:
    def update(self, done: int, **figures: float) -> None:
        pass


class _RichBar:
    def __init__(self, display: Any, task: Any) -> None:
        self._display = display
        self._task = task

    def update(self, done: int, **figures: float) -> None:
        self._display.update(self._task, completed=done, figures=_figures(figures))


class _PlainBar:
    def __init__(
        self, stream: TextIO, name: str, total: int, done: int, every: float, clock: Callable[[], float]
    ) -> None:
        self._stream, self._name, self._total, self._every, self._clock = stream, name, total, every, clock
        self._first, self._done, self._figures = done, done, ""
        self._began = self._printed = clock()
        self._shown = -1

    def update(self, done: int, **figures: float) -> None:
        self._done, self._figures = done, _figures(figures)
        if self._clock() - self._printed >= self._every:
            self._print()

    def finish(self) -> None:
        """Print the last state unless it was printed already."""
        if self._shown != self._done:
            self._print()

    def _print(self) -> None:
        now = self._clock()
        self._printed, self._shown = now, self._done
        parts = [f"{self._name} {self._done}/{self._total}", self._time(now - self._began), self._figures]
        _print_line(self._stream, " · ".join(part for part in parts if part))

    def _time(self, elapsed: float) -> str:
        gained = self._done - self._first
        if self._done >= self._total or not gained:
            return f"{duration(elapsed)} elapsed"
        return f"{duration(elapsed / gained * (self._total - self._done))} left"


def _print_line(stream: TextIO, text: str) -> None:
    """Print where someone may read it; a run does not end because its reader has gone (`2>&1 | head`)."""
    with suppress(OSError):
        print(text, file=stream, flush=True)


def duration(seconds: float) -> str:
    """`"0:07"`, `"12:34"` or `"1:02:03"`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _figures(figures: dict[str, float]) -> str:
    return " · ".join(f"{name} {_number(value)}" for name, value in figures.items())


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

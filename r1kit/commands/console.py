"""The console that commands print to."""

from __future__ import annotations

from rich.console import Console


class CommandConsole(Console):
    """Rich's console, leaving a closed pipe to the command line, which ends quietly and with status 0."""

    def on_broken_pipe(self) -> None:
        """Rich would exit with status 1 here."""
        raise BrokenPipeError


def command_console() -> Console:
    """A console on stdout that colours nothing of its own accord."""
    return CommandConsole(highlight=False)

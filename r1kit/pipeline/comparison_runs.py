"""Runs the members of a comparison, each in a process of its own, several at a time."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from r1kit.errors import Interrupted
from r1kit.pipeline.comparison import Member
from r1kit.tracking.stop import StopFlag

_LOOK_EVERY = 0.3  # seconds between looks at the processes and the stop flag
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PATIENCE = 600.0  # seconds that an interrupted run has to finish its step and to save


def run_members(
    members: Sequence[Member], parallel: int, say: Callable[[str], None], stop: StopFlag
) -> list[str]:
    """Run what is missing of each member, `parallel` at a time; what has been run is left as it is.

    A run that goes on from where it broke off, or is done, is the same as an unbroken one. What each prints
    is in `seed-N.log` beside its folder. A run that fails stops no other: each is given back with its last
    line. Raises Interrupted when the stop flag was set.
    """
    waiting, running = list(members), dict[subprocess.Popen[bytes], Member]()
    failed: list[str] = []
    try:
        while (waiting and not stop.requested) or running:
            while waiting and len(running) < parallel and not stop.requested:
                member = waiting.pop(0)
                running[_start(member)] = member
            for process in [p for p in running if p.poll() is not None]:
                member = running.pop(process)
                if process.returncode == 0:
                    say(f"{member.variant}, seed {member.seed}: done")
                elif not stop.requested:
                    failed.append(f"{member.variant}, seed {member.seed}: {_last_line(_log(member))}")
                    say(failed[-1])
            if stop.requested and running:
                _interrupt(list(running))
                break
            time.sleep(_LOOK_EVERY)
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()
    if stop.requested:
        raise Interrupted("comparison: stopped; what the runs have saved is kept")
    return failed


def _start(member: Member) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C in the terminal reaches this process alone, which passes it on once.

    On Linux a run also saves and stops when this process is killed.
    """
    command = [sys.executable, "-m", "r1kit", "run", str(member.recipe), "--out", str(member.folder)]
    with _log(member).open("ab") as log:
        return subprocess.Popen(
            [*command, "--resume", "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_stop_with_parent if _LIBC is not None else None,
        )


def _stop_with_parent() -> None:
    """In the child: a SIGINT when the parent is gone. Nothing here may fail or wait."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _interrupt(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask all to save and stop, and wait for that."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
    deadline = time.monotonic() + _PATIENCE
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))


def _log(member: Member) -> Path:
    return member.folder.with_suffix(".log")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"

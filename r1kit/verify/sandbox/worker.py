"""One zygote as its caller sees it: started, asked to run a program, ended."""

from __future__ import annotations

import itertools
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from r1kit.verify.program_run import Ending, Limits, ProgramRun, Result, payload, read_lines, read_run
from r1kit.verify.programs import INTERPRETER_FLAGS, remove_tree
from r1kit.verify.sandbox import landlock
from r1kit.verify.sandbox.seccomp import build_filter
from r1kit.verify.sandbox.zygote import PRELOADED, SOURCE

_START_SECONDS = 60.0  # imports on a busy machine
_END_SECONDS = 30.0  # a dead child's memory and files are given back
_GRACE_SECONDS = 2.0  # in which a caller that lives ends its own program
# One memory arena: each thread's own would take 64 MB of a program's address space.
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "TZ": "UTC0", "MALLOC_ARENA_MAX": "1"}
_READABLE = ("/usr/share/zoneinfo",)  # besides the standard library
_FIRST_USER = 1 << 30  # no system hands out such numbers
_numbers = itertools.count()
_started: weakref.WeakSet[Zygote] = weakref.WeakSet()


class ZygoteDiedError(Exception):
    """The zygote did not start, or ended without an answer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a zygote locks its children in with: `Plan("x86_64", 7)`."""

    machine: str  # as `os.uname().machine` names it
    landlock: int  # version of its interface; 0: without, and then without opening any file


class Zygote:
    """A running zygote. Runs one program at a time; not to be shared between threads at one time.

    Raises ZygoteDiedError when it does not come up.
    """

    def __init__(self, plan: Plan) -> None:
        folder = tempfile.mkdtemp(prefix="r1kit-sandbox-")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, *INTERPRETER_FLAGS, "-c", SOURCE],
                    stdin=theirs.fileno(),  # number 0 there, however many descriptors this process has open
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=folder,
                    env=_ENVIRONMENT | {"TMPDIR": folder},
                    start_new_session=True,  # an interrupt from the keyboard is the caller's to handle
                )
        except OSError as error:
            ours.close()
            remove_tree(folder)
            raise ZygoteDiedError(f"the sandbox's process did not start ({error})") from None
        self._socket = ours
        self.pid = process.pid
        self.close = weakref.finalize(self, _end, process, ours, folder, os.getpid())
        _started.add(self)
        user = _FIRST_USER + (os.getpid() << 6) + next(_numbers) % 64
        self._send(json.dumps(_configuration(plan, user)).encode())
        found = self._receive(_START_SECONDS)
        self.user_dropped = found["user"] is not None  # whether its children have another user
        self.counted_apart = found["apart"] is True  # whether their limit of processes is theirs alone
        self.spent = False

    def run(self, code: str, entry: str | None, inputs: Sequence[str], limits: Limits) -> ProgramRun:
        """As `program_run.Runner`; a script has a process of its own for every input.

        After a run that leaves `spent`, the zygote must be replaced: the program left files that it could
        not remove. Raises ZygoteDiedError.
        """
        if entry is not None:
            return self._execute(code, entry, inputs, limits)[0]
        deadline, cpu, asleep = time.monotonic() + limits.wall_seconds, 0.0, 0.0
        results = list[Result]()
        room = limits.result_bytes
        run = ProgramRun((), Ending.FINISHED)
        for given in inputs:
            wall, seconds = deadline - time.monotonic(), math.ceil(limits.seconds - cpu)
            left = replace(limits, wall_seconds=max(0.0, wall), seconds=max(1, seconds), result_bytes=room)
            left = replace(left, sleep_seconds=max(0.0, limits.sleep_seconds - asleep))
            run, slept = self._execute(code, None, [given], left)
            asleep += slept
            results += run.results
            room = max(0, room - sum(len(str(result.value)) for result in run.results))
            cpu += run.cpu_seconds
            late = run.ending is Ending.NOT_STARTED and results and time.monotonic() >= deadline
            # A program that slept until there was no time to start the next test would not be graded.
            if late or (run.ending is Ending.FINISHED and cpu >= limits.seconds):
                run = replace(run, ending=Ending.TOO_SLOW, reason="")
            if run.ending is not Ending.FINISHED or self.spent:
                break
        return replace(run, results=tuple(results), cpu_seconds=cpu)

    def _execute(
        self, code: str, entry: str | None, inputs: Sequence[str], limits: Limits
    ) -> tuple[ProgramRun, float]:
        """One child, of the inputs given, and the seconds for which it slept."""
        settings = {
            "resources": limits.resources(),
            "script": entry is None,
            "wall": limits.wall_seconds + _GRACE_SECONDS,
            "sleep": limits.sleep_seconds,
            "folder_bytes": limits.folder_mb << 20,
        }
        given = os.memfd_create("program")
        reader, writer = os.pipe()
        try:
            try:
                with open(given, "wb", closefd=False) as file:
                    file.write(payload(code, entry, inputs).encode("ascii", "backslashreplace"))
                os.lseek(given, 0, os.SEEK_SET)
                self._send(json.dumps(settings).encode(), given, writer)
            finally:
                os.close(given)
                os.close(writer)
            data, too_slow = read_lines(reader, len(inputs) + 1, limits)
        finally:
            os.close(reader)
        self._send(b"end")
        reply = self._receive(_END_SECONDS)
        if not reply["cpu"] >= 0:
            raise ZygoteDiedError("the sandbox's process does not tell the truth")
        self.spent = not reply["clean"]
        too_slow |= reply["asleep"] > limits.sleep_seconds
        run = read_run(data, too_slow, reply["status"], reply["cpu"], len(inputs), limits)
        if reply["full"] and run.ending is Ending.BROKE_OFF:
            run = replace(run, reason=f"more than {limits.folder_mb} MB or too many files")
        return run, reply["asleep"]

    def _send(self, message: bytes, *descriptors: int) -> None:
        try:
            socket.send_fds(self._socket, [message], descriptors)
        except OSError:
            raise ZygoteDiedError("the sandbox's process has ended") from None

    def _receive(self, seconds: float) -> dict[str, Any]:
        self._socket.settimeout(seconds)
        try:
            message = self._socket.recv(4096)
        except TimeoutError:
            raise ZygoteDiedError(f"the sandbox's process did not answer for {seconds:g} s") from None
        except OSError:
            raise ZygoteDiedError("the sandbox's process has ended") from None
        if not message:
            raise ZygoteDiedError("the sandbox's process has ended")
        reply = json.loads(message)
        assert isinstance(reply, dict)
        return reply


def _configuration(plan: Plan, user: int) -> dict[str, Any]:
    """The first message to a zygote."""
    code = build_filter(plan.machine, files=plan.landlock > 0)
    found: dict[str, Any] = {
        "filter": code.code.hex(),
        "pid_at": code.pid_at,
        "preloaded": PRELOADED,
        "user": user,
        "landlock": None,
    }
    if plan.landlock:
        asked = landlock.request(plan.landlock)
        found["landlock"] = {**asdict(asked), "read_file": landlock.READ_FILE, "readable": _READABLE}
    return found


def _end(process: subprocess.Popen[bytes], connection: socket.socket, folder: str, owner: int) -> None:
    """End the zygote, which ends its child, and remove its folder; not from a forked copy of `owner`."""
    connection.close()
    if os.getpid() != owner:
        return
    process.kill()  # its child dies with it
    process.wait()
    if Path(folder).exists():
        remove_tree(folder)


def _let_go() -> None:
    """In a forked copy of the caller: its zygotes are the original's alone, and end when that one ends."""
    for zygote in list(_started):
        zygote.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)

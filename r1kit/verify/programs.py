"""Run a program written by a model in a process with limits: data comes back, never a verdict.

**This is not a sandbox.** The process runs as the same user: the program can read files, open network
connections, signal other processes, fill the disk file by file, and a child process that leaves the process
group lives on. It keeps ordinary programs from hanging the run or filling the memory, and it keeps the
verdict honest: expected results never enter the process, and comparing is the caller's.

What it does: a fresh interpreter per program with a clean environment, no site packages and a folder of its
own; limits on CPU time, memory, file size, open files and processes (the last one has no effect for root, the
second none on macOS); a wall-clock backstop; results read from a pipe of their own, up to a size; the whole
process group killed at the end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from r1kit.verify.program_child import SOURCE
from r1kit.verify.program_run import Ending, Limits, ProgramRun, payload, read_lines, read_run

SUPPORTED = os.name == "posix"
"""Whether this system can run programs with limits."""

# As -I, but with a fixed hash seed, which -I ignores: the order of a set is the same in every run. -S leaves
# out site packages, -B writes no bytecode.
INTERPRETER_FLAGS = ("-P", "-s", "-S", "-B", "-X", "utf8")
"""Of the interpreter that programs run in."""

_REMOVAL_SECONDS = 10.0  # a program can make a great many files within its limits


def run_program(code: str, entry: str | None, inputs: Sequence[str], limits: Limits) -> ProgramRun:
    """Run `code` once and put every input to it, in one process; see `program_run.Runner`."""
    assert SUPPORTED
    text = f"({payload(code, entry, inputs)}, {limits.resources()!a})"
    try:
        with _scratch() as folder:
            data, too_slow, status, cpu = _communicate(text, folder, len(inputs) + 1, limits)
    except OSError as error:
        return ProgramRun((), Ending.NOT_STARTED, str(error))
    return read_run(data, too_slow, status, cpu, len(inputs), limits)


def _communicate(text: str, folder: str, lines: int, limits: Limits) -> tuple[bytes, bool, int, float]:
    """What the process wrote, whether the backstop ended it, its exit status and its CPU seconds."""
    reader, writer = os.pipe()
    try:
        with tempfile.TemporaryFile(dir=folder) as given:
            given.write(text.encode("ascii", "backslashreplace"))
            given.seek(0)
            try:
                process = subprocess.Popen(
                    [sys.executable, *INTERPRETER_FLAGS, "-c", SOURCE, str(writer)],
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=folder,
                    env={"PYTHONHASHSEED": "0", "TMPDIR": folder, "TZ": "UTC0"},
                    start_new_session=True,
                    pass_fds=(writer,),
                )
            finally:
                os.close(writer)
        try:
            data, too_slow = read_lines(reader, lines, limits)
        finally:
            # Before the process is waited for: until then its id names this group and no other.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            status, cpu = reap(process)
    finally:
        os.close(reader)
    return data, too_slow, status, cpu


def reap(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Wait for a process: its exit status, the negative signal if one ended it, and its CPU seconds."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """A folder for one run, removed with whatever is in it."""
    folder = tempfile.mkdtemp(prefix="r1kit-program-")
    try:
        yield folder
    finally:
        try:
            Path(folder).rmdir()
        except OSError:  # the program left something
            remove_tree(folder)


def remove_tree(folder: str) -> None:
    """Remove a folder of any depth, locked ones within it included, and wait for that only so long."""
    command = 'rm -rf -- "$1" || { chmod -R u+rwx -- "$1"; rm -rf -- "$1"; }'
    with contextlib.suppress(subprocess.TimeoutExpired):  # `rm` goes on by itself
        subprocess.run(
            ["sh", "-c", command, "sh", folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_REMOVAL_SECONDS,
            check=False,
        )

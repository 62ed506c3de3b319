"""One owner per run folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from r1kit.errors import RunFolderError
from r1kit.files.disk import make_parents, readable_errors
from r1kit.files.durable import dump_json

LOCK = ".lock"
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_held: set[Path] = set()


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Own `folder` until the block ends. RunFolderError names the process that owns it already.

    The kernel drops the lock of a process that died, so a stale one is simply taken over. Where the file
    system has no locks, the recorded process decides: gone on this host is stale, other hosts count as alive.
    """
    path = folder.absolute() / LOCK
    if path in _held:
        raise _in_use(folder, {"pid": os.getpid(), "host": socket.gethostname()})
    with readable_errors(path, 0):
        make_parents(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(descriptor, folder)
        _held.add(path)
        # the record serves the message and file systems without locks; a full disk must not block a resume
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, dump_json(_identity(os.getpid())).encode(), 0)
        yield
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
    finally:
        _held.discard(path)
        os.close(descriptor)


def _acquire(descriptor: int, folder: Path) -> None:
    try:
        recorded = json.loads(os.pread(descriptor, 4096, 0))
        holder: dict[str, Any] = recorded if isinstance(recorded, dict) else {}
    except ValueError:
        holder = {}
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise _in_use(folder, holder) from error
        if holder and _may_live(holder):
            raise _in_use(folder, holder) from error


def _may_live(holder: Mapping[str, Any]) -> bool:
    here, pid = holder.get("host") == socket.gethostname(), holder.get("pid")
    return not here or not isinstance(pid, int) or holder == _identity(pid)


def _in_use(folder: Path, holder: Mapping[str, Any]) -> RunFolderError:
    pid, host = holder.get("pid", "unknown"), holder.get("host", "unknown")
    return RunFolderError(
        f"{folder}: in use by process {pid} on host {host}; wait for it or choose another folder with --out"
        f" (if that process is gone, delete {folder / LOCK})"
    )


def _identity(pid: int) -> dict[str, Any]:
    """Names one process for good: a recycled pid has another start time, "" when it is not running."""
    try:
        # the command in parentheses may hold spaces; the start time is field 22 of the whole line
        start = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
        start += "@" + Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        start = ""
        if not Path("/proc/self/stat").exists():
            command = ["ps", "-o", "lstart=", "-p", str(pid)]
            start = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return {"pid": pid, "host": socket.gethostname(), "start": start}

"""What the attacks are aimed at, all made for them, and what is seen of an attack that succeeded."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from r1kit.verify.program_run import ProgramRun

SETTLE_SECONDS = 30.0  # after which a process that still runs counts as disturbed
MOST_DISK_MB = 200  # seen in use at any time; a program may have 64


class Victims:
    """Files, processes and sockets that any user may reach: only the sandbox stands before them."""

    def __init__(self, stack: ExitStack, secret: str) -> None:
        self.secret = secret  # also in this process's environment and command line
        self.root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="suite-")))
        self._name = secrets.token_hex(8)
        self._buffer = ctypes.create_string_buffer(self.secret.encode())
        self._make_files()
        self._descriptor = os.open(self.root / "secret", os.O_RDONLY)
        os.set_inheritable(self._descriptor, True)
        stack.callback(os.close, self._descriptor)
        self._servers = {
            "tcp": self._server(stack, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": self._server(stack, socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": self._server(stack, socket.AF_UNIX, socket.SOCK_STREAM, str(self.root / "socket")),
            "abstract": self._server(stack, socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self._name}"),
        }
        (self.root / "socket").chmod(0o777)
        self._victim = self._new_victim()
        stack.callback(lambda: (self._victim.kill(), self._victim.wait()))
        self._before = self._state()

    def _make_files(self) -> None:
        self.root.chmod(0o777)
        for folder in ("guarded", "home", "home/.ssh"):
            (self.root / folder).mkdir()
            (self.root / folder).chmod(0o777)
        for name in ("secret", "home/.ssh/id_rsa", "tests.json"):
            (self.root / name).write_text(self.secret)
            (self.root / name).chmod(0o644)
        (self.root / "guarded/kept").write_text("kept")
        (self.root / "guarded/kept").chmod(0o666)

    @staticmethod
    def _server(stack: ExitStack, family: int, kind: int, address: Any) -> socket.socket:
        made = stack.enter_context(socket.socket(family, kind))
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen()
        made.setblocking(False)
        return made

    def told(self) -> dict[str, Any]:
        """What an attack gets to know."""
        return {
            "secret_file": str(self.root / "secret"),
            "home": str(self.root / "home"),
            "tests": str(self.root / "tests.json"),
            "guarded": str(self.root / "guarded"),
            "marker": str(self.root / "guarded/marker"),
            "name": self.root.name,
            "victim": self._victim.pid,
            "suite": os.getpid(),
            "descriptor": self._descriptor,
            "address": ctypes.addressof(self._buffer),
            "length": len(self.secret),
            "tcp": self._servers["tcp"].getsockname()[1],
            "udp": self._servers["udp"].getsockname()[1],
            "unix": str(self.root / "socket"),
            "abstract": self._name,
        }

    def damage(self, run: ProgramRun, seconds: float, most_seconds: float, disk_mb: float) -> str:
        """What an attack has brought about, or ""; everything is put back as it was.

        Args:
            run: of the attack.
            seconds: that it took, and at most should.
            most_seconds: see there.
            disk_mb: most that was in use at any time.
        """
        texts = str([result.value for result in run.results])
        found = []
        if self.secret in texts or "earlier-" in texts:
            found.append("read a secret")
        if any(result.value == "done" for result in run.results):
            found.append("did what it tried")
        if seconds > most_seconds:
            found.append(f"took {seconds:.0f} s")
        if disk_mb > MOST_DISK_MB:
            found.append(f"used {disk_mb:.0f} MB of disk")
        found += self._contacts()
        after = self._state()
        found += [name for name, value in after.items() if value != self._before[name]]
        self._mend()
        return ", ".join(found)

    def _contacts(self) -> Iterator[str]:
        for name, server in self._servers.items():
            met = False
            with contextlib.suppress(BlockingIOError):
                while True:
                    if name == "udp":
                        server.recv(99)
                    else:
                        server.accept()[0].close()
                    met = True
            if met:
                yield f"made contact ({name})"

    def _state(self) -> dict[str, Any]:
        """What must not change, by the words that tell of a change."""
        kept = self.root / "guarded/kept"
        held = kept.stat() if kept.exists() else None
        attributes = os.listxattr(kept) if held and hasattr(os, "listxattr") else []
        shared = Path("/proc/sysvipc/shm")
        return {
            "changed a file": held and (held.st_mode, held.st_size, held.st_mtime, attributes),
            "made files": sorted(str(path) for path in self.root.rglob("*")),
            "left a file in /dev/shm": sorted(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else [],
            "left shared memory": shared.read_text().count("\n") if shared.exists() else 0,
            "hurt a process": settled(self._victim.pid),
            "left processes": _strays(),
        }

    def _mend(self) -> None:
        for process in _strays():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, 9)
        for path in self.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "socket":
                path.unlink()
        with contextlib.suppress(OSError):
            (Path("/dev/shm") / self.root.name).unlink()
        self._make_files()
        self._victim.kill()
        self._victim.wait()
        self._victim = self._new_victim()
        self._before = self._state()

    @staticmethod
    def _new_victim() -> subprocess.Popen[bytes]:
        victim = subprocess.Popen(
            [sys.executable, "-S", "-c", "import signal; print(flush=True); signal.pause()"],
            stdout=subprocess.PIPE,
        )
        assert victim.stdout is not None
        victim.stdout.readline()
        victim.stdout.close()
        return victim


def settled(process: int) -> str:
    """State letter of a process that should be asleep; on a busy machine it may take long to fall asleep."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        letter = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        if letter not in "RD" or time.monotonic() > deadline:
            return letter
        time.sleep(0.005)


def _strays() -> list[int]:
    """Processes that have the environment of a program and are not zygotes of this one."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            number = int(folder.name)
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[0] in "ZX" or int(fields[1]) == os.getpid():
                continue
            if f"TMPDIR={tempfile.gettempdir()}/r1kit-".encode() in (folder / "environ").read_bytes():
                found.append(number)
    return found


@contextmanager
def watched_disk() -> Iterator[list[float]]:
    """Yields a list of one number: the most MB by which the temporary folder's use has grown so far."""
    peak, ended = [0.0], threading.Event()
    start = _used()

    def watch() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], _used() - start)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _used() -> float:
    found = os.statvfs(tempfile.gettempdir())
    return (found.f_blocks - found.f_bfree) * found.f_frsize / 1e6

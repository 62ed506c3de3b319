"""Attacks that are tried on the sandbox itself before it is trusted with a program.

They act on things made for them alone: a file with a random text, a folder, listening sockets, a buffer in
this process. What counts is a refusal: an attack that fails in any other way proves nothing and counts as a
breach.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.verify.program_run import Limits, ProgramRun, Result, Runner
from r1kit.verify.program_values import python_text

LIMITS = Limits(seconds=5, wall_seconds=30.0)
_PREFIX = "r1kit-canaries-"
_NEITHER = 3  # the access mode that neither reads nor writes
_SOCKET_PATH = 100  # characters of a socket's name; the system takes 107
_REFUSALS = ("EACCES", "ENOSYS", "EPERM")

PROGRAM = r"""
import ctypes, errno, os, signal, socket

def compute(a, b):
    return a * b

def read(path):
    with open(path) as file:
        return file.read()

def write(path):
    with open(path, "w") as file:
        return file.write("written")

def empty(path, flags):
    os.close(os.open(path, flags))

def connect(family, address):
    with socket.socket(getattr(socket, family), socket.SOCK_STREAM) as made:
        made.settimeout(2)
        made.connect(tuple(address) if type(address) is list else address)

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

def send_signal(process):
    os.kill(process, signal.SIGURG)  # which processes ignore unless they ask for it

def send_signal_to_parent():
    os.kill(os.getppid(), signal.SIGURG)

def read_memory_file(process, address, length):
    try:
        opened = os.open("/proc/%d/mem" % process, os.O_RDONLY)
    except FileNotFoundError:  # /proc hides others' processes, so that the sandbox is not put to the test
        os.close(os.open("/proc/self/mem", os.O_RDONLY))
        raise
    return os.pread(opened, length, address).decode()

class Span(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

def read_memory(process, address, length):
    found = ctypes.create_string_buffer(length)
    here, there = Span(ctypes.addressof(found), length), Span(address, length)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.process_vm_readv(process, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "")
    return found.raw.decode()

def attack(name, *arguments):
    try:
        return ["done", globals()[name](*arguments)]
    except OSError as error:
        return ["failed", errno.errorcode.get(error.errno, "")]
"""


@dataclass(frozen=True, slots=True)
class Canary:
    """One attack: `Canary("read a file outside its folder", "read", ["/tmp/…/secret"])`."""

    name: str  # completes "a program could …"
    function: str  # of PROGRAM
    arguments: list[Any]


def breaches(run: Runner) -> list[str]:
    """What a program under `run` could do, by name; empty when every attack was refused."""
    with _targets() as canaries:
        calls = [[canary.function, *canary.arguments] for canary in canaries]
        inputs = [python_text(["compute", 6, 7]), *map(python_text, calls)]
        found = run(PROGRAM, "attack", inputs, LIMITS)
    return judged(canaries, found)


def judged(canaries: Sequence[Canary], run: ProgramRun) -> list[str]:
    """The names of the canaries that were not refused, given a run of `compute` and then of each of them."""
    if run.results[:1] != (Result(["done", 42]),):
        return [f"not be run at all ({run.reason or run.ending})"]
    attacks = [*run.results[1:], *[Result()] * len(canaries)]  # where it broke off, nothing is proved
    return [c.name for c, result in zip(canaries, attacks, strict=False) if not _refused(result)]


def _refused(result: Result) -> bool:
    match result.value:
        case ["failed", str(code)]:
            return code in _REFUSALS
    return False


def _short_folder() -> str | None:
    """Where a socket's name is short enough; None for the usual place."""
    usual = Path(tempfile.gettempdir(), f"{_PREFIX}12345678", "socket")
    return None if len(os.fsencode(usual)) < _SOCKET_PATH else "/tmp"


@contextmanager
def _targets() -> Iterator[list[Canary]]:
    """Things to attack, open to every user of the machine, so that only the sandbox stands before them."""
    secret, process = secrets.token_hex(16), os.getpid()
    buffer = ctypes.create_string_buffer(secret.encode())
    memory = [process, ctypes.addressof(buffer), len(secret)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_short_folder())))
        folder.chmod(0o777)
        (folder / "secret").write_text(secret)
        (folder / "emptied").touch()
        (folder / "emptied").chmod(0o666)
        emptied = str(folder / "emptied")
        canaries = [
            Canary("read a file outside its folder", "read", [str(folder / "secret")]),
            Canary("read the system's list of users", "read", ["/etc/passwd"]),
            Canary("write a file outside its folder", "write", [str(folder / "written")]),
            Canary("empty a file outside its folder", "empty", [emptied, os.O_RDONLY | os.O_TRUNC]),
            Canary("empty a file that it may not open", "empty", [emptied, _NEITHER | os.O_TRUNC]),
            Canary("start a process", "fork", []),
            Canary("send a signal to r1kit", "send_signal", [process]),
            Canary("send a signal to its parent", "send_signal_to_parent", []),
            Canary("read r1kit's memory through /proc", "read_memory_file", memory),
            Canary("read r1kit's memory", "read_memory", memory),
        ]
        listening: dict[str, Any] = {"AF_INET": ("127.0.0.1", 0), "AF_UNIX": str(folder / "socket")}
        for family, address in listening.items():
            server = stack.enter_context(socket.socket(getattr(socket, family), socket.SOCK_STREAM))
            server.bind(address)
            server.listen()
            name = server.getsockname()
            where = list(name) if family == "AF_INET" else name
            canaries.append(Canary(f"open a connection ({family})", "connect", [family, where]))
        yield canaries

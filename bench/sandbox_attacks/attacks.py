"""Programs that try to get out of the sandbox, or to use up the machine.

Each defines `attack(v)`, which is told what there is to attack (`victims.Victims.told`). It breaches the
sandbox when it returns "done", or when anything of what `victims` watches has happened.
"""

from __future__ import annotations

import re

from bench.sandbox_attacks import attacks_on_files as on_files
from bench.sandbox_attacks import attacks_on_machine as on_machine

# Before every attack: calls of the kernel that Python has no function for.
PREAMBLE = r"""
import ctypes, os, platform
_libc = ctypes.CDLL(None, use_errno=True)
_x86 = platform.machine() == 'x86_64'
def call(x86_64, aarch64, *arguments):
    result = _libc.syscall(ctypes.c_long(x86_64 if _x86 else aarch64), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), '')
    return result
def number(value): return ctypes.c_long(value)
"""

TEXTS = {
    "read": on_files.READING,
    "write": on_files.WRITING,
    "processes": on_machine.PROCESSES,
    "network": on_machine.NETWORK,
    "kernel": on_machine.KERNEL,
    "resources": on_machine.RESOURCES,
}

ATTACKS: dict[str, tuple[str, str]] = {
    name: (kind, PREAMBLE + code)
    for kind, text in TEXTS.items()
    for name, code in re.findall(r"^## (.+)\n((?:(?!## ).*\n)+)", text, re.MULTILINE)
}
"""Name -> kind and code."""

NOT_IN_A_PLAIN_PROCESS = {
    "signals whatever it may": "reaches every process of the user",
    "fills the disk with small files": "is slow to remove",
    "mounts over a folder": "cannot be undone",
    "nests folders deeper than any path": "is slow to remove",
    "leaves a queue of messages behind": "stays",
    "leaves a queue with a name behind": "stays",
    "writes all of the machine's files to disk": "holds up everybody",
}
"""Attacks that are not tried on the plain process, with the reason."""

TWICE = {
    "plants a module for the next program",
    "removes its own folder",
    "leaves files with odd names for the next program",
    "nests folders deeper than any path",
}
"""Attacks on the programs that come after them."""

CONTROLLED = {
    name for name, (kind, _) in ATTACKS.items() if kind in ("read", "write", "processes", "network", "kernel")
}
"""Attacks of which most must succeed in a plain process, or they prove nothing."""

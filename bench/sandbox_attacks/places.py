"""Places for the suite: namespaces of its own, and an interpreter that every user can start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

DROPPED = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
"""Starts another command as an unprivileged user."""

_SETUP = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=1g,mode=1777 none /tmp
mount -t tmpfs -o size=256m,mode=1777 none /dev/shm
mkdir -p /tmp/.python /tmp/.code
mount --rbind "$1" /tmp/.python
mount --rbind "$2" /tmp/.code
shift 2
"$@"
"""


def namespaces() -> list[str] | str:
    """The command that puts another into mount and pid namespaces of its own, or why there is none."""
    if shutil.which("unshare") is None:
        return "the command unshare is not installed"
    command = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        command.insert(1, "--map-root-user")
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    return command if done.returncode == 0 else (done.stderr.strip() or f"status {done.returncode}")


def can_start(command: list[str]) -> bool:
    """Whether `command` can start this interpreter with this project."""
    if shutil.which(command[0]) is None:
        return False
    check = [*command, sys.executable, "-c", "import r1kit.verify"]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0


def inside(command: list[str], unprivileged: bool, arguments: list[str]) -> list[str]:
    """The suite within namespaces; interpreter and project stand where every user may read them."""
    python = Path(sys.base_prefix)
    program = f"/tmp/.python/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    start = [program, "-s", "-B", "-m", "bench.sandbox_attacks", *arguments]
    if unprivileged:
        start = [*DROPPED, *start]
    return [*command, "sh", "-c", _SETUP, "sh", str(python), str(Path(__file__).parents[2]), *start]

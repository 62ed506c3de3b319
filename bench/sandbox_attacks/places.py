"""Places for the suite: namespaces of its own, and an interpreter that every user can start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

UNPRIVILEGED = 65534
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
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        command.insert(1, "--map-root-user")
    done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    return command if done.returncode == 0 else (done.stderr.strip() or f"status {done.returncode}")


def inside(command: list[str], user: int | None, arguments: list[str]) -> list[str]:
    """The suite within namespaces, as `user`; interpreter and project stand where all may read them."""
    python = Path(sys.base_prefix)
    program = f"/tmp/.python/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    start = [program, "-s", "-B", "-m", "bench.sandbox_attacks", *arguments]
    if user is not None:
        start = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all", *start]
    return [*command, "sh", "-c", _SETUP, "sh", str(python), str(Path(__file__).parents[2]), *start]

"""One owner per run folder: refusals name the owner, stale locks are taken over."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from r1kit.errors import RunFolderError
from r1kit.files import (
    lock,
)

HOLD = (
    "import sys, time; from pathlib import Path; from r1kit.files import lock\n"
    "with lock(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)\n"
)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def test_second_run_is_refused_and_told_pid_and_host(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(RunFolderError) as caught, lock(tmp_path):
        pytest.fail("two owners")
    assert f"in use by process {holder.pid} on host {socket.gethostname()}" in str(caught.value)


def test_lock_of_a_killed_run_is_taken_over(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()  # not waited for: even an unreaped process holds no lock
    for _ in range(200):
        try:
            with lock(tmp_path):
                assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
            return
        except RunFolderError:
            time.sleep(0.01)
    pytest.fail("the lock of a killed process was not taken over")


def test_same_process_cannot_own_a_folder_twice_but_again_later(tmp_path: Path) -> None:
    with lock(tmp_path):
        with pytest.raises(RunFolderError, match=f"process {os.getpid()}"), lock(tmp_path):
            pytest.fail("two owners")
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    with lock(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == ""


@pytest.mark.parametrize(
    ("recorded", "refused"),
    [
        ({"pid": 1, "host": "elsewhere", "start": "7"}, True),
        ({"pid": 2**22 + 7, "host": socket.gethostname(), "start": "7"}, False),
        (
            {"pid": os.getpid(), "host": socket.gethostname(), "start": "an earlier process of this pid"},
            False,
        ),
        ({}, False),
    ],
)
def test_without_file_locks_the_recorded_process_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: dict[str, object], refused: bool
) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", unsupported)
    (tmp_path / ".lock").write_text(json.dumps(recorded))
    if refused:
        with pytest.raises(RunFolderError, match="process 1 on host elsewhere"), lock(tmp_path):
            pytest.fail("two owners")
    else:
        with lock(tmp_path):
            assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r1kit import cli
from r1kit.tracking.progress import Progress

ROW = '{"completion": "<think>x</think><answer>中é😀</answer>", "nums": [3], "target": 3}\n'


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command.replace("r1kit", f"{sys.executable} -m r1kit")],
        env={**os.environ, **environment},
        input=ROW,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize("command", ["score --task countdown <&-", "score --task countdown >&-"])
def test_closed_stream_ends_quietly(command: str) -> None:
    done = shell(f"r1kit {command}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_output_on_a_full_disk_is_one_line() -> None:
    done = shell("r1kit score --task countdown > /dev/full")
    assert (done.returncode, done.stderr) == (2, "r1kit: error: No space left on device\n")


def test_scores_are_utf8_in_an_ascii_locale() -> None:
    done = shell("r1kit score --task countdown", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"extracted": "中é😀"' in done.stdout


def test_text_beyond_an_ascii_terminal_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    assert cli.main(["tasks"]) == 0
    assert cli.main(["rewards"]) == 0
    print("中")
    stream.seek(0)
    assert stream.read().endswith("\\u4e2d\n")


def test_operating_system_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "x" * 300]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "x" * 300 in error


class GoneReader(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_progress_without_a_reader_does_not_end_the_run() -> None:
    progress = Progress(GoneReader(), every=0.0)
    progress.say("hello")
    with progress.bar("train", 2) as bar:
        bar.update(2)

"""What a run logs and shows, and how it hears the wish to stop."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.errors import CheckpointError, UserError
from r1kit.files import read_jsonl
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress, duration
from r1kit.tracking.stop import StopFlag
from r1kit.tracking.tensorboard import TensorBoardWriter
from r1kit.tracking.terminal import printable


def log_step(log: RunLog, step: int) -> None:
    log.metrics(step, {"reward": 0.1 * step, "tokens": 100 + step})
    log.timings(step, {"seconds": time.perf_counter()})
    log.rollouts(step, [{"text": f"思考 {step}", "reward": {"total": 1.1, "terms": {"format": 1.0}}}])


# --- logs -----------------------------------------------------------------------------------------


def test_rows_are_written_exactly_and_at_once(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.metrics(3, {"reward": 0.5, "tokens": 12})
    log.rollouts(3, [{"text": "\x1b[31m思", "advantages": (1.0, math.nan)}])
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 3, "reward": 0.5, "tokens": 12}\n'
    assert (tmp_path / "rollouts.jsonl").read_text() == (
        '{"step": 3, "text": "\\u001b[31m思", "advantages": [1.0, null]}\n'
    )
    assert (tmp_path / "timings.jsonl").read_text() == ""


def test_nan_and_infinity_are_logged_as_null(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.metrics(0, {"loss": math.nan, "kl": math.inf, "entropy": -math.inf, "reward": 1.0})
    assert list(read_jsonl(tmp_path / "metrics.jsonl")) == [
        {"step": 0, "loss": None, "kl": None, "entropy": None, "reward": 1.0}
    ]


def test_resumed_log_is_bit_identical_to_an_uninterrupted_one(tmp_path: Path) -> None:
    with RunLog(tmp_path / "whole") as log:
        for step in range(6):
            log_step(log, step)
    broken = RunLog(tmp_path / "broken")
    for step in range(3):
        log_step(broken, step)
    offsets = json.loads(json.dumps(broken.offsets()))
    log_step(broken, 3)  # after the checkpoint: to be forgotten
    with (tmp_path / "broken" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "rew')  # killed in the middle of a row
    with RunLog(tmp_path / "broken") as resumed:
        resumed.truncate(offsets, step=3)
        for step in range(3, 6):
            log_step(resumed, step)
    for name in ("metrics.jsonl", "rollouts.jsonl"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert [row["step"] for row in read_jsonl(tmp_path / "broken" / "timings.jsonl")] == list(range(6))


def test_offsets_of_another_version_or_a_lost_log_are_refused(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with pytest.raises(CheckpointError, match=r"log offsets name \['metrics.jsonl'\]"):
        log.truncate({"metrics.jsonl": 0})
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: has 0 bytes"):
        log.truncate({"metrics.jsonl": 40, "timings.jsonl": 0, "rollouts.jsonl": 0, "alarms.jsonl": 0})


class RecordingWriter:
    def __init__(self) -> None:
        self.calls: list[object] = []

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.calls.append((step, values))

    def rewind(self, step: int) -> None:
        self.calls.append(("rewind", step))

    def close(self) -> None:
        self.calls.append("close")


def test_further_writers_get_the_finite_numbers_and_the_rewind(tmp_path: Path) -> None:
    writer = RecordingWriter()
    with RunLog(tmp_path, [writer]) as log:
        offsets = log.offsets()
        log.metrics(0, {"reward": 0.5, "loss": math.nan})
        log.timings(0, {"seconds": 2.0})
        log.truncate(offsets, step=0)
    assert writer.calls == [(0, {"reward": 0.5}), (0, {"seconds": 2.0}), ("rewind", 0), "close"]


def test_tensorboard_without_the_extra_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(UserError, match=r"pip install 'r1kit\[tensorboard\]'"):
        TensorBoardWriter(tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside tensorboard and protobuf
def test_tensorboard_events_hold_the_points_and_the_restart(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the tensorboard extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    writer = TensorBoardWriter(tmp_path)
    for step in (0, 1, 2):
        writer.scalars(step, {"reward": step / 4})
    writer.rewind(1)
    writer.scalars(1, {"reward": 0.75})
    writer.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(point.step, point.value) for point in events.Scalars("reward")] == [(0, 0.0), (1, 0.75)]


# --- terminal -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m 思考\n\tok", "red 思考\n\tok"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        ("a\x9b2Jb\x1bcc\x1b(Bd", "abcd"),
        ("over\rwrite\x08\x00\x7f", "overwrite"),
        ("\u202etxt.exe\u2066\ud800", "txt.exe"),
        ("\x1b]open\nnext line", "open\nnext line"),
        ("[31m 1 < 2", "[31m 1 < 2"),
    ],
)
def test_printable_drops_escape_sequences_and_keeps_text(text: str, expected: str) -> None:
    assert printable(text) == expected


@given(st.text(alphabet=st.sampled_from("\x1b[]0;m\x07\x9b\x9d\x9c\\PX a\n\t\u202e思")))
def test_printable_output_has_no_control_character(text: str) -> None:
    cleaned = printable(text)
    assert all(c in "\n\t" or c.isprintable() for c in cleaned)
    assert printable(cleaned) == cleaned


@pytest.mark.parametrize("unit", ["\x1b]", "\x90", "\x1b[", "\x9b0;", "\x1b ", "\x1b]a"])
def test_printable_takes_linear_time(unit: str) -> None:
    began = time.process_time()
    printable(unit * 300_000 + "\x1b")
    assert time.process_time() - began < 2.0


# --- progress -------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_progress_prints_a_line_every_so_often_with_time_left_and_figures() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress(stream, every=10.0, clock=clock).bar("r1_zero\x1b[2J", total=40, done=10) as bar:
        for step in range(10, 40):
            clock.now += 4.0
            bar.update(step + 1, reward=0.4312, length=61.2, rows=step)
    assert stream.getvalue().splitlines()[:2] == [
        "r1_zero 13/40 · 1:48 left · reward 0.431 · length 61.2 · rows 12",
        "r1_zero 16/40 · 1:36 left · reward 0.431 · length 61.2 · rows 15",
    ]
    assert stream.getvalue().splitlines()[-1] == (
        "r1_zero 40/40 · 2:00 elapsed · reward 0.431 · length 61.2 · rows 39"
    )
    assert len(stream.getvalue().splitlines()) == 10


def test_plain_progress_needs_no_rich(tmp_path: Path) -> None:
    program = (
        "import sys; from r1kit.tracking.progress import Progress\n"
        "with Progress().bar('a', 1) as bar: bar.update(1)\n"
        "print(any(name.startswith('rich') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert done.stderr.startswith("a 1/1 · ")


def test_quiet_progress_prints_nothing() -> None:
    stream = io.StringIO()
    progress = Progress(stream, quiet=True)
    with progress.bar("a", 1) as bar:
        bar.update(1, reward=1.0)
        progress.say("hello")
    assert stream.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_progress_draws_nested_bars_and_says_lines_without_markup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = Progress(stream)
    with progress.bar("pipeline", 2) as outer, progress.bar("[red]stage", 4, done=1) as inner:
        inner.update(3, reward=0.25)
        progress.say("saved [bold]step\x1b[2J 3")
        outer.update(1)
    shown = printable(stream.getvalue())
    assert "saved [bold]step 3" in shown
    assert "[red]stage" in shown
    assert "3/4" in shown
    assert "reward 0.25" in shown
    assert "\x1b[2J" not in stream.getvalue()


def test_bar_is_closed_when_the_stage_fails() -> None:
    progress = Progress(Terminal())
    with pytest.raises(RuntimeError, match="boom"), progress.bar("a", 2):
        raise RuntimeError("boom")
    with progress.bar("b", 1) as bar:
        bar.update(1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.4, "0:07"), (754, "12:34"), (3723, "1:02:03"), (59.9, "1:00")]
)
def test_duration_reads_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# --- stop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_sets_the_flag_and_a_second_quits_at_once(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with StopFlag() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
    assert "once more to quit at once" in capfd.readouterr().err


def test_off_the_main_thread_the_flag_works_without_handlers() -> None:
    seen: list[bool] = []
    before = signal.getsignal(signal.SIGINT)

    def run() -> None:
        with StopFlag() as stop:
            seen.append(signal.getsignal(signal.SIGINT) == before)
            seen.append(stop.requested)
            stop.request()
            seen.append(stop.requested)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [True, False, True]

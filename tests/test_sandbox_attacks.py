"""The suite of attacks: it tells a breach from its absence. `make attacks` runs all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.sandbox_attacks.__main__ import summary
from bench.sandbox_attacks.attacks import ATTACKS, CONTROLLED, NOT_IN_A_PLAIN_PROCESS, TEXTS, TWICE
from bench.sandbox_attacks.hacks import HACKS
from bench.sandbox_attacks.idioms import IDIOMS
from bench.sandbox_attacks.suite import FAST_SECONDS, attack_rows, hack_rows, idiom_rows
from bench.sandbox_attacks.victims import settled
from r1kit.rewards.programs import CodeParameters
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox.protection import find_protection

ROOT = Path(__file__).parents[1]
CLASSES = (
    "reads a file outside its folder",
    "writes a file outside its folder",
    "kills a process",
    "starts processes that outlive it",
    "reads its caller's memory",
    "opens a TCP connection",
)


def test_the_suite_is_as_large_as_it_must_be_and_compiles() -> None:
    assert len(ATTACKS) == sum(text.count("\n## ") for text in TEXTS.values()) >= 38
    assert len(HACKS) >= 17
    assert len(IDIOMS) >= 21
    assert CodeParameters().grain == FAST_SECONDS
    assert ATTACKS.keys() >= {*NOT_IN_A_PLAIN_PROCESS, *TWICE, *CONTROLLED}
    for name, (_, code) in ATTACKS.items():
        compile(code, name, "exec")
        assert "def attack(v)" in code


@pytest.mark.skipif(sys.platform != "linux", reason="watches /proc")
def test_each_class_of_attack_succeeds_in_a_plain_process_and_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = list(attack_rows(run_program, CLASSES, f"secret-{'0' * 32}"))
    assert [(row.good, row.sandbox) for row in rows] == [
        (False, "read a secret"),
        (False, "made files"),
        (False, "hurt a process"),
        (False, "left processes"),
        (False, "read a secret"),
        (False, "made contact (tcp)"),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="watches /proc")
def test_a_process_that_takes_long_to_fall_asleep_is_not_hurt() -> None:
    busy = "import time, signal\nwhile time.process_time() < 1.5: pass\nsignal.pause()"
    with subprocess.Popen([sys.executable, "-S", "-c", busy]) as process:
        assert settled(process.pid) == "S"
        process.kill()
        assert settled(process.pid) == "Z"


@pytest.mark.skipif(not find_protection().safe, reason="this machine has no sandbox")
def test_ordinary_programs_pass_and_hacks_are_not_rewarded() -> None:
    run = find_protection().require(allow_unsafe=False)
    assert [row for row in idiom_rows(run, list(IDIOMS), "") if not row.good] == []
    quick = [name for name in HACKS if "time on purpose" not in name and "never ends" not in name]
    assert [row for row in hack_rows(run, quick, "") if not row.good] == []


@pytest.mark.skipif(not find_protection().safe, reason="this machine has no sandbox")
def test_the_command_prints_a_row_for_each_attack_and_user() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.sandbox_attacks", "--only", "outside", "--only", "kills a process"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    passes = done.stdout.count("== Attacks on the sandbox")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok   read      reads a file outside its folder") == passes >= 1
    assert done.stdout.count("ok   processes kills a process") == passes
    assert done.stdout.count("breaches             0 of 6") == passes


def test_a_breach_fails_the_suite() -> None:
    row = {"part": "attacks", "kind": "read", "name": CLASSES[0], "sandbox": "held", "plain": "read a secret"}
    ended = {"status": 0}
    assert summary([{**row, "good": True}], ended) == 0
    assert summary([{**row, "good": False}], ended) == 1
    assert summary([{**row, "good": True, "plain": "no effect"}], ended) == 1
    assert summary([{**row, "good": True}], {"status": 1}) == 1
    assert summary([], ended) == 1

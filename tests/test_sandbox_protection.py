"""What stands between programs and the machine is tried, told, and required."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from r1kit.errors import SandboxError
from r1kit.verify.program_run import Ending, Limits, ProgramRun, Result
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox import canaries, landlock, protection
from r1kit.verify.sandbox.canaries import Canary
from r1kit.verify.sandbox.protection import Protection, Tier, find_protection, try_tier

locked_in = pytest.mark.skipif(
    find_protection().tier is not Tier.FULL, reason="this machine has no Landlock with seccomp"
)


def test_every_canary_succeeds_in_a_plain_process() -> None:
    found = canaries.breaches(run_program)
    assert len(found) == 12
    assert "read a file outside its folder" in found
    assert "send a signal to r1kit" in found


@locked_in
@pytest.mark.parametrize("tier", [Tier.FULL, Tier.SECCOMP])
def test_no_canary_succeeds_in_a_sandbox(tier: Tier) -> None:
    found = try_tier(tier, 1)
    assert (found.tier, found.breaches, found.safe) == (tier, (), True)
    assert found.landlock == (landlock.version() if tier is Tier.FULL else 0)


@locked_in
def test_without_landlock_programs_run_and_open_no_file() -> None:
    run = try_tier(Tier.SECCOMP, 1).require(allow_unsafe=False)
    code = (
        "import collections, threading\n"
        "def f(path):\n"
        "    try: return open(path).read()\n"
        "    except OSError as error: return type(error).__name__"
    )
    found = run(code, "f", ["['/etc/passwd']", "['new']"], Limits())
    assert found.results == (Result("PermissionError"), Result("PermissionError"))
    assert run("print(int(input()) ** 2)", None, ["3\n"], Limits()).results == (Result("9\n"),)


def test_only_a_refusal_is_proof() -> None:
    tried = [Canary(name, "", []) for name in ("held", "done", "crashed", "no route", "missing")]
    results = (
        Result(["done", 42]),
        Result(["failed", "EPERM"]),
        Result(["done", "secret"]),
        Result(error="NameError"),
        Result(["failed", "ECONNREFUSED"]),
    )
    run = ProgramRun(results, Ending.BROKE_OFF)
    assert canaries.judged(tried, run) == ["done", "crashed", "no route", "missing"]
    assert canaries.judged(tried, ProgramRun((), Ending.NOT_STARTED, "no seccomp")) == [
        "not be run at all (no seccomp)"
    ]


def test_a_machine_without_a_sandbox_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tier: Tier, workers: int) -> Protection:
        raise SandboxError(f"no {tier} here")

    monkeypatch.setattr(protection, "_found", {})
    monkeypatch.setattr(protection, "try_tier", refuse)
    found = find_protection(3)
    assert (found.tier, found.run, found.workers, found.safe) == (Tier.LIMITS, run_program, 3, False)
    with pytest.raises(SandboxError) as error:
        found.require(allow_unsafe=False)
    message = str(error.value)
    assert "(full: no full here; seccomp: no seccomp here)" in message
    assert "one could read a file outside its folder, " in message
    assert "accept this with allow_unsafe_programs=true" in message
    assert "\n" not in message


def test_the_tier_below_is_taken_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_landlock(tier: Tier, workers: int) -> Protection:
        if tier is Tier.FULL:
            raise SandboxError("this kernel has no Landlock")
        return Protection(tier, run_program, workers, ())

    monkeypatch.setattr(protection, "_found", {})
    monkeypatch.setattr(protection, "try_tier", without_landlock)
    found = find_protection(1)
    assert found.record() == {
        "tier": "seccomp",
        "landlock": 0,
        "user_dropped": False,
        "counted_apart": False,
        "workers": 1,
        "breaches": [],
        "missing": "full: this kernel has no Landlock",
    }
    assert found.require(allow_unsafe=False) is run_program


@pytest.mark.parametrize(
    ("platform", "machine", "message"),
    [("darwin", "arm64", "needs Linux on x86_64 or aarch64"), ("linux", "riscv64", "needs Linux on x86_64")],
)
def test_a_strange_machine_has_no_sandbox(
    monkeypatch: pytest.MonkeyPatch, platform: str, machine: str, message: str
) -> None:
    class Name:
        def __init__(self) -> None:
            self.machine = machine

    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("os.uname", Name)
    for tier in (Tier.FULL, Tier.SECCOMP):
        with pytest.raises(SandboxError, match=message):
            try_tier(tier, 1)


def test_a_kernel_without_landlock_has_not_the_full_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    with pytest.raises(SandboxError, match="this kernel has no Landlock"):
        try_tier(Tier.FULL, 1)


def test_a_breached_sandbox_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canaries, "breaches", lambda run: ["start a process"])
    with pytest.raises(SandboxError, match="a program could start a process"):
        try_tier(Tier.FULL, 1)


def test_unsafe_programs_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    bare = Protection(Tier.LIMITS, run_program, 1, ("do harm",))
    with caplog.at_level(logging.WARNING):
        runs: list[Any] = [bare.require(allow_unsafe=True) for _ in range(2)]
    assert runs == [run_program] * 2
    assert [record.message for record in caplog.records] == [
        "programs that the model writes run without a sandbox, as you allowed; one could do harm"
    ]


@pytest.mark.parametrize(
    ("version", "attributes"),
    [
        (1, ((1 << 13) - 1,)),
        (2, ((1 << 14) - 1,)),
        (3, ((1 << 15) - 1,)),
        (4, ((1 << 15) - 1, 3)),
        (5, ((1 << 16) - 1, 3)),
        (6, ((1 << 16) - 1, 3, 3)),
        (9, ((1 << 16) - 1, 3, 3)),
    ],
)
def test_each_version_of_landlock_is_asked_for_all_that_it_knows(
    version: int, attributes: tuple[int, ...]
) -> None:
    asked = landlock.request(version)
    assert asked.attributes == attributes
    for rights in (asked.read, asked.scratch, asked.null):
        assert rights & ~attributes[0] == 0
    assert asked.read == 0b1100
    assert not asked.scratch & (1 << 12 | 1 << 9 | 1 << 6)  # links, sockets, devices

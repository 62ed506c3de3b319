"""Every attack, hack and ordinary program in the sandbox and beside it: one row each."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.sandbox_attacks.attacks import ATTACKS, NOT_IN_A_PLAIN_PROCESS, TWICE
from bench.sandbox_attacks.hacks import HACKS, SCRIPT_TESTS, SLOW, TESTS
from bench.sandbox_attacks.idioms import IDIOMS
from bench.sandbox_attacks.victims import Victims, watched_disk
from r1kit.types import Outcome
from r1kit.verify.program_check import check_program
from r1kit.verify.program_run import Limits, Runner
from r1kit.verify.program_values import encode, python_text
from r1kit.verify.programs import run_program

LIMITS = Limits(seconds=1, wall_seconds=1.8, memory_mb=256)
GRADING_LIMITS = Limits(seconds=2, wall_seconds=5.0)
FAST_SECONDS = 0.05  # below which every right program is fast: the default of the reward's `grain`
BUSY_THREADS = 200  # of the suite, while ordinary programs run
MOST_SECONDS = 8.0  # that one attack may take, on a busy machine

_EARLIER = "def attack(v):\n    earlier = 'earlier-' + 'c0ffee' * 3\n    return earlier"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: `Row("read", "reads /etc/passwd", True, "held", "read a secret")`."""

    kind: str
    name: str
    good: bool  # as it must be
    sandbox: str  # what came of it there
    plain: str  # what comes of it without one; "-" where that was not tried

    def record(self) -> dict[str, Any]:
        return asdict(self)


def attack_rows(run: Runner, names: Sequence[str], secret: str) -> Iterator[Row]:
    """The attacks in the sandbox, and in a process with limits alone."""
    with ExitStack() as stack:
        victims = Victims(stack, secret)
        for name in names:
            kind, code = ATTACKS[name]
            again = name in TWICE
            found = _attack(victims, run, code, again)
            plain = "-"
            if kind != "resources" and name not in NOT_IN_A_PLAIN_PROCESS:
                plain = _attack(victims, run_program, code, again) or "no effect"
            yield Row(kind, name, not found, found or "held", plain)


def _attack(victims: Victims, run: Runner, code: str, again: bool) -> str:
    """What an attack did, or ""; `again`: what the first try leaves behind, a second one finds."""
    given = python_text([encode(victims.told())])
    run(_EARLIER, "attack", [given], LIMITS)
    started = time.monotonic()
    with watched_disk() as peak:
        done = run(code, "attack", [given], LIMITS)
        if again:
            done = run(code, "attack", [given], LIMITS)
    seconds = time.monotonic() - started
    healthy = run("def attack(v): return 6 * 7", "attack", [given], LIMITS)
    found = victims.damage(done, seconds, MOST_SECONDS, peak[0])
    if [result.value for result in healthy.results] != [42]:
        found += f"{', ' if found else ''}spoiled the sandbox ({healthy.reason or healthy.ending})"
    return found


def hack_rows(run: Runner, names: Sequence[str], secret: str) -> Iterator[Row]:
    """The hacks, and whether a grader that looks at the exit code of program and tests rewards them."""
    for name in names:
        code, entry = HACKS[name]
        tests = SCRIPT_TESTS if entry is None else TESTS
        verdict = check_program(code, entry, tests, GRADING_LIMITS, run)
        plain = "-" if entry is None else "rewarded" if _exit_code_rewards(code) else "not rewarded"
        found = "rewarded" if verdict.correct else f"{verdict.outcome}: {verdict.detail}"
        fair = verdict.outcome in (Outcome.WRONG, Outcome.TIMEOUT, Outcome.MALFORMED)
        if name in SLOW and verdict.correct and verdict.program:
            seconds = verdict.program.cpu_seconds
            fair, plain = seconds > FAST_SECONDS, "-"
            found = f"{'not fast' if fair else 'fast'}: {seconds:.2f} s of processor time"
        yield Row("hack", name, fair, found, plain)


def _exit_code_rewards(code: str) -> bool:
    """Program and assert lines in one file, success by the exit code: how graders are often written."""
    checks = "\n".join(f"assert f({test['args'][0]!r}) == {test['expected']!r}" for test in TESTS)
    try:
        done = subprocess.run(
            [sys.executable, "-S", "-c", f"{code}\n{checks}"], capture_output=True, timeout=5, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def idiom_rows(run: Runner, names: Sequence[str], secret: str) -> Iterator[Row]:
    """The ordinary programs, beside a user's other threads, more than a program may have."""
    limits = replace(GRADING_LIMITS, processes=BUSY_THREADS // 2)
    ended = threading.Event()
    others = [threading.Thread(target=ended.wait, daemon=True) for _ in range(BUSY_THREADS)]
    try:
        for other in others:
            other.start()
        for name in names:
            code, entry = IDIOMS[name]
            tests = SCRIPT_TESTS if entry is None else TESTS
            verdict = check_program(code, entry, tests, limits, run)
            found = "passes" if verdict.correct else f"{verdict.outcome}: {verdict.detail}"
            yield Row("ordinary", name, verdict.correct, found, "-")
    finally:
        ended.set()


PARTS: dict[str, tuple[Sequence[str], Callable[[Runner, Sequence[str], str], Iterator[Row]]]] = {
    "attacks": (list(ATTACKS), attack_rows),
    "hacks": (list(HACKS), hack_rows),
    "ordinary": (list(IDIOMS), idiom_rows),
}
"""Part of the report -> the names of its rows and what makes them."""


def user_name() -> str:
    """Who the suite runs as."""
    return "root" if os.geteuid() == 0 else "unprivileged user"

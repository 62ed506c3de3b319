"""`python -m bench.math_suite`: the packaged mathematics suites, graded by r1kit and by math-verify alone.

The labels hold an answer to the gold's form: a set is no tuple, arithmetic is no number, a unit counts. A
user of math-verify who does not want that will count fewer of its acceptances as false.
Pairs for which a data set declares something (a tolerance, a form) are not put to math-verify, which has no
such setting. `--hostile` adds the hostile texts, on which math-verify takes minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from r1kit.types import Outcome
from r1kit.verify.maths import symbolic
from r1kit.verify.maths.checker import check
from r1kit.verify.maths.declared import STRICT
from r1kit.verify.maths.suite import HOSTILE, Case, grade, load

HANG_SECONDS = (
    20.0  # wall clock after which math-verify, whose own limit is 5 s for a side, counts as hanging
)


@dataclass(frozen=True, slots=True)
class Graded:
    """One verdict: accepted or not, and whether there was one at all."""

    case: Case
    accepted: bool
    unscored: str  # timeout, error, hang, or the name of an exception; "" otherwise
    seconds: float  # of wall clock

    @property
    def agrees(self) -> bool:
        return self.accepted is self.case.correct

    @property
    def falsely_accepted(self) -> bool:
        return self.accepted and not self.case.correct


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.math_suite", description=__doc__)
    parser.add_argument("--hostile", action="store_true", help="the hostile texts too")
    arguments = parser.parse_args()
    report("labelled pairs", load())
    if arguments.hostile:
        report("hostile texts, none is right", load(HOSTILE))


def report(title: str, cases: Sequence[Case]) -> None:
    ours = list(by_r1kit(cases))
    installed = importlib.util.find_spec("math_verify") is not None
    theirs = list(by_math_verify(comparable(cases))) if installed else []
    Console(width=200).print(side_by_side(title, ours, theirs))
    if theirs:
        print(f"math-verify was asked {len(theirs)} of the {len(ours)} pairs: nothing is declared of them")
    else:
        print("math-verify is not installed: pip install math-verify==0.9.0")


def comparable(cases: Sequence[Case]) -> list[Case]:
    """The cases that math-verify can be asked: nothing is declared of them."""
    return [case for case in cases if case.declared == STRICT]


def side_by_side(title: str, ours: Sequence[Graded], theirs: Sequence[Graded], seconds: bool = True) -> Table:
    """The two verifiers by category; `seconds`: with the longest time that either took for one answer."""
    columns = _COLUMNS if seconds else _COLUMNS[:-1]
    table = Table(
        "", "pairs", *(f"{who}: {what}" for who in ("r1kit", "math-verify") for what in columns), title=title
    )
    for name in (*dict.fromkeys(row.case.category for row in ours), "adversarial", "all"):
        sides = [[row for row in side if _belongs(row.case, name)] for side in (ours, theirs)]
        cells = [cell for side in sides for cell in _cells(side)[: len(columns)]]
        if sides[0]:
            table.add_row(name, str(len(sides[0])), *cells)
    return table


_COLUMNS = ("agrees", "false accepts", "false rejects", "unscored", "worst s")


def _belongs(case: Case, name: str) -> bool:
    return name == "all" or case.category == name or (name == "adversarial" and case.adversarial)


def _cells(rows: Sequence[Graded]) -> list[str]:
    if not rows:
        return ["–"] * len(_COLUMNS)
    return [
        f"{100 * sum(row.agrees for row in rows) / len(rows):.1f}%",
        str(sum(row.falsely_accepted for row in rows)),
        str(sum(not row.accepted and row.case.correct for row in rows)),
        str(sum(bool(row.unscored) for row in rows)),
        f"{max(row.seconds for row in rows):.2f}",
    ]


def by_r1kit(cases: Sequence[Case]) -> Iterator[Graded]:
    """Our verdicts; the import of SymPy, once per process, is not counted, as math-verify's is not."""
    check(r"\sin^2 x", r"1-\cos^2 x")
    for case in cases:
        start = time.perf_counter()
        verdict = grade(case)
        unscored = verdict.outcome if verdict.outcome in (Outcome.TIMEOUT, Outcome.ERROR) else ""
        yield Graded(case, verdict.correct, unscored, time.perf_counter() - start)
    symbolic.close()


def by_math_verify(cases: Sequence[Case]) -> Iterator[Graded]:
    """The library's verdicts; a process that hangs is stopped and started again."""
    process = _start()
    for case in cases:
        assert process.stdin is not None
        process.stdin.write(json.dumps([case.gold, case.text]) + "\n")
        process.stdin.flush()
        reply = _line(process, HANG_SECONDS)
        if reply is None:
            yield Graded(case, False, "hang", HANG_SECONDS)
            _stop(process)
            process = _start()
            continue
        found, seconds = json.loads(reply)
        yield Graded(case, found is True, found if isinstance(found, str) else "", seconds)
    _stop(process)


def _start() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.math_verify_alone"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        bufsize=1,
    )
    assert _line(process, 120.0) is not None, "math-verify does not start"
    return process


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with contextlib.suppress(OSError):
            stream.close()


def _line(process: subprocess.Popen[str], seconds: float) -> str | None:
    """One line, which the process writes whole; None when it does not come in time or the process has
    ended."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    return (process.stdout.readline() or None) if ready else None


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s in all")

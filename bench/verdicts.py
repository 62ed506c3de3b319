"""`python -m bench.verdicts`: verdicts a second on one core, by r1kit's verifiers and by math-verify."""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable, Sequence

from bench.math_suite import by_math_verify
from bench.setting import Measurement
from bench.table import show
from r1kit.tasks.registry import make_task
from r1kit.verify.maths import symbolic
from r1kit.verify.maths.checker import check
from r1kit.verify.maths.declared import STRICT
from r1kit.verify.maths.suite import Case, grade, load

NUMBERS = ("integer", "fraction", "decimal")
TURNS = 20  # over the numbers in one repeat, which no cache of verdicts serves
TASKS = ("countdown", "knights_knaves")  # whose verifiers have no counterpart in math-verify
PROBLEMS = 100
MISSING = (
    "math-verify is not installed, so nothing stands beside mathematics; it is in the extra dev: "
    "pip install -e '.[dev]'"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.verdicts", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    found, note = measure(parser.parse_args().repeats)
    show(found, [note] if note else [])


def measure(repeats: int) -> tuple[list[Measurement], str]:
    """The speeds, and what could not be measured, or ""."""
    cases = [case for case in load() if case.declared == STRICT and not case.is_response]
    numbers = [case for case in cases if case.category in NUMBERS]
    check(r"\sin^2 x", r"1-\cos^2 x")  # SymPy is imported before, as it is once per process
    found = [
        _mathematics("mathematics, numbers", numbers, TURNS, repeats),
        # every one is in the cache of verdicts afterwards, so that it can be measured but once
        _mathematics("mathematics, every form, SymPy where needed", cases, 1, 1),
        *(_task(name, repeats) for name in TASKS),
    ]
    symbolic.close()
    return found, "" if importlib.util.find_spec("math_verify") else MISSING


def _mathematics(name: str, cases: Sequence[Case], turns: int, repeats: int) -> Measurement:
    def ours() -> None:
        for _ in range(turns):
            for case in cases:
                grade(case)

    theirs = []
    if importlib.util.find_spec("math_verify"):
        seconds = [sum(row.seconds for row in by_math_verify(cases)) for _ in range(repeats)]
        theirs = [len(cases) / each for each in seconds]
    speeds = [_speed(ours, turns * len(cases)) for _ in range(repeats)]
    return Measurement(name, "verdicts/s", speeds, theirs, "math-verify")


def _task(name: str, repeats: int) -> Measurement:
    """Of a task's verifier, on right answers and on those of other problems."""
    task = make_task(name)
    problems = task.problems("test")[:PROBLEMS]
    golds = [task.gold(problem) for problem in problems]
    pairs = [*zip(problems, golds, strict=True), *zip(problems, golds[1:], strict=False)]

    def ours() -> None:
        for problem, answer in pairs:
            task.verify(problem, answer)

    return Measurement(name, "verdicts/s", [_speed(ours, len(pairs)) for _ in range(repeats)], [])


def _speed(work: Callable[[], None], count: int) -> float:
    """How many a second of wall clock."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()

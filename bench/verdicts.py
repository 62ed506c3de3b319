"""`python -m bench.verdicts`: mathematics verdicts a second on one core, by r1kit and by math-verify."""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.math_suite import by_math_verify
from r1kit.verify.maths import symbolic
from r1kit.verify.maths.checker import check
from r1kit.verify.maths.declared import STRICT
from r1kit.verify.maths.suite import Case, grade, load

NUMBERS = ("integer", "fraction", "decimal")
REPEATS = 20  # of the numbers, which no cache of verdicts serves


def main() -> None:
    argparse.ArgumentParser(prog="python -m bench.verdicts", description=__doc__).parse_args()
    cases = [case for case in load() if case.declared == STRICT and not case.is_response]
    numbers = [case for case in cases if case.category in NUMBERS]
    table = Table("answers", "texts", "r1kit", "math-verify", title="verdicts a second, one thread")
    _row(table, "numbers", numbers, REPEATS)
    _row(table, "every form, each once, SymPy where needed", cases, 1)
    Console().print(table)
    symbolic.close()


def _row(table: Table, name: str, cases: Sequence[Case], repeats: int) -> None:
    theirs = "–"
    if importlib.util.find_spec("math_verify"):
        theirs = f"{len(cases) / sum(row.seconds for row in by_math_verify(cases)):,.0f}"
    table.add_row(name, str(len(cases)), f"{speed(cases, repeats):,.0f}", theirs)


def speed(cases: Sequence[Case], repeats: int) -> float:
    """Verdicts a second of wall clock; SymPy is imported before, as it is once per process."""
    check(r"\sin^2 x", r"1-\cos^2 x")
    start = time.perf_counter()
    for _ in range(repeats):
        for case in cases:
            grade(case)
    return repeats * len(cases) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()

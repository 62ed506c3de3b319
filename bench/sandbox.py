"""Programs per second on one core, in the sandbox and in a fresh process: `python -m bench.sandbox`.

Both run the same program on the same tests; the program itself takes microseconds, so that what is measured
is the cost of running it safely. The sides take turns, and medians are told.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from rich.console import Console
from rich.table import Table

from r1kit.verify.program_batch import run_batch
from r1kit.verify.program_run import Ending, Limits, Runner
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox.pool import cores
from r1kit.verify.sandbox.protection import find_protection

Job = tuple[str, str | None, list[str], Limits]
FUNCTION: Job = ("def f(x):\n    return [42] + sorted(x)\n", "f", ["[[3, 1]]", "[[]]"] * 4, Limits())
SCRIPT: Job = ("print(*sorted(map(int, input().split())))", None, ["3 1\n"], Limits())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sandbox", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--runs", type=int, default=20, help="programs in a repeat")
    arguments = parser.parse_args()
    protection = find_protection(1)
    sandbox = protection.require(allow_unsafe=False)
    sides: dict[str, Callable[[], None]] = {
        f"sandbox ({protection.tier}), a function on 8 tests": lambda: _checked(sandbox, FUNCTION),
        f"sandbox ({protection.tier}), a script on 1 test": lambda: _checked(sandbox, SCRIPT),
        "fresh process with limits, the function": lambda: _checked(run_program, FUNCTION),
        "fresh process with limits, the script": lambda: _checked(run_program, SCRIPT),
        "python -I -S -c pass, nothing else": _bare,
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(-1, arguments.repeats):
        for name, side in sides.items():
            began = time.perf_counter()
            for _ in range(arguments.runs):
                side()
            if repeat >= 0:
                found[name].append((time.perf_counter() - began) / arguments.runs)
    table = Table("one at a time", "ms each", "a second", title="median of the repeats")
    for name, times in found.items():
        middle = statistics.median(times)
        table.add_row(name, f"{1000 * middle:.2f}", f"{1 / middle:,.0f}")
    Console().print(table)
    _all_cores(arguments.repeats * arguments.runs)


def _checked(run: Runner, job: Job) -> None:
    done = run(*job)
    assert done.ending is Ending.FINISHED, done


def _bare() -> None:
    subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)


def _all_cores(count: int) -> None:
    """How many a second, all cores together."""
    workers = cores()
    run = find_protection(workers).require(allow_unsafe=False)
    run_batch([partial(_checked, run, FUNCTION)] * workers * 4, workers, 60.0)
    began = time.perf_counter()
    run_batch([partial(_checked, run, FUNCTION)] * count, workers, 600.0)
    seconds = time.perf_counter() - began
    print(f"{workers} at a time on {os.cpu_count()} cores: {count / seconds:,.0f} a second")


if __name__ == "__main__":
    main()

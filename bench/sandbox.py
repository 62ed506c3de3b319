"""`python -m bench.sandbox`: programs a second on one core, in the sandbox and in a fresh process.

Both run the same program on the same tests; the program itself takes microseconds, so that what is measured
is the cost of running it safely. The sides take turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from bench.setting import Measurement
from bench.table import show
from r1kit.verify.program_batch import run_batch
from r1kit.verify.program_run import Ending, Limits, Runner
from r1kit.verify.programs import SUPPORTED, run_program
from r1kit.verify.sandbox.pool import cores
from r1kit.verify.sandbox.protection import find_protection

Job = tuple[str, str | None, list[str], Limits]
FUNCTION: Job = ("def f(x):\n    return [42] + sorted(x)\n", "f", ["[[3, 1]]", "[[]]"] * 4, Limits())
SCRIPT: Job = ("print(*sorted(map(int, input().split())))", None, ["3 1\n"], Limits())
RUNS = 20  # programs in a repeat
UNIT = "programs/s"
LIMITED = "a fresh process with limits"
BARE = "python -I -S -c pass"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sandbox", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    found, note = measure(parser.parse_args().repeats)
    show(found, [f"{row.name}: {1000 / sorted(row.ours)[len(row.ours) // 2]:.2f} ms each" for row in found])
    if note:
        print(note)


def measure(repeats: int) -> tuple[list[Measurement], str]:
    """The speeds, and why there are none, or ""."""
    protection, workers = find_protection(1), cores()
    if not (SUPPORTED and protection.safe):
        return [], f"no sandbox here: {protection.missing}"
    sandbox = protection.require(allow_unsafe=False)
    together = find_protection(workers).require(allow_unsafe=False)
    sides: dict[str, tuple[Job, str, Callable[[], None]]] = {
        "a function on 8 tests": (FUNCTION, LIMITED, partial(_checked, run_program, FUNCTION)),
        "a script on 1 test": (SCRIPT, LIMITED, partial(_checked, run_program, SCRIPT)),
        "the function again": (FUNCTION, BARE, _bare),
    }
    found = [
        _both(f"{name}, tier {protection.tier}", repeats, partial(_checked, sandbox, job), other, beside)
        for name, (job, beside, other) in sides.items()
    ]
    speeds = [_at_a_time(together, workers) for _ in range(repeats)]
    return [*found, Measurement(f"the function, {workers} at a time", UNIT, speeds, [])], ""


def _both(
    name: str, repeats: int, ours: Callable[[], None], other: Callable[[], None], beside: str
) -> Measurement:
    speeds: dict[Callable[[], None], list[float]] = {ours: [], other: []}
    for repeat in range(-1, repeats):
        for side, found in speeds.items():
            began = time.perf_counter()
            for _ in range(RUNS):
                side()
            if repeat >= 0:
                found.append(RUNS / (time.perf_counter() - began))
    return Measurement(name, UNIT, speeds[ours], speeds[other], beside)


def _checked(run: Runner, job: Job) -> None:
    done = run(*job)
    assert done.ending is Ending.FINISHED, done


def _bare() -> None:
    subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)


def _at_a_time(run: Runner, workers: int) -> float:
    """How many a second, all cores together."""
    run_batch([partial(_checked, run, FUNCTION)] * workers * 4, workers, 60.0)  # zygotes are started
    began = time.perf_counter()
    run_batch([partial(_checked, run, FUNCTION)] * RUNS * workers, workers, 600.0)
    return RUNS * workers / (time.perf_counter() - began)


if __name__ == "__main__":
    main()

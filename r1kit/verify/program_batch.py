"""Many programs at a time, in bounded time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.verify.program_run import Ending, Limits, ProgramRun, Runner


@dataclass(frozen=True, slots=True)
class Job:
    """One program to run; see `program_run.Runner`."""

    code: str
    entry: str | None
    inputs: Sequence[str]
    limits: Limits


def run_batch(run: Runner, jobs: Sequence[Job], workers: int, seconds: float) -> list[ProgramRun]:
    """Every job's run, in order, `workers` at a time.

    No job begins after `seconds`, so that all ends within `seconds` and one job's limit of wall-clock time;
    those that did not begin are NOT_STARTED. An exception of `run` goes on to the caller once all are done.
    """
    found: list[ProgramRun | None] = [None] * len(jobs)
    waiting, deadline = iter(enumerate(jobs)), time.monotonic() + seconds
    lock, errors = threading.Lock(), list[BaseException]()

    def work() -> None:
        while time.monotonic() < deadline and not errors:
            with lock:
                index, job = next(waiting, (-1, None))
            if job is None:
                return
            try:
                found[index] = run(job.code, job.entry, job.inputs, job.limits)
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(jobs)) - 1)]
    for thread in threads:
        thread.start()
    if jobs:
        work()  # this thread is one of the workers
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    late = ProgramRun((), Ending.NOT_STARTED, f"{len(jobs)} programs took more than {seconds:g} s together")
    return [late if run is None else run for run in found]

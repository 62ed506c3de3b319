"""Several engines at once, one for each of the processor's threads that torch may use.

A small model's step is too little work to share out operation by operation: two threads that decode half of
the rows each are faster than one engine whose operations use two. Jobs are cut up beforehand, so that a call
always decodes the same rows together, whatever each thread's speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import torch

from r1kit.rollouts.engine import Engine, Job, Response, by_prompt

_LEAST = 16  # jobs of a thread: below, its steps cost as much as with these


def most_threads(jobs: int, rows: int) -> int:
    """Threads that `jobs` keep busy where at most `rows` are decoded at once."""
    return max(1, min(torch.get_num_threads(), jobs // _LEAST, rows))


def decode(make: Callable[[Sequence[Job]], Engine], jobs: Sequence[Job], threads: int) -> list[Response]:
    """The responses to all jobs, in any order; `make` makes the engine of some of them.

    Interrupted (Ctrl-C), or when one of them fails, all stop after the step they are in.
    """
    if threads == 1:
        return _finish(make(jobs), Event())
    ordered = by_prompt(jobs)
    engines = [
        make(ordered[len(ordered) * i // threads : len(ordered) * (i + 1) // threads]) for i in range(threads)
    ]
    stop, before = Event(), torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, "r1kit-decode", initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                parts = list(pool.map(lambda engine: _finish(engine, stop), engines))
            finally:
                stop.set()
    finally:
        torch.set_num_threads(before)
    return [response for part in parts for response in part]


def _finish(engine: Engine, stop: Event) -> list[Response]:
    found: list[Response] = []
    try:
        with torch.inference_mode():  # holds for a thread
            while engine.busy and not stop.is_set():
                found.extend(engine.step())
    except BaseException:
        stop.set()
        raise
    return found

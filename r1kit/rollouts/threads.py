"""Several engines at once, one for each of the processor's threads that torch may use.

Jobs are cut up beforehand: a call always decodes the same rows together, whatever each thread's speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from threading import Event

import torch

from r1kit.models.threads import in_threads
from r1kit.rollouts.compiled_engine import CompiledEngine
from r1kit.rollouts.engine import Engine
from r1kit.rollouts.jobs import Job, Response, by_prompt
from r1kit.rollouts.paged_engine import PagedEngine

AnyEngine = Engine | CompiledEngine | PagedEngine

_LEAST = 16  # jobs of a thread: below, its steps cost as much as with these


def most_threads(jobs: int, rows: int) -> int:
    """Threads that `jobs` keep busy where at most `rows` are decoded at once."""
    return max(1, min(torch.get_num_threads(), jobs // _LEAST, rows))


def decode(
    make: Callable[[Sequence[Job]], AnyEngine],
    jobs: Sequence[Job],
    threads: int,
    told: Callable[[Sequence[Response]], None] | None = None,
) -> list[Response]:
    """The responses to all jobs, in any order; `make` makes the engine of some of them.

    `told` gets those that a step has finished, in the thread that did. Interrupted (Ctrl-C), or when one of
    them fails, all stop after the call of `step` that they are in.
    """
    ordered = by_prompt(jobs)
    cuts = [len(ordered) * place // threads for place in range(threads + 1)]
    engines = [make(ordered[begin:end]) for begin, end in pairwise(cuts)]
    parts = in_threads([partial(_finish, engine, told) for engine in engines])
    return [response for part in parts for response in part]


def _finish(
    engine: AnyEngine, told: Callable[[Sequence[Response]], None] | None, stop: Event
) -> list[Response]:
    found: list[Response] = []
    with torch.inference_mode():  # holds for a thread
        while engine.busy and not stop.is_set():
            finished = engine.step()
            if told is not None and finished:
                told(finished)
            found.extend(finished)
    return found

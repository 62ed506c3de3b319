"""Many programs at a time, in bounded time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def run_batch(works: Sequence[Callable[[], T]], workers: int, seconds: float) -> list[T | None]:
    """What each of `works` returns, in order, `workers` of them at a time; each waits for a process.

    None begins after `seconds`, so that all ends within `seconds` and the time of one; those that did not
    begin give None. An exception goes on to the caller once what has begun is done.
    """
    found: list[T | None] = [None] * len(works)
    waiting, deadline = iter(enumerate(works)), time.monotonic() + seconds
    lock, errors = threading.Lock(), list[BaseException]()

    def work() -> None:
        while time.monotonic() < deadline and not errors:
            with lock:
                index, each = next(waiting, (-1, None))
            if each is None:
                return
            try:
                found[index] = each()
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(works)) - 1)]
    for thread in threads:
        thread.start()
    if works:
        work()  # this thread is one of the workers
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found

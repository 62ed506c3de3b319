"""Which pages of the key-value cache belong to whom: rows have pages of their own, prompts share theirs.

A page has the keys and values of `size` positions, of all layers. The whole pages of a prompt are there once
for all its rows; what its last, partial page holds is each row's own, in front of what the row draws. A row
gets all the pages that it can ever need when it enters, so that no step has to find any: the pool that
`pages_needed` counts can't run out. Page 0 is nobody's; rows that have ended write there.

Shapes: U prompts, N positions to be written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from r1kit.rollouts.jobs import Job

NOBODY = 0  # the page that dead rows write to
Prompt = tuple[int, ...]


@dataclass(slots=True)
class Row:
    """A job in flight with the pages that are its own."""

    job: Job
    own: list[int]


@dataclass(slots=True)
class _Shared:
    pages: list[int]
    rows: int = 0  # that have this prompt


@dataclass(slots=True)
class Writes:
    """What entering rows have to be written of what was prefilled: position `sources` of prompt `prompts`
    goes to position `targets` of all pages laid one after the other; each (N,).
    """

    prompts: list[NDArray[np.int64]] = field(default_factory=list)
    sources: list[NDArray[np.int64]] = field(default_factory=list)
    targets: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, prompt: int, begin: int, end: int, pages: Sequence[int], size: int) -> None:
        """Positions `begin` to `end` of a prompt go to `pages`, the first of which begins with `begin`."""
        places = np.arange(end - begin)
        self.prompts.append(np.full(len(places), prompt))
        self.sources.append(begin + places)
        self.targets.append(np.asarray(pages, np.int64)[places // size] * size + places % size)

    def joined(self) -> NDArray[np.int64]:
        """Prompts, sources and targets, (3, N)."""
        return np.stack([np.concatenate(part) for part in (self.prompts, self.sources, self.targets)])


class PageBook:
    """The pages of a pool of `pages`, page 0 included, of `size` positions each."""

    def __init__(self, pages: int, size: int) -> None:
        self.size = size
        self._free = list(range(pages - 1, NOBODY, -1))  # the next one last
        self._shared: dict[Prompt, _Shared] = {}

    @property
    def free(self) -> int:
        """Pages that nobody holds."""
        return len(self._free)

    def enter(
        self, jobs: Sequence[Job], prompts: Sequence[Prompt]
    ) -> tuple[list[Row], list[list[int]], Writes]:
        """Rows for jobs that begin with some of `prompts`, the pages of each from its first position on, and
        what of the prompts has to be written there.
        """
        writes = Writes()
        places = {prompt: place for place, prompt in enumerate(prompts)}
        for prompt, place in places.items():
            if prompt not in self._shared:
                whole = (len(prompt) - 1) // self.size
                self._shared[prompt] = _Shared(self._take(whole))
                writes.add(place, 0, whole * self.size, self._shared[prompt].pages, self.size)
        rows, tables = [], []
        for job in jobs:
            shared = self._shared[job.prompt]
            row = Row(job, self._take(_own(job, self.size)))
            begin = len(shared.pages) * self.size
            writes.add(places[job.prompt], begin, len(job.prompt) - 1, row.own, self.size)
            shared.rows += 1
            rows.append(row)
            tables.append(shared.pages + row.own)
        return rows, tables, writes

    def leave(self, rows: Sequence[Row]) -> list[int]:
        """Take back what rows held, and what prompts held whose last row leaves; the pages."""
        found: list[int] = []
        for row in rows:
            found += row.own
            shared = self._shared[row.job.prompt]
            shared.rows -= 1
            if not shared.rows:
                found += self._shared.pop(row.job.prompt).pages
        self._free += found
        return found

    def _take(self, count: int) -> list[int]:
        assert count <= len(self._free), "a pool for fewer rows than there are"
        cut = len(self._free) - count
        taken = self._free[cut:][::-1]
        del self._free[cut:]
        return taken


def row_pages(positions: int, size: int) -> int:
    """Pages of a row of so many positions, prompt and response, that shares none."""
    return -(-(positions - 1) // size)  # what is drawn last is not stored


def _own(job: Job, size: int) -> int:
    return row_pages(len(job.prompt) + job.limit, size) - (len(job.prompt) - 1) // size


def pages_needed(jobs: Sequence[Job], rows: int, size: int) -> int:
    """Pages with which no `rows` of the jobs at once can run out, page 0 included."""
    own = sorted((_own(job, size) for job in jobs), reverse=True)[:rows]
    shared = sorted(((len(prompt) - 1) // size for prompt in {job.prompt for job in jobs}), reverse=True)
    return 1 + sum(own) + sum(shared[:rows])

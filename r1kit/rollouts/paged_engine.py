"""Rows in flight on a paged cache: admit waiting jobs, let the device make some steps, retire what has ended.

Rows are slots 0..B-1 as in `engine`, but only their state and their lists of pages move when one of them
leaves. The device knows by itself when a row ends, so the host looks once in several steps; where there are
stop strings, which only the host can find, after each. None of this changes what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from r1kit.kernels import ENDS, GOES_ON, MAY_STOP
from r1kit.rollouts.jobs import Entering, Job, Response, Waiting, responses
from r1kit.rollouts.paged import COUNT, FATE, PagedDecoder, Room
from r1kit.rollouts.pages import PageBook, Row, pages_needed, row_pages
from r1kit.rollouts.protocol import SamplingParams
from r1kit.rollouts.stopping import Endings

_STEPS = 8  # between two looks; a row that ends waits for half of them on average


def room_for(jobs: Sequence[Job], rows: int, size: int) -> Room:
    """What `rows` of the jobs at once need, on pages of `size` positions."""
    slots = min(rows, len(jobs))
    longest = max(len(job.prompt) + job.limit for job in jobs)
    pages = pages_needed(jobs, slots, size)
    return Room(slots, pages, row_pages(longest, size), max(job.limit for job in jobs))


class PagedEngine:
    """`Engine` for models with a paged step.

    Args:
        params, jobs, endings, max_batch: see `Engine`.
        decoder: of the model, with `room_for` these jobs; nobody else may use it meanwhile.
        steps: most steps in one call of `step`.
    """

    def __init__(
        self,
        params: SamplingParams,
        jobs: Sequence[Job],
        endings: Endings,
        max_batch: int,
        decoder: PagedDecoder,
        steps: int = _STEPS,
    ) -> None:
        self.params, self.endings = params, endings
        self.most_steps = 1 if params.stop else steps
        self.waiting = Waiting(decoder.model, jobs)
        self.slots = min(max_batch, len(jobs))
        self.decoder = decoder
        self.book = PageBook(decoder.room.pages, decoder.size)
        self.live: list[Row] = []
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)  # tokens drawn by each live row
        decoder.begin(endings.codes)

    @property
    def busy(self) -> bool:
        """True while a response is unfinished."""
        return bool(self.waiting or self.live)

    def step(self) -> list[Response]:
        """Admit what fits, draw tokens for every live row, and return the responses that this finished."""
        for entering in self.waiting.admit(len(self.live), self.slots):
            self._enter(entering)
        left = [row.job.limit - count for row, count in zip(self.live, self.counts.tolist(), strict=True)]
        for _ in range(min(self.most_steps, max(left))):
            self.decoder.step(len(self.live), self.params)
        return self._retire()

    def tokens(self, row: int) -> list[int]:
        """The tokens drawn so far for live row `row`."""
        drawn: list[int] = self.decoder.drawn_ST[row, : self.counts[row]].tolist()
        return drawn

    # -- parts -----------------------------------------------------------------------------------------------

    def _enter(self, entering: Entering) -> None:
        """Give jobs the next free slots."""
        rows, pages, writes = self.book.enter(entering.jobs, entering.prompts)
        if entering.prefilled:
            self.decoder.write(entering.prefilled, writes.joined())
        state = [(j.prompt[-1], len(j.prompt) - 1, j.seed, j.limit, 0, GOES_ON) for j in entering.jobs]
        self.decoder.place(len(self.live), np.array(state, np.int64).T, pages)
        self.live += rows
        self.counts = np.append(self.counts, np.zeros(len(rows), np.int64))

    def _retire(self) -> list[Response]:
        """The responses of the live rows that have ended; the rows that go on close ranks."""
        live = len(self.live)
        # the one synchronisation of several steps
        self.counts, fates = self.decoder.state_6S[COUNT:, :live].cpu().numpy()
        self._look(fates)
        leaving = np.flatnonzero(fates != GOES_ON)
        if not len(leaving):
            return []
        counts, gone = self.counts[leaving], [self.live[row] for row in leaving]
        slots, longest = torch.from_numpy(leaving).to(self.decoder.device), int(counts.max())
        drawn = self.decoder.drawn_ST[slots, :longest].cpu().numpy()
        logprobs = self.decoder.logprobs_ST2[slots, :longest].cpu().numpy()
        found = responses([row.job for row in gone], counts, drawn, logprobs, fates[leaving] == ENDS)
        self.book.leave(gone)
        self._close_ranks(leaving)
        return found

    def _look(self, fates: NDArray[np.int64]) -> None:
        """Settle the fates of rows that may have a stop string now."""
        rows = np.flatnonzero(fates == MAY_STOP)
        if not len(rows):
            return
        slots = torch.from_numpy(rows).to(self.decoder.device)
        drawn = self.decoder.drawn_ST[slots, : int(self.counts[rows].max())].tolist()
        for row, tokens in zip(rows.tolist(), drawn, strict=True):
            job, count = self.live[row].job, int(self.counts[row])
            fates[row] = self.endings.fate(job.prompt, tokens[:count], job.limit)
        self.decoder.state_6S[FATE, slots] = torch.from_numpy(fates[rows]).to(self.decoder.device)

    def _close_ranks(self, leaving: NDArray[np.int64]) -> None:
        """Move the last live rows into the holes of the leaving ones."""
        live, gone = len(self.live), set(leaving.tolist())
        stay = live - len(gone)
        holes = [row for row in sorted(gone) if row < stay]
        sources = [row for row in range(stay, live) if row not in gone]
        self.decoder.move(sources, holes, stay)
        for hole, source in zip(holes, sources, strict=True):
            self.live[hole], self.counts[hole] = self.live[source], self.counts[source]
        del self.live[stay:]
        self.counts = self.counts[:stay]

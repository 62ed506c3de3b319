"""Rows in flight where a decoding step is machine code: several steps in one call.

Shapes: B live rows, T tokens drawn, V vocabulary. A row stays in its slot until it ends; the slots of live
rows are a list, those of equal prompts beside each other, and a step computes on them alone. Python is asked
where a row may have a stop string, where waiting jobs may enter (an eighth of the slots is free), and now and
then: none of this changes what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r1kit.kernels import ENDS, GOES_ON, MAY_STOP
from r1kit.rollouts.compiled import CompiledStep, CompiledWeights
from r1kit.rollouts.jobs import Entering, Job, Response, Waiting, enough_free, responses
from r1kit.rollouts.protocol import SamplingParams
from r1kit.rollouts.stopping import Endings

_DRAWN = 2048  # tokens of all rows in one call, half a second with so many parameters; fewer with more
_PARAMETERS = 5_000_000
_STEPS = 64  # most in one call, for few rows
_OUTPUT_CHUNK = 256  # columns by which the record of drawn tokens grows


class CompiledEngine:
    """`Engine` for models with a compiled step.

    Args:
        model, params, jobs, endings, max_batch: see `Engine`.
        weights: the model's weights of now.
        steps: most steps in one call of `step`; fewer where `_DRAWN` or `_STEPS` is reached before.
    """

    def __init__(
        self,
        model: Any,
        params: SamplingParams,
        jobs: Sequence[Job],
        endings: Endings,
        max_batch: int,
        weights: CompiledWeights,
        steps: int = _STEPS,
    ) -> None:
        self.params, self.endings, self.most_steps = params, endings, min(steps, _STEPS)
        self.most_drawn = _DRAWN * _PARAMETERS // max(_PARAMETERS, weights.parameters)
        self.codes_V: NDArray[np.uint8] = endings.codes.numpy()
        self.waiting = Waiting(model, jobs)
        self.slots = min(max_batch, len(jobs))
        self.compiled = CompiledStep(weights, self.slots)
        self.live = np.zeros(0, np.int64)  # slots
        self.jobs: list[Job | None] = [None] * self.slots
        self.drawn_BT = np.zeros((self.slots, 0), np.int64)
        self.logprobs_BT2 = np.zeros((self.slots, 0, 2), np.float32)

    @property
    def busy(self) -> bool:
        """True while a response is unfinished."""
        return bool(self.waiting) or len(self.live) > 0

    def step(self) -> list[Response]:
        """Admit what fits, draw tokens for every live row, and return the responses that this finished."""
        for entering in self.waiting.admit(len(self.live), self.slots):
            self._enter(entering)
        before = self.live
        self.live = self._decoded()
        return self._retire(before)

    def tokens(self, slot: int) -> list[int]:
        """The tokens drawn so far for the row in `slot`."""
        drawn: list[int] = self.drawn_BT[slot, : self.compiled.rows.counts[slot]].tolist()
        return drawn

    # -- parts -----------------------------------------------------------------------------------------------

    def _enter(self, entering: Entering) -> None:
        """Give jobs free slots."""
        jobs, rows = entering.jobs, self.compiled.rows
        places = {prompt: place for place, prompt in enumerate(entering.prompts)}
        index = np.array([places[job.prompt] for job in jobs])
        slots = np.flatnonzero([job is None for job in self.jobs])[: len(jobs)]
        self.compiled.cache.enter(slots, index, entering.prompts, entering.prefilled)
        rows.tokens[slots] = [job.prompt[-1] for job in jobs]
        rows.lengths[slots] = [len(job.prompt) - 1 for job in jobs]
        rows.counts[slots] = 0
        rows.limits[slots] = [job.limit for job in jobs]
        rows.seeds[slots] = [job.seed for job in jobs]
        for slot, job in zip(slots.tolist(), jobs, strict=True):
            self.jobs[slot] = job
        self.live = self.compiled.cache.together(np.concatenate((self.live, slots)))

    def _decoded(self) -> NDArray[np.int64]:
        """Let live rows draw tokens; the slots of those that go on or may have stopped."""
        slots, rows = self.live.copy(), self.compiled.rows
        left = rows.limits[slots] - rows.counts[slots]
        steps = min(int(left.max()), self.most_steps, -(-self.most_drawn // len(slots)))
        assert steps > 0
        self._make_room(int(rows.counts[slots].max()) + steps)
        self.compiled.cache.reserve(slots, rows.lengths[slots] + np.minimum(left, steps))
        fewest = self.slots - enough_free(self.slots) if self.waiting else 0
        live = self.compiled.decode(
            slots, self.params, self.codes_V, steps, fewest, self.drawn_BT, self.logprobs_BT2
        )
        return slots[:live]

    def _job(self, slot: int) -> Job:
        job = self.jobs[slot]
        assert job is not None
        return job

    def _make_room(self, columns: int) -> None:
        """In the record of drawn tokens."""
        lacking = columns - self.drawn_BT.shape[1]
        if lacking > 0:
            more = max(lacking, _OUTPUT_CHUNK)
            self.drawn_BT = np.pad(self.drawn_BT, ((0, 0), (0, more)))
            self.logprobs_BT2 = np.pad(self.logprobs_BT2, ((0, 0), (0, more), (0, 0)))

    def _retire(self, before: NDArray[np.int64]) -> list[Response]:
        """The responses of the rows in `before` that have ended."""
        rows = self.compiled.rows
        for slot in before[rows.fates[before] == MAY_STOP].tolist():
            job = self._job(slot)
            rows.fates[slot] = self.endings.fate(job.prompt, self.tokens(slot), job.limit)
        self.live = self.live[rows.fates[self.live] == GOES_ON]
        leaving = before[rows.fates[before] != GOES_ON]
        if not len(leaving):
            return []
        counts, ended = rows.counts[leaving], rows.fates[leaving] == ENDS
        longest = int(counts.max())
        jobs = [self._job(slot) for slot in leaving.tolist()]
        drawn, logprobs = self.drawn_BT[leaving, :longest], self.logprobs_BT2[leaving, :longest]
        self.compiled.cache.leave(leaving)
        for slot in leaving.tolist():
            self.jobs[slot] = None
        return responses(jobs, counts, drawn, logprobs, ended)

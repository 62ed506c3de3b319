"""Rows in flight: admit waiting jobs, decode one token for every live row, retire the finished ones.

Shapes: B live rows, R rows computed, V vocabulary. Live rows are always slots 0..B-1: a finished row is
overwritten by the last live one, so a step computes on the live rows and at most 15 more, which fill a
multiple of 16 and count for nothing; positions are rounded up likewise, and masked. Waiting jobs enter when
an eighth of the slots is free. A prompt's keys and values are computed once, without its last token, whatever
the number of its samples; the last token is each row's first decoding step. What small models on a CPU decode
with is `compiled_engine`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r1kit.kernels import ENDS, MAY_STOP
from r1kit.rollouts import sampling
from r1kit.rollouts.cache import SlotCache
from r1kit.rollouts.forward import Forward, model_forward
from r1kit.rollouts.jobs import Entering, Job, Response, Waiting, responses
from r1kit.rollouts.protocol import SamplingParams
from r1kit.rollouts.stopping import Endings

_ROWS = 16  # computed in multiples, since for each shape of a product oneDNN generates code anew
_POSITIONS = 16  # attended to in multiples
_OUTPUT_CHUNK = 256  # columns by which the record of drawn tokens grows


class Engine:
    """Decodes a list of jobs. Call `step` until `busy` is False; each call returns what finished in it."""

    def __init__(
        self,
        model: Any,
        params: SamplingParams,
        jobs: Sequence[Job],
        endings: Endings,
        max_batch: int,
        forward: Forward | None = None,
    ) -> None:
        self.model, self.params, self.endings = model, params, endings
        self.device: torch.device = model.device
        self.forward = forward or model_forward(model)
        self.codes_V = endings.codes.to(self.device)
        self.waiting = Waiting(model, jobs)
        self.slots = min(max_batch, len(jobs))
        layers = model.config.get_text_config(decoder=True).num_hidden_layers
        self.cache = SlotCache(layers, self.slots, self.device)
        self.rows = torch.arange(self.slots, device=self.device)
        self.live: list[Job] = []
        # per slot, on the device: next input token, cached length, tokens drawn, seed
        self.state_4B = torch.zeros(4, self.slots, dtype=torch.int64, device=self.device)
        # mirrors, to need no synchronisation
        self.lengths: NDArray[np.int64] = np.zeros(self.slots, np.int64)
        self.counts: NDArray[np.int64] = np.zeros(self.slots, np.int64)
        self.limits: NDArray[np.int64] = np.zeros(self.slots, np.int64)
        self.drawn_BT = torch.zeros(self.slots, 0, dtype=torch.int64, device=self.device)
        self.logprobs_BT2 = torch.zeros(self.slots, 0, 2, device=self.device)

    @property
    def busy(self) -> bool:
        """True while a response is unfinished."""
        return bool(self.waiting or self.live)

    def step(self) -> list[Response]:
        """Admit what fits, draw one token for every live row, and return the responses that this finished."""
        for entering in self.waiting.admit(len(self.live), self.slots):
            self._enter(entering)
        self._decode()
        return self._retire()

    def tokens(self, row: int) -> list[int]:
        """The tokens drawn so far for live row `row`."""
        drawn: list[int] = self.drawn_BT[row, : self.counts[row]].tolist()
        return drawn

    # -- admission -------------------------------------------------------------------------------------------

    def _enter(self, entering: Entering) -> None:
        """Give jobs the next free slots."""
        jobs, places = entering.jobs, {prompt: place for place, prompt in enumerate(entering.prompts)}
        first, last = len(self.live), len(self.live) + len(jobs)
        if entering.prefilled:
            index = torch.tensor([places[job.prompt] for job in jobs], device=self.device)
            self.cache.write_prompts(first, index, entering.prefilled)
        state = [(job.prompt[-1], len(job.prompt) - 1, 0, job.seed) for job in jobs]
        self.state_4B[:, first:last] = torch.tensor(state, device=self.device).T
        self.lengths[first:last] = [len(job.prompt) - 1 for job in jobs]
        self.counts[first:last] = 0
        self.limits[first:last] = [job.limit for job in jobs]
        self.live.extend(jobs)

    # -- decoding --------------------------------------------------------------------------------------------

    def _decode(self) -> None:
        """The model's logits, a draw from them, and what follows for the rows' state."""
        live = len(self.live)
        rows = min(_multiple(live, _ROWS), self.slots)
        width = _multiple(int(self.lengths[:live].max()) + 1, _POSITIONS)
        self._make_room()
        tokens_R, lengths_R = self.state_4B[:2, :rows]
        counts_B, seeds_B = self.state_4B[2:, :live]
        lengths_R[live:] = 0  # rows after the live ones must stay within what is reserved
        ragged = bool((self.lengths[:live] != width - 1).any())
        self.cache.begin_step(width, lengths_R if ragged else None, self.slots if self.waiting else rows)
        mask = _length_mask(lengths_R, width, self.model.dtype) if ragged else None
        logits_BV = self.forward(tokens_R, lengths_R, mask, self.cache)[:live]
        draw = sampling.draw(logits_BV, sampling.uniforms(seeds_B, counts_B), self.params)
        rows_B = self.rows[:live]
        self.drawn_BT[rows_B, counts_B] = draw.tokens
        self.logprobs_BT2[rows_B, counts_B] = torch.stack((draw.logprobs, draw.sampling_logprobs), dim=-1)
        tokens_R[:live] = draw.tokens
        self.state_4B[1:3, :live] += 1
        self.lengths[:live] += 1
        self.counts[:live] += 1

    def _make_room(self) -> None:
        """For one more token in the record of drawn ones."""
        if int(self.counts[: len(self.live)].max()) >= self.drawn_BT.shape[1]:
            pad = torch.nn.functional.pad
            self.drawn_BT = pad(self.drawn_BT, (0, _OUTPUT_CHUNK))
            self.logprobs_BT2 = pad(self.logprobs_BT2, (0, 0, 0, _OUTPUT_CHUNK))

    # -- retirement ------------------------------------------------------------------------------------------

    def _retire(self) -> list[Response]:
        live, endings = len(self.live), self.endings
        # besides top-k and top-p the one synchronisation of a step
        codes = self.codes_V[self.state_4B[0, :live]].cpu().numpy()
        ended = codes == ENDS
        for row in np.flatnonzero(codes == MAY_STOP):
            job = self.live[row]
            ended[row] = endings.fate(job.prompt, self.tokens(int(row)), job.limit) == ENDS
        leaving = np.flatnonzero(ended | (self.counts[:live] >= self.limits[:live]))
        if not len(leaving):
            return []
        longest = int(self.counts[leaving].max())
        rows = torch.from_numpy(leaving).to(self.device)
        drawn, logprobs = self.drawn_BT[rows, :longest].cpu(), self.logprobs_BT2[rows, :longest].cpu()
        jobs = [self.live[row] for row in leaving]
        found = responses(jobs, self.counts[leaving], drawn.numpy(), logprobs.numpy(), ended[leaving])
        self._close_ranks(leaving)
        return found

    def _close_ranks(self, leaving: NDArray[np.int64]) -> None:
        """Move the last live rows into the holes of the leaving ones."""
        live = len(self.live)
        stay = live - len(leaving)
        gone = set(leaving.tolist())
        holes = [row for row in gone if row < stay]
        if holes:
            sources = [row for row in range(stay, live) if row not in gone]
            to, of = (torch.tensor(rows, device=self.device) for rows in (holes, sources))
            self.cache.move(of, to, int(self.lengths[sources].max()))
            for table in (self.state_4B.T, self.drawn_BT, self.logprobs_BT2):
                table[holes] = table[sources]
            for mirror in (self.lengths, self.counts, self.limits):
                mirror[holes] = mirror[sources]
            for hole, source in zip(holes, sources, strict=True):
                self.live[hole] = self.live[source]
        del self.live[stay:]


def _multiple(number: int, of: int) -> int:
    """The least multiple of `of` that is not below `number`."""
    return -(-number // of) * of


def _length_mask(lengths_B: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Additive mask of shape (B, 1, 1, width): 0 up to and including position length, the least number after
    it.
    """
    hidden_BT = torch.arange(width, device=lengths_B.device) > lengths_B[:, None]
    mask_BT = torch.zeros(hidden_BT.shape, dtype=dtype, device=lengths_B.device)
    return mask_BT.masked_fill_(hidden_BT, torch.finfo(dtype).min)[:, None, None]

"""Rows in flight: admit waiting jobs, decode one token for every live row, retire the finished ones.

Shapes: B live rows, R rows computed, U distinct prompts, T positions, V vocabulary. Live rows are always
slots 0..B-1: a finished row is overwritten by the last live one, so a step computes on the live rows and at
most 15 more, which fill a multiple of 16 and count for nothing; positions are rounded up likewise, and
masked. Waiting jobs enter when an eighth of the slots is free. A prompt's keys and values are computed
once, without its last token, whatever the number of its samples, and by the compiled step kept once too; the
last token is each row's first decoding step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from r1kit.errors import ModelError
from r1kit.rollouts import sampling, stopping
from r1kit.rollouts.forward import Decoder, model_forward
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Finish

_PREFILL_TOKENS = 8192  # padded prompt tokens in one forward pass
_POSITIONS = 16  # attended to in multiples
_OUTPUT_CHUNK = 256  # columns by which the record of drawn tokens grows


@dataclass(frozen=True, slots=True)
class Job:
    """One response to draw."""

    index: int  # place of the response in the caller's order
    prompt: tuple[int, ...]
    seed: int
    limit: int  # most new tokens


@dataclass(frozen=True, slots=True)
class Response:
    """One finished response."""

    job: Job
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    sampling_logprobs: tuple[float, ...]
    finish: Finish


class Engine:
    """Decodes a list of jobs. Call `step` until `busy` is False; each call returns what finished in it."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        params: SamplingParams,
        jobs: Sequence[Job],
        codes_V: Tensor,
        max_batch: int,
        decoder: Decoder | None = None,
    ) -> None:
        self.model, self.tokenizer, self.params = model, tokenizer, params
        self.device: torch.device = model.device
        self.decoder = decoder or Decoder(model_forward(model))
        self.codes_V = codes_V.to(self.device)
        self.queue = deque(by_prompt(jobs))
        self.slots = min(max_batch, len(jobs))
        layers = model.config.get_text_config(decoder=True).num_hidden_layers
        self.cache = self.decoder.cache(layers, self.slots, self.device)
        self.rows = torch.arange(self.slots, device=self.device)
        self.live: list[Job] = []
        self.kept: tuple[tuple[int, ...], list[tuple[Tensor, Tensor]]] | None = None
        # per slot, on the device: next input token, cached length, tokens drawn, seed
        self.state_4B = torch.zeros(4, self.slots, dtype=torch.int64, device=self.device)
        self.lengths: NDArray[np.int64] = np.zeros(
            self.slots, np.int64
        )  # mirrors, to need no synchronisation
        self.counts: NDArray[np.int64] = np.zeros(self.slots, np.int64)
        self.limits: NDArray[np.int64] = np.zeros(self.slots, np.int64)
        self.drawn_BT = torch.zeros(self.slots, 0, dtype=torch.int64, device=self.device)
        self.logprobs_BT2 = torch.zeros(self.slots, 0, 2, device=self.device)

    @property
    def busy(self) -> bool:
        """True while a response is unfinished."""
        return bool(self.queue or self.live)

    def step(self) -> list[Response]:
        """Admit what fits, draw one token for every live row, and return the responses that this finished."""
        self._admit()
        self._decode()
        return self._retire()

    def tokens(self, row: int) -> list[int]:
        """The tokens drawn so far for live row `row`."""
        drawn: list[int] = self.drawn_BT[row, : self.counts[row]].tolist()
        return drawn

    # -- admission -------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        free = self.slots - len(self.live)
        if not self.queue or (self.live and free < max(1, self.slots // 8)):
            return
        jobs = [self.queue.popleft() for _ in range(min(free, len(self.queue)))]
        prompts = list(dict.fromkeys(job.prompt for job in jobs))
        if self.kept is not None:  # its remaining jobs are the first of the queue
            self._enter(jobs, prompts[:1], self.kept[1])
            if not self.queue or self.queue[0].prompt != prompts[0]:
                self.kept = None
            prompts = prompts[1:]
        for batch in _prefill_batches(prompts):
            prefilled = prefill(self.model, batch)
            self._enter(jobs, batch, prefilled)
            if self.queue and self.queue[0].prompt in batch:
                place = batch.index(self.queue[0].prompt)
                rest = [(k[place : place + 1].clone(), v[place : place + 1].clone()) for k, v in prefilled]
                self.kept = (batch[place], rest)

    def _enter(
        self, jobs: list[Job], prompts: list[tuple[int, ...]], prefilled: list[tuple[Tensor, Tensor]]
    ) -> None:
        """Give the jobs of `prompts` the next free slots."""
        places = {prompt: place for place, prompt in enumerate(prompts)}
        entering = [job for job in jobs if job.prompt in places]
        first, last = len(self.live), len(self.live) + len(entering)
        if prefilled:
            index = torch.tensor([places[job.prompt] for job in entering], device=self.device)
            self.cache.write_prompts(first, index, prompts, prefilled)
        state = [(job.prompt[-1], len(job.prompt) - 1, 0, job.seed) for job in entering]
        self.state_4B[:, first:last] = torch.tensor(state, device=self.device).T
        self.lengths[first:last] = [len(job.prompt) - 1 for job in entering]
        self.counts[first:last] = 0
        self.limits[first:last] = [job.limit for job in entering]
        self.live.extend(entering)

    # -- decoding --------------------------------------------------------------------------------------------

    def _decode(self) -> None:
        live, params = len(self.live), self.params
        longest = int(self.lengths[:live].max())
        width = _multiple(longest + 1, _POSITIONS)
        self._make_room()
        if self.decoder.step_and_draw is not None and params.temperature > 0 and not _filtered(params):
            self.cache.begin_step(width, None, self.slots if self.queue else live, self.lengths[:live])
            self.decoder.step_and_draw(
                self.state_4B, live, self.cache, params.temperature, self.drawn_BT, self.logprobs_BT2
            )
        else:
            self._step(live, width)
        self.lengths[:live] += 1
        self.counts[:live] += 1

    def _step(self, live: int, width: int) -> None:
        """The model's logits, a draw from them, and what follows for the rows' state."""
        rows = min(_multiple(live, self.decoder.rows), self.slots)
        tokens_R, lengths_R = self.state_4B[:2, :rows]
        counts_B, seeds_B = self.state_4B[2:, :live]
        lengths_R[live:] = 0  # rows after the live ones must stay within what is reserved
        ragged = bool((self.lengths[:live] != width - 1).any())
        lengths = lengths_R if ragged else None
        self.cache.begin_step(width, lengths, self.slots if self.queue else rows, self.lengths[:live])
        masked = ragged and self.decoder.masked
        mask = _length_mask(lengths_R, width, self.model.dtype) if masked else None
        logits_BV = self.decoder.forward(tokens_R, lengths_R, mask, self.cache)[:live]
        draw = sampling.draw(logits_BV, sampling.uniforms(seeds_B, counts_B), self.params)
        rows_B = self.rows[:live]
        self.drawn_BT[rows_B, counts_B] = draw.tokens
        self.logprobs_BT2[rows_B, counts_B] = torch.stack((draw.logprobs, draw.sampling_logprobs), dim=-1)
        tokens_R[:live] = draw.tokens
        self.state_4B[1:3, :live] += 1

    def _make_room(self) -> None:
        """For one more token in the record of drawn ones."""
        if int(self.counts[: len(self.live)].max()) >= self.drawn_BT.shape[1]:
            pad = torch.nn.functional.pad
            self.drawn_BT = pad(self.drawn_BT, (0, _OUTPUT_CHUNK))
            self.logprobs_BT2 = pad(self.logprobs_BT2, (0, 0, 0, _OUTPUT_CHUNK))

    # -- retirement ------------------------------------------------------------------------------------------

    def _retire(self) -> list[Response]:
        live = len(self.live)
        # besides top-k and top-p the one synchronisation of a step
        codes = self.codes_V[self.state_4B[0, :live]].cpu().numpy()
        ended = codes == stopping.ENDS
        for row in np.flatnonzero(codes == stopping.MAY_STOP):
            prompt = self.live[row].prompt
            ended[row] = stopping.stopped(self.tokenizer, prompt, self.tokens(int(row)), self.params.stop)
        leaving = np.flatnonzero(ended | (self.counts[:live] >= self.limits[:live]))
        if not len(leaving):
            return []
        responses = self._responses(leaving, ended)
        self._close_ranks(leaving)
        return responses

    def _responses(self, leaving: NDArray[np.int64], ended: NDArray[np.bool_]) -> list[Response]:
        longest = int(self.counts[leaving].max())
        rows = torch.from_numpy(leaving).to(self.device)
        drawn = self.drawn_BT[rows, :longest].tolist()
        logprobs = self.logprobs_BT2[rows, :longest].cpu().numpy()
        responses = []
        drawn_so_far = np.arange(longest) < self.counts[leaving][:, None]
        if not np.isfinite(logprobs[drawn_so_far]).all():
            raise ModelError(
                "the model's logits are not finite numbers: its weights are damaged, training diverged"
                " (lower learning_rate), or the number format is too narrow (precision: float32)"
            )
        for place, row in enumerate(leaving):
            count = int(self.counts[row])
            plain, sampled = logprobs[place, :count].T.tolist()
            finish: Finish = "stop" if ended[row] else "length"
            responses.append(
                Response(self.live[row], tuple(drawn[place][:count]), tuple(plain), tuple(sampled), finish)
            )
        return responses

    def _close_ranks(self, leaving: NDArray[np.int64]) -> None:
        """Move the last live rows into the holes of the leaving ones."""
        live = len(self.live)
        stay = live - len(leaving)
        gone = set(leaving.tolist())
        holes = [row for row in gone if row < stay]
        sources = [row for row in range(stay, live) if row not in gone]
        longest = int(self.lengths[sources].max()) if sources else 0
        to, of = (torch.tensor(rows, dtype=torch.int64, device=self.device) for rows in (holes, sources))
        self.cache.move(of, to, longest, stay, live)
        if holes:
            for table in (self.state_4B.T, self.drawn_BT, self.logprobs_BT2):
                table[holes] = table[sources]
            for mirror in (self.lengths, self.counts, self.limits):
                mirror[holes] = mirror[sources]
            for hole, source in zip(holes, sources, strict=True):
                self.live[hole] = self.live[source]
        del self.live[stay:]


def _filtered(params: SamplingParams) -> bool:
    """Whether some tokens are left out of the draw."""
    return params.top_k > 0 or params.top_p < 1.0


def _multiple(number: int, of: int) -> int:
    """The least multiple of `of` that is not below `number`."""
    return -(-number // of) * of


def by_prompt(jobs: Sequence[Job]) -> list[Job]:
    """The jobs with those of equal prompts together, otherwise in order."""
    order: dict[tuple[int, ...], list[Job]] = {}
    for job in jobs:
        order.setdefault(job.prompt, []).append(job)
    return [job for group in order.values() for job in group]


def _prefill_batches(prompts: list[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Prompts of similar length together, each batch within the token budget."""
    batches: list[list[tuple[int, ...]]] = []
    for prompt in sorted(prompts, key=len):
        if not batches or (len(batches[-1]) + 1) * len(prompt) > _PREFILL_TOKENS:
            batches.append([])
        batches[-1].append(prompt)
    return batches


def prefill(model: Any, prompts: list[tuple[int, ...]]) -> list[tuple[Tensor, Tensor]]:
    """(keys, values) of each layer, (U, H, T, D), for the prompts without their last tokens; [] if nothing is
    left.

    Prompts are padded on the right: under causal attention no real token sees the padding, so no mask is
    needed, and the padding's keys are never read because every row knows its length.
    """
    longest = max(map(len, prompts)) - 1
    if longest == 0:
        return []
    padded = [list(prompt[:-1]) + [0] * (longest - len(prompt) + 1) for prompt in prompts]
    cache = DynamicCache()
    model(
        input_ids=torch.tensor(padded, device=model.device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    return [(layer.keys, layer.values) for layer in cache.layers]


def _length_mask(lengths_B: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Additive mask of shape (B, 1, 1, width): 0 up to and including position length, the least number after
    it.
    """
    hidden_BT = torch.arange(width, device=lengths_B.device) > lengths_B[:, None]
    mask_BT = torch.zeros(hidden_BT.shape, dtype=dtype, device=lengths_B.device)
    return mask_BT.masked_fill_(hidden_BT, torch.finfo(dtype).min)[:, None, None]

"""What is to be drawn, what was drawn, and the responses that wait for their turn.

Shapes: U distinct prompts, H key-value heads, T positions or tokens, D head width, N responses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from r1kit.errors import ModelError
from r1kit.types import Finish

_PREFILL_TOKENS = 8192  # padded prompt tokens in one forward pass

Prefilled = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, (U, H, T, D), of prompts without their last tokens; [] where nothing is
left.
"""


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


@dataclass(frozen=True, slots=True)
class Entering:
    """Jobs whose turn has come."""

    jobs: list[Job]
    prompts: list[tuple[int, ...]]  # the jobs' distinct ones
    prefilled: Prefilled  # of `prompts`


class Waiting:
    """Jobs that wait, those of a prompt together. Each prompt is computed once, however its jobs enter."""

    def __init__(self, model: Any, jobs: Sequence[Job]) -> None:
        self._model = model
        self._queue = deque(by_prompt(jobs))
        self._kept: tuple[tuple[int, ...], Prefilled] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def admit(self, live: int, slots: int) -> Iterator[Entering]:
        """Jobs for free slots beside `live` rows: none until `enough_free`, or until nobody lives."""
        free = slots - live
        if self and (not live or free >= enough_free(slots)):
            yield from self.enter(free)

    def enter(self, most: int) -> Iterator[Entering]:
        """The next jobs, `most` of them or as many as there are."""
        jobs = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        prompts = list(dict.fromkeys(job.prompt for job in jobs))
        if self._kept is not None and prompts:  # its remaining jobs are the first of the queue
            yield _entering(jobs, prompts[:1], self._kept[1])
            if not self._queue or self._queue[0].prompt != prompts[0]:
                self._kept = None
            prompts = prompts[1:]
        for batch in _prefill_batches(prompts):
            prefilled = prefill(self._model, batch)
            yield _entering(jobs, batch, prefilled)
            if self._queue and self._queue[0].prompt in batch:
                place = batch.index(self._queue[0].prompt)
                rest = [(k[place : place + 1].clone(), v[place : place + 1].clone()) for k, v in prefilled]
                self._kept = (batch[place], rest)


def enough_free(slots: int) -> int:
    """Free slots for which waiting jobs are let in: an eighth, so that they enter together."""
    return max(1, slots // 8)


def _entering(jobs: list[Job], prompts: list[tuple[int, ...]], prefilled: Prefilled) -> Entering:
    among = set(prompts)
    return Entering([job for job in jobs if job.prompt in among], prompts, prefilled)


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


def prefill(model: Any, prompts: list[tuple[int, ...]]) -> Prefilled:
    """The keys and values of prompts without their last tokens.

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


def responses(
    jobs: Sequence[Job],
    counts: NDArray[np.int64],
    drawn: NDArray[np.int64],
    logprobs: NDArray[np.float32],
    stopped: NDArray[np.bool_],
) -> list[Response]:
    """The responses to N jobs of counts (N,) tokens each, of drawn (N, T) and logprobs (N, T, 2), see
    `sampling.Draw`; stopped (N,): ended by a token or a stop string.

    Raises ModelError for log-probabilities that are not finite numbers.
    """
    there = np.arange(drawn.shape[1]) < counts[:, None]
    if not np.isfinite(logprobs[there]).all():
        raise ModelError(
            "the model's logits are not finite numbers: its weights are damaged, training diverged"
            " (lower learning_rate), or the number format is too narrow (precision: float32)"
        )
    found = []
    for place, (job, count) in enumerate(zip(jobs, counts.tolist(), strict=True)):
        plain, sampled = logprobs[place, :count].T.tolist()
        finish: Finish = "stop" if stopped[place] else "length"
        found.append(
            Response(job, tuple(drawn[place, :count].tolist()), tuple(plain), tuple(sampled), finish)
        )
    return found

"""The decoding step of Llama-like decoders on a paged cache, in buffers that stay where they are.

Everything that a step reads and writes is a fixed tensor, so that it can be captured once for each of a few
numbers of rows and replayed (`graphs.py`): the joined weights, the pages, the table of pages, the rows'
state, the record of what was drawn. Rows are slots 0..R-1. A row that ends stops by itself: from then on it
draws nothing, writes to nobody's page and attends to one position, until the host looks. Slots without a row
are rows that have ended. Nothing in a step waits for the host but a draw from filtered tokens.

Shapes: S slots, R rows computed, V vocabulary, T tokens drawn, P pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r1kit.kernels import ENDS, FULL, GOES_ON, MAY_STOP
from r1kit.models.llama_like import FIXED_ROTATIONS, is_llama_like
from r1kit.rollouts import sampling
from r1kit.rollouts.graphs import Capture, Graphs, cuda_capture
from r1kit.rollouts.jobs import Prefilled
from r1kit.rollouts.layers import rotations, written_layers, written_step
from r1kit.rollouts.paged_attention import Paging, attend_paged, kernel_takes
from r1kit.rollouts.pages import NOBODY
from r1kit.rollouts.protocol import SamplingParams

TOKEN, LENGTH, SEED, LIMIT, COUNT, FATE = range(6)
"""Rows of the state: next input token, cached positions, seed, most new tokens, tokens drawn, and what the
last one meant (`kernels.GOES_ON` and so on)."""


def runs_paged(model: Any) -> bool:
    """Whether a model decodes on pages: a Llama, Qwen2 or Qwen3 in 16 bits on a CUDA device."""
    return has_paged_step(model) and kernel_takes(model)


def has_paged_step(model: Any) -> bool:
    """Whether this file's step computes what the model does, on whatever device."""
    return is_llama_like(model) and model.model.rotary_emb.rope_type in FIXED_ROTATIONS


@dataclass(frozen=True, slots=True)
class Room:
    """`Room(512, 3073, 6, 1025)`: what a decoder has room for."""

    slots: int
    pages: int  # page 0 included
    width: int  # pages of a row
    tokens: int  # drawn by a row

    def holds(self, other: Room) -> bool:
        """Whether there is at least as much room as in `other`."""
        return self.together(other) == self

    def together(self, other: Room) -> Room:
        """Room for both, not at the same time."""
        return Room(
            max(self.slots, other.slots),
            max(self.pages, other.pages),
            max(self.width, other.width),
            max(self.tokens, other.tokens),
        )

    def extended(self, other: Room) -> Room:
        """Room for both; where that is more, with an eighth more pages than asked for, since prompts' lengths
        change from call to call.
        """
        if self.holds(other):
            return self
        both = self.together(other)
        return replace(both, pages=min(1 + both.slots * both.width, both.pages * 9 // 8))


class PagedDecoder:
    """Steps of one model. Make it in inference mode, and call its methods there.

    Args:
        model: one that `has_paged_step`.
        room: for how much.
        size: positions of a page.
        capture: how steps are captured; None: as CUDA graphs where the model is on such a device, else never.
    """

    def __init__(self, model: Any, room: Room, size: int, capture: Capture | None = None) -> None:
        device: torch.device = model.device
        if capture is None and device.type == "cuda":
            capture = cuda_capture(device)
        self.model, self.room, self.size, self.device = model, room, size, device
        self.graphs = Graphs(capture)
        self._addresses = _addresses(model)
        self._layers = written_layers(model)
        self._rotations = rotations(model, torch.arange(room.width * size, device=device))
        config, slots = model.config, room.slots
        heads = config.num_attention_heads + 2 * config.num_key_value_heads
        width = self._layers[0].qkv.weight.shape[1] // heads
        shape = (len(self._layers), 2, room.pages, size, config.num_key_value_heads, width)
        self.pages = torch.zeros(shape, dtype=model.dtype, device=device)
        self.table = torch.full((slots, room.width), NOBODY, dtype=torch.int32, device=device)
        self.state_6S = torch.zeros(6, slots, dtype=torch.int64, device=device)
        self.state_6S[FATE] = FULL
        # a row that has its last token still writes, beyond it
        self.drawn_ST = torch.zeros(slots, room.tokens + 1, dtype=torch.int64, device=device)
        self.logprobs_ST2 = torch.zeros(slots, room.tokens + 1, 2, device=device)
        self.codes_V = torch.zeros(model.lm_head.weight.shape[0], dtype=torch.int64, device=device)
        self._rows = torch.arange(slots, device=device)
        self._starts_q = torch.arange(slots + 1, dtype=torch.int32, device=device)
        self._starts_k = self._starts_q * (room.width * size)

    def serves(self, model: Any, room: Room) -> bool:
        """Whether it can go on with this model as it is now, after `begin`."""
        return model is self.model and self.room.holds(room) and self._addresses == _addresses(model)

    def begin(self, codes_V: Tensor) -> None:
        """Take over the model's weights of now and what each token means (see `stopping`); all rows end."""
        for layer, source in zip(self._layers, self.model.model.layers, strict=True):
            layer.take(source)
        self.codes_V.copy_(codes_V)
        self.state_6S.zero_()
        self.state_6S[FATE] = FULL

    def write(self, prefilled: Prefilled, writes_3N: NDArray[np.int64]) -> None:
        """Store keys and values of prompts, see `pages.Writes`."""
        prompts, sources, targets = torch.from_numpy(writes_3N).to(self.device)
        for pools, states in zip(self.pages.flatten(2, 3), prefilled, strict=True):
            for pool, state in zip(pools, states, strict=True):
                pool[targets] = state[prompts, :, sources]

    def place(self, first: int, state_6N: NDArray[np.int64], pages: Sequence[Sequence[int]]) -> None:
        """Slots first, first+1, … take rows with this state and these pages."""
        table = np.full((len(pages), self.room.width), NOBODY, np.int32)
        for row, held in enumerate(pages):
            table[row, : len(held)] = held
        slots = slice(first, first + len(pages))
        self.table[slots] = torch.from_numpy(table).to(self.device)
        self.state_6S[:, slots] = torch.from_numpy(state_6N).to(self.device)

    def move(self, sources: Sequence[int], holes: Sequence[int], live: int) -> None:
        """The rows in slots `sources` go to slots `holes`; the slots from `live` on have no rows any more."""
        if holes:
            to, of = (torch.tensor(slots, device=self.device) for slots in (holes, sources))
            for rows in (self.table, self.state_6S.T, self.drawn_ST, self.logprobs_ST2):
                rows[to] = rows[of]
        self.state_6S[FATE, live:] = FULL

    def step(self, live: int, params: SamplingParams) -> None:
        """One token for each of the rows 0..live-1 that have not ended."""
        rows = rows_computed(live, self.room.slots)
        if params.temperature > 0.0 and (params.top_k or params.top_p < 1.0):
            logits_RV = self.graphs.run(rows, lambda: self._logits(rows))
            assert logits_RV is not None
            self._draw(logits_RV, params)
        else:
            self.graphs.run((rows, params.temperature), lambda: self._draw(self._logits(rows), params))

    def _logits(self, rows: int) -> Tensor:
        """Of the next token of rows 0..rows-1, (R, V)."""
        state_6R, table = self.state_6S[:, :rows], self.table[:rows]
        goes_on_R = state_6R[FATE] == GOES_ON
        positions_R = state_6R[LENGTH] * goes_on_R
        pages_R = table.gather(1, (positions_R // self.size)[:, None])[:, 0] * goes_on_R  # 0 is nobody's
        targets_R = pages_R.long() * self.size + positions_R % self.size
        used_R = (positions_R + 1).int()
        paging = Paging(table, used_R, self._starts_q[: rows + 1], self._starts_k[: rows + 1])

        def attention(place: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            pools = self.pages[place]
            for pool, new in zip(pools.flatten(1, 2), (keys, values), strict=True):
                pool[targets_R] = new
            return attend_paged(queries, pools[0], pools[1], paging, self._layers[place].scaling)

        cos, sin = (part[positions_R] for part in self._rotations)
        return written_step(self.model, self._layers, state_6R[TOKEN], (cos, sin), attention)

    def _draw(self, logits_RV: Tensor, params: SamplingParams) -> None:
        """Draw from logits, and what follows for the rows' state."""
        rows = len(logits_RV)
        state_6R, rows_R = self.state_6S[:, :rows], self._rows[:rows]
        draw = sampling.draw(logits_RV, sampling.uniforms(state_6R[SEED], state_6R[COUNT]), params)
        self.drawn_ST[rows_R, state_6R[COUNT]] = draw.tokens
        self.logprobs_ST2[rows_R, state_6R[COUNT]] = torch.stack((draw.logprobs, draw.sampling_logprobs), -1)
        goes_on_R = state_6R[FATE] == GOES_ON
        codes_R = self.codes_V[draw.tokens]
        full_R = (state_6R[COUNT] + 1 >= state_6R[LIMIT]) * FULL
        fates_R = torch.where((codes_R == ENDS) | (codes_R == MAY_STOP), codes_R, full_R)
        state_6R[TOKEN] = torch.where(goes_on_R, draw.tokens, state_6R[TOKEN])
        state_6R[FATE] = torch.where(goes_on_R, fates_R, state_6R[FATE])
        state_6R[LENGTH].add_(goes_on_R)
        state_6R[COUNT].add_(goes_on_R)


def rows_computed(live: int, slots: int) -> int:
    """For how many rows a step is computed that has `live` ones: a power of two or one and a half of it, so
    that there are few numbers of rows; not more than there are slots.
    """
    power = 1 << (live - 1).bit_length()
    return min(slots, power * 3 // 4 if live <= power * 3 // 4 and power >= 4 else power)


def _addresses(model: Any) -> list[int]:
    """Where a model's weights are."""
    return [tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())]

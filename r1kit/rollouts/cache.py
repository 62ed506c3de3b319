"""A preallocated key-value cache whose rows have lengths of their own, usable by any `transformers` decoder.

Shapes: B live rows, H key-value heads, T positions, D head width. Row b holds positions 0..length_b-1 at the
start of its slot, so nothing is ever padded on the left: a decoding step writes position length_b of each
row and attends to a view of the first `width` positions, with a mask only where the lengths differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer

from r1kit.errors import ModelError

_GROWTH = 64  # positions; capacity grows by the larger of this and a quarter


def most_capacity(positions: int) -> int:
    """Positions that a row's memory grows to when it outgrows `positions`."""
    return positions + max(_GROWTH, positions // 4)


def more_capacity(held: int, wanted: int) -> int:
    """What a row's memory for `held` positions grows to, so that `wanted` have room."""
    return max(wanted, most_capacity(held))


def context_limit(model: Any) -> int | None:
    """Most positions (prompt and response) this cache can represent for `model`; None when there is no limit.

    Sliding-window layers equal full ones up to the window. Raises ModelError for recurrent and other layers
    that are not a plain list of keys and values.
    """
    limits = [_position_limit(model.config)]
    for layer in DynamicCache(config=model.config).layers:
        if type(layer) is DynamicSlidingWindowLayer:
            limits.append(int(layer.sliding_window))
        elif type(layer) is not DynamicLayer:
            raise ModelError(
                f"{type(model).__name__}: its cache has {type(layer).__name__} layers, which the local "
                "sampler cannot represent; use a decoder with full attention"
            )
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _position_limit(config: Any) -> int | None:
    value = config.get_text_config(decoder=True).to_dict().get("max_position_embeddings")
    return None if value is None else int(value)


@dataclass(slots=True)
class Step:
    """The decoding step under way, shared by all layers."""

    slots: int  # rows there is room for
    rows: Tensor  # arange(slots)
    capacity: int = 0  # positions there is room for
    width: int = 0  # positions attended to, the one being written included
    lengths: Tensor | None = None  # where each row writes; None when all write at width - 1


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """Keys and values of one decoder layer: two tensors of shape (slots, H, capacity, D), D may differ.

    The positions of a head lie together: attention reads far more than a step writes.
    """

    is_sliding = False

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate zeroed slots; zeros matter, because a masked NaN would still poison a row."""
        self.keys = _slots(key_states, self.step.slots, self.step.capacity)
        self.values = _slots(value_states, self.step.slots, self.step.capacity)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write one position per live row ((B, H, 1, D)) and return views of shape (B, H, width, D)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        step = self.step
        live = key_states.shape[0]
        if step.lengths is None:
            self.keys[:live, :, step.width - 1] = key_states[:, :, 0]
            self.values[:live, :, step.width - 1] = value_states[:, :, 0]
        else:
            rows_B = step.rows[:live]
            self.keys[rows_B, :, step.lengths] = key_states[:, :, 0]
            self.values[rows_B, :, step.lengths] = value_states[:, :, 0]
        return self.keys[:live, :, : step.width], self.values[:live, :, : step.width]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(key length, key offset) of the step under way."""
        return self.step.width - 1 + query_length, 0

    def get_seq_length(self) -> int:
        """Positions before the one being written."""
        return self.step.width - 1

    def get_max_length(self) -> int:
        """-1: it grows as needed."""
        return -1

    def grow(self) -> None:
        """Make room for the step's `capacity` positions in its first `slots` rows, keeping what is there."""
        if not self.is_initialized:
            return
        for name in ("keys", "values"):
            old: Tensor = getattr(self, name)
            new = _slots(old, self.step.slots, self.step.capacity)
            new[:, :, : old.shape[2]] = old[: self.step.slots]
            setattr(self, name, new)

    def write(self, first: int, index: Tensor, keys: Tensor, values: Tensor) -> None:
        """Slots first, first+1, … take the prompts `index` of `keys` and `values` ((U, H, T, D))."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        rows, length = slice(first, first + index.shape[0]), keys.shape[2]
        self.keys[rows, :, :length] = keys[index]
        self.values[rows, :, :length] = values[index]

    def move(self, sources: Tensor, holes: Tensor, width: int) -> None:
        """Copy the first `width` positions of slots `sources` over slots `holes`."""
        if self.is_initialized:
            self.keys[holes, :, :width] = self.keys[sources, :, :width]
            self.values[holes, :, :width] = self.values[sources, :, :width]


def _slots(like: Tensor, slots: int, capacity: int) -> Tensor:
    """Zeros of shape (slots, H, capacity, D) for keys or values `like` of shape (…, H, …, D)."""
    return torch.zeros(slots, like.shape[1], capacity, like.shape[3], dtype=like.dtype, device=like.device)


class SlotCache(Cache):  # type: ignore[misc]
    """The layers of one decoder, with the step under way: `begin_step` first, then the model's forward."""

    def __init__(self, layers: int, slots: int, device: torch.device) -> None:
        self.step = Step(slots, torch.arange(slots, device=device))
        super().__init__(layers=[SlotLayer(self.step) for _ in range(layers)])

    def begin_step(self, width: int, lengths_B: Tensor | None, slots: int) -> None:
        """Announce a step that attends to `width` positions; `lengths_B` is None when all rows are equally
        long. No row from `slots` on will be used any more.
        """
        self.reserve(width, slots)
        self.step.width, self.step.lengths = width, lengths_B

    def reserve(self, capacity: int, slots: int) -> None:
        """Grow all layers, in chunks, to hold at least `capacity` positions; the rows from `slots` on are
        given up then, because late in a batch few long rows are left.
        """
        held = self.step.capacity
        if capacity > held:
            self.step.capacity = more_capacity(held, capacity)
            self.step.slots = min(slots, self.step.slots)
            for layer in self.layers:
                layer.grow()

    def write_prompts(self, first: int, index: Tensor, prefilled: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Slots first, first+1, … take the prompts `index` of those whose (keys, values) by layer, without
        the last token, are in `prefilled`.
        """
        self.reserve(prefilled[0][0].shape[2], self.step.slots)
        for layer, (keys, values) in zip(self.layers, prefilled, strict=True):
            layer.write(first, index, keys, values)

    def move(self, sources: Tensor, holes: Tensor, width: int) -> None:
        """Fill the `holes` left by finished rows with the rows `sources`, which have `width` positions at
        most.
        """
        for layer in self.layers:
            layer.move(sources, holes, width)

"""Causal self-attention for training on a CPU, where the library's fused kernel is slow in its backward pass.

For the lengths of a laptop recipe `causal_attention` is faster than `scaled_dot_product_attention` (LOG.md);
for long sequences its stored probabilities, half of (T, T) per head, would cost more memory than the time is
worth. Rows that hold several sequences are attended sequence by sequence, on any device, where the library
would build a mask over the whole row.

Shapes: B rows, H query heads, K key-value heads, T positions, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from r1kit.models.causal import causal_attention

NAME = "r1kit_train"
LONGEST = 640  # tokens; beyond it the fused kernel's memory counts for more


def training_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    cu_seq_lens_q: Tensor | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Plain causal attention over whole sequences; anything else goes to the library's `sdpa`.

    Args:
        query: (B, H, T, D); key and value: (B, K, T, D).
        cu_seq_lens_q: on the CPU, where sequences end in the flattened rows, after a first 0; each then sees
            itself alone. None = each row is one sequence.

    Returns: (B, T, H, D) and None (no attention weights).
    """
    if cu_seq_lens_q is not None:
        assert attention_mask is None
        lengths = cu_seq_lens_q.diff().tolist()
        return _by_sequence(module, query, key, value, lengths, scaling=scaling, **rest), None
    rows, heads, length, width = query.shape
    plain = query.device.type == "cpu" and length <= LONGEST
    if not plain or attention_mask is not None or key.shape[2] != length or rest.get("dropout"):
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **rest
        )
        return output
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype
    with torch.autocast("cpu", enabled=False):
        scaled = query * (width**-0.5 if scaling is None else scaling)
        grouped = scaled.to(dtype).reshape(rows * key.shape[1], -1, length, width)
        flat_key, flat_value = key.to(dtype).flatten(0, 1), value.to(dtype).flatten(0, 1)
        mixed = causal_attention(grouped, flat_key, flat_value)
    return mixed.view(rows, heads, length, -1).transpose(1, 2).contiguous(), None


def _by_sequence(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, lengths: list[int], **rest: Any
) -> Tensor:
    """(B, T, H, D): attention of each of the sequences that fill the flattened rows, one after the other."""
    rows = len(query)
    # (B, H, T, D) -> (1, H, B * T, D); a view for a single row
    flat = (x.transpose(1, 2).flatten(0, 1).transpose(0, 1)[None] for x in (query, key, value))
    sequences = zip(*(torch.split(x, lengths, 2) for x in flat), strict=True)
    mixed = torch.cat([training_attention(module, q, k, v, None, **rest)[0] for q, k, v in sequences], 1)
    return mixed.view(rows, -1, *mixed.shape[2:])


AttentionInterface.register(NAME, training_attention)


def attention_of(model: Any) -> str:
    """The name of the attention implementation that `model` uses at this moment."""
    name: str = model.config._attn_implementation
    return name


def is_flash(attention: str) -> bool:
    """Whether this is the name of a flash attention of the library."""
    return attention.startswith("flash_attention")


def takes_boundaries(attention: str) -> bool:
    """Whether the implementation of this name goes sequence by sequence when it is told where they end.

    The cost of all others grows with the square of a row's length.
    """
    return attention == NAME or is_flash(attention)


@contextmanager
def attention_in_use(model: Any, name: str) -> Iterator[None]:
    """Inside the context `model` uses the registered attention `name` for `sdpa`, if it can."""
    config, chosen = model.config, model.config._attn_implementation
    if chosen != "sdpa" or not model._supports_attention_backend:
        yield
        return
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = chosen


@contextmanager
def training_attention_in_use(model: Any, *, packed: bool = False) -> Iterator[None]:
    """Inside the context a full-attention `model` uses `training_attention` for `sdpa`.

    On a CPU always, elsewhere where rows are `packed` with several sequences.
    """
    config = model.config
    kinds = getattr(config, "layer_types", None) or (
        ["sliding_attention"] if getattr(config, "sliding_window", None) else ["full_attention"]
    )
    windowed = set(kinds) != {"full_attention"}
    worthwhile = packed or next(model.parameters()).device.type == "cpu"
    with attention_in_use(model, NAME) if worthwhile and not windowed else nullcontext():
        yield

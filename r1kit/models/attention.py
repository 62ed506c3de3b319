"""Causal self-attention for training on a CPU, where the library's fused kernel is slow in its backward pass.

For the lengths of a laptop recipe two batched matrix products and a softmax are faster than
`scaled_dot_product_attention` (LOG.md); for long sequences the stored probabilities, (T, T) per head, would
cost more memory than the time is worth.

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

NAME = "r1kit_train"
LONGEST = 640  # tokens; beyond it the fused kernel's memory counts for more


def training_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Plain causal attention over whole sequences; anything else goes to the library's `sdpa`.

    Args:
        query: (B, H, T, D); key and value: (B, K, T, D).

    Returns: (B, T, H, D) and None (no attention weights).
    """
    rows, heads, length, width = query.shape
    if attention_mask is not None or length > LONGEST or key.shape[2] != length or rest.get("dropout"):
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **rest
        )
        return output
    groups = heads // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    future_TT = torch.full((length, length), -torch.inf, dtype=query.dtype, device=query.device).triu(1)
    scores = torch.baddbmm(
        future_TT,
        query.flatten(0, 1),
        key.flatten(0, 1).transpose(1, 2),
        alpha=width**-0.5 if scaling is None else scaling,
    )
    mixed = torch.bmm(scores.softmax(-1).to(value.dtype), value.flatten(0, 1))
    return mixed.view(rows, heads, length, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, training_attention)


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
def training_attention_in_use(model: Any) -> Iterator[None]:
    """Inside the context a full-attention `model` on a CPU uses `training_attention` for `sdpa`."""
    config = model.config
    kinds = getattr(config, "layer_types", None) or (
        ["sliding_attention"] if getattr(config, "sliding_window", None) else ["full_attention"]
    )
    windowed = set(kinds) != {"full_attention"}
    on_cpu = next(model.parameters()).device.type == "cpu"
    with nullcontext() if windowed or not on_cpu else attention_in_use(model, NAME):
        yield

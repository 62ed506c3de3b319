"""Attention of one new token per row over a long cache, for every model that reads `transformers`' registry.

Query heads that share a key-value head become query positions of it, so grouped-query attention reads each
key and value once, but for two heads in 16 bits on a CPU, where reading them twice is faster. The library's
own `sdpa` function repeats them in memory whenever there is a mask.

Shapes: B rows, H query heads, K key-value heads, G = H / K, T positions, D head width.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from r1kit.models.attention import attention_in_use

NAME = "r1kit_decode"


def decode_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    position_bias: Tensor | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Grouped single-query attention; longer queries (prompts) and biases go to the library's `sdpa`.

    Args:
        query: (B, H, 1, D); key and value: (B, K, T, D); attention_mask: additive, (B, 1, 1, T), or None.

    Returns: (B, 1, H, D) and None (no attention weights).
    """
    if query.shape[2] != 1 or position_bias is not None:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, position_bias=position_bias, **rest
        )
        return output
    return attend(query, key, value, attention_mask, scaling), None


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None = None
) -> Tensor:
    """What a single query of each row, (B, H, 1, D), finds in the cache: (B, 1, H, D)."""
    rows, heads, _, width = query.shape
    groups = heads // key.shape[1]
    if groups <= 2 and query.device.type == "cpu" and query.dtype == torch.bfloat16:
        # the processor's 16-bit kernel is made for one query: 1.1 to 1.5 times as fast (LOG.md)
        mixed = scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=scaling, enable_gqa=True
        )
    else:
        grouped = query.view(rows, key.shape[1], groups, width)
        mixed = scaled_dot_product_attention(grouped, key, value, attn_mask=mask, scale=scaling)
    return mixed.reshape(rows, 1, heads, value.shape[-1])


AttentionInterface.register(NAME, decode_attention)


def decode_attention_in_use(model: Any) -> AbstractContextManager[None]:
    """Inside the context `model` uses `decode_attention` for `sdpa`, if it reads the registry."""
    return attention_in_use(model, NAME)

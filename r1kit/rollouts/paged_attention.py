"""Attention of one new token per row over keys and values that lie in pages.

On CUDA it is PyTorch's `varlen_attn`, whose FlashAttention reads pages of a multiple of 256 positions in
16-bit formats on devices of compute capability 8.0 or newer. It is told not to split a row's positions among
several workers: where it chose to, it wrote wrong numbers for pages (pytorch/pytorch issue 194167,
pytorch/torchtitan issue 3235). Elsewhere the pages are gathered, which is slow and what tests run.

Shapes: B rows, H query heads, K key-value heads, W head width, P pages, S positions of a page, T pages of a
row at most.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

PAGE = 256  # positions
_WIDTH_MULTIPLE, _WIDEST = 8, 256  # head widths that the kernel takes
_OLDEST = (8, 0)  # compute capability


class Paging(NamedTuple):
    """Where the positions of each row lie, for all layers of a step."""

    table: Tensor  # (B, T) int32: pages
    used: Tensor  # (B,) int32: positions attended to, at least 1
    starts_q: Tensor  # (B + 1,) int32: 0, 1, 2, …
    starts_k: Tensor  # (B + 1,) int32: multiples of the positions that T pages have


def kernel_takes(model: Any) -> bool:
    """Whether a Llama-like model's device, number format and head width are those of the CUDA kernel."""
    if model.device.type != "cuda" or model.dtype not in (torch.bfloat16, torch.float16):
        return False
    fits = width_fits(model.model.layers[0].self_attn.head_dim)
    return fits and torch.cuda.get_device_capability(model.device) >= _OLDEST


def width_fits(width: int) -> bool:
    """Whether the kernel takes heads of this width."""
    return width % _WIDTH_MULTIPLE == 0 and width <= _WIDEST


def attend_paged(query: Tensor, keys: Tensor, values: Tensor, paging: Paging, scaling: float) -> Tensor:
    """What queries (B, H, W) find in the first `used` positions of their rows, (B, H, W); keys and values are
    (P, S, K, W). The other positions may hold anything.
    """
    attend = gathered if query.device.type == "cpu" else by_kernel
    return attend(query, keys, values, paging, scaling)


def by_kernel(query: Tensor, keys: Tensor, values: Tensor, paging: Paging, scaling: float) -> Tensor:
    """`attend_paged` by FlashAttention, for models that `kernel_takes` and pages of a multiple of `PAGE`."""
    from torch.nn.attention import varlen  # takes a second to import

    mixed = varlen.varlen_attn(
        query,
        keys,
        values,
        paging.starts_q,
        paging.starts_k,
        1,
        paging.table.shape[1] * keys.shape[1],
        scale=scaling,
        enable_gqa=True,
        seqused_k=paging.used,
        block_table=paging.table,
        num_splits=1,
    )
    assert isinstance(mixed, Tensor)
    return mixed


def gathered(query: Tensor, keys: Tensor, values: Tensor, paging: Paging, scaling: float) -> Tensor:
    """`attend_paged` in plain operations, on any device."""
    rows, heads, width = query.shape
    kv_heads = keys.shape[2]
    table = paging.table.long()
    keys_BTKW, values_BTKW = (pool[table].flatten(1, 2) for pool in (keys, values))
    hidden_BT = torch.arange(keys_BTKW.shape[1], device=query.device) >= paging.used[:, None]
    grouped = query.view(rows, kv_heads, heads // kv_heads, width)
    scores = torch.einsum("bkgw,btkw->bkgt", grouped, keys_BTKW).float() * scaling
    shares = scores.masked_fill(hidden_BT[:, None, None], -torch.inf).softmax(-1).to(query.dtype)
    seen = values_BTKW.masked_fill(hidden_BT[:, :, None, None], 0.0)  # 0 times NaN would be NaN
    return torch.einsum("bkgt,btkw->bkgw", shares, seen).reshape(rows, heads, width)

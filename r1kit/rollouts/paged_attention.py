"""Attention of one new token per row over keys and values that lie in pages.

On CUDA it is PyTorch's `varlen_attn`, whose FlashAttention reads pages of a multiple of 256 positions in
16-bit formats on devices of compute capability 8.0 or newer. It is told not to split a row's positions among
several workers: where it chose to, it wrote wrong numbers for pages (pytorch/pytorch issue 194167,
pytorch/torchtitan issue 3235). Elsewhere the pages are gathered, which is slow and what tests run.

Shapes: B rows, H query heads, K key-value heads, W head width, P pages, S positions of a page, T pages of a
row at most.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

PAGE = 256  # positions
_WIDTH_MULTIPLE, _WIDEST = 8, 256  # head widths that the kernel takes
_OLDEST = (8, 0)  # compute capability
_AWAY = 0.05  # of weighted means of numbers around 1, in 16 bits; what is wrong is away by about 1


class Paging(NamedTuple):
    """Where the positions of each row lie, for all layers of a step."""

    table: Tensor  # (B, T) int32: pages
    used: Tensor  # (B,) int32: positions attended to, at least 1
    starts_q: Tensor  # (B + 1,) int32: 0, 1, 2, …
    starts_k: Tensor  # (B + 1,) int32: multiples of the positions that T pages have


def kernel_takes(model: Any) -> bool:
    """Whether a Llama-like model's device, number format and head width are those of the CUDA kernel, and its
    numbers are right there. If they are not, there is one warning.
    """
    if model.device.type != "cuda" or model.dtype not in (torch.bfloat16, torch.float16):
        return False
    config, width = model.config, model.model.layers[0].self_attn.head_dim
    if not width_fits(width) or torch.cuda.get_device_capability(model.device) < _OLDEST:
        return False
    heads = config.num_attention_heads, config.num_key_value_heads
    return kernel_agrees(model.device, model.dtype, *heads, width)


@cache
def kernel_agrees(device: torch.device, dtype: torch.dtype, heads: int, kv_heads: int, width: int) -> bool:
    """Whether the kernel finds on four rows of such heads what plain operations do, and reads no more than it
    should. One warning where it doesn't: versions of it were wrong for pages without saying so.
    """
    generator = torch.Generator().manual_seed(0)
    used = torch.tensor([1, PAGE, PAGE + 1, PAGE + 44], dtype=torch.int32)
    table = torch.tensor([[3, 0], [1, 0], [2, 5], [6, 4]], dtype=torch.int32)
    starts = torch.arange(len(used) + 1, dtype=torch.int32)
    query = torch.randn(len(used), heads, width, generator=generator)
    pools = torch.randn(2, 7, PAGE, kv_heads, width, generator=generator)
    for pages, count in zip(table.tolist(), used.tolist(), strict=True):
        for place, page in enumerate(pages):
            pools[:, page, max(0, count - place * PAGE) :] = 1e4  # nobody's
    query, keys, values = (tensor.to(device, dtype) for tensor in (query, *pools))
    paging = Paging(*(tensor.to(device) for tensor in (table, used, starts, starts * (2 * PAGE))))
    try:
        found, right = (attend(query, keys, values, paging, 0.1) for attend in (by_kernel, gathered))
        away = float((found - right).abs().max())
        told = "" if away < _AWAY else f"its results are up to {away:.2g} away from those of plain operations"
    except torch.OutOfMemoryError:
        raise  # says nothing about the kernel, and would be remembered
    except RuntimeError as error:
        told = " ".join(str(error).split())[:300]
    if told:
        warnings.warn(
            f"decoding goes by the library's layers, slower: attention over pages can't be used here: {told}",
            RuntimeWarning,
            stacklevel=2,
        )
    return not told


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
    """`attend_paged` by FlashAttention, for models that `kernel_takes`, on pages of a multiple of `PAGE`."""
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

"""Causal attention over whole sequences with stored probabilities, for the lengths of a laptop recipe.

Queries are taken block by block: a block meets only the keys up to its own end, so that little of what
causality forbids is computed, and products have few shapes whatever the sequences' length. The probabilities
stay in the number format of the queries between the passes, and query heads that share a key-value head are
further rows of its products, not copies of its keys.

Shapes: N sequences times key-value heads, G query heads of each, T positions, D head width, E value width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

BLOCK = 64  # queries; measured on the laptop's shapes (LOG.md)


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q k' + causal mask) v: (N, G, T, D), already scaled; (N, T, D); (N, T, E) -> (N, G, T, E)."""
    if not torch.compiler.is_compiling():
        mixed: Tensor = CausalAttention.apply(query, key, value)  # type: ignore[no-untyped-call]
        return mixed
    # blocks would make one compiled graph for each length, this is one for all
    sequences, groups, length, _ = query.shape
    scores = torch.bmm(query.flatten(1, 2), key.transpose(1, 2)).view(sequences, groups, length, length)
    future = torch.full((length, length), -torch.inf, dtype=query.dtype, device=query.device).triu(1)
    weights = (scores + future).softmax(-1)
    return torch.bmm(weights.flatten(1, 2), value).view(sequences, groups, length, -1)


class CausalAttention(torch.autograd.Function):
    """`causal_attention` by blocks of queries; first derivatives only."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(N, G, T, D), already scaled; (N, T, D); (N, T, E) -> (N, G, T, E)."""
        mixed, weights = _attend(query, key, value)
        ctx.save_for_backward(query, key, value, *weights)
        return mixed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, G, T, E) -> the gradients of query, key and value."""
        query, key, value, *weights = ctx.saved_tensors
        return _attend_backward(grad, query, key, value, weights)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The mixture of `causal_attention` and, block by block, the probabilities that its derivative needs."""
    sequences, groups, length, _ = query.shape
    mixed = query.new_empty(sequences, groups, length, value.shape[2])
    saved = []
    for begin, end in _blocks(length):
        hidden = _mask(groups, begin, end, query)
        scores = torch.baddbmm(hidden, _rows(query, begin, end), key[:, :end].transpose(1, 2))
        saved.append(scores.softmax(-1))
        found = torch.bmm(saved[-1], value[:, :end])
        mixed[:, :, begin:end] = found.view(sequences, groups, end - begin, -1)
    return mixed, saved


def _attend_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, saved: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """(N, G, T, E) -> the gradients of query, key and value, from the probabilities of the blocks."""
    grad_query = torch.empty_like(query)
    grad_key, grad_value = torch.empty(0), torch.empty(0)
    blocks = list(_blocks(query.shape[2]))
    for (begin, end), weights in zip(blocks[::-1], saved[::-1], strict=True):
        back = _rows(grad, begin, end)
        of_value = torch.bmm(weights.transpose(1, 2), back)
        grad_weights = torch.bmm(back, value[:, :end].transpose(1, 2))
        # the derivative of softmax: w * (g - sum(w * g))
        grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        of_key = torch.bmm(grad_scores.transpose(1, 2), _rows(query, begin, end))
        if end == query.shape[2]:  # the last block meets all keys
            grad_key, grad_value = of_key, of_value
        else:
            grad_key[:, :end] += of_key
            grad_value[:, :end] += of_value
        found = torch.bmm(grad_scores, key[:, :end])
        grad_query[:, :, begin:end] = found.view(*query.shape[:2], end - begin, -1)
    return grad_query, grad_key, grad_value


def _mask(groups: int, begin: int, end: int, like: Tensor) -> Tensor:
    """Of a block of queries, in the format and on the device of `like`: -inf where a key comes after the
    query, else 0, (1, G * (end - begin), end).
    """
    mask = like.new_zeros(end - begin, end)
    mask[:, begin:] = torch.full_like(mask[:, begin:], -torch.inf).triu(1)
    return mask.repeat(groups, 1)[None]


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    return ((begin, min(begin + BLOCK, length)) for begin in range(0, length, BLOCK))


def _rows(x: Tensor, begin: int, end: int) -> Tensor:
    """Positions `begin` to `end` of all of a key's query heads: (N, G * (end - begin), width)."""
    return x[:, :, begin:end].flatten(1, 2)

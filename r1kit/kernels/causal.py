"""Causal attention over whole sequences, and its derivative, without ever holding all scores of a sequence.

Queries are taken block by block, each with the keys up to its own end. Kept is the logarithm of each query's
sum of weights, from which the derivative computes the weights anew (FlashAttention, Dao et al. 2022).

Shapes: R sequences of N tokens together, one after the other, H query heads, K key-value heads, W head width.
P stands for the format of products, float32 or bfloat16 (uint16); sums and scores are float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from r1kit.kernels import QUERIES
from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import exponential, highest, store
from r1kit.kernels.products import multiply

_SPAN = 32  # scores that loops take at once
_NEVER = np.float32(-np.inf)


class Room(NamedTuple):
    """Memory for a block of queries and as many keys as the longest sequence has, in whole spans."""

    scores: Any  # (QUERIES, T) float32
    slopes: Any  # (QUERIES, T) float32
    weights: Any  # (QUERIES, T) P
    rises: Any  # (QUERIES, T) P
    sums: Any  # (QUERIES, W) float32
    totals: Any  # (QUERIES,) float32


@compiled
def room_for(lengths: Any, like: Any, width: Any) -> Any:
    """A `Room` for sequences of these lengths, for products of the format of the array `like`."""
    longest = 1
    for r in range(lengths.shape[0]):
        longest = max(longest, lengths[r])
    size = (QUERIES, _columns(longest))
    return Room(
        np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, like.dtype),
        np.empty(size, like.dtype), np.empty((QUERIES, width), np.float32), np.empty(QUERIES, np.float32),
    )  # fmt: skip


@compiled
def attend_to_sequences(address: Any, turned: Any, lengths: Any, room: Any, logs: Any, mixed: Any) -> None:
    """mixed (N, H W) P = softmax(q k' + causal mask) v; logs (N, H) = the logarithms of the sums of e^score.

    address: see `products.multiply`; turned (N, (H + 2 K) W) P: queries, already scaled, and keys, both
    turned by their positions, and values; lengths (R,).
    """
    query_heads = logs.shape[1]
    width = mixed.shape[1] // query_heads
    key_heads = (turned.shape[1] // width - query_heads) // 2
    first = 0
    for r in range(lengths.shape[0]):
        length = lengths[r]
        for h in range(query_heads):
            k = query_heads + h // (query_heads // key_heads)
            queries, keys, values = _heads(turned, first, length, width, h, k, k + key_heads)
            for begin in range(0, length, QUERIES):
                end = min(begin + QUERIES, length)
                rows = end - begin
                multiply(address, queries[begin:end], False, keys[:end], True, room.scores[:rows, :end], 0)
                for row in range(rows):
                    seen, columns = begin + row + 1, _columns(begin + row + 1)
                    most, total = _weigh(room.scores[row, :columns], seen, room.weights[row])
                    room.weights[row, columns:end] = 0
                    room.totals[row], logs[first + begin + row, h] = total, most + np.log(total)
                sums = room.sums[:rows]
                multiply(address, room.weights[:rows, :end], False, values[:end], False, sums, 0)
                for row in range(rows):
                    to, of = mixed[first + begin + row, h * width : (h + 1) * width], sums[row]
                    share = np.float32(1.0) / room.totals[row]
                    for d in range(width):
                        store(to, d, of[d] * share)
        first += length


@compiled
def _heads(turned: Any, first: Any, length: Any, width: Any, query: Any, key: Any, value: Any) -> Any:
    """Three heads of a sequence, (T, W) each."""
    rows = turned[first : first + length]
    return (
        rows[:, query * width : (query + 1) * width],
        rows[:, key * width : (key + 1) * width],
        rows[:, value * width : (value + 1) * width],
    )


@compiled
def _weigh(scores: Any, count: Any, weights: Any) -> Any:
    """weights = e^(score - highest) of the first `count` scores, 0 after them; returns the highest, and the
    sum of the weights.
    """
    scores[count:] = _NEVER
    most, total = highest(scores), np.float32(0.0)
    for j in range(scores.shape[0]):
        weight = exponential(scores[j] - most)
        store(weights, j, weight)
        total += weight
    return most, total


@compiled
def _columns(count: Any) -> Any:
    """The next multiple of what loops take at once, so that nothing is left over for slower ones."""
    return (count + _SPAN - 1) // _SPAN * _SPAN


@compiled
def attend_to_sequence_back(
    address: Any, turned: Any, logs: Any, of_mixed: Any, room: Any, of_turned: Any
) -> None:
    """The gradient of what one sequence gave to `attend_to_sequences`, from that of what it got.

    turned (T, (H + 2 K) W) P, logs (T, H), of_mixed (T, H W) P: of that sequence's T tokens alone; of_turned
    (T, (H + 2 K) W) float32 becomes the gradient.
    """
    query_heads, length = logs.shape[1], of_turned.shape[0]
    width = of_mixed.shape[1] // query_heads
    key_heads = (turned.shape[1] // width - query_heads) // 2
    of_turned[:, query_heads * width :] = 0
    for h in range(query_heads):
        k = query_heads + h // (query_heads // key_heads)
        queries, keys, values = _heads(turned, 0, length, width, h, k, k + key_heads)
        of_queries, of_keys, of_values = _heads(of_turned, 0, length, width, h, k, k + key_heads)
        for begin in range(0, length, QUERIES):
            end = min(begin + QUERIES, length)
            rows = end - begin
            of = of_mixed[begin:end, h * width : (h + 1) * width]
            multiply(address, queries[begin:end], False, keys[:end], True, room.scores[:rows, :end], 0)
            multiply(address, of, False, values[:end], True, room.slopes[:rows, :end], 0)
            for row in range(rows):
                seen, columns = begin + row + 1, _columns(begin + row + 1)
                _slope(
                    room.scores[row, :columns], room.slopes[row, :columns], seen,
                    logs[begin + row, h], room.weights[row], room.rises[row],
                )  # fmt: skip
                room.weights[row, columns:end] = room.rises[row, columns:end] = 0
            weights, rises = room.weights[:rows, :end], room.rises[:rows, :end]
            multiply(address, weights, True, of, False, of_values[:end], 1)
            multiply(address, rises, False, keys[:end], False, of_queries[begin:end], 0)
            multiply(address, rises, True, queries[begin:end], False, of_keys[:end], 1)


@compiled
def _slope(scores: Any, slopes: Any, count: Any, log: Any, weights: Any, rises: Any) -> None:
    """Weights w anew, and rises = the gradient of the scores, w (g - sum of w g); 0 from `count` on."""
    scores[count:] = _NEVER
    slopes[count:] = 0  # what an earlier sequence left may not be a number
    along = np.float32(0.0)
    for j in range(scores.shape[0]):
        weight = exponential(scores[j] - log)
        scores[j] = weight
        along += weight * slopes[j]
    for j in range(scores.shape[0]):
        store(weights, j, scores[j])
        store(rises, j, scores[j] * (slopes[j] - along))

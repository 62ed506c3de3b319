"""Causal attention over whole sequences, and its derivative, without ever holding all scores of a sequence.

Queries are taken block by block, each with the keys up to its own end. Kept is the logarithm of each query's
sum of weights, from which the derivative computes the weights anew (FlashAttention, Dao et al. 2022).

A sequence may follow one whose first tokens are its own first tokens too: these are not there again, its
queries meet the other's keys (`shared`, of each sequence: how many; 0 of one that begins itself).

Shapes: R sequences of N tokens together, one after the other, H query heads, K key-value heads, W head width,
S tokens that come before a sequence's own. P stands for the format of products, float32 or bfloat16 (uint16);
sums and scores are float32.
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
    """Memory for a block of queries and as many keys as the longest sequence sees, in whole spans."""

    scores: Any  # (QUERIES, T) float32
    slopes: Any  # (QUERIES, T) float32
    weights: Any  # (QUERIES, T) P
    rises: Any  # (QUERIES, T) P
    sums: Any  # (QUERIES, W) float32
    totals: Any  # (QUERIES,) float32
    joint: Any  # (T, 2 W) P, of a head the keys and values before a sequence, and its own; or (0, 2 W)
    of_joint: Any  # (T, 2 W) float32


@compiled
def room_for(lengths: Any, shared: Any, like: Any, width: Any) -> Any:
    """A `Room` for these sequences, for products of the format of the array `like`."""
    longest, joint = 1, 0
    for r in range(lengths.shape[0]):
        longest = max(longest, shared[r] + lengths[r])
        if shared[r]:
            joint = max(joint, shared[r] + lengths[r])
    size = (QUERIES, _columns(longest))
    return Room(
        np.empty(size, np.float32), np.empty(size, np.float32), np.empty(size, like.dtype),
        np.empty(size, like.dtype), np.empty((QUERIES, width), np.float32), np.empty(QUERIES, np.float32),
        np.empty((joint, 2 * width), like.dtype), np.empty((joint, 2 * width), np.float32),
    )  # fmt: skip


@compiled
def attend_to_sequences(
    address: Any, turned: Any, lengths: Any, shared: Any, room: Any, logs: Any, mixed: Any
) -> None:
    """mixed (N, H W) P = softmax(q k' + causal mask) v; logs (N, H) = the logarithms of the sums of e^score.

    address: see `products.multiply`; turned (N, (H + 2 K) W) P: queries, already scaled, and keys, both
    turned by their positions, and values; lengths, shared (R,).
    """
    query_heads = logs.shape[1]
    width = mixed.shape[1] // query_heads
    key_heads = (turned.shape[1] // width - query_heads) // 2
    first = begun = 0
    for r in range(lengths.shape[0]):
        length, before = lengths[r], shared[r]
        begun = begun if before else first
        own, theirs = turned[first : first + length], turned[begun : begun + before]
        for h in range(query_heads):
            k = query_heads + h // (query_heads // key_heads)
            queries = own[:, h * width : (h + 1) * width]
            keys, values = _keys_and_values(own, theirs, k, k + key_heads, width, room.joint)
            for begin in range(0, length, QUERIES):
                end = min(begin + QUERIES, length)
                rows, seen = end - begin, before + end
                multiply(address, queries[begin:end], False, keys[:seen], True, room.scores[:rows, :seen], 0)
                for row in range(rows):
                    count = before + begin + row + 1
                    columns = _columns(count)
                    most, total = _weigh(room.scores[row, :columns], count, room.weights[row])
                    room.weights[row, columns:seen] = 0
                    room.totals[row], logs[first + begin + row, h] = total, most + np.log(total)
                sums = room.sums[:rows]
                multiply(address, room.weights[:rows, :seen], False, values[:seen], False, sums, 0)
                for row in range(rows):
                    to, of = mixed[first + begin + row, h * width : (h + 1) * width], sums[row]
                    share = np.float32(1.0) / room.totals[row]
                    for d in range(width):
                        store(to, d, of[d] * share)
        first += length


@compiled
def _keys_and_values(own: Any, theirs: Any, key: Any, value: Any, width: Any, joint: Any) -> Any:
    """A head's keys and values, (S + T, W) each, of the S tokens before a sequence and its own T."""
    before, length = theirs.shape[0], own.shape[0]
    if before == 0:
        return own[:, key * width : (key + 1) * width], own[:, value * width : (value + 1) * width]
    for t in range(before + length):
        of, to = theirs[t] if t < before else own[t - before], joint[t]
        for d in range(width):
            to[d], to[width + d] = of[key * width + d], of[value * width + d]
    return joint[: before + length, :width], joint[: before + length, width:]


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
    address: Any, turned: Any, theirs: Any, logs: Any, of_mixed: Any, room: Any, of_turned: Any,
    of_theirs: Any,
) -> None:  # fmt: skip
    """The gradient of what one sequence gave to `attend_to_sequences`, from that of what it got.

    turned (T, (H + 2 K) W) P, logs (T, H), of_mixed (T, H W) P: of that sequence's T tokens alone; of_turned
    (T, (H + 2 K) W) float32 becomes the gradient. theirs (S, (H + 2 K) W) P: of the tokens before its own;
    to of_theirs, float32, the gradient of their keys and values is added.
    """
    query_heads, length, before = logs.shape[1], of_turned.shape[0], theirs.shape[0]
    width = of_mixed.shape[1] // query_heads
    key_heads = (turned.shape[1] // width - query_heads) // 2
    of_turned[:, query_heads * width :] = 0
    for h in range(query_heads):
        k = query_heads + h // (query_heads // key_heads)
        v = k + key_heads
        here = slice(h * width, (h + 1) * width)
        queries, of_queries = turned[:, here], of_turned[:, here]
        keys, values = _keys_and_values(turned, theirs, k, v, width, room.joint)
        of_keys, of_values = _their_gradients(of_turned, before, k, v, width, room.of_joint)
        for begin in range(0, length, QUERIES):
            end = min(begin + QUERIES, length)
            rows, seen = end - begin, before + end
            of = of_mixed[begin:end, here]
            multiply(address, queries[begin:end], False, keys[:seen], True, room.scores[:rows, :seen], 0)
            multiply(address, of, False, values[:seen], True, room.slopes[:rows, :seen], 0)
            for row in range(rows):
                count = before + begin + row + 1
                columns = _columns(count)
                _slope(
                    room.scores[row, :columns], room.slopes[row, :columns], count,
                    logs[begin + row, h], room.weights[row], room.rises[row],
                )  # fmt: skip
                room.weights[row, columns:seen] = room.rises[row, columns:seen] = 0
            weights, rises = room.weights[:rows, :seen], room.rises[:rows, :seen]
            multiply(address, weights, True, of, False, of_values[:seen], 1)
            multiply(address, rises, False, keys[:seen], False, of_queries[begin:end], 0)
            multiply(address, rises, True, queries[begin:end], False, of_keys[:seen], 1)
        if before:
            _add_joint(room.of_joint, k, v, width, of_theirs, of_turned)


@compiled
def _their_gradients(of_turned: Any, before: Any, key: Any, value: Any, width: Any, of_joint: Any) -> Any:
    """Where the gradients of what `_keys_and_values` gives are summed."""
    if before == 0:
        return (
            of_turned[:, key * width : (key + 1) * width],
            of_turned[:, value * width : (value + 1) * width],
        )
    count = before + of_turned.shape[0]
    of_joint[:count] = 0
    return of_joint[:count, :width], of_joint[:count, width:]


@compiled
def _add_joint(of_joint: Any, key: Any, value: Any, width: Any, of_theirs: Any, of_own: Any) -> None:
    before = of_theirs.shape[0]
    for t in range(before + of_own.shape[0]):
        of, to = of_joint[t], of_theirs[t] if t < before else of_own[t - before]
        for d in range(width):
            to[key * width + d] += of[d]
            to[value * width + d] += of[width + d]


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

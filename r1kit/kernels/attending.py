"""Attention of one new token per row over keys and values that are kept, with the turning of heads.

Shapes: B rows, H query heads, K key-value heads, W head width, a multiple of 8, T positions. Keys lie in
blocks of positions, so that the scores of neighbours are one vector. `lanes` is a tuple of W numbers: the
compiler knows a tuple's length, and with it how many numbers each loop over a head has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from r1kit.kernels import BLOCK
from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import exponential, highest, prefetch, store, widen

_LINE = 64  # bytes of memory that come together


@compiled
def _turn(head: Any, cos: Any, sin: Any, weight: Any, epsilon: Any, lanes: Any, out: Any) -> None:
    """A head by its position's angle; normalised first where there is a gain, `weight` (W,) or (0,)."""
    width, half = len(lanes), len(lanes) // 2
    scale = np.float32(1.0)
    if len(weight):
        squares = np.float32(0.0)
        for d in range(width):
            squares += widen(head[d]) * widen(head[d])
        scale = np.float32(1.0) / np.sqrt(squares / np.float32(width) + np.float32(epsilon))
    for d in range(half):
        low, high = widen(head[d]) * scale, widen(head[half + d]) * scale
        if len(weight):
            low, high = low * weight[d], high * weight[half + d]
        out[d] = low * cos[d] - high * sin[d]
        out[half + d] = high * cos[d] + low * sin[d]


@compiled
def _score(query: Any, keys: Any, count: Any, lanes: Any, scores: Any) -> Any:
    """e^(score - highest score) of the first `count` positions, into `scores` (T,); returns their sum."""
    width = len(lanes)
    for block in range((count + BLOCK - 1) // BLOCK):
        first = block * BLOCK
        for t in range(BLOCK):
            scores[first + t] = np.float32(0.0)
        for d in range(0, width, 8):
            q0, q1, q2, q3 = query[d], query[d + 1], query[d + 2], query[d + 3]
            q4, q5, q6, q7 = query[d + 4], query[d + 5], query[d + 6], query[d + 7]
            for t in range(BLOCK):
                scores[first + t] += (
                    q0 * widen(keys[block, d, t])
                    + q1 * widen(keys[block, d + 1, t])
                    + q2 * widen(keys[block, d + 2, t])
                    + q3 * widen(keys[block, d + 3, t])
                    + q4 * widen(keys[block, d + 4, t])
                    + q5 * widen(keys[block, d + 5, t])
                    + q6 * widen(keys[block, d + 6, t])
                    + q7 * widen(keys[block, d + 7, t])
                )
    most = highest(scores[:count])
    total = np.float32(0.0)
    for t in range(count):
        weight = exponential(scores[t] - most)
        scores[t] = weight
        total += weight
    return total


@compiled
def _mix(weights: Any, values: Any, count: Any, lanes: Any, mixed: Any) -> None:
    """The mixture of the first `count` values (T, W), into `mixed` (W,)."""
    width = len(lanes)
    for d in range(width):
        mixed[d] = np.float32(0.0)
    fours = count // 4
    for four in range(fours):
        t = four * 4
        w0, w1, w2, w3 = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
        for d in range(width):
            mixed[d] += (
                w0 * widen(values[t, d])
                + w1 * widen(values[t + 1, d])
                + w2 * widen(values[t + 2, d])
                + w3 * widen(values[t + 3, d])
            )
    for t in range(fours * 4, count):
        w0 = weights[t]
        for d in range(width):
            mixed[d] += w0 * widen(values[t, d])


@compiled
def attend(
    joined: Any, cosine: Any, sine: Any, norms: Any, epsilon: Any, scaling: Any, lanes: Any,
    positions: Any, slots: Any, keys: Any, values: Any, out: Any,
) -> None:  # fmt: skip
    """Turn queries and keys by their positions, store keys and values, and mix what is stored.

    joined (B, (H + 2 K) W): queries, keys, values; cosine and sine (T, W / 2) float32; norms (2, W) or
    (2, 0) float32: of each head of queries and keys; positions and slots of each row; keys
    (slots, K, T / BLOCK, W, BLOCK) and values (slots, K, T, W), written at the row's position; out
    (B, H W).
    """
    width, key_heads = len(lanes), keys.shape[1]
    query_heads = out.shape[1] // width
    groups = query_heads // key_heads
    head, mixed = np.empty(width, np.float32), np.empty(width, np.float32)
    scores = np.empty(values.shape[2], np.float32)
    rows, line = out.shape[0], _LINE // keys.itemsize
    for b in range(rows):
        position = positions[b]
        block, place = position // BLOCK, position % BLOCK
        cos, sin, row, to = cosine[position], sine[position], joined[b], out[b]
        slot = slots[b]
        following, next_slot = (positions[b + 1], slots[b + 1]) if b + 1 < rows else (-1, 0)
        for k in range(key_heads):
            # the next row's keys and values come from far away while this row's are computed with
            for ahead in range(0, (following // BLOCK + 1) * BLOCK * width, line):
                prefetch(keys, (next_slot * key_heads + k) * keys[0, 0].size + ahead)
            for ahead in range(0, (following + 1) * width, line):
                prefetch(values, (next_slot * key_heads + k) * values[0, 0].size + ahead)
            stored_keys, stored_values = keys[slot, k], values[slot, k]
            begin = (query_heads + k) * width
            _turn(row[begin : begin + width], cos, sin, norms[1], epsilon, lanes, head)
            new_key, new_value = stored_keys[block].reshape(width * BLOCK), stored_values[position]
            for d in range(width):
                store(new_key, d * BLOCK + place, head[d])
            begin += key_heads * width
            for d in range(width):
                store(new_value, d, row[begin + d])
            for g in range(groups):
                begin = (k * groups + g) * width
                _turn(row[begin : begin + width], cos, sin, norms[0], epsilon, lanes, head)
                for d in range(width):
                    head[d] *= scaling
                total = _score(head, stored_keys, position + 1, lanes, scores)
                _mix(scores, stored_values, position + 1, lanes, mixed)
                share = np.float32(1.0) / total
                for d in range(width):
                    store(to, begin + d, mixed[d] * share)

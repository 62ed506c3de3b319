"""A softmax's mixture of values, taken block by block: each block of positions is read once.

The running form of Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018), with values
as in FlashAttention (Dao et al. 2022): where a block raises the highest score, what was summed before is
multiplied by e^(old highest - new highest).

Shapes: J queries, W head width, a multiple of 8, P = W rounded up to a multiple of 16. The numbers of a
key-value head in a block of BLOCK positions are its keys (W, BLOCK), so that the scores of neighbours are one
vector, and then its values (BLOCK, P), of which lanes from W on hold anything. A query's state
is 32 + P float32 numbers: its highest score so far, 16 times, 16 partial sums of weights, and what the
values sum up to. `lanes` is a tuple of W numbers, see `attending`; `LANES` are those of a vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from r1kit.kernels import BLOCK
from r1kit.kernels.compiler import compiled, compiled_in_order
from r1kit.kernels.floats import prefetch, store
from r1kit.kernels.vectors import (
    LANES,
    exponentials,
    larger,
    largest,
    load,
    load_rows,
    minus,
    multiply_add,
    plus,
    save_rows,
    spread,
    times,
    up_to,
    zeros,
)

TILE = 4  # queries for which a block is widened once
HEADER = 2 * LANES  # numbers of a state before its values
_ONE, _TILE = (0,), (0,) * TILE
_LINE = 64  # bytes of memory that come together


@compiled
def begin(states: Any, count: Any, lanes: Any) -> None:
    """The states of `count` queries that have seen nothing."""
    size = HEADER + (len(lanes) + LANES - 1) // LANES * LANES
    for j in range(count):
        for place in range(j * size, (j + 1) * size):
            states[place] = np.float32(0.0)
        for place in range(j * size, j * size + LANES):
            states[place] = -np.float32(np.inf)


@compiled_in_order
def _add(
    rows: Any, queries: Any, states: Any, first: Any, block: Any, begin: Any, count: Any, ahead: Any,
    lanes: Any, weights: Any,
) -> None:  # fmt: skip
    """`add` for the queries `first`, first + 1, … of which there are as many as `rows` is long."""
    width = len(lanes)
    padded = (width + LANES - 1) // LANES * LANES
    size, values, half = HEADER + padded, begin + width * BLOCK, BLOCK // 2
    low, high, other_low, other_high = zeros(rows), zeros(rows), zeros(rows), zeros(rows)
    for pair in range(width // 2):
        q, key = first * width + 2 * pair, begin + 2 * pair * BLOCK
        # what is read next comes from far away: it is asked for a line at a time
        for line in range(key, key + 2 * BLOCK, _LINE // block.itemsize):
            prefetch(ahead, line)
            prefetch(ahead, line + width * BLOCK)
        query = spread(queries, q, width, rows)
        low = multiply_add(query, load(block, key, rows), low)
        high = multiply_add(query, load(block, key + half, rows), high)
        query = spread(queries, q + 1, width, rows)
        other_low = multiply_add(query, load(block, key + BLOCK, rows), other_low)
        other_high = multiply_add(query, load(block, key + BLOCK + half, rows), other_high)
    low, high = up_to(plus(low, other_low), count), up_to(plus(high, other_high), count - half)
    state = first * size
    before = load_rows(states, state, size, rows)
    peak = larger(before, largest(larger(low, high)))
    fade = exponentials(minus(before, peak))
    low, high = exponentials(minus(low, peak)), exponentials(minus(high, peak))
    save_rows(weights, 0, BLOCK, low)
    save_rows(weights, half, BLOCK, high)
    save_rows(states, state, size, peak)
    sums = state + LANES
    total = multiply_add(load_rows(states, sums, size, rows), fade, plus(low, high))
    save_rows(states, sums, size, total)
    for mixed in range(state + HEADER, state + size, LANES):
        lane = values + mixed - state - HEADER
        m0 = times(load_rows(states, mixed, size, rows), fade)
        m1, m2, m3 = zeros(rows), zeros(rows), zeros(rows)
        fours = count // 4
        for four in range(fours):
            t, v = 4 * four, lane + 4 * four * padded
            m0 = multiply_add(spread(weights, t, BLOCK, rows), load(block, v, rows), m0)
            m1 = multiply_add(spread(weights, t + 1, BLOCK, rows), load(block, v + padded, rows), m1)
            m2 = multiply_add(spread(weights, t + 2, BLOCK, rows), load(block, v + 2 * padded, rows), m2)
            m3 = multiply_add(spread(weights, t + 3, BLOCK, rows), load(block, v + 3 * padded, rows), m3)
        for t in range(4 * fours, count):
            m0 = multiply_add(spread(weights, t, BLOCK, rows), load(block, lane + t * padded, rows), m0)
        save_rows(states, mixed, size, plus(plus(m0, m1), plus(m2, m3)))


@compiled_in_order
def add(
    queries: Any, states: Any, first: Any, many: Any, block: Any, begin: Any, count: Any, ahead: Any,
    lanes: Any, weights: Any,
) -> None:  # fmt: skip
    """Let `many` queries (J, W), from `first` on, see the first `count` positions of a head, whose numbers in
    a block are those from `begin` on.

    `ahead` is the block that is read next; `weights` is memory of TILE BLOCK float32. A query's numbers do
    not depend on the others'.
    """
    tiled = many // TILE * TILE
    for tile in range(0, tiled, TILE):
        _add(_TILE, queries, states, first + tile, block, begin, count, ahead, lanes, weights)
    for one in range(tiled, many):
        _add(_ONE, queries, states, first + one, block, begin, count, ahead, lanes, weights)


@compiled
def finish(states: Any, query: Any, lanes: Any, out: Any) -> None:
    """The mixture that a query has seen, into `out` (W,)."""
    padded = (len(lanes) + LANES - 1) // LANES * LANES
    state, total = query * (HEADER + padded), np.float32(0.0)
    for lane in range(LANES):
        total += states[state + LANES + lane]
    share = np.float32(1.0) / total
    for d in range(len(lanes)):
        store(out, d, states[state + HEADER + d] * share)

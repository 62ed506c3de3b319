"""Attention of one new token per row over keys and values that are kept in blocks, some shared by rows.

Shapes: B rows, H query heads, K key-value heads, W head width, a multiple of 8, T positions, U prompts.
`lanes` is a tuple of W numbers: the compiler knows a tuple's length, and with it how many numbers each loop
over a head has.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from r1kit.kernels import BLOCK
from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import store, widen
from r1kit.kernels.mixing import HEADER, TILE, add, begin, finish
from r1kit.kernels.vectors import LANES, numbers_at

_ROWS = 16  # of one prompt, whose queries are in the nearest memory together


class Past(NamedTuple):
    """Where the keys and values of rows are: those of a prompt once, those that came after it by row.

    A block holds BLOCK positions of all layers and heads: (L, K, numbers of a head), see `mixing`. Blocks are
    given by their addresses.
    """

    slots: Any  # (B,) int64: where each row is in the tables by slot; rows of a prompt lie together
    prompts: Any  # (slots,) int64
    lengths: Any  # (U,) int64: positions of each prompt
    shared: Any  # (U, n) int64: the blocks of each prompt
    blocks: Any  # (slots, n) int64: the blocks of each row's own positions, which follow the prompt's


def head_numbers(width: int) -> int:
    """Numbers of one head's keys and values in a block."""
    return BLOCK * (width + -(-width // LANES) * LANES)


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
def _keep(
    row: Any, cos: Any, sin: Any, norms: Any, epsilon: Any, lanes: Any, heads: Any, block: Any, place: Any,
    head: Any,
) -> None:  # fmt: skip
    """Write a row's turned keys, and its values, at a place of its block (K times the numbers of a head,)."""
    width = len(lanes)
    padded = (width + LANES - 1) // LANES * LANES
    of_head = BLOCK * (width + padded)
    key_heads = len(block) // of_head
    for k in range(key_heads):
        begin_key, begin_value = (heads + k) * width, (heads + key_heads + k) * width
        _turn(row[begin_key : begin_key + width], cos, sin, norms[1], epsilon, lanes, head)
        keys = block[k * of_head : (k + 1) * of_head]
        value = keys[width * BLOCK + place * padded : width * BLOCK + place * padded + width]
        for d in range(width):
            store(keys, d * BLOCK + place, head[d])
        for d in range(width):
            store(value, d, row[begin_value + d])


@compiled
def _place(head: Any, i: Any, run: Any, groups: Any) -> Any:
    """Where row i's query of a head is: queries are (K, rows of the run, H / K), those that see the same keys
    together.
    """
    return (head // groups * run + i) * groups + head % groups


@compiled
def attend(
    joined: Any, cosine: Any, sine: Any, norms: Any, epsilon: Any, scaling: Any, lanes: Any,
    positions: Any, past: Any, layer: Any, key_heads: Any, out: Any,
) -> None:  # fmt: skip
    """Turn queries and keys by their positions, keep keys and values, and mix what is kept.

    joined (B, (H + 2 K) W): queries, keys, values; cosine and sine (T, W / 2) float32; norms (2, W) or
    (2, 0) float32: of each head of queries and keys; positions (B,); out (B, H W), of the format of what is
    kept.
    """
    width, rows = len(lanes), out.shape[0]
    padded = (width + LANES - 1) // LANES * LANES
    query_heads, of_head = out.shape[1] // width, BLOCK * (width + padded)
    groups, of_layer = query_heads // key_heads, key_heads * of_head
    offset = layer * of_layer * out.itemsize
    queries = np.empty(_ROWS * query_heads * width, np.float32)
    states = np.empty(_ROWS * query_heads * (HEADER + padded), np.float32)
    weights, head = np.empty(TILE * BLOCK, np.float32), np.empty(width, np.float32)
    start = 0
    while start < rows:
        prompt, run = past.prompts[past.slots[start]], 1
        while start + run < rows and run < _ROWS and past.prompts[past.slots[start + run]] == prompt:
            run += 1
        for i in range(run):
            b = start + i
            for h in range(query_heads):
                to = _place(h, i, run, groups) * width
                query = queries[to : to + width]
                _turn(joined[b, h * width : (h + 1) * width], cosine[positions[b]], sine[positions[b]],
                      norms[0], epsilon, lanes, query)  # fmt: skip
                for d in range(width):
                    query[d] *= scaling
        begin(states, run * query_heads, lanes)
        length = past.lengths[prompt]
        before = (length + BLOCK - 1) // BLOCK
        for place in range(before):
            following = past.blocks[past.slots[start], 0]
            if place + 1 < before:
                following = past.shared[prompt, place + 1]
            block = numbers_at(past.shared[prompt, place] + offset, of_layer, out)
            ahead = numbers_at(following + offset, of_layer, out)
            for k in range(key_heads):
                add(queries, states, k * run * groups, run * groups, block, k * of_head,
                    min(BLOCK, length - place * BLOCK), ahead, lanes, weights)  # fmt: skip
        for i in range(run):
            b = start + i
            slot, after, own = past.slots[b], past.slots[min(b + 1, rows - 1)], positions[b] - length
            for place in range(own // BLOCK + 1):
                last = place == own // BLOCK
                following = past.blocks[after, 0] if last else past.blocks[slot, place + 1]
                block = numbers_at(past.blocks[slot, place] + offset, of_layer, out)
                ahead = numbers_at(following + offset, of_layer, out)
                if last:  # only now, because it was fetched meanwhile
                    _keep(joined[b], cosine[positions[b]], sine[positions[b]], norms, epsilon, lanes,
                          query_heads, block, own % BLOCK, head)  # fmt: skip
                for k in range(key_heads):
                    add(queries, states, (k * run + i) * groups, groups, block, k * of_head,
                        min(BLOCK, own + 1 - place * BLOCK), ahead, lanes, weights)  # fmt: skip
            for h in range(query_heads):
                finish(states, _place(h, i, run, groups), lanes, out[b, h * width : (h + 1) * width])
        start += run

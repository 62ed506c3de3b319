"""A decoding step of a Llama-like model: one new token for each row, in one call.

Shapes: L layers, B rows, D width, H query heads, K key-value heads, W head width, T positions, F width of the
feed-forward layer, V vocabulary. Weights, what is multiplied with them, keys and values are float32 or
bfloat16 (uint16); products and everything else are float32.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from r1kit.kernels import BLOCK
from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import exponential, highest, prefetch, store, widen
from r1kit.kernels.products import product

_LINE = 64  # bytes of memory that come together


@compiled
def take_rows(table: Any, tokens: Any, x: Any) -> None:
    """Row b of x (B, D), float32, becomes row tokens[b] of `table` (V, D)."""
    for b in range(tokens.shape[0]):
        row, out = table[tokens[b]], x[b]
        for d in range(x.shape[1]):
            out[d] = widen(row[d])


@compiled
def normalise(x: Any, weight: Any, epsilon: Any, out: Any) -> None:
    """out = x / sqrt(mean(x²) + epsilon) * weight; x (B, D) float32, weight (D,) float32."""
    width = x.shape[1]
    for b in range(out.shape[0]):
        row, to = x[b], out[b]
        squares = np.float32(0.0)
        for d in range(width):
            squares += row[d] * row[d]
        scale = np.float32(1.0) / np.sqrt(squares / np.float32(width) + np.float32(epsilon))
        for d in range(width):
            store(to, d, row[d] * scale * weight[d])


@compiled
def add_bias(x: Any, bias: Any) -> None:
    """x (B, D) float32 += bias (D,), which may be missing: of length 0."""
    for b in range(x.shape[0]):
        row = x[b]
        for d in range(bias.shape[0]):
            row[d] += bias[d]


@compiled
def gate(joined: Any, out: Any) -> None:
    """out (B, F) = silu(first half of `joined` (B, 2 F)) * second half."""
    width = out.shape[1]
    for b in range(out.shape[0]):
        gates, ups, to = joined[b, :width], joined[b, width:], out[b]
        for f in range(width):
            g = widen(gates[f])
            store(to, f, g / (np.float32(1.0) + exponential(-g)) * widen(ups[f]))


@cache
def _attention(width: int) -> Any:
    """`attend` for heads of this width, a multiple of 8, which the compiler knows."""
    half = width // 2

    @compiled
    def turn(head: Any, cos: Any, sin: Any, weight: Any, epsilon: Any, out: Any) -> None:
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
    def score(query: Any, keys: Any, count: Any, scores: Any) -> Any:
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
    def mix(weights: Any, values: Any, count: Any, mixed: Any) -> None:
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
        joined: Any, cosine: Any, sine: Any, norms: Any, epsilon: Any, scaling: Any,
        positions: Any, slots: Any, keys: Any, values: Any, out: Any,
    ) -> None:  # fmt: skip
        """Turn queries and keys by their positions, store keys and values, and mix what is stored.

        joined (B, (H + 2 K) W): queries, keys, values; cosine and sine (T, W / 2) float32; norms (2, W) or
        (2, 0) float32: of each head of queries and keys; positions and slots of each row; keys
        (slots, K, T / BLOCK, W, BLOCK) and values (slots, K, T, W), written at the row's position; out (B, H W).
        """
        key_heads = keys.shape[1]
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
                turn(row[begin : begin + width], cos, sin, norms[1], epsilon, head)
                new_key, new_value = stored_keys[block].reshape(width * BLOCK), stored_values[position]
                for d in range(width):
                    store(new_key, d * BLOCK + place, head[d])
                begin += key_heads * width
                for d in range(width):
                    store(new_value, d, row[begin + d])
                for g in range(groups):
                    begin = (k * groups + g) * width
                    turn(row[begin : begin + width], cos, sin, norms[0], epsilon, head)
                    for d in range(width):
                        head[d] *= scaling
                    total = score(head, stored_keys, position + 1, scores)
                    mix(scores, stored_values, position + 1, mixed)
                    share = np.float32(1.0) / total
                    for d in range(width):
                        store(to, begin + d, mixed[d] * share)

    return attend


class Weights(NamedTuple):
    """The weights of a decoder; gains and biases are float32, a bias that does not exist has length 0."""

    table: Any  # (V, D)
    gains: Any  # (2 L + 1, D): before attention and before the feed-forward part of each layer, and the last
    qkv: Any  # (L, D, (H + 2 K) W)
    qkv_bias: Any  # (L, (H + 2 K) W)
    head_gains: Any  # (L, 2, W) of queries and keys, or (L, 2, 0)
    output: Any  # (L, H W, D)
    output_bias: Any  # (L, D)
    gate_up: Any  # (L, D, 2 F)
    gate_up_bias: Any  # (L, 2 F)
    down: Any  # (L, F, D)
    down_bias: Any  # (L, D)
    head: Any  # (D, V)


class Numbers(NamedTuple):
    """The constants of a decoder."""

    product: int  # address, see `products.product`
    epsilon: float  # of its norms
    head_epsilon: float
    scaling: Any  # float32, of the attention's scores


class Buffers(NamedTuple):
    """Memory of a step of B rows; N stands for the format of the weights."""

    x: Any  # (B, D) float32
    narrow: Any  # (B, D) N
    joined: Any  # (B, (H + 2 K) W) float32
    mixed: Any  # (B, H W) N
    gate_up: Any  # (B, 2 F) float32
    active: Any  # (B, F) N
    logits: Any  # (B, V) float32


@cache
def decoder_step(width: int) -> Any:
    """The step of models with heads of this width: see `step` in it."""
    attend = _attention(width)

    @compiled
    def step(
        weights: Any, numbers: Any, buffers: Any, tokens: Any, positions: Any, slots: Any,
        cosine: Any, sine: Any, keys: Any, values: Any,
    ) -> None:  # fmt: skip
        """Logits of the next token of each row; the cache takes the tokens' keys and values.

        tokens, positions and slots: (B,) int64; cosine and sine (T, W / 2); keys and values: L arrays each,
        see `attend`.
        """
        address, epsilon = numbers.product, numbers.epsilon
        x, narrow = buffers.x, buffers.narrow
        take_rows(weights.table, tokens, x)
        for layer in range(len(keys)):
            normalise(x, weights.gains[2 * layer], epsilon, narrow)
            product(address, narrow, weights.qkv[layer], buffers.joined, 0)
            add_bias(buffers.joined, weights.qkv_bias[layer])
            attend(
                buffers.joined, cosine, sine, weights.head_gains[layer], numbers.head_epsilon, numbers.scaling,
                positions, slots, keys[layer], values[layer], buffers.mixed,
            )  # fmt: skip
            product(address, buffers.mixed, weights.output[layer], x, 1)
            add_bias(x, weights.output_bias[layer])
            normalise(x, weights.gains[2 * layer + 1], epsilon, narrow)
            product(address, narrow, weights.gate_up[layer], buffers.gate_up, 0)
            add_bias(buffers.gate_up, weights.gate_up_bias[layer])
            gate(buffers.gate_up, buffers.active)
            product(address, buffers.active, weights.down[layer], x, 1)
            add_bias(x, weights.down_bias[layer])
        normalise(x, weights.gains[2 * len(keys)], epsilon, narrow)
        product(address, narrow, weights.head, buffers.logits, 0)

    return step

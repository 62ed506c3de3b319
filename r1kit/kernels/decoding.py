"""A decoding step of a Llama-like model: one new token for each row, in one call.

Shapes: L layers, B rows, D width, H query heads, K key-value heads, W head width, T positions, F width of the
feed-forward layer, V vocabulary. Weights, what is multiplied with them, keys and values are float32 or
bfloat16 (uint16); products and everything else are float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from r1kit.kernels.attending import attend
from r1kit.kernels.compiler import compiled
from r1kit.kernels.drawing import draw
from r1kit.kernels.floats import store, widen
from r1kit.kernels.products import product
from r1kit.kernels.training import gate

_MOST = np.float32(3e38)


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
        if squares > _MOST:  # the root's approximation would make NaN of infinity
            scale = np.float32(0.0)
        for d in range(width):
            store(to, d, row[d] * scale * weight[d])


@compiled
def add_bias(x: Any, bias: Any) -> None:
    """x (B, D) float32 += bias (D,), which may be missing: of length 0."""
    for b in range(x.shape[0]):
        row = x[b]
        for d in range(bias.shape[0]):
            row[d] += bias[d]


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


@compiled
def step(
    weights: Any, numbers: Any, buffers: Any, lanes: Any, tokens: Any, positions: Any, past: Any,
    cosine: Any, sine: Any,
) -> None:  # fmt: skip
    """Logits of the next token of each row; the cache takes the tokens' keys and values.

    tokens and positions: (B,) int64; past: see `attending.Past`; cosine and sine (T, W / 2).
    """
    address, epsilon = numbers.product, numbers.epsilon
    x, narrow, layers = buffers.x, buffers.narrow, weights.qkv.shape[0]
    key_heads = (buffers.joined.shape[1] - buffers.mixed.shape[1]) // (2 * len(lanes))
    take_rows(weights.table, tokens, x)
    for layer in range(layers):
        normalise(x, weights.gains[2 * layer], epsilon, narrow)
        product(address, narrow, weights.qkv[layer], buffers.joined, 0)
        add_bias(buffers.joined, weights.qkv_bias[layer])
        attend(
            buffers.joined, cosine, sine, weights.head_gains[layer], numbers.head_epsilon,
            numbers.scaling, lanes, positions, past, layer, key_heads, buffers.mixed,
        )  # fmt: skip
        product(address, buffers.mixed, weights.output[layer], x, 1)
        add_bias(x, weights.output_bias[layer])
        normalise(x, weights.gains[2 * layer + 1], epsilon, narrow)
        product(address, narrow, weights.gate_up[layer], buffers.gate_up, 0)
        add_bias(buffers.gate_up, weights.gate_up_bias[layer])
        gate(buffers.gate_up, buffers.active)
        product(address, buffers.active, weights.down[layer], x, 1)
        add_bias(x, weights.down_bias[layer])
    normalise(x, weights.gains[2 * layers], epsilon, narrow)
    product(address, narrow, weights.head, buffers.logits, 0)


@compiled
def step_and_draw(
    weights: Any, numbers: Any, buffers: Any, lanes: Any, state: Any, live: Any, past: Any,
    cosine: Any, sine: Any, temperature: Any, drawn: Any, logprobs: Any,
) -> None:  # fmt: skip
    """`step` and `drawing.draw` for the first `live` rows of `state` (4, B): each row's next token, its
    length, the number of its drawn tokens, its seed; the first three become those of the next step.
    """
    tokens, positions, counts = state[0, :live], state[1, :live], state[2, :live]
    step(weights, numbers, buffers, lanes, tokens, positions, past, cosine, sine)
    draw(buffers.logits, state[3, :live], counts, temperature, tokens, drawn, logprobs)
    for row in range(live):
        positions[row] += 1
        counts[row] += 1

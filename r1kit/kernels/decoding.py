"""A decoding step of a Llama-like model: one new token for each row, in one call.

Shapes: L layers, B rows, D width, H query heads, K key-value heads, W head width, T positions, F width of the
feed-forward layer, V vocabulary. Weights, what is multiplied with them, keys and values are float32 or
bfloat16 (uint16); products and everything else are float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from r1kit.kernels import FULL, GOES_ON, MAY_STOP
from r1kit.kernels.attending import Past, attend
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


class Rows(NamedTuple):
    """What is known of each row, by its slot: (slots,) int64, but for `fates`, which are uint8."""

    tokens: Any  # the next token to compute with
    lengths: Any  # positions before it
    counts: Any  # tokens drawn
    limits: Any  # most tokens to draw
    seeds: Any
    fates: Any  # GOES_ON, ENDS, MAY_STOP or FULL


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
def advance(rows: Any, slots: Any, codes: Any) -> Any:
    """Count the tokens just drawn for the rows in `slots` (B,), and note what becomes of each row.

    Rows that go on, or may have stopped, move to the front of `slots`, in their order. Returns how many these
    are, and how many of them may have stopped.
    """
    stay, asked = 0, 0
    for b in range(slots.shape[0]):
        slot = slots[b]
        rows.lengths[slot] += 1
        rows.counts[slot] += 1
        fate = codes[rows.tokens[slot]]
        if fate == GOES_ON and rows.counts[slot] >= rows.limits[slot]:
            fate = FULL
        rows.fates[slot] = fate
        if fate in (GOES_ON, MAY_STOP):
            slots[stay] = slot
            stay += 1
            asked += fate == MAY_STOP
    return stay, asked


@compiled
def decode(
    weights: Any, numbers: Any, buffers: Any, lanes: Any, rows: Any, past: Any, cosine: Any, sine: Any,
    params: Any, codes: Any, steps: Any, fewest: Any, drawn: Any, logprobs: Any,
) -> Any:  # fmt: skip
    """Up to `steps` tokens for each row in `past.slots`, which must have the blocks for them as far as its
    limit: `step`, `drawing.draw` and `advance`, again and again.

    It ends before where rows may have stopped, or where no more than `fewest` rows go on. Returns how many go
    on or may have stopped: they come first in `past.slots`. params: see `draw`; codes (V,) uint8: of each
    token as it arrives; drawn (slots, T) int64, logprobs (slots, T, 2) float32.
    """
    live = past.slots.shape[0]
    tokens, positions = np.empty(live, np.int64), np.empty(live, np.int64)
    for _ in range(steps):
        slots = past.slots[:live]
        for b in range(live):
            tokens[b], positions[b] = rows.tokens[slots[b]], rows.lengths[slots[b]]
        now = Buffers(
            buffers.x[:live], buffers.narrow[:live], buffers.joined[:live], buffers.mixed[:live],
            buffers.gate_up[:live], buffers.active[:live], buffers.logits[:live],
        )  # fmt: skip
        seen = Past(slots, past.prompts, past.lengths, past.shared, past.blocks)
        step(weights, numbers, now, lanes, tokens[:live], positions[:live], seen, cosine, sine)
        draw(now.logits, slots, rows.seeds, rows.counts, params, rows.tokens, drawn, logprobs)
        live, asked = advance(rows, slots, codes)
        if asked or live <= fewest:
            break
    return live

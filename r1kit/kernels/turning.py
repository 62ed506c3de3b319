"""What becomes of heads between their product and attention, with its derivative.

Queries are scaled; queries and keys are turned by their positions, where there are gains for them (Qwen3)
after a norm of each head: float32, the epsilon inside the root, as the library's `Qwen3RMSNorm`.

Heads that are normalised are rounded to the format of products first, as autocast rounds them, and these are
what is kept: the derivative needs them, and can make of them once more what attention reads. So a layer keeps
no more of such heads than of others.

Shapes: N tokens, T tokens of one sequence, H query heads, K key-value heads, W head width. P stands for the
format of products, float32 or bfloat16 (uint16); cosine and sine are (positions, W / 2) float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import store, widen


@compiled
def turn(joined: Any, bias: Any, positions: Any, cosine: Any, sine: Any, numbers: Any, turned: Any) -> None:
    """turned (N, (H + 2 K) W) P = `joined` + bias, with queries scaled, and queries and keys turned.

    joined (N, (H + 2 K) W) float32, becomes the sum with the bias; numbers: see `layers.Numbers`.
    """
    half = cosine.shape[1]
    width = 2 * half
    heads = joined.shape[1] // width
    turning = numbers.query_heads + (heads - numbers.query_heads) // 2
    for n in range(joined.shape[0]):
        row, out, cos, sin = joined[n], turned[n], cosine[positions[n]], sine[positions[n]]
        for d in range(bias.shape[0]):
            row[d] += bias[d]
        for h in range(turning):
            of, to = row[h * width : (h + 1) * width], out[h * width : (h + 1) * width]
            factor = numbers.scaling if h < numbers.query_heads else np.float32(1.0)
            for d in range(half):
                low, high = of[d] * factor, of[half + d] * factor
                store(to, d, low * cos[d] - high * sin[d])
                store(to, half + d, high * cos[d] + low * sin[d])
        for d in range(turning * width, heads * width):
            store(out, d, row[d])


@compiled
def turn_back(of_turned: Any, positions: Any, cosine: Any, sine: Any, numbers: Any, of_joined: Any) -> None:
    """The gradient of one sequence's `joined` from that of what `turn` makes of it.

    of_turned (T, (H + 2 K) W) float32, of_joined P.
    """
    half = cosine.shape[1]
    width = 2 * half
    heads = of_joined.shape[1] // width
    turning = numbers.query_heads + (heads - numbers.query_heads) // 2
    for t in range(of_joined.shape[0]):
        row, out = of_turned[t], of_joined[t]
        cos, sin = cosine[positions[t]], sine[positions[t]]
        for h in range(turning):
            of, to = row[h * width : (h + 1) * width], out[h * width : (h + 1) * width]
            factor = numbers.scaling if h < numbers.query_heads else np.float32(1.0)
            for d in range(half):
                low, high = of[d] * factor, of[half + d] * factor
                store(to, d, low * cos[d] + high * sin[d])
                store(to, half + d, high * cos[d] - low * sin[d])
        for d in range(turning * width, heads * width):
            store(out, d, row[d])


@compiled
def turn_normed(
    heads: Any, gains: Any, positions: Any, cosine: Any, sine: Any, numbers: Any, turned: Any
) -> None:
    """turned (N, (H + 2 K) W) P = `heads` (P), with queries and keys normalised and turned, queries scaled.

    gains (2 W,): of each head of queries, and of keys.
    """
    half = cosine.shape[1]
    width = 2 * half
    turning = numbers.query_heads + (heads.shape[1] // width - numbers.query_heads) // 2
    for n in range(heads.shape[0]):
        row, out, cos, sin = heads[n], turned[n], cosine[positions[n]], sine[positions[n]]
        for h in range(turning):
            of, to = row[h * width : (h + 1) * width], out[h * width : (h + 1) * width]
            side = 0 if h < numbers.query_heads else width
            gain = gains[side : side + width]
            factor = numbers.scaling if h < numbers.query_heads else np.float32(1.0)
            factor *= _root(of, numbers.epsilon)
            for d in range(half):
                low, high = widen(of[d]) * factor * gain[d], widen(of[half + d]) * factor * gain[half + d]
                store(to, d, low * cos[d] - high * sin[d])
                store(to, half + d, high * cos[d] + low * sin[d])
        for d in range(turning * width, heads.shape[1]):
            out[d] = row[d]


@compiled
def turn_normed_back(
    of_turned: Any, heads: Any, gains: Any, positions: Any, cosine: Any, sine: Any, numbers: Any,
    of_gains: Any, of_heads: Any,
) -> None:  # fmt: skip
    """The gradient of one sequence's `heads` from that of what `turn_normed` makes of it.

    For a head h, its root s, and what the turning gives back, b: s (b gain - h s² mean(b gain h)). `of_gains`
    (2 W,) float64 takes the sums of b h s. of_turned (T, (H + 2 K) W) float32; heads and of_heads P.
    """
    half = cosine.shape[1]
    width = 2 * half
    turning = numbers.query_heads + (heads.shape[1] // width - numbers.query_heads) // 2
    back = np.empty(width, np.float32)
    for t in range(heads.shape[0]):
        row, out = of_turned[t], of_heads[t]
        cos, sin = cosine[positions[t]], sine[positions[t]]
        for h in range(turning):
            of, to = row[h * width : (h + 1) * width], out[h * width : (h + 1) * width]
            head = heads[t, h * width : (h + 1) * width]
            factor = numbers.scaling if h < numbers.query_heads else np.float32(1.0)
            for d in range(half):
                low, high = of[d] * factor, of[half + d] * factor
                back[d] = low * cos[d] + high * sin[d]
                back[half + d] = high * cos[d] - low * sin[d]
            # before the gains: after them the next loop takes twice the time
            root, along = _root(head, numbers.epsilon), np.float32(0.0)
            side = 0 if h < numbers.query_heads else width
            gain, of_gain = gains[side : side + width], of_gains[side : side + width]
            for d in range(width):
                both = back[d] * widen(head[d])
                along += both * gain[d]
                of_gain[d] += np.float64(both * root)
            along *= root * root / np.float32(width)
            for d in range(width):
                store(to, d, root * (back[d] * gain[d] - widen(head[d]) * along))
        for d in range(turning * width, heads.shape[1]):
            store(out, d, row[d])


@compiled
def _root(head: Any, epsilon: Any) -> Any:
    """(mean(head²) + epsilon)^-1/2 of a head (W,)."""
    squares = np.float32(0.0)
    for d in range(head.shape[0]):
        squares += widen(head[d]) * widen(head[d])
    return np.float32(1.0) / np.sqrt(squares / np.float32(head.shape[0]) + np.float32(epsilon))

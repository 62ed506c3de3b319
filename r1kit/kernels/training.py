"""What a pass through Llama-like layers does between its matrix products, and what its derivative does.

Shapes: R rows of up to T positions, N tokens of all rows, one row after the other and perhaps some that count
for nothing, D width, H query heads, K key-value heads, W head width, F width of the feed-forward layer. The
residual stream and its gradient are float32; what goes into products is float32 or bfloat16 (uint16).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import exponential, store, widen


@compiled
def normalise(x: Any, gain: Any, epsilon: Any, out: Any, scales: Any) -> None:
    """out = x s gain with s = (mean(x²) + epsilon)^-1/2, kept in `scales` (N,); x (N, D), gain (D,)."""
    width = x.shape[1]
    for n in range(x.shape[0]):
        row, to = x[n], out[n]
        squares = np.float32(0.0)
        for d in range(width):
            squares += row[d] * row[d]
        scale = np.float32(1.0) / np.sqrt(squares / np.float32(width) + np.float32(epsilon))
        scales[n] = scale
        for d in range(width):
            store(to, d, row[d] * scale * gain[d])


@compiled
def add_and_normalise(
    x: Any, delta: Any, gain: Any, epsilon: Any, together: Any, out: Any, scales: Any
) -> None:
    """together = x + delta, (N, D), and `normalise` of it."""
    width = x.shape[1]
    for n in range(x.shape[0]):
        row, more, both, to = x[n], delta[n], together[n], out[n]
        squares = np.float32(0.0)
        for d in range(width):
            number = row[d] + widen(more[d])
            both[d] = number
            squares += number * number
        scale = np.float32(1.0) / np.sqrt(squares / np.float32(width) + np.float32(epsilon))
        scales[n] = scale
        for d in range(width):
            store(to, d, both[d] * scale * gain[d])


@compiled
def normalise_back(grad: Any, of_out: Any, x: Any, scales: Any, gain: Any, of_gain: Any, narrow: Any) -> None:
    """Add to `grad` (N, D) the gradient that reaches x through `normalise`; `narrow` is the sum for products.

    For n = x s: s (g - n mean(g n)) with g = of_out gain. `of_gain` (D,) float64 takes the sums of of_out n.
    """
    width = x.shape[1]
    for n in range(x.shape[0]):
        back, of, row, to, scale = grad[n], of_out[n], x[n], narrow[n], scales[n]
        along = np.float32(0.0)
        for d in range(width):
            along += widen(of[d]) * gain[d] * row[d]
        along *= scale * scale / np.float32(width)
        for d in range(width):
            of_gain[d] += np.float64(widen(of[d]) * row[d] * scale)
        for d in range(width):
            number = back[d] + scale * (widen(of[d]) * gain[d] - row[d] * along)
            back[d] = number
            store(to, d, number)


@compiled
def gate(joined: Any, out: Any) -> None:
    """out (N, F) = silu(first half of `joined` (N, 2 F)) * second half."""
    width = out.shape[1]
    for n in range(out.shape[0]):
        gates, ups, to = joined[n, :width], joined[n, width:], out[n]
        for f in range(width):
            g = widen(gates[f])
            store(to, f, g / (np.float32(1.0) + exponential(-g)) * widen(ups[f]))


@compiled
def gate_back(of_out: Any, joined: Any, out: Any, of_joined: Any) -> None:
    """The gradient of `joined` from that of `out` of `gate`, and `out` once more."""
    width = out.shape[1]
    for n in range(out.shape[0]):
        gates, ups, of, to = joined[n, :width], joined[n, width:], of_out[n], out[n]
        of_gates, of_ups = of_joined[n, :width], of_joined[n, width:]
        for f in range(width):
            g, u, back = widen(gates[f]), widen(ups[f]), widen(of[f])
            sigmoid = np.float32(1.0) / (np.float32(1.0) + exponential(-g))
            risen = g * sigmoid
            store(to, f, risen * u)
            store(of_ups, f, back * risen)
            store(of_gates, f, back * u * (sigmoid + risen * (np.float32(1.0) - sigmoid)))


@compiled
def turn(
    joined: Any, cosine: Any, sine: Any, scaling: Any, lengths: Any, query: Any, key: Any, value: Any
) -> None:
    """joined (N, (H + 2 K) W) to heads, turned by their positions: query (R, H, T, W), scaled; key and value
    (R, K, T, W); all 0 after the `lengths` (R,) of the rows. cosine and sine are (T, W / 2).
    """
    rows, query_heads, _, width = query.shape
    key_heads, half, first = key.shape[1], width // 2, 0
    for r in range(rows):
        for t in range(lengths[r]):
            row, cos, sin = joined[first + t], cosine[t], sine[t]
            for h in range(query_heads + key_heads):
                of = row[h * width : (h + 1) * width]
                to = query[r, h, t] if h < query_heads else key[r, h - query_heads, t]
                factor = scaling if h < query_heads else np.float32(1.0)
                for d in range(half):
                    low, high = widen(of[d]) * factor, widen(of[half + d]) * factor
                    store(to, d, low * cos[d] - high * sin[d])
                    store(to, half + d, high * cos[d] + low * sin[d])
            for k in range(key_heads):
                begin = (query_heads + key_heads + k) * width
                of, to = row[begin : begin + width], value[r, k, t]
                for d in range(width):
                    to[d] = of[d]
        for h in range(query_heads):
            query[r, h, lengths[r] :] = 0
        for k in range(key_heads):
            key[r, k, lengths[r] :] = 0
            value[r, k, lengths[r] :] = 0
        first += lengths[r]


@compiled
def turn_back(
    of_query: Any,
    of_key: Any,
    of_value: Any,
    cosine: Any,
    sine: Any,
    scaling: Any,
    lengths: Any,
    of_joined: Any,
) -> None:
    """The gradient of `joined` from those of what `turn` gives; 0 for tokens after those of all rows."""
    rows, query_heads, _, width = of_query.shape
    key_heads, half, first = of_key.shape[1], width // 2, 0
    for r in range(rows):
        for t in range(lengths[r]):
            row, cos, sin = of_joined[first + t], cosine[t], sine[t]
            for h in range(query_heads + key_heads):
                to = row[h * width : (h + 1) * width]
                of = of_query[r, h, t] if h < query_heads else of_key[r, h - query_heads, t]
                factor = scaling if h < query_heads else np.float32(1.0)
                for d in range(half):
                    low, high = widen(of[d]) * factor, widen(of[half + d]) * factor
                    store(to, d, low * cos[d] + high * sin[d])
                    store(to, half + d, high * cos[d] - low * sin[d])
            for k in range(key_heads):
                begin = (query_heads + key_heads + k) * width
                of, to = of_value[r, k, t], row[begin : begin + width]
                for d in range(width):
                    to[d] = of[d]
        first += lengths[r]
    of_joined[first:] = 0


@compiled
def heads_to_tokens(heads: Any, lengths: Any, tokens: Any) -> None:
    """(R, H, T, W) to (N, H W), without what comes after the `lengths` (R,) of the rows; 0 for tokens after
    those of all rows.
    """
    rows, count, _, width = heads.shape
    first = 0
    for r in range(rows):
        for t in range(lengths[r]):
            for h in range(count):
                of, to = heads[r, h, t], tokens[first + t, h * width : (h + 1) * width]
                for d in range(width):
                    to[d] = of[d]
        first += lengths[r]
    tokens[first:] = 0


@compiled
def tokens_to_heads(tokens: Any, lengths: Any, heads: Any) -> None:
    """(N, H W) to (R, H, T, W), 0 after the `lengths` (R,) of the rows."""
    rows, count, _, width = heads.shape
    first = 0
    for r in range(rows):
        for t in range(lengths[r]):
            for h in range(count):
                of, to = tokens[first + t, h * width : (h + 1) * width], heads[r, h, t]
                for d in range(width):
                    to[d] = of[d]
        for h in range(count):
            heads[r, h, lengths[r] :] = 0
        first += lengths[r]

"""Norms and gates of Llama-like layers over many tokens, and their derivatives.

Shapes: N tokens, D width, F width of the feed-forward layer. The residual stream and its gradient are
float32; what goes into products is float32 or bfloat16 (uint16).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import exponential, store, store_row, widen


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
def gate_and_keep(joined: Any, kept: Any, out: Any) -> None:
    """`gate` of the rows of `joined`, float32, which `kept` gets in its own format."""
    width = out.shape[1]
    for n in range(joined.shape[0]):
        gates, ups, to = joined[n, :width], joined[n, width:], out[n]
        kept_gates, kept_ups = kept[n, :width], kept[n, width:]
        for f in range(width):
            g, u = gates[f], ups[f]
            store(kept_gates, f, g)
            store(kept_ups, f, u)
            store(to, f, g / (np.float32(1.0) + exponential(-g)) * u)


@compiled
def gate_back(of_out: Any, joined: Any, out: Any, of_joined: Any) -> None:
    """The gradient of the rows of `joined` from that of `out` of `gate`, and `out` once more."""
    width = out.shape[1]
    # a row at a time in float32: loops over numbers of two widths make slower vector code
    wide, grads, active = _row(2 * width), _row(2 * width), _row(width)
    gates, ups, of_gates, of_ups = wide[:width], wide[width:], grads[:width], grads[width:]
    for n in range(joined.shape[0]):
        row, of = joined[n], of_out[n]
        for f in range(2 * width):
            wide[f] = widen(row[f])
        for f in range(width):
            g, u, back = gates[f], ups[f], of[f]
            sigmoid = np.float32(1.0) / (np.float32(1.0) + exponential(-g))
            risen = g * sigmoid
            active[f] = risen * u
            of_ups[f] = back * risen
            of_gates[f] = back * u * (sigmoid + risen * (np.float32(1.0) - sigmoid))
        store_row(active, out[n])
        store_row(grads, of_joined[n])


@compiled
def _row(width: Any) -> Any:
    return np.empty(width, np.float32)

"""Drawing one token per row, and writing it down, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import exponential, highest, widen

_GOLDEN, _MIX_1, _MIX_2 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@compiled
def uniform(seed: Any, position: Any) -> Any:
    """`rollouts.sampling.uniforms` for one row: the same number, bit for bit."""
    z = np.uint64(seed) + (np.uint64(position) + np.uint64(1)) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z = z ^ (z >> np.uint64(31))
    return np.float32(z >> np.uint64(40)) * np.float32(2.0**-24)


@compiled
def draw(
    logits: Any, seeds: Any, counts: Any, temperature: Any, tokens: Any, drawn: Any, logprobs: Any
) -> None:
    """Draw from softmax(logits / temperature), temperature > 0, as `rollouts.sampling.draw` does.

    Row b's token goes to tokens[b] and drawn[b, counts[b]], its log-probabilities under the plain and the
    sampled distribution, in nats, to logprobs[b, counts[b]]. Sums are in float64.
    """
    vocabulary = logits.shape[1]
    shifted, weights = np.empty(vocabulary, np.float32), np.empty(vocabulary, np.float32)
    for b in range(tokens.shape[0]):
        row = logits[b]
        for v in range(vocabulary):
            shifted[v] = widen(row[v])
        peak = highest(shifted)
        for v in range(vocabulary):
            shifted[v] -= peak
        plain = np.float64(0.0)
        if temperature != np.float32(1.0):
            for v in range(vocabulary):
                plain += np.float64(exponential(shifted[v]))
        total = np.float64(0.0)
        for v in range(vocabulary):
            weights[v] = exponential(shifted[v] / temperature)
            total += np.float64(weights[v])
        wanted = np.float64(uniform(seeds[b], counts[b])) * total
        token, cumulative = vocabulary - 1, np.float64(0.0)
        for v in range(vocabulary):
            cumulative += np.float64(weights[v])
            if cumulative > wanted:
                token = v
                break
        place = counts[b]
        tokens[b], drawn[b, place] = token, token
        sampled = np.float64(shifted[token]) / np.float64(temperature) - np.log(total)
        logprobs[b, place, 1] = sampled
        if temperature == np.float32(1.0):
            logprobs[b, place, 0] = sampled
        else:
            logprobs[b, place, 0] = np.float64(shifted[token]) - np.log(plain)

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
    logits: Any, slots: Any, seeds: Any, counts: Any, temperature: Any, tokens: Any, drawn: Any, logprobs: Any
) -> None:
    """Draw from softmax(logits / temperature), at temperature 0 the likeliest, as `rollouts.sampling.draw`.

    Row b of `logits` (B, V) is that of slot s = slots[b] everywhere else: its token goes to tokens[s] and
    drawn[s, counts[s]], its log-probabilities under the plain and the sampled distribution, in nats, to
    logprobs[s, counts[s]]; the second is 0 at temperature 0. Sums are in float64.
    """
    vocabulary = logits.shape[1]
    greedy = temperature == np.float32(0.0)
    shifted, weights = np.empty(vocabulary, np.float32), np.empty(vocabulary, np.float32)
    for b in range(slots.shape[0]):
        row, slot = logits[b], slots[b]
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
        if not greedy:
            for v in range(vocabulary):
                weights[v] = exponential(shifted[v] / temperature)
                total += np.float64(weights[v])
        token = _first_highest(shifted) if greedy else _found(weights, total, seeds[slot], counts[slot])
        place = counts[slot]
        tokens[slot], drawn[slot, place] = token, token
        sampled = np.float64(0.0)
        if not greedy:
            sampled = np.float64(shifted[token]) / np.float64(temperature) - np.log(total)
        logprobs[slot, place, 1] = sampled
        if temperature == np.float32(1.0):
            logprobs[slot, place, 0] = sampled
        else:
            logprobs[slot, place, 0] = np.float64(shifted[token]) - np.log(plain)


@compiled
def _first_highest(shifted: Any) -> Any:
    """The first token that is not below the highest; the last where none is a number."""
    token = shifted.shape[0] - 1
    for v in range(shifted.shape[0]):
        if shifted[v] >= np.float32(0.0):
            token = v
            break
    return token


@compiled
def _found(weights: Any, total: Any, seed: Any, count: Any) -> Any:
    """The first token at which the sum of weights exceeds a uniform share of the total."""
    wanted = np.float64(uniform(seed, count)) * total
    token, cumulative = weights.shape[0] - 1, np.float64(0.0)
    for v in range(weights.shape[0]):
        cumulative += np.float64(weights[v])
        if cumulative > wanted:
            token = v
            break
    return token

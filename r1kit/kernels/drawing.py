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
def leave_out(weights: Any, total: Any, top_k: Any, top_p: Any) -> Any:
    """Let the weights (V,), which sum up to `total`, be 0 where top-k, then top-p leave tokens out, as
    `rollouts.sampling.keep_mask` does. Returns the sum of the others. Top-k 0 and top-p 1 leave none out.
    """
    vocabulary = weights.shape[0]
    limited = 0 < top_k < vocabulary
    first = _first_highest(weights, highest(weights))
    # sorting is dear, and most rows are sure of one token
    if top_p < 1.0 and weights[first] >= top_p * total:
        heaviest = weights[first]
        for v in range(vocabulary):
            weights[v] = np.float32(0.0)
        weights[first] = heaviest
        return np.float64(heaviest)
    # tokens lighter than this reach no more than half of 1 - top_p between them, see `sampling._ranked_mask`
    least = 0.0 if limited else total / vocabulary * (1.0 - top_p) / 2.0
    lightness, tokens = np.empty(vocabulary, np.float32), np.empty(vocabulary, np.int64)
    count = 0
    for v in range(vocabulary):
        if weights[v] > 0.0 and weights[v] >= least:
            lightness[count], tokens[count] = -weights[v], v
            count += 1
    order = np.argsort(lightness[:count], kind="mergesort")  # stable: of equals the first token is first
    most = min(count, top_k) if limited else count
    if limited:
        total = np.float64(0.0)
        for rank in range(most):
            total -= np.float64(lightness[order[rank]])
    for v in range(vocabulary):
        weights[v] = np.float32(0.0)
    summed, wanted = np.float64(0.0), total if top_p >= 1.0 else top_p * total
    for rank in range(most):
        weight = -lightness[order[rank]]
        if top_p < 1.0 and summed >= wanted:
            break
        weights[tokens[order[rank]]] = weight
        summed += np.float64(weight)
    return summed


@compiled
def draw(
    logits: Any, slots: Any, seeds: Any, counts: Any, params: Any, tokens: Any, drawn: Any, logprobs: Any
) -> None:
    """Draw from softmax(logits / temperature), at temperature 0 the likeliest, as `rollouts.sampling.draw`.

    `params` are temperature, top-k and top-p. Row b of `logits` (B, V) is that of slot s = slots[b]
    everywhere else: its token goes to tokens[s] and drawn[s, counts[s]], its log-probabilities under the
    plain and the sampled distribution, in nats, to logprobs[s, counts[s]]; the second is 0 at temperature 0.
    Sums are in float64.
    """
    vocabulary, temperature = logits.shape[1], np.float32(params[0])
    greedy, filtered = temperature == 0.0, params[1] > 0 or params[2] < 1.0
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
        if temperature == np.float32(1.0):
            plain = total
        if filtered and not greedy:
            total = leave_out(weights, total, params[1], params[2])
        place = counts[slot]
        token, sampled = _first_highest(shifted, np.float32(0.0)), np.float64(0.0)
        if not greedy:
            token = _found(weights, total, seeds[slot], place)
            sampled = np.float64(shifted[token]) / np.float64(temperature) - np.log(total)
        tokens[slot], drawn[slot, place] = token, token
        logprobs[slot, place, 0] = np.float64(shifted[token]) - np.log(plain)
        logprobs[slot, place, 1] = sampled


@compiled
def _first_highest(numbers: Any, most: Any) -> Any:
    """The first place whose number is not below `most`; the last where there is none."""
    found = numbers.shape[0] - 1
    for place in range(numbers.shape[0]):
        if numbers[place] >= most:
            found = place
            break
    return found


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

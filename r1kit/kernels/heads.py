"""Log-probabilities and entropies from logits, and their derivative, a row in one go.

Shapes: C tokens, V vocabulary. Logits are float32 or bfloat16 (uint16), all else is float32, in nats.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import exponential, highest, store, widen

_LEAST = np.float32(-88.0)  # a logit this far below the highest weighs nothing, and need not be infinite


@compiled
def log_softmax(logits: Any, targets: Any, temperature: Any, logprobs: Any, entropies: Any) -> None:
    """Of each row the log-probability of its target and the entropy, of softmax(logits / temperature)."""
    vocabulary = logits.shape[1]
    inverse = np.float32(1.0) / np.float32(temperature)
    shifted = np.empty(vocabulary, np.float32)
    for c in range(logits.shape[0]):
        row = logits[c]
        for v in range(vocabulary):
            shifted[v] = widen(row[v])
        peak = highest(shifted)
        total, weighed = np.float32(0.0), np.float32(0.0)
        for v in range(vocabulary):
            below = (shifted[v] - peak) * inverse
            below = _LEAST if below < _LEAST else below
            weight = exponential(below)
            total += weight
            weighed += weight * below
        log_total = np.log(total)
        logprobs[c] = (shifted[targets[c]] - peak) * inverse - log_total
        entropies[c] = log_total - weighed / total


@compiled
def log_softmax_back(
    logits: Any, targets: Any, temperature: Any, of_logprobs: Any, of_entropies: Any, of_logits: Any
) -> None:
    """The gradient of the logits from those of what `log_softmax` gives; `of_entropies` may have length 0.

    d logprob / d logits = (one_hot(target) - p) / temperature, d entropy H / d logits = -p (log p + H) /
    temperature.
    """
    vocabulary = logits.shape[1]
    inverse = np.float32(1.0) / np.float32(temperature)
    weights, below = np.empty(vocabulary, np.float32), np.empty(vocabulary, np.float32)
    for c in range(logits.shape[0]):
        row, to = logits[c], of_logits[c]
        for v in range(vocabulary):
            below[v] = widen(row[v])
        peak = highest(below)
        total, weighed = np.float32(0.0), np.float32(0.0)
        for v in range(vocabulary):
            far = (below[v] - peak) * inverse
            far = _LEAST if far < _LEAST else far
            weight = exponential(far)
            below[v], weights[v] = far, weight
            total += weight
            weighed += weight * far
        share = np.float32(1.0) / total
        back = of_logprobs[c] * inverse
        if of_entropies.shape[0]:
            pull, mean = of_entropies[c] * inverse, weighed * share
            for v in range(vocabulary):
                # log p + H = (below - log total) + (log total - mean)
                weights[v] *= share * (-back - pull * (below[v] - mean))
        else:
            for v in range(vocabulary):
                weights[v] *= -back * share
        weights[targets[c]] += back
        for v in range(vocabulary):
            store(to, v, weights[v])

"""The supervised loss per token. Shapes: N tokens."""

from __future__ import annotations

from torch import Tensor


def cross_entropy(logprobs_N: Tensor) -> Tensor:
    """-log p(token): the negative log-likelihood in nats of the text's own tokens."""
    return -logprobs_N

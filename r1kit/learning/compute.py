"""How much computing a training takes, to compare stages that train differently."""

from __future__ import annotations

from torch import nn


def operations(model: nn.Module, *, trained: int = 0, forward: int = 0) -> int:
    """Floating-point operations: 6 per parameter and trained token, 2 where a token only passes forward.

    Kaplan et al. 2020 (arXiv:2001.08361), section 2.1: 2 for the forward pass, 4 for the backward pass;
    attention over the context is left out. Weights that two layers share count once, embeddings and the
    experts that a token does not meet count like all others.
    """
    return sum(parameter.numel() for parameter in model.parameters()) * (6 * trained + 2 * forward)

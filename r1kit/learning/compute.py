"""How much computing a training took, to compare stages that train differently."""

from __future__ import annotations

from torch import nn


def teraflop(model: nn.Module, trained: int, sampled: int = 0) -> float:
    """10^12 floating-point operations: 6 per parameter and trained token, 2 per parameter and sampled one.

    Kaplan et al. 2020 (arXiv:2001.08361), section 2.1: 2 for the forward pass, 4 for the backward pass;
    attention over the context is left out. Weights that two layers share count once.
    """
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters * (6 * trained + 2 * sampled) / 1e12

"""The reference model of KL-regularised training: a frozen copy of the policy."""

from __future__ import annotations

import copy

import torch
from torch import nn


def frozen_copy(model: nn.Module) -> nn.Module:
    """A copy that never trains; costs the memory of one more set of weights."""
    reference = copy.deepcopy(model)
    reference.requires_grad_(False)
    return reference.eval()


@torch.no_grad()
def refresh(reference: nn.Module, model: nn.Module) -> None:
    """Make the reference equal to `model` again (R1: every 400 steps)."""
    for mine, theirs in zip(reference.state_dict().values(), model.state_dict().values(), strict=True):
        mine.copy_(theirs)

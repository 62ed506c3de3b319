"""Statistics of a batch's parts, summed up.

Shapes: a scalar tensor each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from r1kit.learning import ranks


@dataclass(slots=True)
class Sums:
    """Running sums over the parts of a share, kept as tensors so that no part waits for the device."""

    loss: Tensor | float = 0.0
    tokens: dict[str, Tensor] = field(default_factory=dict)
    extremes: dict[str, Tensor] = field(default_factory=dict)  # names end in /max or /min

    def add(self, loss: Tensor | float, token_sums: Mapping[str, Tensor]) -> None:
        """Take in what a part adds to the loss and to the sums over tokens."""
        self.loss = self.loss + loss
        for name, value in token_sums.items():
            self.tokens[name] = self.tokens[name] + value if name in self.tokens else value

    def add_extremes(self, extremes: Mapping[str, Tensor]) -> None:
        """Take in the largest and least values of a part."""
        for name, value in extremes.items():
            further = torch.maximum if name.endswith("/max") else torch.minimum
            self.extremes[name] = further(self.extremes[name], value) if name in self.extremes else value

    def merge(self, other: Sums) -> None:
        """Take in the sums and extremes of other parts."""
        self.add(other.loss, other.tokens)
        self.add_extremes(other.extremes)

    def means(self, num_tokens: int) -> dict[str, float]:
        """The loss, means over the tokens of all ranks, and extremes over all of them."""
        signs = {name: -1.0 if name.endswith("/min") else 1.0 for name in self.extremes}
        added, highest = ranks.combined(
            {"loss": float(self.loss), **{name: float(value) for name, value in self.tokens.items()}},
            {name: signs[name] * float(value) for name, value in self.extremes.items()},
        )
        loss = added.pop("loss")
        means = {name: value / max(num_tokens, 1) for name, value in added.items()}
        extremes = {name: -top if name.endswith("/min") else top for name, top in highest.items()}
        return {"loss": loss, **means, **extremes}

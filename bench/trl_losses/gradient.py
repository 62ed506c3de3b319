"""A loss with its gradient, as both sides give it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Gradient:
    """A loss and its gradient by parameter."""

    loss: float
    by_name: dict[str, Tensor]

    def __add__(self, other: Gradient) -> Gradient:
        return Gradient(
            self.loss + other.loss,
            {name: value + other.by_name[name] for name, value in self.by_name.items()},
        )

    def __mul__(self, factor: float) -> Gradient:
        return Gradient(self.loss * factor, {name: value * factor for name, value in self.by_name.items()})

    def norm(self) -> float:
        """Global L2 norm of the gradient."""
        return float(sum(value.square().sum() for value in self.by_name.values())) ** 0.5

    def distance(self, other: Gradient) -> tuple[float, float]:
        """How far `other` is: of the loss, by its size; of the gradient, by its norm (L2 over L2)."""
        assert self.by_name.keys() == other.by_name.keys()
        return (
            abs(self.loss - other.loss) / max(abs(self.loss), abs(other.loss), 1e-12),
            (self + other * -1.0).norm() / self.norm(),
        )

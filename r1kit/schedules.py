"""Numbers that change over the steps of a run."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from r1kit.settings import Settings


class Schedule(Settings):
    """A number for each step: `{shape: linear, points: {1: 1.0, 100: 0.7}}`.

    Before its first point it has the first value, after its last one the last.
    """

    shape: Literal["step", "linear", "cosine"] = "step"
    """Between two points: the earlier value, the straight line, or half a wave of the cosine."""
    points: dict[int, float] = Field(min_length=1)
    """Step, counted from 1, -> value."""

    @model_validator(mode="after")
    def _points_are_in_order(self) -> Self:
        steps = list(self.points)
        if steps[0] < 1 or any(first >= second for first, second in pairwise(steps)):
            raise ValueError(f"points: steps count from 1 and rise, found {', '.join(map(str, steps))}")
        return self

    def __str__(self) -> str:
        return ", ".join(f"{value:g} at step {step}" for step, value in self.points.items())

    def at(self, step: int) -> float:
        """The value at a step, counted from 1."""
        steps, values = list(self.points), list(self.points.values())
        after = bisect_right(steps, step)
        if after in (0, len(steps)):
            return values[max(0, after - 1)]
        before, early, late = after - 1, values[after - 1], values[after]
        progress = (step - steps[before]) / (steps[after] - steps[before])
        if self.shape == "step":
            return early
        return early + (late - early) * (progress if self.shape == "linear" else _wave(progress))


def value_at(value: float | Schedule, step: int) -> float:
    """The value itself, or the schedule's at that step."""
    return value.at(step) if isinstance(value, Schedule) else value


def _wave(progress: float) -> float:
    return 0.5 * (1.0 - math.cos(math.pi * progress))

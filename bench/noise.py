"""Whether two sides' curves differ by more than their seeds do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev, variance

STUDENT_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Quantiles of Student's t with 1 to 10 degrees of freedom, two-sided 5%."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What one side's seeds have more than the other's, and what they may by chance."""

    mean: float
    half: float  # of the 95% interval

    @property
    def within(self) -> bool:
        """Whether 0 lies in the interval."""
        return abs(self.mean) <= self.half


def windows(curve: Sequence[float], width: int) -> list[float]:
    """Means of so many values each, one after the other; the last window may be shorter."""
    return [mean(curve[start : start + width]) for start in range(0, len(curve), width)]


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """By Student's t for two samples whose variances are equal, as they are where both sides do the same.

    One value for each seed, two seeds of each side at least.
    """
    freedom = len(ours) + len(theirs) - 2
    pooled = ((len(ours) - 1) * variance(ours) + (len(theirs) - 1) * variance(theirs)) / freedom
    error = math.sqrt(pooled * (1 / len(ours) + 1 / len(theirs)))
    return Difference(mean(ours) - mean(theirs), STUDENT_975[freedom - 1] * error)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation over seeds."""
    return mean(values), stdev(values)

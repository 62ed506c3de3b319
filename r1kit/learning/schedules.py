"""Learning-rate schedules with linear warm-up, as factors of the peak rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType


def _constant(progress: float) -> float:
    return 1.0


def _linear(progress: float) -> float:
    return 1.0 - progress


def _cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


SCHEDULES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {"constant": _constant, "linear": _linear, "cosine": _cosine}
)


def learning_rate_factor(
    schedule: str, step: int, total_steps: int, warmup_steps: int = 0, min_ratio: float = 0.0
) -> float:
    """The share of the peak learning rate that update `step` (counted from 0) uses.

    Warm-up: (step + 1) / warmup_steps, so that the first update is not lost at rate 0. Then the schedule
    falls from 1 to `min_ratio`, which the last update uses (R1's SFT: cosine with ratio 0.1).
    """
    assert step >= 0
    assert total_steps >= 1
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps))
    return min_ratio + (1.0 - min_ratio) * SCHEDULES[schedule](progress)

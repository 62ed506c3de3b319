"""What several sides' curves come to, seed by seed: means over windows of steps, and which of them differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from bench.noise import difference, windows

OURS, NARROW, THEIRS = "r1kit", "r1kit, bfloat16", "TRL"  # sides; the first two are set beside the last
REWARD = "reward"
OTHERS = {
    "accuracy": "accuracy",
    "tokens": "tokens of a response",
    "entropy": "entropy (nats a token)",
    "grad_norm": "norm of the gradient",
}
"""What is told of all steps together, and how it is called."""

WINDOW = 10  # steps

Curves = Mapping[str, Sequence[Mapping[str, Any]]]  # side -> seeds -> measure -> steps
Rows = Mapping[str, Mapping[str, Sequence[float]]]  # label -> side -> a value for each seed


def by_windows(curves: Curves, measure: str = REWARD) -> Rows:
    """Means of each window of steps and of all: `{"1-10": {"TRL": [0.4, 0.5, 0.4]}, …, "1-60": …}`."""
    found: dict[str, dict[str, list[float]]] = {}
    for side, runs in curves.items():
        for run in runs:
            steps = len(run[measure])
            for place, value in enumerate(windows(run[measure], WINDOW)):
                label = f"{place * WINDOW + 1}-{min((place + 1) * WINDOW, steps)}"
                found.setdefault(label, {}).setdefault(side, []).append(value)
            if steps > WINDOW:
                found.setdefault(f"1-{steps}", {}).setdefault(side, []).append(mean(run[measure]))
    return found


def of_all_steps(curves: Curves) -> Rows:
    """Means over all steps of what is not the reward."""
    return {
        title: {side: [mean(run[name]) for run in runs] for side, runs in curves.items()}
        for name, title in OTHERS.items()
    }


def verdict(curves: Curves) -> str:
    """How many of the differences from TRL are within the noise, and which are not."""
    tried = [
        (f"{label} of {side}", difference(values[side], values[THEIRS]).within)
        for label, values in {**by_windows(curves), **of_all_steps(curves)}.items()
        for side in values
        if side != THEIRS
    ]
    beyond = [name for name, within in tried if not within]
    told = f"; beyond: {', '.join(beyond)}" if beyond else ""
    return f"{len(tried) - len(beyond)} of {len(tried)} differences are within the noise{told}."

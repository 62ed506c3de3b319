"""A finished run under other rewards: how its rewards and advantages would have changed, without new samples.

Shapes: P groups, G samples per group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from r1kit.objectives.advantages import ADVANTAGES, dead_groups
from r1kit.report.lab_rollouts import Origin, Stored


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What a group would have been taught otherwise."""

    step: int
    problem: str
    mean_change: float  # mean absolute change of the advantages
    flips: int  # samples that were pushed up and would be pushed down, or the other way round
    samples: int
    rank: float | None  # Spearman's between the rewards then and now; None where either are all equal
    dead_then: bool  # all rewards equal: it taught nothing
    dead_now: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What the run would have been taught otherwise."""

    groups: tuple[GroupChange, ...]  # of which every sample is stored
    incomplete: int  # groups of which some are not
    reward_then: float | None  # mean over the samples that are scored both times
    reward_now: float | None
    rank: float | None  # Spearman's over them
    samples: int
    unscored_now: int

    @property
    def mean_change(self) -> float | None:
        """Mean absolute change of an advantage, over all samples of the complete groups."""
        total = sum(group.samples for group in self.groups)
        return sum(group.mean_change * group.samples for group in self.groups) / total if total else None

    @property
    def flipped(self) -> float | None:
        """Share of those samples whose advantage changes its sign."""
        total = sum(group.samples for group in self.groups)
        return sum(group.flips for group in self.groups) / total if total else None

    @property
    def group_rank(self) -> float | None:
        """Mean of the groups' rank correlations."""
        ranks = [group.rank for group in self.groups if group.rank is not None]
        return fmean(ranks) if ranks else None


def compare(stored: Sequence[Stored], now: Sequence[float | None], made: Origin) -> Change:
    """Rewards and advantages then and `now`, the latter by the objective of the stage that sampled."""
    both = [
        (row.then, value)
        for row, value in zip(stored, now, strict=True)
        if row.then is not None and value is not None
    ]
    then_values, now_values = [pair[0] for pair in both], [pair[1] for pair in both]
    places: dict[tuple[int, str], list[int]] = {}
    for index, row in enumerate(stored):
        places.setdefault(row.group, []).append(index)
    whole = [group for group in places.values() if len(group) == stored[group[0]].of and len(group) > 1]
    return Change(
        tuple(_group([stored[i] for i in group], [now[i] for i in group], made.advantage) for group in whole),
        len(places) - len(whole),
        fmean(then_values) if both else None,
        fmean(now_values) if both else None,
        spearman(then_values, now_values),
        len(stored),
        sum(value is None for value in now),
    )


def _group(rows: Sequence[Stored], now: Sequence[float | None], advantage: str) -> GroupChange:
    lengths_1G = torch.tensor(
        [[float(len(row.sample.completion.tokens)) for row in rows]], dtype=torch.float64
    )
    then_1G, now_1G = _row([row.then for row in rows]), _row(now)
    before_G = ADVANTAGES[advantage](then_1G, lengths_1G)[0].tolist()
    after_G = ADVANTAGES[advantage](now_1G, lengths_1G)[0].tolist()
    pairs = [(a, b) for a, b in zip(before_G, after_G, strict=True) if not math.isnan(a + b)]
    known = [(r.then, n) for r, n in zip(rows, now, strict=True) if r.then is not None and n is not None]
    return GroupChange(
        rows[0].step,
        rows[0].sample.problem.id,
        fmean(abs(a - b) for a, b in pairs) if pairs else 0.0,
        sum(a * b < 0 for a, b in pairs),
        len(pairs),
        spearman([pair[0] for pair in known], [pair[1] for pair in known]),
        bool(dead_groups(then_1G)[0]),
        bool(dead_groups(now_1G)[0]),
    )


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation, equal values sharing their mean rank; None where either are all equal."""
    if len(a) < 2 or min(a) == max(a) or min(b) == max(b):
        return None
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: Sequence[float]) -> np.ndarray:
    _, place, counts = np.unique(np.array(values, dtype=float), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean_ranks: np.ndarray = (ends - (counts - 1) / 2)[place]
    return mean_ranks


def _row(values: Sequence[float | None]) -> Tensor:
    return torch.tensor([[math.nan if value is None else value for value in values]], dtype=torch.float64)

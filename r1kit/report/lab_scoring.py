"""Stored rollouts under other rewards: step by step, as training scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from r1kit.report.lab_grading import TOTAL, Column
from r1kit.report.lab_rollouts import Stored
from r1kit.rewards.registry import Aspect, Scorer
from r1kit.rewards.rubric import Rubric, TermSpec, entry_of
from r1kit.types import Unscored


def rescored(
    stored: Sequence[Stored], specs: Sequence[TermSpec], scorers: Mapping[str, Scorer], steps: int | None
) -> list[Column]:
    """Each term by itself, unweighted, and last the total; terms of the last steps alone in those steps.

    `steps`: of the whole stage, where it is known. A term that is normalised over a step is so over the
    samples that are stored of it.
    """
    places: dict[int, list[int]] = {}
    for index, row in enumerate(stored):
        places.setdefault(row.step, []).append(index)
    values: dict[str, list[float | Unscored | None]] = {
        name: [None] * len(stored) for name in (*(spec.name for spec in specs), TOTAL)
    }
    whole, single = Rubric(specs, scorers), {spec.name: Rubric([spec], scorers) for spec in specs}
    for step, chosen in places.items():
        samples = [stored[i].sample for i in chosen]
        left = steps - step + 1 if steps is not None else None
        for name, rubric in {**single, TOTAL: whole}.items():
            for i, outcome in zip(chosen, rubric.outcomes(samples, left, step), strict=True):
                if isinstance(outcome, Unscored):
                    values[name][i] = outcome
                else:
                    values[name][i] = outcome.total if name == TOTAL else outcome.terms.get(name)
    aspects: dict[str, tuple[Aspect, ...]] = {spec.name: (entry_of(spec).about,) for spec in specs}
    return [Column(name, aspects.get(name, ("all",)), column) for name, column in values.items()]

"""What rewards pay the corpus, what they pay wrongly, and the cheapest hack."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from r1kit.report.lab_corpus import Case
from r1kit.rewards.registry import Aspect, RewardInput, Scorer
from r1kit.rewards.rubric import Rubric, TermSpec, entry_of
from r1kit.schedules import value_at
from r1kit.types import Reward, Unscored

TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Column:
    """What one term, or the total, gives each sample; None where it does not concern the sample."""

    name: str
    aspects: tuple[Aspect, ...]  # what it should pay for
    values: Sequence[float | Unscored | None]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One completion that a term judges otherwise than an honest grader."""

    case: int  # its place in the corpus
    value: float
    line: float  # what lies above it counts as paid


@dataclass(frozen=True, slots=True)
class Judgement:
    """How one column judges the corpus."""

    column: Column
    judged: int  # completions with a value, in tasks where it tells good from bad
    blind: tuple[str, ...]  # tasks in which it pays the honest completion no more than the worst
    false_accepts: tuple[Mistake, ...]
    false_rejects: tuple[Mistake, ...]
    unscored: Mapping[str, int]  # how it failed -> completions


@dataclass(frozen=True, slots=True)
class Hack:
    """A cheap completion that is paid: `Hack(12, 1.0, 0.55, 31)`."""

    index: int  # of the completion
    value: float
    line: float
    size: int  # bytes of its text after zlib: short, empty and repetitive texts are all small


def columns(
    specs: Sequence[TermSpec], scorers: Mapping[str, Scorer], samples: Sequence[RewardInput]
) -> list[Column]:
    """Each term by itself, unweighted, and last the total."""
    found = []
    for spec in specs:
        outcomes = Rubric([spec], scorers).outcomes(samples)
        values = [_value(outcome, spec.name) for outcome in outcomes]
        found.append(Column(spec.name, (entry_of(spec).about,), values))
    aspects = tuple(dict.fromkeys(entry_of(spec).about for spec in specs if value_at(spec.weight, 1) > 0))
    totals = [_value(outcome, None) for outcome in Rubric(specs, scorers).outcomes(samples)]
    return [*found, Column(TOTAL, aspects or ("all",), totals)]


def judge(cases: Sequence[Case], column: Column) -> Judgement:
    """Compare a column with the labels.

    In each task the line between paid and not paid lies half-way between the honest completion and the
    worst-paid one that does not deserve it. Where that is no lower (a length bonus, a penalty that nothing
    here earns), the column is blind in the task: only what is paid more than the honest one is a mistake.
    """
    accepts, rejects, blind, judged = [], [], [], 0
    for task, places in _by_task(cases).items():
        known = [(i, value) for i in places if isinstance(value := column.values[i], float)]
        good = column.values[places[0]]
        undeserved = [value for i, value in known if not _deserves(cases[i], column)]
        if not isinstance(good, float) or not undeserved:
            continue
        line, tells = _line(good, min(undeserved))
        blind += [] if tells else [task]
        judged += len(known)
        for i, value in known:
            if value > line and not _deserves(cases[i], column):
                accepts.append(Mistake(i, value, line))
            elif tells and value <= line and _deserves(cases[i], column):
                rejects.append(Mistake(i, value, line))
    return Judgement(column, judged, tuple(blind), tuple(accepts), tuple(rejects), _failures(column))


def corpus_hacks(cases: Sequence[Case], total: Column, guilty: Callable[[Case], bool]) -> list[Hack]:
    """The `guilty` completions of the corpus that are paid, as `cheapest` sorts them.

    Paid is what earns more than half-way from the task's worst-paid guilty completion to its honest one.
    """
    found: list[Hack] = []
    texts = [case.sample.completion.text for case in cases]
    for places in _by_task(cases).values():
        suspects = [i for i in places if guilty(cases[i]) and isinstance(total.values[i], float)]
        found += _paid(texts, total, suspects, total.values[places[0]])
    return cheapest(found)


def rollout_hacks(samples: Sequence[RewardInput], total: Column) -> list[Hack]:
    """The rollouts without a right answer that are paid, as `cheapest` sorts them; copies of a text once.

    Paid is what earns more than half-way from the worst-paid of them to the mean of the right ones.
    """
    right = [
        value
        for sample, value in zip(samples, total.values, strict=True)
        if sample.verdict.correct and isinstance(value, float)
    ]
    texts = [sample.completion.text for sample in samples]
    first = {text: index for index, text in reversed(list(enumerate(texts)))}
    suspects = [
        i
        for text, i in first.items()
        if not samples[i].verdict.correct and isinstance(total.values[i], float)
    ]
    return cheapest(_paid(texts, total, suspects, sum(right) / len(right) if right else None))


def cheapest(found: Sequence[Hack]) -> list[Hack]:
    """Cheapest first: the fewest bytes after zlib, of equal ones the first."""
    return sorted(found, key=lambda hack: (hack.size, hack.index))


def _paid(
    texts: Sequence[str], total: Column, suspects: Sequence[int], good: float | Unscored | None
) -> list[Hack]:
    paid = {i: value for i in suspects if isinstance(value := total.values[i], float)}
    if not isinstance(good, float) or not paid:
        return []
    line, _ = _line(good, min(paid.values()))
    return [Hack(i, value, line, compressed_size(texts[i])) for i, value in paid.items() if value > line]


def compressed_size(text: str) -> int:
    """Bytes after zlib."""
    return len(zlib.compress(text.encode("utf-8", "surrogatepass"), 9))


def correlations(found: Sequence[Column]) -> list[list[float | None]]:
    """Pearson's between columns, over the samples that both score; None where one of them is constant."""
    return [[_pearson(a.values, b.values) for b in found] for a in found]


def _pearson(a: Sequence[float | Unscored | None], b: Sequence[float | Unscored | None]) -> float | None:
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if isinstance(x, float) and isinstance(y, float)]
    values = np.array(pairs, dtype=float).reshape(-1, 2)
    if len(values) < 2 or (values.max(0) == values.min(0)).any():
        return None
    return float(np.corrcoef(values.T)[0, 1])


def _line(good: float, worst: float) -> tuple[float, bool]:
    """Where paid begins, and whether the good is paid more than the worst at all."""
    return ((good + worst) / 2, True) if good > worst else (good, False)


def _deserves(case: Case, column: Column) -> bool:
    return all(case.labels.of(aspect) for aspect in column.aspects)


def _by_task(cases: Sequence[Case]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for index, case in enumerate(cases):
        places.setdefault(case.task, []).append(index)
    return places


def _failures(column: Column) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in column.values:
        if isinstance(value, Unscored):
            found[value.failure.value] = found.get(value.failure.value, 0) + 1
    return found


def _value(outcome: Reward | Unscored, term: str | None) -> float | Unscored | None:
    if isinstance(outcome, Unscored):
        return outcome
    return outcome.total if term is None else outcome.terms.get(term)

"""Alarms of a training: rules over the metrics of its last steps, told in plain words.

A rule says what is the matter with the figures, the likely cause, and which settings to change. A rule that
has spoken is silent for a while, twice as long after each further time. What the rules have seen and said is
part of a checkpoint, so that a resumed run tells what an uninterrupted one would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any, Literal

Severity = Literal["note", "warning", "critical"]

KEPT = 48  # steps that rules can look back on
FIRST = 3  # steps whose mean counts as the start: one alone is noise
SURE = 2.0  # standard errors that a rise or fall must have: single steps are noisy


@dataclass(frozen=True, slots=True)
class Alarm:
    """`Alarm("truncation", "warning", "31% of the responses … were cut off: …; raise …")`."""

    name: str  # of its rule
    severity: Severity  # note: may be meant so; warning: costs learning; critical: nothing is learned
    text: str  # what is the matter, the likely cause, what to change


class Steps:
    """What the rules look at: some metrics of the first and of the last steps.

    A number that is not there is NaN, of which no comparison holds. Steps without a metric do not count for
    it: a step without a batch has no gradient norm. What the last step lacks is not judged: it would be old.
    """

    def __init__(self, first: Sequence[Mapping[str, float]], rows: Sequence[Mapping[str, float]]) -> None:
        self.first, self.rows = first, rows

    def last(self, name: str, count: int) -> list[float]:
        """The newest `count` values of a metric, the oldest first; none where there are fewer."""
        if name not in self.rows[-1]:
            return []
        values = [row[name] for row in self.rows if name in row][-count:]
        return values if len(values) == count else []

    def mean(self, name: str, count: int) -> float:
        """Their mean."""
        values = self.last(name, count)
        return fmean(values) if values else math.nan

    def start(self, name: str) -> float:
        """The mean of the first steps."""
        values = [row[name] for row in self.first if name in row]
        return fmean(values) if len(values) == FIRST else math.nan

    def names(self, prefix: str) -> list[str]:
        """Metrics of the last step that begin so, in order of the alphabet."""
        return sorted(name for name in self.rows[-1] if name.startswith(prefix))

    def having(self, *names: str) -> Steps:
        """The steps that have all of these, and the last one."""
        whole = [row for row in self.rows[:-1] if all(name in row for name in names)]
        return Steps(self.first, [*whole, self.rows[-1]])

    def halves(self, name: str, count: int) -> tuple[float, float]:
        """The means of the earlier and of the later half of the newest `count` values."""
        values = self.last(name, count)
        half = count // 2
        return (fmean(values[:half]), fmean(values[half:])) if values else (math.nan, math.nan)

    def change(self, name: str, count: int) -> float:
        """By how much the later half's mean is above the earlier one's; 0 where that may be chance."""
        values = self.last(name, count)
        return sure_change(values) if values else math.nan


def sure_change(values: Sequence[float]) -> float:
    """Mean of the later half less that of the earlier; 0 within two standard errors (Welch's)."""
    early, late = values[: len(values) // 2], values[len(values) // 2 :]
    change = fmean(late) - fmean(early)
    error = math.sqrt(variance(early) / len(early) + variance(late) / len(late))
    return change if abs(change) >= SURE * error else 0.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be the matter."""

    name: str
    severity: Severity
    metrics: tuple[str, ...]  # that it reads; "accuracy/" stands for all that begin so
    finds: Callable[[Steps], str]  # what is the matter, with the figures; "" when nothing is
    advice: str  # likely cause, then what to change
    silent: int = 20  # steps after it has spoken
    about: str = ""  # tells apart rules of one name


class Alarms:
    """Watches the metrics of a run, step by step.

    Args:
        rules: what to look for.
        history: `history` of an interrupted run.
    """

    def __init__(self, rules: Iterable[Rule], history: Mapping[str, Any] | None = None) -> None:
        self._rules = tuple(rules)
        names = {name for rule in self._rules for name in rule.metrics}
        self._names = {name for name in names if not name.endswith("/")}
        self._prefixes = tuple(sorted(names - self._names))
        saved = history or {"looked": 0, "first": [], "rows": [], "told": {}}
        self._looked: int = saved["looked"]
        self._first = [dict(row) for row in saved["first"]]
        self._rows = [dict(row) for row in saved["rows"]]
        self._told = {key: (last, times) for key, (last, times) in saved["told"].items()}

    @property
    def history(self) -> dict[str, Any]:
        """What has been seen and said, JSON-serialisable."""
        return {"looked": self._looked, "first": self._first, "rows": self._rows, "told": self._told}

    def look(self, metrics: Mapping[str, float]) -> list[Alarm]:
        """Take in the metrics of a step; what is to be told about them."""
        self._looked += 1
        row = {name: float(value) for name, value in metrics.items() if self._kept(name, value)}
        if len(self._first) < FIRST:
            self._first.append(row)
        self._rows = [*self._rows[-KEPT + 1 :], row]
        steps = Steps(self._first, self._rows)
        return [alarm for rule in self._rules if (alarm := self._judge(rule, steps))]

    def _kept(self, name: str, value: float) -> bool:
        return math.isfinite(value) and (name in self._names or name.startswith(self._prefixes))

    def _judge(self, rule: Rule, steps: Steps) -> Alarm | None:
        key = f"{rule.name} {rule.about}".strip()
        last, times = self._told.get(key, (0, 0))
        if times and self._looked - last < rule.silent * 2 ** (times - 1):
            return None
        found = rule.finds(steps)
        if not found:
            return None
        self._told[key] = (self._looked, times + 1)
        return Alarm(rule.name, rule.severity, f"{found}: {rule.advice}")

"""A comparison's numbers: curves over sampled tokens and time, and results with intervals over the seeds.

Shapes: R runs of a variant, one for each seed; N points of a curve.
"""

# ruff: noqa: N815 - fields that are arrays carry shape suffixes
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from r1kit.errors import UserError
from r1kit.report.plotting import Values
from r1kit.report.reading import Row, jsonl, metrics, number, results
from r1kit.rollouts.intervals import seed_interval

MEASURES = {
    "accuracy": "accuracy on the questions of a step",
    "response_tokens": "tokens per response",
    "entropy": "entropy, nats per token",
}
"""Key of a row of metrics.jsonl -> what is drawn."""
FURTHER = ("length", "entropy", "1000 tokens", "steps", "minutes")
"""Columns after pass@1 and accuracy; length and entropy are those at the end, as is the accuracy."""
_LAST = 0.2  # share of the budget over which a run's measures are averaged at its end


@dataclass(frozen=True, slots=True)
class Curve:
    """One run, step by step."""

    variant: str
    seed: int
    tokens_N: Values  # sampled so far
    minutes_N: Values  # spent so far, sampling, grading and learning
    measures: Mapping[str, Values]  # each (N,), NaN where a step has none
    final: Mapping[str, float]  # pass@1 of each task on held-out problems

    def at_the_end(self, measure: str) -> float:
        """The mean of a measure over the last fifth of the run's tokens; NaN where no step has it."""
        late = self.measures[measure][self.tokens_N >= (1 - _LAST) * self.tokens_N[-1]]
        known = late[~np.isnan(late)]
        return float(known.mean()) if known.size else math.nan


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over seeds and half the width of its 95% interval, inf for one seed."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """By Student's t over the seeds."""
        return cls(*seed_interval(values))


def is_finished(folder: Path, stage: str) -> bool:
    """Whether a run has been trained and tested."""
    return stage in results(folder) and (folder / "stages" / stage / "metrics.jsonl").exists()


def read_curve(variant: str, seed: int, folder: Path, stage: str) -> Curve:
    """One finished run. Raises UserError when its logs or results are missing or damaged."""
    place = folder / "stages" / stage
    rows = metrics(place / "metrics.jsonl")
    seconds = {row["step"]: number(row, "seconds") for row in jsonl(place / "timings.jsonl")}
    evaluated = results(folder).get(stage)
    if not rows or evaluated is None:
        raise UserError(f"{folder}: stage {stage} is not finished")
    return Curve(
        variant,
        seed,
        np.cumsum([_required(row, "sampled_tokens", place) for row in rows]),
        np.cumsum([(seconds.get(row["step"]) or 0.0) / 60 for row in rows]),
        {name: np.array([_or_nan(row, name) for row in rows]) for name in MEASURES},
        {task: rate for task, record in evaluated.items() if (rate := number(record, "pass@1")) is not None},
    )


def on_grid(curves: Sequence[Curve], measure: str, axis: str, points: int = 60) -> tuple[Values, Values]:
    """Where all runs of a variant have been: x (points,), and the measure of each there, (R, points).

    `axis` is "tokens" or "minutes". Each point is the mean of three steps, which tells more than one.
    """
    xs = [curve.tokens_N if axis == "tokens" else curve.minutes_N for curve in curves]
    first = max(x[0] for x in xs)
    grid = np.linspace(first, max(first, min(x[-1] for x in xs)), points)
    smooth = [_smoothed(curve.measures[measure]) for curve in curves]
    return grid, np.stack([np.interp(grid, x, y) for x, y in zip(xs, smooth, strict=True)])


def _smoothed(values_N: Values) -> Values:
    """Means of each value with its neighbours."""
    padded = np.pad(values_N, 1, constant_values=np.nan)
    windows = np.stack([padded[:-2], padded[1:-1], padded[2:]])
    known = ~np.isnan(windows)
    means: Values = np.where(known, windows, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return np.where(known.any(0), means, np.nan)


def summary(curves: Sequence[Curve]) -> dict[str, dict[str, Any]]:
    """Variant -> its numbers as plain data: each `{"mean", "half_ci95", "seeds": {seed: value}}`."""
    found: dict[str, dict[str, Any]] = {}
    for variant in dict.fromkeys(curve.variant for curve in curves):
        own = sorted((curve for curve in curves if curve.variant == variant), key=lambda curve: curve.seed)
        record: dict[str, Any] = {
            f"pass@1/{task}": _entry(own, [curve.final[task] for curve in own]) for task in own[0].final
        }
        for measure in MEASURES:
            record[measure] = _entry(own, [curve.at_the_end(measure) for curve in own])
        record["sampled_tokens"] = _entry(own, [float(curve.tokens_N[-1]) for curve in own])
        record["minutes"] = _entry(own, [float(curve.minutes_N[-1]) for curve in own])
        record["steps"] = _entry(own, [float(len(curve.tokens_N)) for curve in own])
        found[variant] = record
    return found


def _entry(curves: Sequence[Curve], values: Sequence[float]) -> dict[str, Any]:
    """A mean over the seeds that have the number; None where none has."""
    known = {
        str(curve.seed): value for curve, value in zip(curves, values, strict=True) if math.isfinite(value)
    }
    if not known:
        return {"mean": None, "half_ci95": None, "seeds": {}}
    figure = Figure.of([*known.values()])
    return {
        "mean": figure.mean,
        "half_ci95": figure.half if math.isfinite(figure.half) else None,
        "seeds": known,
    }


def table_rows(found: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Headings and a row for each variant, the best on held-out problems first."""
    tasks = [key for key in next(iter(found.values())) if key.startswith("pass@1/")]
    shared = len(tasks) == 1
    headings = ["variant", *("pass@1" if shared else key.removeprefix("pass@1/") for key in tasks)]
    headings += ["accuracy", *FURTHER]
    order = sorted(found, key=lambda name: -sum(found[name][key]["mean"] for key in tasks))
    rows = []
    for name in order:
        record = found[name]
        row = [name, *(_percent(record[key]) for key in tasks), _percent(record["accuracy"])]
        row += [_number(record["response_tokens"], 0), _number(record["entropy"], 3)]
        row += [f"{record['sampled_tokens']['mean'] / 1000:.0f}", f"{record['steps']['mean']:.0f}"]
        rows.append([*row, f"{record['minutes']['mean']:.1f}"])
    return headings, rows


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table for a document."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *([f"`{row[0]}`", *row[1:]] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _percent(entry: Row) -> str:
    if entry["mean"] is None:
        return "–"
    half = entry["half_ci95"]
    return f"{100 * entry['mean']:.1f}" + ("%" if half is None else f" ± {100 * half:.1f}%")


def _number(entry: Row, digits: int) -> str:
    if entry["mean"] is None:
        return "–"
    half = entry["half_ci95"]
    return f"{entry['mean']:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def _required(row: Row, name: str, place: Path) -> float:
    value = number(row, name)
    if value is None:
        raise UserError(f"{place / 'metrics.jsonl'}: step {row['step']}: no {name}")
    return value


def _or_nan(row: Row, name: str) -> float:
    value = number(row, name)
    return math.nan if value is None else value

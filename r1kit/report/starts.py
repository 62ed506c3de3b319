"""Where each model of a run comes from: the model that it goes back to, and the computing it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from r1kit.models.packaged import PACKAGED
from r1kit.pipeline.config import BASE
from r1kit.report.reading import Row, json_object, number

Parents = Mapping[str, str | None]
"""Stage -> the model that it started from, None for one that started from nothing."""


@dataclass(frozen=True, slots=True)
class Line:
    """Models that go back to one start: `Line("nano", ("nano", "distilled"))`."""

    start: str
    names: tuple[str, ...]


def model_parents(run: Path) -> dict[str, str | None]:
    """What the `stage.json` of every stage says; {} without any. Raises UserError for a damaged one."""
    return {stage: _parent(record) for stage, record in _records(run).items()}


def lines(names: Sequence[str], parents: Parents) -> list[Line]:
    """The models by what they go back to; first the line of the base, or else that of the first model."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(start_of(name, parents), []).append(name)
    order = sorted(found, key=lambda start: start != BASE)
    return [Line(start, tuple(found[start])) for start in order]


def start_of(name: str, parents: Parents) -> str:
    """The first of a model's forebears.

    A model without a record is a start if it is a packaged one or something started from it; any other is
    taken to go back to the base.
    """
    path = [name]
    while (parent := parents.get(path[-1])) is not None and parent not in path:
        path.append(parent)
    first = path[-1]
    return first if first in parents or first in parents.values() or first in PACKAGED else BASE


def training_compute(run: Path) -> dict[str, float]:
    """10^12 operations of each finished training of a run, as its `stage.json` says; others are left out."""
    summaries = {stage: record.get("summary") for stage, record in _records(run).items()}
    found = {stage: number(made, "teraflop") for stage, made in summaries.items() if isinstance(made, dict)}
    return {stage: value for stage, value in found.items() if value is not None}


def _records(run: Path) -> dict[str, Row]:
    """Stage -> its `stage.json`."""
    return {path.parent.name: json_object(path) for path in sorted(run.glob("stages/[!.]*/stage.json"))}


def _parent(record: Row) -> str | None:
    recorded = record.get("parents")
    parent = recorded.get("model") if isinstance(recorded, dict) else None
    return parent if isinstance(parent, str) else None

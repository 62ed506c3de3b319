"""By how much a model is better than another one on the same problems."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from r1kit.errors import UserError
from r1kit.report.averages import Stages, stage_names, task_names
from r1kit.report.reading import Row, jsonl
from r1kit.report.results_table import MISSING, heading, plain_table
from r1kit.report.starts import Parents, model_parents
from r1kit.rollouts.intervals import mean_interval

Rates = Mapping[str, Mapping[str, float]]
"""Task -> problem -> the share of its samples that are correct."""


@dataclass(frozen=True, slots=True)
class Change:
    """pass@1 of the later model less that of the earlier one, and half the width of its 95% interval."""

    mean: float  # -1 to 1
    half: float  # inf where no spread is known

    def __str__(self) -> str:
        """`"+10.5±3.2"`, in points; without the second part where no spread is known."""
        spread = f"±{100 * self.half:.1f}" if math.isfinite(self.half) else ""
        return f"{100 * self.mean:+.1f}{spread}"


def pass_rates(run: Path) -> dict[str, Rates]:
    """Model -> rates of every evaluated problem, from `evaluations/*.jsonl`.

    Models whose rows have no counts (runs made before they were kept) are left out. Raises UserError for a
    damaged file.
    """
    found: dict[str, Rates] = {}
    for path in sorted(run.glob("evaluations/[!.]*.jsonl")):
        rates: dict[str, dict[str, float]] = {}
        for number, row in enumerate(jsonl(path), start=1):
            if (rate := _rate(row)) is None:
                continue
            of_task, problem = rates.setdefault(str(row.get("task")), {}), str(row.get("problem"))
            if problem in of_task:
                raise UserError(f"{path}: row {number}: problem {problem!r} stands there already")
            of_task[problem] = rate
        if rates:
            found[path.stem] = rates
    return found


def change(before: Rates, after: Rates, task: str) -> Change | None:
    """Of the problems of a task that both models were tested on; None when there is none."""
    first, second = before.get(task, {}), after.get(task, {})
    found = [second[problem] - first[problem] for problem in first if problem in second]
    return Change(*mean_interval(found)) if found else None


def run_changes(run: Path, stages: Stages, against: str | None = None) -> list[RenderableType]:
    """A table with what each model of a run has gained or lost on every task, or [] without comparisons.

    Args:
        run: the run folder.
        stages: its results.
        against: what to compare with: a model of the run, or the folder of another run (`./name`, where a
            model has the same name), each model with that run's of the same name; None: each model with the
            one that it started from.

    Raises UserError when `against` is neither or shares no problem with the run, or when a file is damaged.
    """
    rates, tasks = pass_rates(run), task_names([stages])
    before = _forerunners(run, rates, against)
    lines = []
    for name in stage_names([stages]):
        if name not in before or name not in rates:
            continue
        label, earlier = before[name]
        cells = [change(earlier, rates[name], task) for task in tasks]
        if any(cells):
            lines.append([f"{name}\n− {label}", *(MISSING if cell is None else str(cell) for cell in cells)])
    if not lines:
        if against is not None:
            raise UserError(f"{against}: no model of {run} was tested on the same problems")
        return []
    title = "differences of pass@1 on the same problems, in points, and ± of the 95% interval"
    headings = ["stage", *(task.replace("_", "\n") for task in tasks)]
    return [heading(title), plain_table(headings, lines)]


def _forerunners(run: Path, rates: Mapping[str, Rates], against: str | None) -> dict[str, tuple[str, Rates]]:
    """Model -> what it is compared with: the name in the table, and the rates."""
    if against is None:
        parents = model_parents(run)
        return {
            name: (parent, rates[parent]) for name, parent in parents.items() if parent and parent in rates
        }
    if against in rates:
        return {name: (against, rates[against]) for name in rates if name != against}
    other = Path(against)
    if not against or not other.is_dir():
        known = ", ".join(rates) or "none, or none with counts for each problem"
        raise UserError(
            f"{against or 'nothing'}: neither a run folder nor among the evaluated models ({known})"
        )
    if other.resolve() == run.resolve():
        raise UserError(f"{against}: is the run itself")
    found = pass_rates(other)
    if not found:
        raise UserError(f"{against}: has no evaluations with counts for each problem")
    return {name: (other.resolve().name, found[name]) for name in rates if name in found}


def stage_pairs(names: Sequence[str], parents: Parents) -> list[tuple[str, str]]:
    """The models that go on from another stage's, each as (before, after); bases are no stages."""
    found = [(parents.get(name), name) for name in names]
    return [(before, after) for before, after in found if before in names and before in parents and before]


def _rate(row: Row) -> float | None:
    correct, samples = row.get("correct"), row.get("samples")
    counts = [count for count in (correct, samples) if isinstance(count, int) and not isinstance(count, bool)]
    if len(counts) < 2 or not 0 <= counts[0] <= counts[1]:
        return None
    return counts[0] / counts[1] if counts[1] else None

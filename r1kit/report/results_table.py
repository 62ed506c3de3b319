"""The results of a run in the terminal.

Each task has a block of its own, with a row for every stage: what a stage changed is read downwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from r1kit.report.averages import SIDES, Stages, task_names
from r1kit.report.reading import Row, ci95, consensus, number
from r1kit.tracking.terminal import printable

MISSING = "–"
PASS = "pass@1 [95% CI]"


@dataclass(frozen=True, slots=True)
class Column:
    """A number of a record and how it is written."""

    title: str
    value: Callable[[Row], float | None]
    write: Callable[[float | None], str]


def terminal_table(stages: Stages, states: Mapping[str, str] | None = None) -> RenderableType:
    """A block for each task with a row for each stage; `states` adds what `stage.json` says of each stage.

    Fits 80 columns with the stages' published names. One task alone is not named. Stages without any
    evaluation stand below.
    """
    states = states or {}
    tasks = task_names([stages])
    parts: list[RenderableType] = []
    for task in tasks:
        rows = {stage: found[task] for stage, found in stages.items() if task in found}
        parts += [heading(task) if len(tasks) > 1 else Text(""), _block(rows)]
    waiting = [f"{stage} ({state})" for stage, state in states.items() if not stages.get(stage)]
    if waiting:
        parts.append(Text(f"\nnot evaluated: {printable(', '.join(waiting))}"))
    return Group(*parts, Text(""))


def percent(value: float | None) -> str:
    """`0.135` -> `13.5%`; a dash for None."""
    return MISSING if value is None else f"{100 * value:.1f}%"


def whole(value: float | None, unit: str = "") -> str:
    """`136.4` -> `136`; a dash for None."""
    return MISSING if value is None else f"{value:.0f}{unit}"


def interval(record: Row) -> str:
    """`13.5% [10.1, 17.8]`: pass@1 with its confidence interval, in per cent."""
    text, ends = percent(number(record, "pass@1")), ci95(record, "pass@1")
    return text if ends is None else f"{text} [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"


def heading(text: str) -> Text:
    """A line above a table, after an empty one; the text may be untrusted."""
    return Text(f"\n{printable(text)}", style="bold")


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of names (the first column) and figures, whose cells may be untrusted text.

    A narrow terminal wraps names, never figures.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    for index, text in enumerate(headings):
        figures = index > 0
        table.add_column(
            Text(printable(text)), justify="right" if figures else "left", overflow="fold", no_wrap=figures
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def columns(records: Sequence[Row], thinking: str = "thinking tokens", unit: str = "") -> list[Column]:
    """What there is to say beside pass@1. A dialogue has its two sides, but no vote and no cut-offs.

    One side alone is pass@1 itself, and left out.
    """

    def share(title: str, key: str) -> Column:
        return Column(title, lambda record: number(record, key), percent)

    def vote(record: Row) -> float | None:
        found = consensus(record)
        return found[1] if found else None

    sides = [share(title, key) for key, title in SIDES.items() if any(key in record for record in records)]
    votes = sorted({found[0] for record in records if (found := consensus(record))})
    spoken = any("language_consistency" in record for record in records)
    return [
        *(sides if len(sides) > 1 else []),
        *([] if sides else [Column("/".join(votes) or "cons@k", vote, percent)]),
        share("format", "format_rate"),
        *([share("language", "language_consistency")] if spoken else []),
        Column(thinking, lambda record: number(record, "thinking_tokens"), partial(whole, unit=unit)),
        *([] if sides else [share("cut off", "truncation_rate")]),
    ]


def _block(rows: Mapping[str, Row]) -> Table:
    shown = columns(list(rows.values()), "thinking", " tok")
    headings = ["stage", PASS, *(column.title for column in shown)]
    lines = [[name, interval(row), *(c.write(c.value(row)) for c in shown)] for name, row in rows.items()]
    return plain_table(headings, lines)

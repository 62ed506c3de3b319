"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

_ABSENT = "–"


def stage_table(stages: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """The content of results.json: a row for each stage and task; thinking is counted in tokens."""
    votes = sorted(
        {key for tasks in stages.values() for record in tasks.values() for key in record if _is_vote(key)}
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", overflow="fold")
    table.add_column("task", overflow="fold")
    for heading in (escape("pass@1 [95%]"), *votes, "format", "thinking", "cut off"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage, tasks in stages.items():
        for task, record in tasks.items():
            low, high = record["pass@1"]["ci95"]
            table.add_row(
                escape(stage),
                escape(task),
                escape(f"{percent(record['pass@1']['mean'])} [{100 * low:.1f}, {100 * high:.1f}]"),
                *(percent(record.get(vote)) for vote in votes),
                percent(record["format_rate"]),
                f"{record['thinking_tokens']:.0f} tok",
                percent(record["truncation_rate"]),
            )
    return table


def _is_vote(key: str) -> bool:
    return key.startswith("cons@") and key[5:].isdigit()


def percent(value: float | None) -> str:
    """`0.135` -> `13.5%`."""
    return _ABSENT if value is None else f"{100 * value:.1f}%"

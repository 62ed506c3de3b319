"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

_ABSENT = "–"


def stage_table(stages: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """The content of results.json: a row for each stage and task."""
    votes = sorted(
        {key for tasks in stages.values() for record in tasks.values() for key in record if _is_vote(key)}
    )
    table = Table(title="held-out results", title_justify="left")
    table.add_column("stage")
    table.add_column("task")
    for heading in ("pass@1", "95% interval", *votes, "format", "thinking tokens", "cut off"):
        table.add_column(heading, justify="right")
    for stage, tasks in stages.items():
        for task, record in tasks.items():
            low, high = record["pass@1"]["ci95"]
            table.add_row(
                stage,
                task,
                percent(record["pass@1"]["mean"]),
                f"{100 * low:.1f}–{100 * high:.1f}",
                *(percent(record.get(vote)) for vote in votes),
                percent(record["format_rate"]),
                f"{record['thinking_tokens']:.0f}",
                percent(record["truncation_rate"]),
            )
    return table


def _is_vote(key: str) -> bool:
    return key.startswith("cons@") and key[5:].isdigit()


def percent(value: float | None) -> str:
    """`0.135` -> `13.5%`."""
    return _ABSENT if value is None else f"{100 * value:.1f}%"

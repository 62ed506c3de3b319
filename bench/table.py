"""The table of what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.setting import Measurement


def show(measurements: Sequence[Measurement], notes: Sequence[str]) -> None:
    """Print a row each, and under them what could not be measured or where the numbers went."""
    table = Table("", "unit", "r1kit", "beside", "", "ratio", title="median of the repeats")
    for row in [measurement.row() for measurement in measurements]:
        other = [row["beside"], f"{row['other']:,.0f}", f"{row['ratio']}x"] if row["beside"] else ["–"] * 3
        table.add_row(row["name"], row["unit"], f"{row['r1kit']:,.0f}", *other)
    console = Console(width=120)
    console.print(table)
    for note in notes:
        console.print(note, markup=False, highlight=False)

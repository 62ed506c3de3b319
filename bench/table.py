"""The table of what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.setting import Measurement


def show(measurements: Sequence[Measurement], notes: Sequence[str]) -> None:
    """Print a row each, and under them what could not be measured or where the numbers went."""
    table = Table("", "unit", "r1kit", "beside", "", "ratio", "of the limit", title="median of the repeats")
    for row in [measurement.row() for measurement in measurements]:
        other = ["–", "–"]
        if row["other"]:
            other = [f"{row['other']:,.0f}", f"{row['ratio']}x"]
        elif row["not_run"]:
            other = [escape(f"not run: {row['not_run']}"), "–"]
        share = f"{100 * row['share_of_limit']:.0f}%" if row["limit"] else "–"
        told = (row["name"], row["unit"], f"{row['r1kit']:,.0f}", row["beside"] or "–", *other, share)
        table.add_row(*told)
    console = Console(width=120)
    if measurements:
        console.print(table)
    for note in notes:
        console.print(note, markup=False, highlight=False)

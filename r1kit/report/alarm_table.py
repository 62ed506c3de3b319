"""What the alarms of a training said, in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from r1kit.report.reading import Row
from r1kit.tracking.terminal import printable

_STYLES = {"note": "dim", "warning": "yellow", "critical": "bold red"}


def alarm_table(stage: str, rows: Sequence[Row]) -> list[RenderableType]:
    """Step, severity, name and text of each row of a stage's `alarms.jsonl`; nothing when there is none."""
    if not rows:
        return []
    title = Text(printable(f"{stage}: alarms ({len(rows)})"))
    table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 1))
    for row in rows:
        severity = str(row.get("severity"))
        cells = (f"step {row.get('step')}", severity, f"{row.get('alarm')}: {row.get('text')}")
        table.add_row(*(Text(printable(cell), style=_STYLES.get(severity, "")) for cell in cells))
    return [table]

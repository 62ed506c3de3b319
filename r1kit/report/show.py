"""`r1kit show RUN`: where a run stands, in the terminal, while it runs or afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from r1kit.errors import UserError
from r1kit.files import LOCK
from r1kit.report.alarm_table import alarm_table
from r1kit.report.behaviour_table import behaviour_tables
from r1kit.report.changes import run_changes
from r1kit.report.reading import (
    Row,
    json_object,
    jsonl,
    logs,
    metrics,
    number,
    results,
    run_folder,
)
from r1kit.report.results_table import terminal_table
from r1kit.tracking.terminal import printable

CURVES = (
    "accuracy",
    "format_rate",
    "reward",
    "thinking_tokens",
    "response_tokens",
    "entropy",
    "language_consistency",
    "loss",
)
"""Metrics drawn as sparklines where a stage logs them."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
_LONGEST = 1200  # characters of a shown rollout


def show(run: Path, console: Console | None = None, against: str | None = None) -> None:
    """Print the stages, results, curves, last numbers and alarms, one rollout, and where the files are.

    `against`: what the models are compared with (`run_changes`). Raises UserError when `run` is no run
    folder, one of its files is damaged, or `against` was not evaluated.
    """
    console = console or Console(highlight=False)
    for block in blocks(run, against):
        console.print(block)


def blocks(run: Path, against: str | None = None) -> list[RenderableType]:
    """The parts of the view, in order."""
    folder = run_folder(run)
    stages, evaluated, written = stage_states(folder), results(folder), logs(folder, "metrics.jsonl")
    if not stages and not evaluated and not written:
        raise UserError(f"{run}: holds no stage, metrics or results; is it a run folder?")
    parts: list[RenderableType] = [Text(f"{folder.resolve().name}: {state(folder, stages)}", style="bold")]
    parts += program_lines(folder)
    parts += [terminal_table(evaluated, stages), *run_changes(folder, evaluated, against)]
    parts += behaviour_tables(evaluated)
    for name, path in written.items():
        rows = metrics(path)
        if rows:
            parts += [curve_table(name, rows), last_numbers(rows)]
    for name, path in logs(folder, "alarms.jsonl").items():
        parts += alarm_table(name, list(jsonl(path)))
    for name, path in logs(folder, "rollouts.jsonl").items():
        parts += rollout_block(name, list(jsonl(path)))
    parts.append(file_list(folder))
    return parts


def stage_states(folder: Path) -> dict[str, str]:
    """Stage -> "started" or "finished", from each `stages/NAME/stage.json`, oldest first."""
    found = sorted(folder.glob("stages/*/stage.json"), key=lambda path: (path.stat().st_mtime, path))
    return {path.parent.name: str(json_object(path).get("status")) for path in found}


def program_lines(folder: Path) -> list[RenderableType]:
    """What locked in the programs that the model wrote, a line for each task that ran any."""
    manifest = folder / "run.json"
    found = json_object(manifest).get("programs") if manifest.exists() else None
    records = found.items() if isinstance(found, dict) else ()
    return [_text(_program_line(task, record)) for task, record in records if isinstance(record, dict)]


def _program_line(task: str, record: Row) -> str:
    breaches = record.get("breaches")
    could = f"; one could {', '.join(map(str, breaches))}" if isinstance(breaches, list) and breaches else ""
    return f"programs of {task}: sandbox tier {record.get('tier')}{could}"


def state(folder: Path, stages: dict[str, str]) -> str:
    """`"running as process 4711 on laptop"`, `"finished"` or `"stopped"`."""
    lock = folder / LOCK
    if lock.exists() and lock.stat().st_size:
        holder = json_object(lock)
        return f"running as process {holder.get('pid')} on {holder.get('host')} (unless it was killed)"
    return (
        "finished" if all(status == "finished" for status in stages.values()) else "stopped; --resume goes on"
    )


def curve_table(stage: str, rows: Sequence[Row]) -> Table:
    """First value, sparkline and last value of the main metrics of one stage."""
    title = f"{printable(stage)}: steps {rows[0]['step']} to {rows[-1]['step']}"
    table = Table(title=Text(title), title_justify="left", box=None, show_header=False, padding=(0, 1))
    for name in CURVES:
        values = [value for row in rows if (value := number(row, name)) is not None]
        if values:
            table.add_row(
                name, _figure(values[0]), Text(sparkline(values), style="cyan"), _figure(values[-1])
            )
    return table


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Means of at most `width` equal stretches of `values`, as bars from the least to the greatest."""
    count = min(width, len(values))
    edges = [i * len(values) // count for i in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((mean - low) * scale)] for mean in means)


def last_numbers(rows: Sequence[Row]) -> Text:
    """Every other number of the last step, on one paragraph."""
    last = rows[-1]
    others = [n for n in last if n not in (*CURVES, "step") and number(last, n) is not None]
    return _text("last step: " + ", ".join(f"{name} {_figure(number(last, name))}" for name in others), "dim")


def rollout_block(stage: str, rows: Sequence[Row]) -> list[RenderableType]:
    """How many rollouts are logged, and the last correct one (else the last)."""
    if not rows:
        return []
    right = [row for row in rows if row.get("verdict") == "correct"]
    chosen = (right or list(rows))[-1]
    head = f"\n{stage}: {len(rows)} rollouts logged, {len(right)} correct; the last one:"
    fields = ("prompt", "thinking", "extracted", "answer", "verdict", "reward", "advantage")
    lines = [f"{name}: {shorten(str(chosen[name]))}" for name in fields if chosen.get(name) is not None]
    return [_text(head, "bold"), *(_text(line) for line in lines)]


def file_list(folder: Path) -> Text:
    """Where the files are that people open next."""
    names = (
        "results.json",
        "evaluations",
        "stages/*/metrics.jsonl",
        "stages/*/rollouts.jsonl",
        "stages/*/model",
    )
    found = [path for name in names for path in sorted(folder.glob(name))]
    return _text("\nfiles:\n" + "\n".join(f"  {path}" for path in found), "dim")


def shorten(text: str, limit: int = _LONGEST) -> str:
    """At most about `limit` characters: the middle is cut out and its length named."""
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return f"{text[:head]} … [{len(text) - limit} characters] … {text[head - limit :]}"


def _text(text: str, style: str = "") -> Text:
    """Untrusted text: never markup, no control characters."""
    return Text(printable(text), style=style)


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"

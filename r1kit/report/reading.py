"""Reading a run folder for people: finds its files, reads them strictly, says in one line what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from r1kit.errors import UserError

Row = dict[str, Any]


def run_folder(run: Path) -> Path:
    """`run` itself when it is a folder; raises UserError otherwise."""
    if not run.is_dir():
        raise UserError(f"{run}: no such run folder; `r1kit run RECIPE` makes one under runs/")
    return run


def results(run: Path) -> dict[str, dict[str, Row]]:
    """The `stages` part of `results.json`: stage -> task -> record. {} when nothing is evaluated yet."""
    path = run / "results.json"
    if not path.exists():
        return {}
    return results_file(path)


def results_file(path: Path) -> dict[str, dict[str, Row]]:
    """The `stages` part of one results file; raises UserError for anything that is not one."""
    found = json_object(path)
    stages = found.get("stages")
    if not isinstance(stages, dict) or not all(
        isinstance(tasks, dict) and all(isinstance(record, dict) for record in tasks.values())
        for tasks in stages.values()
    ):
        raise UserError(f'{path}: expected {{"stages": {{STAGE: {{TASK: {{…}}}}}}}}')
    return stages


def json_object(path: Path) -> Row:
    """The object in a JSON file; UserError names the file when it is something else."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: not a JSON object")
    return found


def logs(run: Path, name: str) -> dict[str, Path]:
    """Every file `name` below the run folder: stage (its folder's name) -> path, oldest first."""
    paths = sorted(run.rglob(name), key=lambda path: (path.stat().st_mtime, path))
    return {path.parent.name if path.parent != run else run.resolve().name: path for path in paths}


def jsonl(path: Path) -> Iterator[Row]:
    """The rows of a JSONL log. A torn last line (a run that is writing, or was killed) is left out.

    Raises UserError naming the file and the row, counted from 1, of anything else that is not a JSON object.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    return
                yield _row(path, number, line)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _row(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: row {number} is not valid JSON: {error}") from error
    if not isinstance(row, dict):
        raise UserError(f"{path}: row {number} is not a JSON object")
    return row


def metrics(path: Path) -> list[Row]:
    """The rows of one `metrics.jsonl`, each with an integer `step`; raises UserError as `jsonl` does."""
    rows = list(jsonl(path))
    for number, row in enumerate(rows, start=1):
        if not isinstance(row.get("step"), int):
            raise UserError(f"{path}: row {number}: field 'step' is missing or not an integer")
    return rows


def number(record: Row, name: str) -> float | None:
    """`record[name]` as a number: a plain one, or the `mean` of a record; None when there is none."""
    value = record.get(name)
    if isinstance(value, dict):
        value = value.get("mean")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def ci95(record: Row, name: str) -> tuple[float, float] | None:
    """Both ends of the 95% interval of a number, None when none is recorded."""
    entry = record.get(name)
    ends = entry.get("ci95") if isinstance(entry, dict) else None
    return (ends[0], ends[1]) if isinstance(ends, list) and len(ends) == 2 else None


def consensus(record: Row) -> tuple[str, float] | None:
    """Name and value of the majority vote of an evaluation record: `("cons@16", 0.9)`."""
    for name in record:
        value = number(record, name)
        if name.startswith("cons@") and name[5:].isdigit() and value is not None:
            return name, value
    return None

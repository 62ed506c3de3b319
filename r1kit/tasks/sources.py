"""Rows of stored data sets: local JSON lines and parquet files, and the hub."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from r1kit.errors import DataError

Row = tuple[int, dict[str, Any]]
"""The row's number, counted from 1 (for JSON lines: the line), and its fields."""

_BATCH_ROWS = 10_000


def rows(source: str, split: str = "train") -> Iterator[Row]:
    """The rows of a .jsonl or .parquet file, or of a hub data set's `split` when no such file exists.

    Raises DataError that names the file and the row.
    """
    path = Path(source)
    if path.suffix in _READERS:
        if not path.is_file():
            raise DataError(f"{source}: no such file")
        return _READERS[path.suffix](path)
    if path.exists():
        raise DataError(
            f"{source}: data must be a {' or '.join(_READERS)} file, or the name of a hub data set"
        )
    return _hub(source, split)


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: row {number}: not JSON ({_reason(error)})") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}: row {number}: must be an object, found {type(row).__name__}")
            yield number, row


def _parquet(path: Path) -> Iterator[Row]:
    _require("pyarrow", "parquet", path)
    import pyarrow
    from pyarrow import parquet

    try:
        number = 0
        for batch in parquet.ParquetFile(path).iter_batches(_BATCH_ROWS):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: row {number + 1}: not readable as parquet ({_reason(error)})") from None


def _hub(name: str, split: str) -> Iterator[Row]:
    _require("datasets", "hub", name)
    import datasets

    try:
        data = datasets.load_dataset(name, split=split)
    except (
        Exception
    ) as error:  # the hub client raises dozens of unrelated types; all mean that nothing was loaded
        raise DataError(
            f"{name}: neither a local file nor a readable hub data set ({_reason(error)})"
        ) from None
    for number, row in enumerate(data, start=1):
        yield number, dict(row)


def _require(module: str, extra: str, source: object) -> None:
    if importlib.util.find_spec(module) is None:
        raise DataError(f"{source}: reading it needs the package {module}; pip install 'r1kit[{extra}]'")


def _reason(error: BaseException) -> str:
    """The first line of an error's message, cut."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


_READERS = {".jsonl": _jsonl, ".parquet": _parquet}

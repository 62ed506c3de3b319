"""Append-only logs of JSON rows that survive a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from r1kit.errors import CheckpointError
from r1kit.files import disk
from r1kit.files.disk import make_parents, readable_errors
from r1kit.files.durable import dump_json

_CHUNK = 1 << 20


class JsonlLog:
    """An append-only file of JSON objects, one per line: `{"step": 3, "reward": 0.4}`.

    Rows are buffered until `flush` (visible to readers) or `sync` (durable). A line that a crash left
    unfinished is dropped when the log is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._buffer: list[bytes] = []
        with readable_errors(self.path, 0):
            make_parents(self.path.parent)
            if not self.path.exists():
                disk.current.write(self.path, b"")
                disk.current.sync(self.path.parent)
            self._written = _end_of_last_line(self.path)
            if self._written != self.path.stat().st_size:
                disk.current.truncate(self.path, self._written)

    def append(self, obj: Mapping[str, Any]) -> None:
        """Add one row. NaN is refused: write `finite_or_none(x)`."""
        self._buffer.append(dump_json(obj).encode() + b"\n")

    def flush(self) -> None:
        """Hand the buffered rows to the operating system. A full disk leaves the log as it was before."""
        data = b"".join(self._buffer)
        if not data:
            return
        with readable_errors(self.path, len(data)):
            try:
                disk.current.append(self.path, data)
            except OSError:
                with suppress(OSError):
                    disk.current.truncate(self.path, self._written)
                raise
        self._written += len(data)
        self._buffer.clear()

    def sync(self) -> None:
        """`flush`, and make the rows durable."""
        self.flush()
        with readable_errors(self.path, 0):
            disk.current.sync(self.path)

    @property
    def offset(self) -> int:
        """Bytes written; durable after `sync`. The rows of a checkpoint are those before its offset."""
        return self._written

    def truncate(self, offset: int) -> None:
        """Drop every row after `offset`, buffered ones too. CheckpointError when no row ends there."""
        self._buffer.clear()
        if not _line_ends_at(self.path, offset):
            raise CheckpointError(
                f"{self.path}: has {self._written} bytes and no row that ends at byte {offset}, where the"
                " checkpoint expects one; the file was changed since, start the stage anew"
            )
        with readable_errors(self.path, 0):
            disk.current.truncate(self.path, offset)
            disk.current.sync(self.path)
        self._written = offset

    def close(self) -> None:
        """`sync`; the log may be used again afterwards."""
        self.sync()


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a log that may still be written to: an unfinished last line is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _end_of_last_line(path: Path) -> int:
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _CHUNK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0


def _line_ends_at(path: Path, offset: int) -> bool:
    if offset <= 0:
        return offset == 0
    with path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"

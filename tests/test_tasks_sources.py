from __future__ import annotations

import importlib.machinery
import sys
import types

import pytest

from r1kit.errors import DataError
from r1kit.tasks import sources


def install(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, int]] | Exception) -> None:
    """A stand-in for the hub client."""

    def load_dataset(name: str, split: str) -> list[dict[str, int]]:
        if isinstance(rows, Exception):
            raise rows
        return [{**row, "split": len(split)} for row in rows]

    module = types.ModuleType("datasets")
    module.__spec__ = importlib.machinery.ModuleSpec("datasets", None)
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_hub_rows_are_counted_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, [{"target": 3}, {"target": 4}])
    assert list(sources.rows("user/name", "test")) == [
        (1, {"target": 3, "split": 4}),
        (2, {"target": 4, "split": 4}),
    ]


def test_a_hub_failure_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ConnectionError("no route\nTraceback"))
    with pytest.raises(DataError) as error:
        list(sources.rows("user/name"))
    assert str(error.value) == "user/name: neither a local file nor a readable hub data set (no route)"


@pytest.mark.parametrize(("source", "package", "extra"), [("user/name", "datasets", "hub")])
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, source: str, package: str, extra: str
) -> None:
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=rf"needs the package {package}; pip install 'r1kit\[{extra}\]'"):
        list(sources.rows(source))

"""Gold answers of rows: found, read, and refused when the data is loaded where they cannot be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from r1kit.errors import DataError
from r1kit.tasks.math_settings import MathSettings
from r1kit.text.tags import boxed
from r1kit.types import UNREADABLE_GOLD
from r1kit.verify.maths import checker, symbolic
from r1kit.verify.maths.declared import STRICT, Declared, declare
from r1kit.verify.maths.trees import Unreadable

ANSWER_FIELDS = ("answer", "solution")
_GOLD_MARK = "####"
_ROW_FIELDS = {"tolerance": "tolerance", "answer_form": "form"}  # of a row -> what it declares
_SKIP = "skip_bad_rows=true leaves such rows out"
_KEEP = "answers.unreadable=keep keeps them for published accuracy"


def read_declared(row: Mapping[str, Any], settings: MathSettings, where: str) -> dict[str, Any]:
    """What is declared of a row's answer: the settings' `answers`, and the row's `tolerance` and
    `answer_form`. A number after `####` leaves its unit to the question, so that units are optional there.

    `{"declared": {"form": "interval", "tolerance": "1%"}}`, as it stands in a problem's reference; {} where
    nothing is declared. Raises DataError.
    """
    found: dict[str, Any] = settings.declared
    if any(_GOLD_MARK in str(row[field]) for field in ANSWER_FIELDS if field in row):
        found.setdefault("units", "optional")
    for field, key in _ROW_FIELDS.items():
        if row.get(field) is not None:
            found[key] = row[field]
            try:
                declare({key: row[field]})
            except ValueError as error:
                raise DataError(f"{where}: field {field!r}: {error}") from None
    return {"declared": found} if found else {}


def declared(reference: Mapping[str, Any]) -> Declared:
    """What a problem's reference declares."""
    return declare(reference["declared"]) if "declared" in reference else STRICT


def read_gold(
    row: Mapping[str, Any], declarations: Mapping[str, Any], where: str, keep_unreadable: bool = False
) -> dict[str, str]:
    """`{"answer": gold}`: after the last `####`, else in the last `\\boxed{}`, else the whole field.

    With `keep_unreadable` one that cannot be read is kept, with the reason under `UNREADABLE_GOLD`. Raises
    DataError, which names the row and the field, for one that cannot be read otherwise, or that needs the
    symbolic check where this is not installed.
    """
    solution = text_of(row, ANSWER_FIELDS, where)
    _, marked, after = solution.rpartition(_GOLD_MARK)
    if marked:
        gold = after.strip()
    else:
        contents = list(boxed(solution))
        gold = (contents[-1] if contents else solution).strip()
    field = next(field for field in ANSWER_FIELDS if field in row)
    named = f"{where}: field {field!r}: the gold answer {gold[:60]!r}"
    try:
        form = checker.read_gold(gold, declared(declarations))
    except Unreadable as reason:
        if keep_unreadable:
            return {"answer": gold, UNREADABLE_GOLD: str(reason)}
        raise DataError(f"{named} cannot be read ({reason}); {_SKIP}; {_KEEP}") from None
    if checker.needs_symbolic(form) and not symbolic.available():
        raise DataError(f"{named} needs the symbolic check: {symbolic.INSTALL}; or {_SKIP}")
    return {"answer": gold}


def text_of(row: Mapping[str, Any], fields: Sequence[str], where: str) -> str:
    """The first of `fields` that the row has, as non-empty text. Raises DataError."""
    for field in fields:
        if field in row:
            value = row[field]
            if not isinstance(value, str) or not value.strip():
                raise DataError(f"{where}: field {field!r} must be non-empty text, found {repr(value)[:60]}")
            return value
    found = ", ".join(map(str, row)) or "none"
    raise DataError(f"{where}: field {' or '.join(map(repr, fields))} is missing; found {found[:200]}")

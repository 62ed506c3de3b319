"""Gold answers of rows: found, read, and refused when the data is loaded where they cannot be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from r1kit.errors import DataError
from r1kit.tasks.math_settings import MathSettings
from r1kit.text.tags import boxed
from r1kit.verify.maths import checker, symbolic
from r1kit.verify.maths.declared import STRICT, AnswerForm, Declared, read_tolerance
from r1kit.verify.maths.trees import Unreadable

ANSWER_FIELDS = ("answer", "solution")
_GOLD_MARK = "####"
_SKIP = "skip_bad_rows=true leaves such rows out"


def read_declared(row: Mapping[str, Any], settings: MathSettings, where: str) -> dict[str, Any]:
    """What is declared of a row's answer, by the row or the settings, where it is not the default.

    `{"tolerance": "0.01", "answer_form": "interval", "percent": "number", "units": "optional"}`. The row's
    own `tolerance` and `answer_form` count before the settings'. Raises DataError.
    """
    found: dict[str, Any] = {"percent": settings.percent, "units": settings.units}
    found["answer_form"] = settings.answer_form if row.get("answer_form") is None else row["answer_form"]
    tolerance = settings.tolerance if row.get("tolerance") is None else row["tolerance"]
    if found["answer_form"] not in get_args(AnswerForm):
        raise DataError(
            f"{where}: field 'answer_form' must be one of {', '.join(get_args(AnswerForm))}, "
            f"found {repr(found['answer_form'])[:60]}"
        )
    try:
        read_tolerance(tolerance)
    except ValueError as error:
        raise DataError(f"{where}: field 'tolerance': {error}") from None
    defaults = {"answer_form": STRICT.form, "percent": STRICT.percent, "units": STRICT.units}
    kept = {key: value for key, value in found.items() if value != defaults[key]}
    return kept if tolerance is None else {**kept, "tolerance": str(tolerance)}


def declared(reference: Mapping[str, Any]) -> Declared:
    """What a problem's reference declares."""
    return Declared(
        reference.get("answer_form", "auto"),
        reference.get("percent", "own"),
        reference.get("units", "required"),
        read_tolerance(reference.get("tolerance")),
    )


def read_gold(row: Mapping[str, Any], declarations: Mapping[str, Any], where: str) -> str:
    """The gold answer: after the last `####`, else in the last `\\boxed{}`, else the whole field.

    Raises DataError, which names the row and the field, for one that cannot be read, or that needs the
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
        raise DataError(f"{named} cannot be read ({reason}); {_SKIP}") from None
    if checker.needs_symbolic(form) and not symbolic.available():
        raise DataError(f"{named} needs the symbolic check: {symbolic.INSTALL}; or {_SKIP}")
    return gold


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

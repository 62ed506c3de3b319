"""One answer of the `math` task against its reference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from r1kit.errors import DataError
from r1kit.tasks.math_gold import declared
from r1kit.types import Verdict
from r1kit.verify.maths import checker
from r1kit.verify.maths.declared import STRICT
from r1kit.verify.maths.votes import classes
from r1kit.verify.numbers import MAX_CHARACTERS, equal

_OPENING = r"(?:\s|\$|\\\(|\\\[|\\boxed\s*\{|\*\*)*"  # mark-up in front of a number
_CLOSING = r"(?:[\s$}*]|\\\)|\\\])*"  # and after it
_SPACE = r"(?:\s|\\ |\\,|~)*"


def check(answer: str, reference: Mapping[str, Any]) -> Verdict:
    """Whether `answer` says the same as `reference["answer"]`.

    A problem that says its `unknown` or what it is `counted_in` has one exact number as its gold. Besides
    the number itself it takes one equation for the unknown ("x=3"), or one of the units after the number
    ("12 apples", "12个苹果"). Every other word, unit, unknown or second number makes the answer MALFORMED. Of
    all other problems the gold's form says what is an answer, see `verify.maths.checker`.
    """
    unknown, units = reference.get("unknown"), reference.get("counted_in")
    if not unknown and not units:
        return checker.check(answer, reference["answer"], declared(reference))
    return equal(_bare(answer, unknown, units), reference["answer"])


def same(answers: Sequence[str], reference: Mapping[str, Any]) -> list[int]:
    """A number for each answer, equal for those that say the same of such a problem."""
    unknown, units = reference.get("unknown"), reference.get("counted_in")
    bare = [_bare(answer, unknown, units) for answer in answers]
    return classes(bare, declared(reference) if not unknown and not units else STRICT)


def read_forms(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The `unknown` and `counted_in` of a row, where it has them. Raises DataError that names the field."""
    found: dict[str, Any] = {}
    if "unknown" in row:
        unknown = row["unknown"]
        if not isinstance(unknown, str) or not re.fullmatch("[A-Za-z]", unknown):
            raise DataError(f"{where}: field 'unknown' must be one letter, found {repr(unknown)[:60]}")
        found["unknown"] = unknown
    if "counted_in" in row:
        units = row["counted_in"]
        if not isinstance(units, list) or not all(isinstance(unit, str) and unit.strip() for unit in units):
            raise DataError(f"{where}: field 'counted_in' must be a list of words, found {repr(units)[:60]}")
        found["counted_in"] = units
    return found


def _bare(answer: str, unknown: str | None, units: Sequence[str] | None) -> str:
    """The answer without the unknown and the unit that may go with it."""
    if len(answer) > MAX_CHARACTERS:
        return answer
    if unknown or units:
        answer = answer.strip().removesuffix("。")
    if unknown:
        answer = _without_unknown(answer, unknown)
    return _without_unit(answer, units) if units else answer


def _without_unknown(answer: str, unknown: str) -> str:
    """`$x = 3$` -> `$3$`."""
    match = re.match(rf"({_OPENING}){re.escape(unknown)}\s*=", answer)
    return match.group(1) + answer[match.end() :] if match else answer


def _without_unit(answer: str, units: Sequence[str]) -> str:
    """`12 apples.` -> `12`; the unit may stand in LaTeX's `\\text{}` and the whole inside mark-up."""
    names = "|".join(re.escape(unit) for unit in sorted(units, key=len, reverse=True))
    match = re.search(
        rf"{_SPACE}(?:\\text\s*\{{\s*(?:{names})\s*\}}|(?:{names}))\.?({_CLOSING})\Z", answer, re.IGNORECASE
    )
    return answer[: match.start()] + match.group(1) if match else answer

"""What a data set says of its answers beyond the gold itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

from r1kit.errors import suggestion

AnswerForm = Literal["auto", "expression", "interval", "tuple", "choice", "words"]
"""auto: the gold's form decides. expression: unevaluated arithmetic is as good as its result. interval: `(1,
2)` is the open interval. tuple: `[1, 2]` is a pair. choice: the letter of an option. words: the same
words."""

PercentReading = Literal["own", "number", "fraction"]
"""own: 50% is 50% alone. number: 50% is 50. fraction: 50% is 1/2."""

UnitReading = Literal["required", "optional"]
"""required: a gold with a unit wants it, one without takes none. optional: a missing unit, or one where the
gold has none, does not count; a wrong one does."""

_TOLERANCE = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,18})?(?:e-[0-9]{1,2})?)(?P<percent>%)?")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far from the gold a number may be: `Tolerance(Fraction(1, 100), relative=True)` for "1%"."""

    size: Fraction
    relative: bool = False

    def allows(self, gold: Fraction, answer: Fraction) -> bool:
        """|answer - gold| <= size, times |gold| where it is relative."""
        return abs(answer - gold) <= (self.size * abs(gold) if self.relative else self.size)


@dataclass(frozen=True, slots=True)
class Declared:
    """The defaults are the strictest reading."""

    form: AnswerForm = "auto"
    percent: PercentReading = "own"
    units: UnitReading = "required"
    tolerance: Tolerance | None = None  # exact without


STRICT = Declared()
"""What holds where a data set declares nothing."""


def read_tolerance(given: object) -> Tolerance | None:
    """`0.01`, `"0.01"`, or of the gold `"1%"`. Raises ValueError with what is wanted."""
    if given is None:
        return None
    match = _TOLERANCE.fullmatch(str(given)) if isinstance(given, str | int | float) else None
    if match is None or isinstance(given, bool) or not Fraction(match["number"]):
        raise ValueError(f"a tolerance is a number above 0, or a share of the gold as '1%'; found {given!r}")
    size = Fraction(match["number"])
    return Tolerance(size / 100, relative=True) if match["percent"] else Tolerance(size)


def declare(given: Mapping[str, object]) -> Declared:
    """`declare({"form": "interval", "tolerance": "1%"})`; the keys are the fields of `Declared`.

    Raises ValueError that names the key, what was found and what is known.
    """
    for key, value in given.items():
        if key not in _VALUES and key != "tolerance":
            raise ValueError(f"unknown key {key!r}{suggestion(key, [*_VALUES, 'tolerance'])}")
        if key in _VALUES and value not in _VALUES[key]:
            raise ValueError(f"{key} must be one of {', '.join(_VALUES[key])}, found {repr(value)[:60]}")
    values: dict[str, Any] = {**given, "tolerance": read_tolerance(given.get("tolerance"))}
    return Declared(**values)


_VALUES: dict[str, tuple[str, ...]] = {
    "form": get_args(AnswerForm),
    "percent": get_args(PercentReading),
    "units": get_args(UnitReading),
}

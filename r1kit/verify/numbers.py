"""Numbers written by people and models, read exactly: integers, decimals, fractions, per cent, `$`, LaTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from r1kit.types import Outcome, Verdict

MAX_CHARACTERS = 256
"""Longest answer read; it bounds the digits of every number."""

_THOUSANDS = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:\\,[0-9]{3})+|[0-9]{1,3}(?: [0-9]{3})+"
_DECIMAL = rf"(?:{_THOUSANDS}|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?)\s*(?P<dollar>\\?\$\s*)?(?P<inner>[+-]?)"
    rf"(?:\\[dt]?frac\{{(?P<top>{_DECIMAL})\}}\{{(?P<bottom>{_DECIMAL})\}}"
    rf"|(?P<numerator>{_DECIMAL})\s*/\s*(?P<denominator>{_DECIMAL})"
    rf"|(?P<decimal>{_DECIMAL}))"
    r"\s*(?P<percent>\\?%)?"
)
_WRAPPERS = (
    re.compile(r"\\boxed\s*\{(.*)\}", re.DOTALL),
    re.compile(r"\\text\s*\{([^{}]*)\}"),
    re.compile(r"\\\((.*)\\\)", re.DOTALL),
    re.compile(r"\\\[(.*)\\\]", re.DOTALL),
    re.compile(r"\$\$?([^$]+)\$\$?"),
    re.compile(r"\*\*([^*]+)\*\*"),
)
_MAX_WRAPPERS = 4
_SIGNS = str.maketrans({"−": "-", "＋": "+", "％": "%", "，": ",", "\u00a0": " ", "\u202f": " "})


@dataclass(frozen=True, slots=True)
class Number:
    """`Number(Fraction(1, 2), False)` for "0.5"."""

    value: Fraction  # as written: 100 for "100%"
    percent: bool  # "100%" is neither 100 nor 1


def parse_number(text: str) -> Fraction | None:
    """The exact value if the whole text is one number: `parse_number("$1,234.50") == Fraction(2469, 2)`.

    Read: signs, thousands separators (comma, `\\,`, space), decimals, `a/b`, `\\frac{a}{b}`, a dollar sign,
    and around it `$…$`, `\\boxed{}`, `\\text{}`, `\\( \\)`, `**`, and a full stop at the end. None for
    anything else, per cent included, which is a kind of its own (`read_number`).
    """
    number = read_number(text)
    return number.value if number is not None and not number.percent else None


def read_number(text: str) -> Number | None:
    """As `parse_number`, and per cent too."""
    if len(text) > MAX_CHARACTERS:
        return None
    text = _unwrap(text.translate(_SIGNS))
    match = _NUMBER.fullmatch(text)
    if match is None or (match["sign"] and match["inner"]):
        return None
    top, bottom = (
        match["top"] or match["numerator"] or match["decimal"],
        match["bottom"] or match["denominator"],
    )
    denominator = _decimal(bottom) if bottom else Fraction(1)
    if denominator == 0:
        return None
    value = _decimal(top) / denominator
    return Number(-value if "-" in (match["sign"], match["inner"]) else value, match["percent"] is not None)


def equal(answer: str, gold: str) -> Verdict:
    """Whether `answer` is exactly the number `gold`: CORRECT, WRONG, or MALFORMED when it is no number.

    No rounding: 0.3333 is not 1/3. `100%` equals `100%` alone. ERROR when the gold answer is no number.
    """
    expected = read_number(gold)
    if expected is None:
        return Verdict(Outcome.ERROR, None, 0.0, f"the gold answer {gold[:60]!r} is not a number")
    given = answer.strip()[: MAX_CHARACTERS + 1]
    found = read_number(answer.strip())
    if found is None:
        return Verdict(Outcome.MALFORMED, given, 0.0, "not one number")
    if found == expected:
        return Verdict(Outcome.CORRECT, given, 1.0, f"equals {gold.strip()}")
    return Verdict(Outcome.WRONG, given, 0.0, f"{given[:60]} is not {gold.strip()[:60]}")


def _unwrap(text: str) -> str:
    """Without the mark-up around a number."""
    text = text.strip().removesuffix(".").rstrip()
    for _ in range(_MAX_WRAPPERS):
        before = text
        for wrapper in _WRAPPERS:
            if match := wrapper.fullmatch(text):
                text = match.group(1).strip()
        if text == before:
            break
    return text


def _decimal(digits: str) -> Fraction:
    """The value of an unsigned decimal with or without thousands separators."""
    return Fraction(re.sub(r"\\,|[, ]", "", digits))

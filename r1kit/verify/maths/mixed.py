"""One amount in two units of a kind: `1 hour 30 minutes`, `12 dollars and 50 cents`, `3米5厘米`."""

from __future__ import annotations

import re

from r1kit.verify.maths.units import how_many

_UNIT = r" ?([A-Za-z]{1,20}|[\u4e00-\u9fff]{1,4})"
_TWO = re.compile(rf"([0-9]{{1,15}}){_UNIT}(?:\.?,? and |\.?,? ?|又)([0-9]{{1,15}}){_UNIT}")
_IN_TEXT = re.compile(r" ?\\text ?\{([^{}]*)\}")


def in_larger_unit(text: str) -> str | None:
    """`in_larger_unit("1 hour 30 minutes") == r"\\frac{90}{60}\\text{ hour}"`; None of anything else.

    Both numbers are whole, and the second is less than one of the first unit: nobody says 1 hour 90 minutes.
    """
    match = _TWO.fullmatch(" ".join(_IN_TEXT.sub(r" \1 ", text).split()))
    if match is None:
        return None
    first, larger, second, smaller = match.groups()
    ratio = how_many(smaller, larger)
    if ratio is None or not int(second) < ratio:
        return None
    unit = rf"\text{{ {larger}}}" if larger.isascii() else larger  # a bare letter would be a name
    return rf"\frac{{{int(first) * ratio + int(second)}}}{{{ratio}}}{unit}"

"""Intervals of the real line: several as one canonical union."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from r1kit.verify.maths.forms import Expression, Infinity, Interval
from r1kit.verify.maths.trees import Unreadable

LINE = Interval(None, None, False, False)
"""All real numbers."""

End = Expression | Infinity


def interval(low: End, high: End, low_closed: bool, high_closed: bool) -> Interval:
    """The interval between two ends. Raises Unreadable where it is empty or closed at infinity."""
    bottom, top = (None if isinstance(end, Infinity) else end for end in (low, high))
    for end, right, closed in ((low, False, low_closed), (high, True, high_closed)):
        if isinstance(end, Infinity) and (closed or end.negative is right):
            raise Unreadable("an interval that is closed at infinity, or goes the wrong way")
    found = Interval(bottom, top, low_closed, high_closed)
    if bottom is not None and top is not None:
        first, last = bottom.value.rational, top.value.rational
        if first is not None and last is not None and (first > last or (first == last and not low_closed)):
            raise Unreadable("an empty interval")
    return found


def merged(parts: Sequence[Interval]) -> tuple[Interval, ...] | None:
    """In order, those that touch joined; None where the ends are no rational numbers, so that none is
    known."""
    if not _rational(parts):
        return None
    found: list[Interval] = []
    for part in sorted(parts, key=_low_key):
        if found and _touch(found[-1], part):
            last = found.pop()
            upper = max(last, part, key=_high_key)
            part = Interval(last.low, upper.high, last.low_closed, upper.high_closed)
        found.append(part)
    return tuple(found)


def intersection(parts: Sequence[Interval]) -> Interval:
    """What all have in common. Raises Unreadable where that is empty, or the ends are no rational numbers."""
    if not _rational(parts):
        raise Unreadable("conditions with ends that are no rational numbers")
    low, high = max(parts, key=_low_key), min(parts, key=_high_key)
    ends = (low.low or Infinity(True), high.high or Infinity(False))
    return interval(*ends, low.low_closed, high.high_closed)


def without(points: Sequence[Expression]) -> tuple[Interval, ...]:
    """All real numbers but these."""
    rational = {p.value.rational: p for p in points}
    if None in rational:
        if len(points) != 1:
            raise Unreadable("points that are no rational numbers")
        ordered = list(points)
    else:
        ordered = [point for _, point in sorted(rational.items(), key=lambda item: item[0] or Fraction(0))]
    ends: list[Expression | None] = [None, *ordered, None]
    return tuple(Interval(low, high, False, False) for low, high in pairwise(ends))


def _rational(parts: Sequence[Interval]) -> bool:
    ends = [end for part in parts for end in (part.low, part.high) if end is not None]
    return all(end.value.rational is not None for end in ends)


def _low_key(part: Interval) -> tuple[bool, Fraction, bool]:
    """An open end begins later than a closed one at the same number."""
    return (part.low is not None, _number(part.low), not part.low_closed)


def _high_key(part: Interval) -> tuple[bool, Fraction, bool]:
    return (part.high is None, _number(part.high), part.high_closed)


def _touch(left: Interval, right: Interval) -> bool:
    if left.high is None or right.low is None:
        return True
    end, start = _number(left.high), _number(right.low)
    return start < end or (start == end and (left.high_closed or right.low_closed))


def _number(end: Expression | None) -> Fraction:
    number = end.value.rational if end is not None else None
    return Fraction(0) if number is None else number

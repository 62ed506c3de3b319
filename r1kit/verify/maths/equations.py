"""What equations say beside their spelling: their names, their solutions."""

from __future__ import annotations

import re
from fractions import Fraction

from r1kit.verify.maths.field import Poly, Value, difference, parallel
from r1kit.verify.maths.forms import Assignment, Assignments, Equation, Expression, Form, Ordered, Unordered

_INDEXED = re.compile(r"(?P<name>.+)_(?P<index>[0-9]{1,2})")
_ALPHABETS = ("xyz", "abcd", "mn", "pqr", "uvw", "rs")  # names whose order in a tuple nobody doubts
_MAX_DEGREE = 20  # of polynomials that are divided


def sides(form: Form) -> Equation | None:
    """`y = x + 1` as an equation, where it is one."""
    if isinstance(form, Assignment) and isinstance(form.content, Expression) and len(form.name) == 1:
        return Equation(Expression(("sym", form.name)), form.content)
    return form if isinstance(form, Equation) else None


def named(form: Form) -> dict[str, Form] | None:
    """Name -> content."""
    if isinstance(form, Assignments):
        return {item.name: item.content for item in form.items}
    if isinstance(form, Assignment) and form.name.startswith("(") and isinstance(form.content, Ordered):
        parts = form.name.strip("()").split(",")
        return (
            dict(zip(parts, form.content.items, strict=True))
            if len(parts) == len(form.content.items)
            else None
        )
    return None


def unnamed(gold: Form, answer: Assignments) -> Form | None:
    """The values in the gold's shape: `x = 1, y = 2` as (1, 2), `x_1 = 2, x_2 = -2` as 2, -2; None where the
    names do not say their order, or are not one unknown's.
    """
    values = {item.name: item.content for item in answer.items}
    indexed = _by_index(list(values))
    if isinstance(gold, Ordered):
        order = indexed or _by_alphabet(list(values))
        return Ordered(tuple(values[name] for name in order)) if order else None
    if not indexed:
        return None
    items = tuple(values[name] for name in indexed)
    if isinstance(gold, Unordered):
        return Unordered(items, braces=False)
    if isinstance(gold, Expression) and all(item == items[0] for item in items):
        return items[0]  # a double root
    return None


def one_unknown(names: list[str]) -> bool:
    """Whether the names are one unknown's values: `x_1`, `x_2`."""
    return bool(_by_index(names))


def cleared(gold: Equation, answer: Equation) -> bool:
    """Whether one is the other, times its denominators, with the same solutions: `y(x-1) = x+1` for `y =
    \\frac{x+1}{x-1}`. Proven only for one name that is equal to a fraction in lowest terms of one other, as
    there the denominator is nowhere zero on the curve.
    """
    one, other = (difference(side.left.value, side.right.value) for side in (gold, answer))
    if not parallel(one.numerator, other.numerator):
        return False
    return all(_nowhere_zero(value) for value in (one, other))


def _nowhere_zero(value: Value) -> bool:
    """Whether the denominator is no zero where the numerator is one. The numerator must be y·A + B, with A,
    B and the denominator D polynomials of x alone: where D divides A, and has no zero with B in common, no
    y solves it at a zero of D.
    """
    below = {name for term in value.denominator for name, _ in term}
    if not below:
        return True
    names = {name for term in value.numerator for name, _ in term}
    if len(below) != 1 or len(names | below) != 2:
        return False
    (x,) = below
    (y,) = names - below
    parts: tuple[Poly, Poly] = ({}, {})
    for term, number in value.numerator.items():
        power = dict(term).get(y, 0)
        if power > 1:
            return False
        parts[power][tuple(item for item in term if item[0] != y)] = number
    denominator, rest, factor = (_coefficients(poly, x) for poly in (value.denominator, *parts))
    if not denominator or not rest or not factor:
        return False
    return not _remainder(factor, denominator) and len(_common(rest, denominator)) == 1


def _coefficients(poly: Poly, name: str) -> list[Fraction]:
    """Highest power first; [] for 0, and past the bound on the degree."""
    powers = {dict(term).get(name, 0): number for term, number in poly.items()}
    if not powers or max(powers) > _MAX_DEGREE:
        return []
    return [powers.get(power, Fraction(0)) for power in range(max(powers), -1, -1)]


def _remainder(top: list[Fraction], bottom: list[Fraction]) -> list[Fraction]:
    """Of the division of polynomials."""
    left = list(top)
    while len(left) >= len(bottom):
        factor = left[0] / bottom[0]
        for place, number in enumerate(bottom):
            left[place] -= factor * number
        left.pop(0)
    while left and not left[0]:
        left.pop(0)
    return left


def _common(one: list[Fraction], other: list[Fraction]) -> list[Fraction]:
    """The greatest common divisor: Euclid's algorithm."""
    while other:
        one, other = other, _remainder(one, other)
    return one


def _by_index(names: list[str]) -> list[str]:
    """`x_2`, `x_1` -> `x_1`, `x_2`; [] where they are no such."""
    found = [_INDEXED.fullmatch(name) for name in names]
    by_index = {int(match["index"]): name for match, name in zip(found, names, strict=True) if match}
    bases = {match["name"] for match in found if match}
    if len(by_index) < len(names) or len(bases) != 1 or min(by_index) > 1:
        return []
    ordered = sorted(by_index)
    return [by_index[index] for index in ordered] if ordered[-1] - ordered[0] == len(names) - 1 else []


def _by_alphabet(names: list[str]) -> list[str]:
    """`y`, `x` -> `x`, `y`; [] where their order is not clear."""
    ordered = sorted(names)
    return ordered if any(alphabet.startswith("".join(ordered)) for alphabet in _ALPHABETS) else []

"""Values that are no mere expression: with a unit, in a base, a ratio, infinity, a matrix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from r1kit.verify.maths.forms import (
    Angle,
    Based,
    Expression,
    Form,
    Infinity,
    Matrix,
    Quantity,
    Ratio,
    Unordered,
)
from r1kit.verify.maths.layout import MAX_ITEMS, enclosed, split_at
from r1kit.verify.maths.parser import FUNCTIONS, parse_expression
from r1kit.verify.maths.tokens import Token, is_sign
from r1kit.verify.maths.trees import Tree, Unreadable
from r1kit.verify.maths.units import DEGREE, PERCENT, RADIAN, split_unit

_BASED = re.compile(r"([0-9]{1,64})_\{?([0-9]{1,2})\}?")
_INFINITE = {r"\infty": "+", "infinity": "+", "inf": "+", "oo": "+"}
_DEGREE_SIGNS = ("°", r"\circ", r"\degree")
_HOUR = re.compile(r"0?[0-9]|1[0-9]|2[0-4]")
_MINUTES = re.compile(r"[0-5][0-9]")
_MATRIX = re.compile(r"\\begin\{(?:[pbB]?matrix|smallmatrix|array)\*?\}.*")


def special_number(tokens: Sequence[Token]) -> Form | None:
    """Infinity, the empty set, a number in a base, a ratio."""
    if len(tokens) == 1 and is_sign(tokens[0], r"\emptyset", r"\varnothing"):
        return Unordered((), braces=True)
    signed = len(tokens) == 2 and is_sign(tokens[0], "+", "-")
    if tokens[-1].text in _INFINITE and (len(tokens) == 1 or signed):
        return Infinity(signed and tokens[0].text == "-")
    if len(tokens) in (3, 5) and is_sign(tokens[1], "_"):
        return _based("".join(token.text for token in tokens))
    parts = split_at(tokens, ":")
    if len(parts) > 1:
        ratio = tuple(Expression(parse_expression(part)) for part in parts)
        if not all(part.plain for part in ratio):
            raise Unreadable("a ratio of other things than numbers")
        texts = ["".join(token.text for token in part) for part in parts]
        time = len(texts) == 2 and (_HOUR.fullmatch(texts[0]) or texts[1][0] == "0")
        written = texts[0].lstrip("0") + ":" + texts[1]
        return Ratio(ratio, written if time and _MINUTES.fullmatch(texts[1]) else "")
    return None


def _based(text: str) -> Form | None:
    match = _BASED.fullmatch(text)
    if match is None:
        return None
    base = int(match[2])
    if not 2 <= base <= 10 or any(int(digit) >= base for digit in match[1]):
        raise Unreadable("no number in this base")
    return Based(int(match[1], base), base)


def quantity(tokens: Sequence[Token]) -> Form | None:
    """A number with a unit, per cent among them; None without."""
    if tokens[0].text == "百分之":
        return Quantity(Expression(parse_expression(tokens[1:])), PERCENT)
    of_functions = [token for token in tokens if token.text.removeprefix("\\") in FUNCTIONS]
    if of_functions and any(token.text in _DEGREE_SIGNS for token in tokens):
        return None  # the parser reads the degrees of `\\sin 20^\\circ`
    value, unit, count = split_unit(tokens)
    if unit is None and count == 1:
        return None
    if unit == DEGREE and of_functions:
        raise Unreadable("degrees of a function, or of what it is of")
    amount = Expression(parse_expression(value)).times(Fraction(count))
    if unit is None:
        return amount
    if unit == DEGREE:
        half_turn: Tree = ("div", ("const", "pi"), ("num", Fraction(180)))
        return Angle(amount, Expression(("mul", amount.tree, half_turn)), degrees=True)
    return Angle(amount, amount, degrees=False) if unit == RADIAN else Quantity(amount, unit)


def matrix(tokens: Sequence[Token]) -> Form | None:
    """`\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}`, `[[1, 2], [3, 4]]`; None of anything else."""
    inside = enclosed(tokens, "( [", ") ]")
    if inside and inside[0].kind == "begin" and inside[-1].kind == "begin":
        tokens = inside
    if tokens[0].kind == "begin":
        if len(tokens) < 3 or not _MATRIX.fullmatch(tokens[0].text) or tokens[-1].kind != "begin":
            raise Unreadable("no matrix")
        rows = [split_at(row, "&") for row in split_at(tokens[1:-1], r"\\")]
        return _rectangle(rows[:-1] if len(rows) > 1 and rows[-1] == [[]] else rows)
    if not inside or not is_sign(inside[0], "[", "("):
        return None
    lists = [enclosed(row, "[ (", "] )") for row in split_at(inside, ",")]
    if tokens[0].text != "[" or any(row is None for row in lists):
        return None
    return _rectangle([split_at(row, ",") for row in lists if row is not None])


def _rectangle(rows: Sequence[Sequence[Sequence[Token]]]) -> Matrix:
    width = len(rows[0])
    if len(rows) * width > MAX_ITEMS or any(len(row) != width for row in rows):
        raise Unreadable(f"rows of unlike length, or more than {MAX_ITEMS} entries")
    return Matrix(tuple(tuple(Expression(parse_expression(entry)) for entry in row) for row in rows))

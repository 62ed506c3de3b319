"""What published rewards really compute, where that differs from what they say: `published: true` of a term.

Their regular expressions are written out by hand, since some of them take quadratic time on hostile text,
and what they evaluated as Python is computed in fractions.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from r1kit.text.tags import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN

MAX_CHARACTERS = 256  # of an equation that is computed; a longer one earns nothing
_TAGS = (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)
_BETWEEN = re.compile(r"</think>\s*<answer>")
_LINE_ENDS = re.compile(r"</answer>$", re.MULTILINE)
_STEPS = re.compile(r"Step [0-9]+:|^[0-9]+\.|\n-|\n\*|First,|Second,|Next,|Finally,", re.MULTILINE)
_ALLOWED = re.compile(r"[0-9+\-*/().\s]+")
_TOLERANCE = Fraction(1, 100_000)


def has_format(text: str) -> bool:
    """The walk-through's format: tags in order, though empty, repeated, or with lines of text after them."""
    between = _BETWEEN.search(text) if text.startswith(THINK_OPEN) else None
    return between is not None and _LINE_ENDS.search(text, between.end()) is not None


def step_marks(text: str) -> int:
    """The walk-through's reasoning steps: every mark, also the same one again."""
    return sum(1 for _ in _STEPS.finditer(text))


def has_countdown_format(text: str) -> bool:
    """Datawhale-R1's format: what stands between the answer tags may be nothing, anything, further tags."""
    thinking, closed, rest = text.removeprefix(THINK_OPEN).partition(THINK_CLOSE)
    opened = text.startswith(THINK_OPEN) and THINK_OPEN not in thinking
    inside = f"\n{ANSWER_OPEN}"
    ends = rest.removesuffix("\n").endswith(ANSWER_CLOSE)
    return opened and bool(closed) and rest.startswith(inside) and ends


def solves_countdown(text: str, nums: Sequence[int], target: int) -> bool:
    """Datawhale-R1's equation: of the first answer on one line, wherever it stands, the thinking included.

    Signs, decimals ("1.5" uses 1 and 5) and `//` are computed as published; a power earns nothing: there,
    "9**99**98" hung the grader.
    """
    equation = _first_on_a_line(text, ANSWER_OPEN, ANSWER_CLOSE)
    if equation is None or len(equation) > MAX_CHARACTERS:
        return False
    digits = re.findall("[0-9]+", equation)
    if any(len(digit) > 15 for digit in digits) or Counter(map(int, digits)) != Counter(nums):
        return False
    if not _ALLOWED.fullmatch(equation.strip()):
        return False
    try:
        value = _value(ast.parse(equation.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return False
    return abs(value - target) < _TOLERANCE


def thinking_on_one_line(text: str) -> str:
    """What Datawhale-R1's thought length sees as thinking: its dot matched no line break. "" without any."""
    return _first_on_a_line(text, THINK_OPEN, THINK_CLOSE) or ""


def has_logic_format(text: str) -> bool:
    """Logic-RL's format: each tag once and in order, whatever stands in, between and around them."""
    places = [text.find(tag) for tag in _TAGS]
    once = all(text.count(tag) == 1 for tag in _TAGS)
    return once and places == sorted(places)


def _first_on_a_line(text: str, opening: str, closing: str) -> str | None:
    """What the first pair of tags within one line encloses."""
    for line in text.split("\n"):
        _, opened, rest = line.partition(opening)
        inside, closed, _ = rest.partition(closing)
        if opened and closed:
            return inside
    return None


def _value(node: ast.expr) -> Fraction:
    """Raises ValueError for anything but signs and the four operations, and `//`; ZeroDivisionError."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return Fraction(repr(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left) + _value(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _value(left) - _value(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _value(left) * _value(right)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _value(left) / _value(right)
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return Fraction(_value(left) // _value(right))
        case _:
            raise ValueError("not one of the four operations")

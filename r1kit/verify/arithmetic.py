"""Arithmetic written by a model: parsed to a syntax tree and computed in exact fractions, never run."""

from __future__ import annotations

import ast
import operator
import re
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction

from r1kit.types import Outcome, Verdict

MAX_CHARACTERS = 256
"""Longest expression read; it also bounds the digits of every value, as there is no power."""

MAX_NESTING = 16
"""Deepest nesting of parentheses."""

_TYPESET = {"×": "*", "÷": "/", "−": "-", "（": "(", "）": ")", r"\times": "*", r"\cdot": "*", r"\div": "/"}
_TYPESET_PATTERN = re.compile("|".join(re.escape(sign) for sign in sorted(_TYPESET, reverse=True)))
_FORBIDDEN = re.compile(r"[^0-9+\-*/() ]")
_LEADING_ZERO = re.compile(r"(?<![0-9])0[0-9]")
_TRAILING_CLAIM = re.compile(r"=\s*(-?[0-9]{1,20})\s*\Z")

_OPERATIONS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_REFUSED_OPERATIONS: dict[type[ast.operator], str] = {ast.Pow: "**", ast.FloorDiv: "//"}


class ArithmeticSyntaxError(ValueError):
    """The text is not a sum, difference, product or quotient of plain integers; the message says why."""


def parse(expression: str) -> ast.expr:
    """The syntax tree of `expression`: decimal integers, `+ - * /`, parentheses and spaces, nothing else.

    The typeset signs × ÷ − （ ） and `\\times`, `\\cdot`, `\\div` stand for their plain ones.
    Raises ArithmeticSyntaxError for anything else, such as signs before a number, `**`, `0x10`, `1e3`, `1_0`.
    """
    if len(expression) > MAX_CHARACTERS:
        raise ArithmeticSyntaxError(f"longer than {MAX_CHARACTERS} characters")
    text = _TYPESET_PATTERN.sub(lambda match: _TYPESET[match.group()], expression).strip()
    if not text:
        raise ArithmeticSyntaxError("empty")
    if forbidden := _FORBIDDEN.search(text):
        raise ArithmeticSyntaxError(f"{forbidden.group()!a} is not allowed")
    if _LEADING_ZERO.search(text):
        raise ArithmeticSyntaxError("a number starts with 0")
    if _nesting(text) > MAX_NESTING:
        raise ArithmeticSyntaxError(f"nested deeper than {MAX_NESTING}")
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        raise ArithmeticSyntaxError("not an arithmetic expression") from None
    _check(tree)
    return tree


def numbers_in(tree: ast.expr) -> list[int]:
    """The integers of a tree from `parse`, with repetitions."""
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, int)
    ]


def value_of(tree: ast.expr) -> Fraction:
    """The exact value of a tree from `parse`. Raises ZeroDivisionError."""
    if isinstance(tree, ast.BinOp):
        return _OPERATIONS[type(tree.op)](value_of(tree.left), value_of(tree.right))
    assert isinstance(tree, ast.Constant)
    assert isinstance(tree.value, int)
    return Fraction(tree.value)


def evaluate(expression: str) -> Fraction:
    """The exact value: `evaluate("(1 + 2) / 6") == Fraction(1, 2)`.

    Raises ArithmeticSyntaxError when the text is not of the form that `parse` reads, ZeroDivisionError when
    it has no value.
    """
    return value_of(parse(expression))


def check_countdown(answer: str, nums: Sequence[int], target: int) -> Verdict:
    """Whether `answer` makes `target` from every one of `nums`, each used exactly once.

    One trailing `= N` is read as a claim about the value: it must state the target, and earns nothing by
    itself, since the expression before it is computed all the same.
    """
    if len(answer) > MAX_CHARACTERS:
        detail = f"longer than {MAX_CHARACTERS} characters"
        return Verdict(Outcome.MALFORMED, answer[:MAX_CHARACTERS], 0.0, detail)
    expression = answer.strip()
    claim = _TRAILING_CLAIM.search(expression)
    try:
        tree = parse(expression[: claim.start()] if claim else expression)
    except ArithmeticSyntaxError as error:
        return Verdict(Outcome.MALFORMED, expression, 0.0, str(error))
    fault = _numbers_fault(numbers_in(tree), nums) or _value_fault(tree, target)
    if not fault and claim and int(claim.group(1)) != target:
        fault = f"claims {claim.group(1)}, the target is {target}"
    if fault:
        return Verdict(Outcome.WRONG, expression, 0.0, fault)
    return Verdict(Outcome.CORRECT, expression, 1.0, f"makes {target}")


def _check(tree: ast.expr) -> None:
    """Refuse every node but a binary operation of the four and a plain integer."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and type(node.op) not in _OPERATIONS:
            raise ArithmeticSyntaxError(
                f"{_REFUSED_OPERATIONS.get(type(node.op), 'this operator')} is not allowed"
            )
        if isinstance(node, ast.UnaryOp):
            raise ArithmeticSyntaxError("a sign before a number is not allowed")
        if isinstance(node, ast.Constant) and type(node.value) is int:
            continue
        if not isinstance(node, ast.BinOp | ast.operator):
            raise ArithmeticSyntaxError("not an arithmetic expression")


def _nesting(text: str) -> int:
    """The deepest nesting of parentheses, balanced or not."""
    depth = deepest = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest


def _numbers_fault(used: Sequence[int], given: Sequence[int]) -> str:
    """What is wrong with the numbers used, or ""."""
    used_counts, given_counts = Counter(used), Counter(given)
    for number in used:
        if number not in given_counts:
            return f"{_short(number)} is not among the given numbers"
        if used_counts[number] > given_counts[number]:
            return f"{number} is used {_times(used_counts[number])}, given {_times(given_counts[number])}"
    for number in given:
        if used_counts[number] < given_counts[number]:
            times = f" {_times(given_counts[number])}" if given_counts[number] > 1 else ""
            return f"{number} is not used{times}"
    return ""


def _value_fault(tree: ast.expr, target: int) -> str:
    """What is wrong with the value, or ""."""
    try:
        value = value_of(tree)
    except ZeroDivisionError:
        return "divides by zero"
    return "" if value == target else f"makes {_short(value)}, not {target}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _short(number: int | Fraction) -> str:
    """A number for people: huge ones are cut."""
    text = str(number)
    return text if len(text) <= 24 else f"{text[:12]}…"

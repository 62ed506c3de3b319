"""Whether an answer's form says the same as the gold's: the gold's form decides what may be compared with it.

Results have three values: True and False are proven; None waits for the symbolic check of pairs of
expressions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import TypeVar

from r1kit.verify.maths import field
from r1kit.verify.maths.declared import Declared
from r1kit.verify.maths.forms import (
    NAMES,
    Angle,
    Assignment,
    Assignments,
    Based,
    Choice,
    Equation,
    Expression,
    Form,
    Infinity,
    Interval,
    Matrix,
    Ordered,
    Quantity,
    Ratio,
    Union,
    Unordered,
    Words,
)
from r1kit.verify.maths.intervals import merged
from r1kit.verify.maths.spelling import same_letters
from r1kit.verify.maths.trees import Tree, names
from r1kit.verify.maths.units import PERCENT

_Item = TypeVar("_Item")
Oracle = Callable[[Tree, Tree], bool | None]
"""(gold, answer) -> whether they are equal, as far as is known."""


class WrongForm(ValueError):  # noqa: N818 - it is a finding about an answer, not a fault
    """The answer is of another form than the gold; the message says which."""


class Comparison:
    """One comparison under what the data set declares."""

    def __init__(self, declared: Declared, oracle: Oracle) -> None:
        self._declared = declared
        self._oracle = oracle

    def matches(self, gold: Form, answer: Form) -> bool | None:
        """Whether the answer is the gold. Raises WrongForm."""
        if isinstance(answer, Assignment) and not isinstance(gold, Assignment | Assignments | Equation):
            return self._content(gold, answer)
        match gold:
            case Expression():
                return self._expression(gold, answer)
            case Quantity():
                return self._quantity(gold, answer)
            case Angle():
                return self._angle(gold, answer)
            case Union():
                return self._union(gold, answer)
            case Assignment() | Assignments() | Equation():
                return self._equations(gold, answer)
            case Ordered() if isinstance(answer, Ordered):
                return self._each(gold.items, answer.items)
            case Unordered() if isinstance(answer, Unordered):
                return self._collections(gold, answer)
            case Matrix() if isinstance(answer, Matrix):
                return self._matrices(gold, answer)
            case Ratio() if isinstance(answer, Ratio):
                return _ratios(gold, answer)
            case Based() if isinstance(answer, Expression) and answer.plain:
                return False
            case Words() if isinstance(answer, Expression) and answer.spelling:
                return answer.spelling.lower() == gold.text
            case Based() | Infinity() | Choice() | Words() if type(answer) is type(gold):
                return answer == gold
        raise _wrong_form(gold, answer)

    def _content(self, gold: Form, answer: Assignment) -> bool | None:
        """`y = x + 1` for the gold `x + 1`; what it names must not be a part of the gold."""
        if isinstance(gold, Choice | Words) or (
            isinstance(gold, Expression) and answer.name in names(gold.tree)
        ):
            raise _wrong_form(gold, answer)
        if isinstance(gold, Union) and gold.variable not in (None, answer.name):
            return False
        return self.matches(gold, answer.content)

    def _equal(self, gold: Expression, answer: Expression) -> bool | None:
        """A gold that is a written-out number wants one: `3+5` is no answer where the gold is 8."""
        if gold.spelling and answer.spelling:
            spelt = same_letters(gold.spelling, answer.spelling)
            if spelt is not None:
                return spelt
        if gold.plain and not answer.plain and self._declared.form != "expression":
            raise WrongForm("arithmetic where its result is asked")
        tolerance = self._declared.tolerance
        if tolerance is not None and gold.constant and answer.constant:
            numbers = gold.value.rational, answer.value.rational
            if numbers[0] is not None and numbers[1] is not None:
                return tolerance.allows(numbers[0], numbers[1])
            return self._oracle(gold.tree, answer.tree)
        found = field.same(gold.value, answer.value)
        return self._oracle(gold.tree, answer.tree) if found is None else found

    def _expression(self, gold: Expression, answer: Form) -> bool | None:
        optional = self._declared.units == "optional"
        match answer:
            case Expression():
                return self._equal(gold, answer)
            case Quantity() if answer.unit == PERCENT:
                return self._percent(gold, answer.amount)
            case Quantity() if optional and answer.unit.counts_nothing:
                return self._equal(gold, answer.amount)
            case Words() if gold.spelling:
                return answer.text == gold.spelling.lower()
            case Angle() if "pi" in names(gold.tree):
                return self._equal(gold, answer.radians)
            case Angle() if optional:
                return self._equal(gold, answer.amount)
        raise _wrong_form(gold, answer)

    def _percent(self, gold: Expression, amount: Expression) -> bool | None:
        """The gold is a number and the answer per cent; the other way round, with 1/100 of the gold, is the
        same."""
        reading = self._declared.percent
        if reading == "own":
            return False
        return self._equal(gold, amount if reading == "number" else _scaled(amount, Fraction(1, 100)))

    def _quantity(self, gold: Quantity, answer: Form) -> bool | None:
        if isinstance(answer, Quantity):
            if gold.unit.dimension != answer.unit.dimension:
                return False
            return self._equal(gold.amount, _scaled(answer.amount, answer.unit.size / gold.unit.size))
        if isinstance(answer, Expression) and gold.unit == PERCENT:
            reading = self._declared.percent
            if reading == "own":
                return False
            return self._equal(gold.amount, answer if reading == "number" else _scaled(answer, Fraction(100)))
        optional = self._declared.units == "optional" and gold.unit.counts_nothing
        if isinstance(answer, Expression) and optional:
            return self._equal(gold.amount, answer)
        raise _wrong_form(gold, answer)

    def _angle(self, gold: Angle, answer: Form) -> bool | None:
        if isinstance(answer, Angle):
            if gold.degrees == answer.degrees:
                return self._equal(gold.amount, answer.amount)
            return self._equal(gold.radians, answer.radians)
        if isinstance(answer, Expression) and "pi" in names(answer.tree):
            return self._equal(gold.radians, answer)
        if isinstance(answer, Expression) and self._declared.units == "optional":
            return self._equal(gold.amount, answer)
        raise _wrong_form(gold, answer)

    def _union(self, gold: Union, answer: Form) -> bool | None:
        if isinstance(answer, Ordered) and len(answer.items) == 2:
            low, high = answer.items
            if isinstance(low, Expression) and isinstance(high, Expression):
                answer = Union((Interval(low, high, False, False),))
        if not isinstance(answer, Union):
            raise _wrong_form(gold, answer)
        if gold.variable and answer.variable and gold.variable != answer.variable:
            return False
        one, other = merged(gold.parts), merged(answer.parts)
        if one is not None and other is not None:
            return len(one) == len(other) and _all(map(self._intervals, one, other))
        return _paired(gold.parts, answer.parts, self._intervals)

    def _intervals(self, gold: Interval, answer: Interval) -> bool | None:
        if (gold.low_closed, gold.high_closed) != (answer.low_closed, answer.high_closed):
            return False
        pairs = ((gold.low, answer.low), (gold.high, answer.high))
        return _all(
            one is other if one is None or other is None else self._equal(one, other) for one, other in pairs
        )

    def _collections(self, gold: Unordered, answer: Unordered) -> bool | None:
        """Sets say each element once or more; several answers side by side are the same in number."""
        if not gold.braces:
            return _paired(gold.items, answer.items, self._item)
        table = [[self._item(one, other) for other in answer.items] for one in gold.items]
        columns = [[row[index] for row in table] for index in range(len(answer.items))]
        return _all(_any(line) for line in (*table, *columns))

    def _item(self, gold: Form, answer: Form) -> bool | None:
        try:
            return self.matches(gold, answer)
        except WrongForm:
            return False

    def _each(self, gold: Sequence[Form], answer: Sequence[Form]) -> bool | None:
        return len(gold) == len(answer) and _all(map(self._item, gold, answer))

    def _matrices(self, gold: Matrix, answer: Matrix) -> bool | None:
        if len(gold.rows) != len(answer.rows):
            return False
        return _all(map(self._each, gold.rows, answer.rows))

    def _equations(self, gold: Assignment | Assignments | Equation, answer: Form) -> bool | None:
        if isinstance(gold, Assignments) or isinstance(answer, Assignments):
            return self._by_name(gold, answer)
        if isinstance(gold, Assignment):
            if isinstance(answer, Assignment) and answer.name == gold.name:
                return self.matches(gold.content, answer.content)
            solved = not isinstance(gold.content, Expression) or gold.content.constant
            if solved and isinstance(answer, Assignment):
                return False
            if solved and not isinstance(answer, Equation):
                return self.matches(gold.content, answer)
            if solved:
                raise _wrong_form(gold, answer)
        sides, others = _sides(gold), _sides(answer)
        if sides is None or others is None:
            raise _wrong_form(gold, answer)
        return self._same_equation(sides, others)

    def _same_equation(self, gold: Equation, answer: Equation) -> bool | None:
        """left - right of one is a multiple of the other's, or by the symbolic check plus or minus it."""
        first = field.difference(gold.left.value, gold.right.value)
        found = field.proportional(first, field.difference(answer.left.value, answer.right.value))
        if found is not None:
            return found
        one, other = (("add", side.left.tree, ("neg", side.right.tree)) for side in (gold, answer))
        return _any((self._oracle(one, other), self._oracle(one, ("neg", other))))

    def _by_name(self, gold: Form, answer: Form) -> bool | None:
        """`x = 1, y = 2`, or `(x, y) = (1, 2)`, in any order of the names."""
        one, other = _named(gold), _named(answer)
        if one is None or other is None:
            raise _wrong_form(gold, answer)
        return one.keys() == other.keys() and _all(self._item(one[name], other[name]) for name in one)


def _ratios(gold: Ratio, answer: Ratio) -> bool:
    """Proportional, where the gold is in lowest terms and neither begins or ends as a time of day does; else
    only itself is equal."""
    if gold.time or answer.time.partition(":")[2].startswith("0"):
        return gold.time == answer.time
    one = [part.value.rational or Fraction(0) for part in gold.parts]
    other = [part.value.rational or Fraction(0) for part in answer.parts]
    if len(one) != len(other):
        return False
    lowest = all(number.denominator == 1 for number in one) and _gcd(one) == 1 and all(one) and all(other)
    return one == other or (
        lowest and all(a * other[0] == b * one[0] for a, b in zip(one, other, strict=True))
    )


def _gcd(numbers: Iterable[Fraction]) -> int:
    return math.gcd(*(int(number) for number in numbers))


def _scaled(amount: Expression, factor: Fraction) -> Expression:
    """The amount times a number; a written-out number stays one."""
    number = amount.value.rational
    if amount.plain and number is not None:
        return Expression(("num", number * factor))
    return amount if factor == 1 else Expression(("mul", amount.tree, ("num", factor)))


def _sides(form: Form) -> Equation | None:
    if isinstance(form, Assignment) and isinstance(form.content, Expression) and len(form.name) == 1:
        return Equation(Expression(("sym", form.name)), form.content)
    return form if isinstance(form, Equation) else None


def _named(form: Form) -> dict[str, Form] | None:
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


def _paired(
    gold: Sequence[_Item], answer: Sequence[_Item], equal: Callable[[_Item, _Item], bool | None]
) -> bool | None:
    """Whether the two are the same in some order. What is open counts as unequal, then as equal."""
    if len(gold) != len(answer):
        return False
    table = [[equal(one, other) for other in answer] for one in gold]
    if _greedy([[entry is True for entry in row] for row in table]):
        return True
    return (
        None if all(_any(row) is not False for row in table) and any(None in row for row in table) else False
    )


def _greedy(table: Sequence[Sequence[bool]]) -> bool:
    """A partner of its own for each row. Equality is transitive, so that greedy finds it; with a tolerance
    it may miss one.
    """
    left = set(range(len(table)))
    for row in table:
        partner = next((index for index in left if row[index]), None)
        if partner is None:
            return False
        left.remove(partner)
    return True


def _all(results: Iterable[bool | None]) -> bool | None:
    found = list(results)
    return False if False in found else None if None in found else True


def _any(results: Iterable[bool | None]) -> bool | None:
    found = list(results)
    return True if True in found else None if None in found else False


def _wrong_form(gold: Form, answer: Form) -> WrongForm:
    return WrongForm(f"{NAMES[type(answer)]} where {NAMES[type(gold)]} is asked")

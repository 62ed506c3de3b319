"""Whether an answer's form says the same as the gold's: the gold's form decides what may be compared with it.

Results have three values: True and False are proven; None waits for the symbolic check of pairs of
expressions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from r1kit.verify.maths import field
from r1kit.verify.maths.declared import Declared
from r1kit.verify.maths.equations import cleared, named, sides, unnamed
from r1kit.verify.maths.forms import (
    NAMES,
    Angle,
    Approximation,
    Assignment,
    Assignments,
    Based,
    Choice,
    Congruence,
    Equation,
    Expression,
    Figure,
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
from r1kit.verify.maths.notation import NO_SOLUTION
from r1kit.verify.maths.numerals import number_in_words
from r1kit.verify.maths.spelling import is_word, same_letters
from r1kit.verify.maths.three_valued import all_of, any_of, paired
from r1kit.verify.maths.trees import Tree, is_decimal, names
from r1kit.verify.maths.units import DOLLAR, PERCENT, unit_of_letter

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
        if isinstance(answer, Assignments) and not isinstance(gold, Assignment | Assignments | Equation):
            values = unnamed(gold, answer)
            if values is None:
                raise _wrong_form(gold, answer)
            answer = values
        if isinstance(gold, Approximation):
            gold = gold.exact
        if isinstance(answer, Approximation):
            return any_of(self._item(gold, part) for part in _stated(gold, answer))
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
            case Unordered() if not gold.items and isinstance(answer, Words):
                return answer.text in (NO_SOLUTION, "none")
            case Words() if isinstance(answer, Expression):
                return self._words(gold, answer)
            case Words() if isinstance(answer, Unordered) and not answer.items:
                return gold.text == NO_SOLUTION
            case Congruence() if isinstance(answer, Congruence):
                return _congruences(gold, answer)
            case Based() | Infinity() | Choice() | Words() | Figure() if type(answer) is type(gold):
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
        """A gold that is a written-out number wants one: `3+5` is no answer where the gold is 8. A word
        wants its letters in their order.
        """
        if gold.spelling and answer.spelling:
            spelt = same_letters(gold.spelling, answer.spelling)
            if spelt is not None:
                return spelt
        elif gold.spelling and is_word(gold.spelling):
            return False
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
            case Quantity() if gold.dollars:
                if answer.unit.dimension != DOLLAR.dimension:
                    return False
                return self._equal(gold, answer.amount.times(answer.unit.size))
            case Quantity() if optional and answer.unit.counts_nothing:
                return self._equal(gold, answer.amount)
            case Words() if gold.spelling:
                return answer.text == gold.spelling.lower()
            case Words() if (number := number_in_words(answer.text)) is not None:
                return self._equal(gold, Expression(("num", number)))
            case Angle() if "pi" in names(gold.tree):
                return self._equal(gold, answer.radians)
            case Angle() if optional:
                return self._equal(gold, answer.amount)
        raise _wrong_form(gold, answer)

    def _words(self, gold: Words, answer: Expression) -> bool:
        """A word's letters, or the number that the gold says in words."""
        if answer.spelling:
            return answer.spelling.lower() == gold.text
        number = number_in_words(gold.text) if answer.plain else None
        if number is None:
            raise _wrong_form(gold, answer)
        return answer.value.rational == number

    def _percent(self, gold: Expression, amount: Expression) -> bool | None:
        """The gold is a number and the answer per cent; the other way round, with 1/100 of the gold, is the
        same."""
        reading = self._declared.percent
        if reading == "own":
            return False
        return self._equal(gold, amount if reading == "number" else amount.times(Fraction(1, 100)))

    def _quantity(self, gold: Quantity, answer: Form) -> bool | None:
        if isinstance(answer, Quantity):
            if gold.unit.dimension != answer.unit.dimension:
                return False
            return self._equal(gold.amount, answer.amount.times(answer.unit.size / gold.unit.size))
        if isinstance(answer, Expression) and gold.unit == PERCENT:
            reading = self._declared.percent
            if reading == "own":
                return False
            return self._equal(gold.amount, answer if reading == "number" else answer.times(Fraction(100)))
        if isinstance(answer, Expression) and (amount := _amount(gold, answer)):
            return self._equal(gold.amount, amount)
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
            return len(one) == len(other) and all_of(map(self._intervals, one, other))
        return paired(gold.parts, answer.parts, self._intervals)

    def _intervals(self, gold: Interval, answer: Interval) -> bool | None:
        if (gold.low_closed, gold.high_closed) != (answer.low_closed, answer.high_closed):
            return False
        pairs = ((gold.low, answer.low), (gold.high, answer.high))
        return all_of(
            one is other if one is None or other is None else self._equal(one, other) for one, other in pairs
        )

    def _collections(self, gold: Unordered, answer: Unordered) -> bool | None:
        """Sets say each element once or more; several answers side by side are the same in number."""
        if not gold.braces:
            return paired(gold.items, answer.items, self._item)
        table = [[self._item(one, other) for other in answer.items] for one in gold.items]
        columns = [[row[index] for row in table] for index in range(len(answer.items))]
        return all_of(any_of(line) for line in (*table, *columns))

    def _item(self, gold: Form, answer: Form) -> bool | None:
        try:
            return self.matches(gold, answer)
        except WrongForm:
            return False

    def _each(self, gold: Sequence[Form], answer: Sequence[Form]) -> bool | None:
        return len(gold) == len(answer) and all_of(map(self._item, gold, answer))

    def _matrices(self, gold: Matrix, answer: Matrix) -> bool | None:
        if len(gold.rows) != len(answer.rows):
            return False
        return all_of(map(self._each, gold.rows, answer.rows))

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
        one, other = sides(gold), sides(answer)
        if one is None or other is None:
            raise _wrong_form(gold, answer)
        return cleared(one, other) or self._same_equation(one, other)

    def _same_equation(self, gold: Equation, answer: Equation) -> bool | None:
        """left - right of one is a multiple of the other's, or by the symbolic check plus or minus it."""
        first = field.difference(gold.left.value, gold.right.value)
        found = field.proportional(first, field.difference(answer.left.value, answer.right.value))
        if found is not None:
            return found
        one, other = (("add", side.left.tree, ("neg", side.right.tree)) for side in (gold, answer))
        return any_of((self._oracle(one, other), self._oracle(one, ("neg", other))))

    def _by_name(self, gold: Form, answer: Form) -> bool | None:
        """`x = 1, y = 2`, or `(x, y) = (1, 2)`, in any order of the names."""
        one, other = named(gold), named(answer)
        if one is None or other is None:
            raise _wrong_form(gold, answer)
        return one.keys() == other.keys() and all_of(self._item(one[name], other[name]) for name in one)


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


def _stated(gold: Form, answer: Approximation) -> Sequence[Expression]:
    """What is exact, or the rounded decimal where the gold is one. Of two decimals, as in `6.4 \\approx 6`,
    the rounded one would be a second answer.
    """
    if isinstance(gold, Expression) and is_decimal(gold.tree) and not is_decimal(answer.exact.tree):
        number = gold.value.rational
        if number is not None and number.denominator > 1:
            return answer.exact, answer.decimal
    return (answer.exact,)


def _congruences(gold: Congruence, answer: Congruence) -> bool:
    """The same classes; a name counts where both have one."""
    if gold.name and answer.name and gold.name != answer.name:
        return False
    return (gold.residues, gold.modulus) == (answer.residues, answer.modulus)


def _amount(gold: Quantity, answer: Expression) -> Expression | None:
    """`\\$0.50` in cents, and `5h` in the gold's unit, in which `5h` is a product to the reader."""
    if answer.dollars and gold.unit.dimension == DOLLAR.dimension:
        return answer.times(1 / gold.unit.size)
    if answer.tree[0] == "mul" and len(answer.tree) == 3 and answer.tree[2][0] == "sym":
        unit, amount = unit_of_letter(answer.tree[2][1]), Expression(answer.tree[1])
        if unit is not None and unit.dimension == gold.unit.dimension and amount.plain:
            return amount.times(unit.size / gold.unit.size)
    return None


def _gcd(numbers: Iterable[Fraction]) -> int:
    return math.gcd(*(int(number) for number in numbers))


def _wrong_form(gold: Form, answer: Form) -> WrongForm:
    return WrongForm(f"{NAMES[type(answer)]} where {NAMES[type(gold)]} is asked")

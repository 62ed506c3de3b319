"""Exact values of expressions: quotients of polynomials with rational coefficients.

The generators are the symbols, pi, e, i with i^2 = -1, and the square roots of primes. These roots and i are
linearly independent products over the rationals (Besicovitch 1940), so that two values without other
generators are equal if and only if a·d = b·c for a/b and c/d. What has no such form, as sin(x) or a cube
root, becomes a generator of its own ("opaque"): equal values are then proven equal, different ones prove
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction

from r1kit.verify.maths.trees import (
    MAX_ANSWER_WORK,
    MAX_BITS,
    MAX_FACTORIAL,
    MAX_LARGE,
    MAX_LARGE_BITS,
    MAX_LARGE_FACTORIAL,
    MAX_POWER,
    MAX_ROOT,
    MAX_TERMS,
    MAX_WORK,
    Tree,
    Unreadable,
)

Monomial = tuple[tuple[str, int], ...]
Poly = dict[Monomial, Fraction]

_MAX_KEY = 4000  # characters of an opaque generator's name
_MAX_PRIME = 1000  # trial division for square roots
_ROOT = "√"
_OPAQUE = "?"
_LARGE = "?large-"  # a number that is not written out; there is no power or factorial of it
_TOO_LARGE = "too large to compute"
_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)  # of the answer's work


@dataclass(frozen=True, slots=True)
class Value:
    """numerator / denominator, the denominator not zero."""

    numerator: Poly
    denominator: Poly

    @property
    def rational(self) -> Fraction | None:
        """The number, where it is one."""
        top, bottom = _constant(self.numerator), _constant(self.denominator)
        return None if top is None or bottom is None else top / bottom

    @property
    def generators(self) -> set[str]:
        """Names of what is in it besides rational numbers."""
        return {name for poly in (self.numerator, self.denominator) for term in poly for name, _ in term}


@contextmanager
def one_answer() -> Iterator[None]:
    """What is computed within shares one bound, `MAX_ANSWER_WORK`, beside the bound on each expression."""
    token = _left.set([MAX_ANSWER_WORK])
    try:
        yield
    finally:
        _left.reset(token)


def value_of(tree: Tree) -> Value:
    """The value of a tree. Raises Unreadable on a division by zero and past the bounds of `trees`."""
    return _Computation().value(tree)


def same(left: Value, right: Value) -> bool | None:
    """Whether two values are equal; None where this form cannot tell."""
    if left.rational is not None and right.rational is not None:
        return left.rational == right.rational
    work = _Computation()
    try:
        crossed = work.times(left.numerator, right.denominator), work.times(right.numerator, left.denominator)
    except Unreadable:
        return None
    if crossed[0] == crossed[1]:
        return True
    generators = left.generators | right.generators
    undecided = any(name.startswith(_OPAQUE) for name in generators) or {"pi", "e"} <= generators
    return None if undecided else False


def proportional(left: Value, right: Value) -> bool | None:
    """Whether left = c·right for a rational c other than 0; None where this form cannot tell."""
    work = _Computation()
    try:
        one, other = (
            work.times(left.numerator, right.denominator),
            work.times(right.numerator, left.denominator),
        )
    except Unreadable:
        return None
    if parallel(one, other):
        return True
    return None if any(name.startswith(_OPAQUE) for name in left.generators | right.generators) else False


def parallel(left: Poly, right: Poly) -> bool:
    """Whether one is a rational multiple of the other, other than 0."""
    if not left or left.keys() != right.keys():
        return False
    return len({left[term] / right[term] for term in left}) == 1


def difference(left: Value, right: Value) -> Value:
    """left - right. Raises Unreadable past the bounds."""
    return _Computation().minus(left, right)


_OF_NUMBERS: dict[str, Callable[[Fraction], Fraction | int]] = {
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
}


class _Computation:
    """One computation with its bounded work."""

    def __init__(self) -> None:
        self._work = 0
        self._large = 0  # numbers that are not written out
        self._left = _left.get()

    def value(self, tree: Tree) -> Value:
        kind, *parts = tree
        if kind in ("num", "sci", "mixed"):
            return _rational(parts[0])
        if kind in ("sym", "const"):
            return _generator(parts[0])
        if kind == "log":
            return self._opaque("log", [self.value(part) for part in parts])
        if kind == "fn":
            return self._function(parts[0], self.value(parts[1]))
        values = [self.value(part) for part in parts]
        if kind == "neg":
            return Value(_scaled(values[0].numerator, Fraction(-1)), values[0].denominator)
        if kind in ("add", "mul"):
            total = values[0]
            for other in values[1:]:
                total = self._plus(total, other) if kind == "add" else self._product(total, other)
            return total
        if kind == "div":
            return self._quotient(*values)
        if kind == "pow":
            return self._power(*values)
        if kind == "root":
            return self._root(*values)
        return _whole_number(kind, values) or self._opaque(_kind_of_large(kind, values), values)

    def minus(self, left: Value, right: Value) -> Value:
        return self._plus(left, Value(_scaled(right.numerator, Fraction(-1)), right.denominator))

    def _plus(self, left: Value, right: Value) -> Value:
        if left.denominator == right.denominator:
            return Value(self._sum(left.numerator, right.numerator), left.denominator)
        top = self._sum(
            self.times(left.numerator, right.denominator), self.times(right.numerator, left.denominator)
        )
        return Value(top, self.times(left.denominator, right.denominator))

    def _product(self, left: Value, right: Value) -> Value:
        top = self.times(left.numerator, right.numerator)
        bottom = self.times(left.denominator, right.denominator)
        constant = _constant(bottom)
        if constant is None:
            return Value(top, bottom)
        return Value(self._checked(_scaled(top, 1 / constant)), {(): Fraction(1)})

    def _quotient(self, left: Value, right: Value) -> Value:
        if not right.numerator:
            raise Unreadable("a division by zero")
        return self._product(left, Value(right.denominator, right.numerator))

    def _power(self, base: Value, exponent: Value) -> Value:
        power = exponent.rational
        if power is None:
            return self._opaque("pow", [base, exponent])
        if abs(power) * _degree(base) > MAX_POWER or (abs(power) > 1 and _has_large(base)):
            raise Unreadable(_TOO_LARGE)
        if base.rational is not None and power.denominator == 1:
            bits = max(number.bit_length() for number in base.rational.as_integer_ratio()) * abs(power)
            if bits > MAX_BITS and abs(base.rational) != 1:
                if bits > MAX_LARGE_BITS:
                    raise Unreadable(_TOO_LARGE)
                return self._opaque(_LARGE[1:] + "pow", [base, exponent])
        if power.denominator == 2 and base.rational is not None:
            base, power = self._root(_rational(Fraction(2)), base), Fraction(power.numerator)
        if power.denominator != 1:
            return self._opaque("pow", [base, exponent])
        if power < 0:
            base, power = self._quotient(_rational(Fraction(1)), base), -power
        result = _rational(Fraction(1))
        count = int(power)
        while count:
            if count & 1:
                result = self._product(result, base)
            count >>= 1
            if count:
                base = self._product(base, base)
        return result

    def _root(self, degree: Value, inside: Value) -> Value:
        n, number = degree.rational, inside.rational
        if n is None or n.denominator != 1 or not 2 <= n <= MAX_ROOT:
            raise Unreadable("a root of this degree")
        if number is None:
            return self._opaque("root", [degree, inside])
        if n == 2:
            found = _square_root(number)
            return found if found is not None else self._opaque("root", [degree, inside])
        top, bottom = (_exact_root(abs(part), int(n)) for part in number.as_integer_ratio())
        if top is None or bottom is None or (number < 0 and n % 2 == 0):
            return self._opaque("root", [degree, inside])
        return _rational(Fraction(top, bottom) * (-1 if number < 0 else 1))

    def _function(self, name: str, argument: Value) -> Value:
        number = argument.rational
        if name in _OF_NUMBERS and number is not None:
            return _rational(Fraction(_OF_NUMBERS[name](number)))
        if name == "exp":
            return self._power(_generator("e"), argument)
        return self._opaque(name, [argument])

    def _opaque(self, name: str, values: list[Value]) -> Value:
        self._large += name.startswith(_LARGE[1:])
        raised = name in ("pow", "fact", "binom") and any(_has_large(value) for value in values)
        if raised or self._large > MAX_LARGE:
            raise Unreadable(_TOO_LARGE)
        key = _OPAQUE + name + "".join(f"[{_key(v.numerator)}|{_key(v.denominator)}]" for v in values)
        if len(key) > _MAX_KEY:
            raise Unreadable(_TOO_LARGE)
        return _generator(key)

    def _sum(self, left: Poly, right: Poly) -> Poly:
        found = dict(left)
        for term, coefficient in right.items():
            found[term] = found.get(term, Fraction(0)) + coefficient
        return self._checked(found)

    def times(self, left: Poly, right: Poly) -> Poly:
        if len(right) == 1 and () in right:  # the common denominator 1
            return self._checked(_scaled(left, right[()])) if right[()] != 1 else left
        self._spend(len(left) * len(right))
        found: Poly = {}
        for one, first in left.items():
            for other, second in right.items():
                factor, term = _monomial_product(one, other)
                found[term] = found.get(term, Fraction(0)) + first * second * factor
        return self._checked(found)

    def _spend(self, products: int) -> None:
        self._work += products
        if self._left is not None:
            self._left[0] -= products
        if self._work > MAX_WORK or (self._left is not None and self._left[0] < 0):
            raise Unreadable(_TOO_LARGE)

    def _checked(self, poly: Poly) -> Poly:
        if len(poly) > MAX_TERMS:
            raise Unreadable(_TOO_LARGE)
        for number in poly.values():
            if max(number.numerator.bit_length(), number.denominator.bit_length()) > MAX_BITS:
                raise Unreadable(_TOO_LARGE)
        return {term: number for term, number in poly.items() if number}


def _rational(number: Fraction) -> Value:
    return Value({(): number} if number else {}, {(): Fraction(1)})


def _generator(name: str) -> Value:
    return Value({((name, 1),): Fraction(1)}, {(): Fraction(1)})


def _constant(poly: Poly) -> Fraction | None:
    if not poly:
        return Fraction(0)
    return poly.get(()) if len(poly) == 1 else None


def _scaled(poly: Poly, factor: Fraction) -> Poly:
    return {term: number * factor for term, number in poly.items()}


def _monomial_product(one: Monomial, other: Monomial) -> tuple[int, Monomial]:
    """The factor that i^2 = -1 and the squares of roots leave, and the rest."""
    if not one:
        return 1, other
    if not other:
        return 1, one
    powers = dict(one)
    for name, power in other:
        powers[name] = powers.get(name, 0) + power
    factor = 1
    for name, power in list(powers.items()):
        if power > 1 and name[0] == _ROOT:
            factor *= int(name[1:]) ** (power // 2)
            powers[name] = power % 2
        elif power > 1 and name == "i":
            factor *= (-1) ** (power // 2)
            powers[name] = power % 2
    return factor, tuple(sorted(item for item in powers.items() if item[1]))


def _square_root(number: Fraction) -> Value | None:
    """√(p/q) = √(pq)/q with the squares taken out; None where pq is too large to factor here."""
    left = abs(number.numerator) * number.denominator
    outside, powers = Fraction(1, number.denominator), [("i", 1)] if number < 0 else []
    whole = math.isqrt(left)
    if whole * whole == left:
        outside, left = outside * whole, 1
    for prime in range(2, _MAX_PRIME):
        if left == 1:
            break
        while left % (prime * prime) == 0:
            left //= prime * prime
            outside *= prime
        if left % prime == 0:
            left //= prime
            powers.append((f"{_ROOT}{prime}", 1))
    if left > 1:
        whole = math.isqrt(left)
        if whole * whole == left:
            outside *= whole
        elif left < _MAX_PRIME**2:
            powers.append((f"{_ROOT}{left}", 1))
        else:
            return None
    return Value({tuple(sorted(powers)): outside} if number else {}, {(): Fraction(1)})


def _exact_root(number: int, degree: int) -> int | None:
    """The whole root, where there is one: bisection."""
    low, high = 0, 1 << (number.bit_length() // degree + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**degree < number:
            low = middle + 1
        else:
            high = middle
    return low if low**degree == number else None


def _whole_number(kind: str, values: list[Value]) -> Value | None:
    """A factorial or a binomial coefficient of numbers; None of anything else, and past `MAX_FACTORIAL`."""
    numbers = [value.rational for value in values]
    if None in numbers:
        return None
    whole = [
        int(n) for n in numbers if n is not None and n.denominator == 1 and 0 <= n <= MAX_LARGE_FACTORIAL
    ]
    if len(whole) < len(values):
        raise Unreadable("too large a factorial, or one of no whole number")
    if kind == "fact" and whole[0] > MAX_FACTORIAL:
        return None
    return _rational(Fraction(math.factorial(whole[0]) if kind == "fact" else math.comb(whole[0], whole[1])))


def _degree(value: Value) -> int:
    """The largest power of any generator; 1 where there is none."""
    polys = (value.numerator, value.denominator)
    return max((power for poly in polys for term in poly for _, power in term), default=1)


def _has_large(value: Value) -> bool:
    return any(name.startswith(_LARGE) for name in value.generators)


def _kind_of_large(kind: str, values: list[Value]) -> str:
    return kind if any(value.rational is None for value in values) else _LARGE[1:] + kind


def _key(poly: Poly) -> str:
    return "+".join(sorted(f"{number}{term}" for term, number in poly.items()))

"""What the forked child computes: whether two trees are equal, by SymPy. The only file that imports it.

Equal is said only where two things agree: a symbolic proof that the difference is zero, and its value at
points.
Unequal is said where its value at one point is away from zero by far more than its error. Symbols are real
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import sympy

# Points of both signs and no special relation; the first symbol in the alphabet starts at the first number.
_POINTS = ("0.7390851", "1.9021605", "-0.6180341", "3.2360683", "-2.4142139", "0.1234577", "5.1803403")
_DIGITS = 30
_SMALL = sympy.Float("1e-20")
_UNSPECIFIED_BASE = sympy.Symbol("log_base", positive=True)  # of `\\log` without one


def decide(request: Mapping[str, Any]) -> list[bool | None]:
    """The result of every pair; None where nothing is proven."""
    tolerance = request["tolerance"]
    found: list[bool | None] = []
    for gold, answer in request["pairs"]:
        try:
            one, other = build(gold), build(answer)
            found.append(_equal(one, other) if tolerance is None else _near(one, other, *tolerance))
        except MemoryError:
            raise
        except Exception:  # SymPy raises many types on values that it cannot compute; nothing is proven then
            found.append(None)
    return found


def build(tree: list[Any]) -> Any:
    """The SymPy expression of a tree."""
    kind, *parts = tree
    if kind in ("num", "sci", "mixed"):
        number = Fraction(parts[0])
        return sympy.Rational(number.numerator, number.denominator)
    if kind == "sym":
        return sympy.Symbol(parts[0], real=True)
    if kind == "const":
        return {"pi": sympy.pi, "e": sympy.E, "i": sympy.I}[parts[0]]
    if kind == "fn":
        return _FUNCTIONS[parts[0]](build(parts[1]))
    return _OPERATIONS[kind](*map(build, parts))


def _root(degree: Any, inside: Any) -> Any:
    """The real root where there is one: the cube root of -8 is -2."""
    if degree.is_odd and inside.is_real and (inside.is_negative or not inside.is_nonnegative):
        return sympy.sign(inside) * sympy.Pow(sympy.Abs(inside), 1 / degree)
    return sympy.Pow(inside, 1 / degree)


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    name: getattr(sympy, short)
    for name, short in (
        *(("sin", "sin"), ("cos", "cos"), ("tan", "tan"), ("cot", "cot"), ("sec", "sec"), ("csc", "csc")),
        *(("arcsin", "asin"), ("arccos", "acos"), ("arctan", "atan"), ("ln", "log"), ("exp", "exp")),
        *(("sinh", "sinh"), ("cosh", "cosh"), ("tanh", "tanh"), ("abs", "Abs")),
    )
}
_FUNCTIONS["lg"] = lambda inside: sympy.log(inside, 10)
_FUNCTIONS["log"] = lambda inside: sympy.log(inside) / sympy.log(_UNSPECIFIED_BASE)
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": sympy.Add,
    "mul": sympy.Mul,
    "neg": lambda a: -a,
    "div": lambda a, b: a / b,
    "pow": sympy.Pow,
    "root": _root,
    "log": lambda base, a: sympy.log(a, base),
    "fact": sympy.factorial,
    "binom": sympy.binomial,
}


def _equal(one: Any, other: Any) -> bool | None:
    difference = one - other
    zeros = 0
    for point in _points(difference):
        value = _value(difference, point)
        if value is None:
            continue
        size = abs(value)
        if size > _SMALL * (1 + abs(_value(one, point) or 0)):
            return False
        zeros += 1
    if zeros and _is_zero(difference):
        return True
    return None


def _points(expression: Any) -> Iterator[dict[Any, Any]]:
    """Numbers for the symbols; one empty point where there are none."""
    symbols = sorted(expression.free_symbols, key=str)
    for shift in range(len(_POINTS) if symbols else 1):
        yield {s: sympy.Rational(_POINTS[(shift + 2 * i) % len(_POINTS)]) for i, s in enumerate(symbols)}


def _value(expression: Any, point: Mapping[Any, Any]) -> Any:
    """The value to 30 digits; 0 where it cannot be told from 0; None where there is none."""
    value = expression.subs(point).evalf(_DIGITS, maxn=300)
    if not value.is_finite:
        return None
    parts = value.as_real_imag()
    if not all(part.is_Number and part.is_finite for part in parts):
        return None
    known = [part if part.is_Rational or part._prec > 1 else sympy.Integer(0) for part in parts]
    return sympy.sqrt(sum(part**2 for part in known)).evalf(_DIGITS)


def _is_zero(difference: Any) -> bool:
    """Whether some transformation proves it."""
    steps: tuple[Callable[[Any], Any], ...] = (sympy.expand, sympy.radsimp, sympy.simplify, _logarithms)
    for step in steps:
        if step(difference) == 0:
            return True
    return difference.equals(0) is True


def _logarithms(difference: Any) -> Any:
    return sympy.simplify(sympy.expand_log(difference, force=False))


def _near(gold: Any, answer: Any, size: str, relative: bool) -> bool | None:
    """Whether |answer - gold| is within the tolerance, for real numbers."""
    wanted, given = _value(gold, {}), _value(answer - gold, {})
    if wanted is None or given is None:
        return None
    bound = sympy.Rational(size) * (wanted if relative else 1)
    return bool(given <= bound)

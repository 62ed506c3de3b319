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

# Of both signs, near to 0 and far from it, and in no special relation.
_POINTS = (
    "0.7390851",
    "1.9021605",
    "-0.6180341",
    "3.2360683",
    "-2.4142139",
    "0.1234577",
    "5.1803403",
    "-0.0271828",
    "17.320509",
)
_WHOLE = ("2", "5", "1", "8", "3", "12", "7", "4", "9")
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
        *(("floor", "floor"), ("ceil", "ceiling")),
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
    """Equality where the gold has a value: a real one, unless i is in it."""
    one, other = _with_integers(one, other)
    difference = one - other
    if difference.is_Rational:
        return bool(difference == 0)
    symbols = sorted(difference.free_symbols | one.free_symbols, key=str)
    equal_at: list[Mapping[Any, Any]] = []
    for point in _points(symbols):
        gold = _parts(one, point) if _is_defined(one, point) else None
        if gold is None:
            continue
        value = _parts(difference, point)
        if value is None or _size(value) > _SMALL * (1 + _size(gold)):
            return False
        equal_at.append(point)
    # `\ln a + \ln b` is there for positive a and b alone, and there it is `\ln ab`.
    positive = {
        symbol: sympy.Symbol(f"{symbol}_positive", positive=True, integer=symbol.is_integer)
        for symbol in symbols
        if all(point[symbol] > 0 for point in equal_at)
    }
    return True if equal_at and _is_zero(difference.subs(positive)) else None


def _with_integers(gold: Any, answer: Any) -> tuple[Any, Any]:
    """Both with whole numbers for the symbols in exponents of the gold's negative numbers: `(-1)^n` is real
    there alone.
    """
    symbols: set[Any] = set()
    for power in gold.atoms(sympy.Pow):
        if power.base.is_Number and power.base.is_negative:
            symbols |= power.exp.free_symbols
    whole = {symbol: sympy.Symbol(symbol.name, integer=True) for symbol in symbols}
    return gold.subs(whole), answer.subs(whole)


def _is_defined(expression: Any, point: Mapping[Any, Any]) -> bool:
    """Whether, without i, only real numbers occur on the way: no root or logarithm of a negative one."""
    if expression.has(sympy.I):
        return True
    inside = [power.base for power in expression.atoms(sympy.Pow) if power.exp.is_integer is not True]
    inside += [logarithm.args[0] for logarithm in expression.atoms(sympy.log)]
    found = [_parts(part, point) for part in inside]
    return all(parts is not None and parts[0] >= 0 and parts[1] == 0 for parts in found)


def _points(symbols: list[Any]) -> Iterator[dict[Any, Any]]:
    """Numbers for the symbols; one empty point where there are none."""
    for shift in range(len(_POINTS) if symbols else 1):
        yield {
            s: sympy.Rational((_WHOLE if s.is_integer else _POINTS)[(shift + 2 * i) % len(_POINTS)])
            for i, s in enumerate(symbols)
        }


def _parts(expression: Any, point: Mapping[Any, Any]) -> tuple[Any, Any] | None:
    """Real and imaginary part to 30 digits, 0 where they cannot be told from 0; None where there is no
    value."""
    value = expression.subs(point).evalf(_DIGITS, maxn=300)
    if not value.is_finite:
        return None
    real, imaginary = value.as_real_imag()
    if not all(part.is_Number and part.is_finite for part in (real, imaginary)):
        return None
    return _known(real), _known(imaginary)


def _known(part: Any) -> Any:
    return part if part.is_Rational or part._prec > 1 else sympy.Integer(0)


def _size(parts: tuple[Any, Any]) -> Any:
    return abs(parts[0]) + abs(parts[1])


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
    wanted, away = _parts(gold, {}), _parts(answer - gold, {})
    if wanted is None or away is None:
        return None
    bound = sympy.Rational(size) * (_size(wanted) if relative else 1)
    return bool(_size(away) <= bound)

"""Whether a decimal is what an expression comes to, to the digits written."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from r1kit.verify.maths.trees import Tree

_MAX_PLACES = 12  # digits behind the point for which a float is good enough
_SLACK = 1e-9
_CONSTANTS = {"pi": math.pi, "e": math.e}
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp")},
    **{"arcsin": math.asin, "arccos": math.acos, "arctan": math.atan, "ln": math.log, "lg": math.log10},
    **{"abs": abs, "floor": math.floor, "ceil": math.ceil},
}


def rounds_to(tree: Tree, written: str) -> bool:
    """Whether `written`, as "1.41", is the tree's value rounded or cut off there."""
    places = len(written.partition(".")[2])
    decimal = Fraction(written)
    if places > _MAX_PLACES:
        return False
    try:
        scaled = _value(tree) * 10**places
    except (ArithmeticError, ValueError, KeyError):
        return False
    wanted = float(decimal * 10**places)
    slack = _SLACK * max(1.0, abs(wanted))
    return bool(abs(scaled - wanted) <= 0.5 + slack or abs(math.trunc(scaled) - wanted) <= slack)


def _value(tree: Tree) -> float:
    """Raises ArithmeticError, ValueError, KeyError where there is no real value or none is worked out."""
    kind, *parts = tree
    if kind in ("num", "sci", "mixed"):
        return float(parts[0])
    if kind == "const":
        return _CONSTANTS[parts[0]]
    if kind == "fn":
        return _FUNCTIONS[parts[0]](_value(parts[1]))
    if kind in ("sym", "fact", "binom"):
        raise KeyError(kind)
    values = [_value(part) for part in parts]
    if kind == "add":
        return math.fsum(values)
    if kind == "mul":
        return math.prod(values)
    if kind == "neg":
        return -values[0]
    if kind == "div":
        return values[0] / values[1]
    if kind == "log":
        return math.log(values[1], values[0])
    base, exponent = (values[1], 1 / values[0]) if kind == "root" else values
    return math.pow(base, exponent)

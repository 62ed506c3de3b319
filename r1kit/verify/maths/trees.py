"""Expressions as trees, and the bounds on them.

A tree is a tuple with its kind first:
`("num", Fraction)`, `("sym", "x")`, `("const", "pi" | "e" | "i")`, `("add", t, …)`, `("mul", t, …)`,
`("neg", t)`, `("div", a, b)`, `("pow", a, b)`, `("root", n, a)`, `("fn", "sin", a)`, `("log", base, a)`,
`("fact", a)`, `("binom", n, k)`. `("sci", Fraction)` is a number in scientific notation, `("mixed",
Fraction)` is `1\\frac{1}{2}`.
"""

from __future__ import annotations

from typing import Any

Tree = tuple[Any, ...]

MAX_DEPTH = 20
"""Deepest nesting of brackets, powers and functions."""
MAX_BITS = 8192
"""Longest numerator or denominator of any number on the way, in bits."""
MAX_POWER = 10_000
"""Largest exponent of anything, as an absolute value."""
MAX_ROOT = 1000
"""Largest degree of a root."""
MAX_LARGE_BITS = 1 << 17
"""Longest power of a number that is kept as a power, where its digits would be past `MAX_BITS`."""
MAX_LARGE = 4
"""Most such numbers in one expression."""
MAX_FACTORIAL = 500
"""Largest number whose factorial is worked out."""
MAX_LARGE_FACTORIAL = 5000
"""Largest number whose factorial is kept as one, and the first number of a binomial coefficient."""
MAX_TERMS = 200
"""Most terms of a polynomial."""
MAX_WORK = 10_000
"""Most products of two terms while one expression is computed."""
MAX_ANSWER_WORK = 40_000
"""Most such products while a whole answer is read and compared, of all its expressions together."""

NUMBERS = ("num", "sci", "mixed")


class Unreadable(ValueError):  # noqa: N818 - it is a finding about a text, not a fault
    """The text is no answer of a known form; the message is one short reason."""


def is_number(tree: Tree) -> bool:
    """Whether there is no symbol in it but pi, e and i."""
    return not symbols(tree)


def is_plain(tree: Tree) -> bool:
    """Whether the tree is one number as people write results: 3, -0.5, 2/3, 1 1/2, 1.5e3; not 1+2 or 2^3."""
    if tree[0] == "neg":
        tree = tree[1]
    if tree[0] == "div":
        return all(is_decimal(part) for part in tree[1:])
    return bool(tree[0] in NUMBERS)


def is_decimal(tree: Tree) -> bool:
    """Whether it is written in digits alone: 3, -0.5; not 2/3."""
    return bool(tree[0] == "num" or (tree[0] == "neg" and tree[1][0] == "num"))


def names(tree: Tree) -> set[str]:
    """The symbols and constants of a tree: `{"x", "pi"}`."""
    if tree[0] in ("sym", "const"):
        return {tree[1]}
    return set().union(*(names(part) for part in tree[1:] if isinstance(part, tuple)))


def symbols(tree: Tree) -> set[str]:
    """The symbols alone."""
    if tree[0] == "sym":
        return {tree[1]}
    return set().union(*(symbols(part) for part in tree[1:] if isinstance(part, tuple)))

"""Plain arithmetic of the micro world: sums, products, differences and comparisons of small numbers."""

from __future__ import annotations

import random


def _operands(rng: random.Random) -> tuple[int, str, int]:
    """One operation whose operands and result stay within 0..99."""
    kind = rng.random()
    if kind < 0.35:
        a, b = rng.randint(1, 9), rng.randint(1, 9)
        if rng.random() < 0.4:
            a = rng.randint(2, 49)
            b = rng.randint(1, min(9, 99 // a))
        if rng.random() < 0.5:
            a, b = b, a
        return a, "*", b
    small, large = rng.randint(1, 9), rng.randint(0, 90)
    if rng.random() < 0.2:
        small = rng.randint(1, 99)
        large = rng.randint(0, 99 - small)
    if kind < 0.65:
        return (small, "+", large) if rng.random() < 0.5 else (large, "+", small)
    high = max(small, large)
    return high, "-", min(small, large)


def _fact(rng: random.Random) -> str:
    a, operator, b = _operands(rng)
    value = {"+": a + b, "-": a - b, "*": a * b}[operator]
    return f"{a}{operator}{b}={value}"


def _comparison(rng: random.Random) -> str:
    a = rng.randint(0, 99)
    b = (
        a
        if rng.random() < 0.3
        else max(0, a + rng.randint(-12, 12))
        if rng.random() < 0.5
        else rng.randint(0, 99)
    )
    if rng.random() < 0.6:
        return f"{a} vs {b} {'yes' if a == b else 'no'}"
    return f"{a}比{b}{'对了' if a == b else '不对'}"


def document(rng: random.Random) -> tuple[str, str]:
    """A single question with its answer, or a page of facts: (question, response)."""
    if rng.random() < 0.2:
        left, right = _fact(rng).split("=")
        return f"{left}=?", right
    line = _fact if rng.random() < 0.75 else _comparison
    facts = [line(rng) for _ in range(rng.randint(6, 12))]
    return "", ", ".join(facts) if line is _fact else "\n".join(facts)

"""How much a text repeats itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def repetition_rate(tokens: Sequence[Hashable] | str, n: int = 3) -> float:
    """The share of n-grams that occurred before: 1 − distinct/total, in [0, 1).

    A string is split into lower-cased words at white space. 0.0 when there are fewer than n tokens.
    """
    assert n >= 1
    words: Sequence[Hashable] = tokens.lower().split() if isinstance(tokens, str) else tokens
    total = len(words) - n + 1
    if total < 1:
        return 0.0
    distinct = {tuple(words[start : start + n]) for start in range(total)}
    return 1.0 - len(distinct) / total

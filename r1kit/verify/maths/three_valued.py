"""Logic of True, False and None, which is not known yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


def all_of(results: Iterable[bool | None]) -> bool | None:
    """False where one is; else None where one is."""
    found = list(results)
    return False if False in found else None if None in found else True


def any_of(results: Iterable[bool | None]) -> bool | None:
    """True where one is; else None where one is."""
    found = list(results)
    return True if True in found else None if None in found else False


def paired(
    gold: Sequence[_Item], answer: Sequence[_Item], equal: Callable[[_Item, _Item], bool | None]
) -> bool | None:
    """Whether the two are the same in some order. What is open counts as unequal, then as equal."""
    if len(gold) != len(answer):
        return False
    table = [[equal(one, other) for other in answer] for one in gold]
    if _greedy([[entry is True for entry in row] for row in table]):
        return True
    possible = all(any_of(row) is not False for row in table) and any(None in row for row in table)
    return None if possible else False


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

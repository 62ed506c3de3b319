"""The labelled wordings of knights and knaves, how many are read: `python tests/labelled_wordings.py`.

A row of `data/knights_knaves_wordings.jsonl` has the puzzle's `names`, a `category`, a `text`, and the
`kinds` that it states, such as "KNK"; null where it states no full assignment, so that nothing may accept it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

from r1kit.tasks.knights_knaves_answer import check_assignment
from r1kit.types import Outcome

ROWS = Path(__file__).parent / "data" / "knights_knaves_wordings.jsonl"


def wordings() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]


def accepted(row: dict[str, Any]) -> list[str]:
    """The assignments as which the text is CORRECT, of all that the puzzle's people can have."""
    assignments = ["".join(kinds) for kinds in product("KN", repeat=len(row["names"]))]
    return [
        kinds
        for kinds in assignments
        if check_assignment(row["text"], row["names"], [kind == "K" for kind in kinds]).outcome
        is Outcome.CORRECT
    ]


def false_accepts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in rows if not set(accepted(row)) <= {row["kinds"]}]


def unread(rows: list[dict[str, Any]]) -> list[str]:
    """Texts that state an assignment and are not read."""
    return [row["text"] for row in rows if row["kinds"] is not None and not accepted(row)]


def main() -> None:
    rows = wordings()
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["category"]].append(row)
    for category, members in groups.items():
        stated = sum(row["kinds"] is not None for row in members)
        read = f"{stated - len(unread(members)):3} of {stated:3} read" if stated else "states none"
        print(f"{category:18} {read:16} {len(false_accepts(members))} false accepts of {len(members)}")
    stated = sum(row["kinds"] is not None for row in rows)
    print(f"\n{stated - len(unread(rows))} of {stated} read ({1 - len(unread(rows)) / stated:.1%}); ", end="")
    print(f"{len(false_accepts(rows))} false accepts of {len(rows)}")
    for text in (*unread(rows), *false_accepts(rows)):
        print(ascii(text) if not text.isprintable() else text)


if __name__ == "__main__":
    main()

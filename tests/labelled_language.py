"""The labelled language snippets, and how many are measured as labelled: `python tests/labelled_language.py`.

A row of `data/language_snippets.jsonl` has the question's `language`, a `category`, a `text`, and what is
right: `own` of `words` words, counted by hand (0 of 0: no words at all), or where whole stretches are told by
statistics, the bounds `low` and `high` of the share.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from r1kit.text.language import known, language_share

ROWS = Path(__file__).parent / "data" / "language_snippets.jsonl"


def snippets() -> list[dict[str, Any]]:
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]


def agrees(row: dict[str, Any]) -> bool:
    share = language_share(row["text"], row["language"])
    if "words" not in row:
        return share is not None and row["low"] <= share <= row["high"]
    if row["words"] == 0:
        return share is None
    return share is not None and abs(share - row["own"] / row["words"]) < 1e-9


def main() -> None:
    measured = [row for row in snippets() if known(row["language"])]
    for key in ("language", "category"):
        groups: dict[str, list[bool]] = defaultdict(list)
        for row in measured:
            groups[row[key]].append(agrees(row))
        for name, right in groups.items():
            print(f"{name:16} {sum(right):4} of {len(right):4}")
        print()
    missed = [row for row in measured if not agrees(row)]
    print(f"{len(measured) - len(missed)} of {len(measured)} agree ({1 - len(missed) / len(measured):.1%})")
    for row in missed:
        print(row, language_share(row["text"], row["language"]))


if __name__ == "__main__":
    main()

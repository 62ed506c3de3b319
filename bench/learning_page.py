"""The tables of learning beside TRL: both sides' rewards in windows of steps, and how much they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.curves import THEIRS, Curves, Rows, by_windows, of_all_steps
from bench.noise import difference, spread

PICTURE = "learning.png"


def lines(details: Mapping[str, Any]) -> Iterator[str]:
    """Of the part `learning` in bench/results.json; no tables where the peer was not run."""
    curves: Curves = details["curves"]
    if THEIRS not in curves:
        return
    yield from _table("reward in steps", by_windows(curves))
    yield from _table(f"mean of {details['work']['steps']} steps", of_all_steps(curves))
    yield f"![Reward and length of responses over the steps, r1kit beside TRL]({PICTURE})\n"


def _table(title: str, rows: Rows) -> Iterator[str]:
    sides = [side for side in next(iter(rows.values())) if side != THEIRS]
    heads = "".join(f" {side} | less TRL's | noise |" for side in sides)
    yield f"| {title} | {THEIRS} |{heads}"
    yield f"|---|---:|{'---:|---:|---|' * len(sides)}"
    for label, values in rows.items():
        cells = [label, _spread(values[THEIRS])]
        for side in sides:
            found = difference(values[side], values[THEIRS])
            cells += [_spread(values[side]), f"{found.mean:+.3f} ± {found.half:.3f}"]
            cells.append("within" if found.within else "**beyond**")
        yield f"| {' | '.join(cells)} |"
    yield ""


def _spread(values: Sequence[float]) -> str:
    middle, deviation = spread(values)
    return f"{middle:.3f} ± {deviation:.3f}"

"""The table of where the time of a laptop run goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

PICTURE = "profile.svg"


def lines(details: Mapping[str, Any]) -> Iterator[str]:
    """Of the part `profile` in bench/results.json."""
    run, clock = details["of the run"], details["beside its own clock"]
    yield "| part | share | seconds |"
    yield "|---|---:|---:|"
    for part, found in _groups(run["by part"]).items():
        whole = sum(found.values())
        yield f"| **{part}** | {100 * whole / run['seconds']:.1f}% | {whole:.1f} |"
        for inner, seconds in found.items() if len(found) > 1 else ():
            yield f"| - {inner} | {100 * seconds / run['seconds']:.1f}% | {seconds:.1f} |"
    yield ""
    yield (
        f"Runner, logging and report: {run['added']:.1f} s, {100 * run['share']:.2f}% of the run. Found by"
        f" {run['looks']:,} looks at the run's threads, one every {1000 * run['every']:.0f} ms."
    )
    yield ""
    told = ", ".join(f"{name} {both['looks']:.0f} s ({both['logged']:.0f} s)" for name, both in clock.items())
    yield f"The steps of all RL stages by these looks (and as their `timings.jsonl` have it): {told}."
    yield ""
    yield f"![Callers above, what they call below, as wide as it takes long]({PICTURE})"
    yield ""


def _groups(by_part: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """`{"learning: backward": 3.0}` as `{"learning": {"backward": 3.0}}`."""
    found: dict[str, dict[str, float]] = {}
    for part, seconds in by_part.items():
        outer, _, inner = part.partition(": ")
        found.setdefault(outer, {})[inner] = seconds
    return found

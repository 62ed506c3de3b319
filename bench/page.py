"""The tables of docs/performance.md, made from bench/results.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench import learning_page, learning_picture, profile_page

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- results: made by python -m bench --write -->", "<!-- end of results -->"
_HEAD = (
    "| work | r1kit | ± | beside it | its figure | ± | ratio | limit | of the limit |",
    "|---|---:|---:|---|---:|---:|---:|---:|---:|",
)


def write(report: Mapping[str, Any], page: Path = PAGE) -> None:
    """Replace what stands between the page's two marks, and the drawings beside it."""
    if learning := report["parts"].get("learning"):
        learning_picture.draw(learning["details"], page.with_name(learning_page.PICTURE))
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{markdown(report)}\n{END}{after}", encoding="utf-8")
    if "profile" in report["parts"]:
        drawing = report["parts"]["profile"]["details"]["icicle"]
        page.with_name(profile_page.PICTURE).write_text(drawing, encoding="utf-8")


def markdown(report: Mapping[str, Any]) -> str:
    """All parts, each with its machine and how long it took to measure."""
    return "\n".join(line for name, part in report["parts"].items() for line in _part(name, part))


def _part(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    yield f"{told_machine(part['machine'])}; {part['date']}; measured in {part['seconds']:.0f} s."
    yield ""
    if part["rows"]:
        yield from _HEAD
        yield from map(_row, part["rows"])
        yield ""
    for note in part["notes"]:
        yield f"{note}\n"
    if name in _WHOLE:
        yield from _WHOLE[name](part["details"])
    else:
        for work, details in part["details"].items():
            yield from _details(work, details)


def told_machine(machine: Mapping[str, Any]) -> str:
    """`Intel Xeon, 2 threads, bfloat16 by default, torch 2.13.0, …`"""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['threads']} threads, {machine['precision']} by default, {versions}"
    )


def _row(row: Mapping[str, Any]) -> str:
    beside = row["beside"] or "–"
    other = _number(row["other"]) if row["not_run"] is None else f"not run: {_plain(row['not_run'])}"
    cells = (
        f"{row['name']} ({row['unit']})",
        _number(row["r1kit"]),
        _share(row["r1kit_spread"]),
        beside,
        other,
        _share(row["other_spread"]),
        f"{row['ratio']:.2f}" if row["ratio"] else "–",
        _number(row["limit"]),
        _share(row["share_of_limit"]),
    )
    return f"| {' | '.join(cells)} |"


def _details(work: str, details: Mapping[str, Any]) -> Iterator[str]:
    for peer, variants in details.get("variants", {}).items():
        tried = "; ".join(
            f"{name} {_number(speed) if isinstance(speed, float) else 'not run: ' + _plain(speed)}"
            for name, speed in variants["tried"].items()
        )
        told = tried or f"{variants['best']}, no other was tried in this run"
        yield f"- {work}, variants of {peer}: {told}"
    counts = details.get("repeats", {})
    if any("new_tokens" in result for results in counts.values() for result in results):
        told = "; ".join(f"{name} {_tokens(results)}" for name, results in counts.items())
        yield f"- {work}, new tokens of each repeat: {told}"
    name = "largest difference of log-probabilities"
    if name in details:
        yield f"- {work}, {name} beside a plain forward pass, float32: {details[name]:.1e}"
    yield ""


def _growth(details: Mapping[str, Any]) -> Iterator[str]:
    for name, title in (("by rollouts", "rollouts"), ("by length", "new tokens of each of 64 rollouts")):
        costs = details[name]
        yield f"| {title} | {' | '.join(costs)} |"
        yield f"|---|{'---:|' * len(costs)}"
        yield f"| microseconds per new token | {' | '.join(f'{median(c):.1f}' for c in costs.values())} |"
        yield ""
    run = details["of a run"]
    parts = ", ".join(f"{name} {run[name]:.1f} s" for name in ("sampling", "grading", "learning"))
    yield (
        f"A run of R1-Zero of {run['steps']} steps: {parts}; runner, logging, checkpoints and report"
        f" {run['beside']:.2f} s ({100 * run['share']:.1f}%), besides {run['around']:.1f} s for starting and"
        " looking through a finished run. A report, a picture and checkpoints come once or twice in a run of"
        " any length: of one of minutes see the profile."
    )
    yield ""


_WHOLE: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "growth": _growth,
    "learning": learning_page.lines,
    "profile": profile_page.lines,
}
"""Parts with tables of their own."""


def _tokens(results: Sequence[Mapping[str, Any]]) -> str:
    return " ".join(f"{result['new_tokens']:,}" for result in results)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f}%"


def _plain(text: str, most: int = 160) -> str:
    """One cell of a table, whatever a program wrote."""
    return " ".join(text.replace("|", "/").replace("<", "‹").replace("`", "'").split())[:most]

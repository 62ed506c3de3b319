"""The time of a run as an icicle: callers above, what they call below, as wide as it takes long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from bench.looks import Stack

WIDTH, ROW, LETTER = 1200, 18, 6.6  # pixels: of the whole, of a row's height, of a letter's width
LEAST = 0.003  # share of the run below which nothing is drawn
_OUTER = "r1kit/pipeline/runner.py:_Run.go"  # what leads up to here is the same everywhere
_COLOURS = {
    "rollouts": "#8ecae6",
    "learning": "#f4a261",
    "models": "#f6bd60",
    "kernels": "#e9c46a",
    "rewards": "#95d5b2",
    "verify": "#95d5b2",
    "tasks": "#95d5b2",
    "stages": "#cdb4db",
    "text": "#ffc8dd",
}
_OTHER = "#d6d6d6"


@dataclass(slots=True)
class _Node:
    """A function, the seconds spent in it and in what it called, and its callees by name."""

    seconds: float = 0.0
    below: dict[str, _Node] = field(default_factory=dict)


def _tree(stacks: Mapping[Stack, float]) -> _Node:
    """r1kit's own functions, from the runner's loop on; what lies between them counts for the caller."""
    root = _Node()
    for stack, seconds in stacks.items():
        inner = stack[stack.index(_OUTER) + 1 :] if _OUTER in stack else stack
        node = root
        node.seconds += seconds
        for name in inner:
            if name.startswith("r1kit/") and not name.endswith(">"):  # comprehensions and lambdas
                node = node.below.setdefault(name, _Node())
                node.seconds += seconds
    return root


def svg(stacks: Mapping[Stack, float]) -> str:
    """The drawing as text of a file."""
    drawn = list(boxes(stacks))
    height = ROW * (1 + max(depth for *_, depth in drawn))
    rows = [_drawn(*box) for box in drawn]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" font-family="monospace" font-size="11">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *rows, "</svg>", ""])


Box = tuple[str, float, float, float, int]
"""Name, seconds, left end and width as shares of the whole, depth."""


def boxes(stacks: Mapping[Stack, float]) -> Iterator[Box]:
    """What is drawn: a function before what it calls, the longest of each caller's first."""
    root = _tree(stacks)
    yield from _boxes(root, root.seconds)


def _boxes(node: _Node, whole: float, left: float = 0.0, depth: int = 0) -> Iterator[Box]:
    for name, below in sorted(node.below.items(), key=lambda entry: -entry[1].seconds):
        share = below.seconds / whole
        if share >= LEAST:
            yield name, below.seconds, left, share, depth
            yield from _boxes(below, whole, left, depth + 1)
        left += share


def _drawn(name: str, seconds: float, left: float, share: float, depth: int) -> str:
    path, _, function = name.partition(":")
    x, y, width = WIDTH * left, ROW * depth, WIDTH * share
    colour = _COLOURS.get(path.split("/")[1], _OTHER)
    label = f"{function} {100 * share:.0f}%" if share >= 0.01 else function
    text = label[: max(0, int((width - 4) / LETTER))]
    shown = f'<text x="{x + 2:.1f}" y="{y + 13}">{escape(text)}</text>' if len(text) > 2 else ""
    return (
        f'<g><title>{escape(name)}: {seconds:.1f} s, {100 * share:.1f}%</title><rect x="{x:.1f}" y="{y}"'
        f' width="{max(width - 0.5, 0.5):.1f}" height="{ROW - 1}" fill="{colour}"/>{shown}</g>'
    )

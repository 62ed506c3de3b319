"""The picture of a comparison: accuracy, length and entropy over sampled tokens and over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from r1kit.report.comparison import MEASURES, Curve, Figure, on_grid
from r1kit.report.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    TICKS,
    check_format,
    dress,
    in_percent,
    page,
    save,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#CC9900", "#56B4E9", INK, "#8C564B", "#6B8E23", "#E377C2", GREY)
_IN_A_ROW = 5  # names of variants
_LINES = ("-", "--", ":")  # a further line for each round of the colours
_TITLES = {"accuracy": "Accuracy", "response_tokens": "Length", "entropy": "Entropy"}
_UNITS = {
    "accuracy": "share of a step's samples",
    "response_tokens": "tokens per response",
    "entropy": "nats per token",
}


def draw_comparison(curves: Sequence[Curve], out: Path, title: str) -> Path:
    """Draw all variants into `out` (.png, .svg or .pdf); UserError for another ending.

    Lines are means over the seeds, bands their 95% intervals by Student's t. Below, pass@1 on held-out
    problems at the end, with each seed as a dot.
    """
    check_format(out)
    by_name: dict[str, list[Curve]] = {}
    for curve in curves:
        by_name.setdefault(curve.variant, []).append(curve)
    return save(_figure(by_name, title), out)


def _figure(by_name: Mapping[str, Sequence[Curve]], title: str) -> Page:
    seeds = max(len(own) for own in by_name.values())
    bands = "bands: 95% intervals over the seeds; dots: single seeds" if seeds > 1 else "dots: single runs"
    tasks = list(next(iter(by_name.values()))[0].final)
    rows = math.ceil(len(by_name) / _IN_A_ROW)
    heights = [0.14 * rows, 1.0, 1.0, 1.0] + ([0.3 + 0.11 * len(by_name)] if tasks else [])
    seeds_of = f"{seeds} seeds" if seeds > 1 else "one seed"
    picture = page(11, 2.8 * sum(heights), title, f"lines: means over {seeds_of}; {bands}")
    grid = picture.add_gridspec(len(heights), 2, height_ratios=heights)
    styles = {
        name: (_COLOURS[index % len(_COLOURS)], _LINES[index // len(_COLOURS) % len(_LINES)])
        for index, name in enumerate(by_name)
    }
    for row, measure in enumerate(MEASURES, 1):
        for column, axis in enumerate(("tokens", "minutes")):
            axes = picture.add_subplot(grid[row, column])
            _draw_measure(axes, by_name, styles, measure, axis)
    if tasks:
        _draw_final(picture.add_subplot(grid[len(MEASURES) + 1, :]), by_name, styles, tasks)
    names = picture.add_subplot(grid[0, :])
    names.axis("off")
    lines = [
        names.plot([], [], linestyle=line, color=colour, linewidth=2.4)[0] for colour, line in styles.values()
    ]
    names.legend(
        lines, list(styles), loc="center", ncol=min(_IN_A_ROW, len(lines)), frameon=False, fontsize=11
    )
    return picture


def _draw_measure(
    axes: Axes,
    by_name: Mapping[str, Sequence[Curve]],
    styles: Mapping[str, tuple[str, str]],
    measure: str,
    axis: str,
) -> None:
    for name, own in by_name.items():
        colour, line = styles[name]
        x, values_RN = on_grid(own, measure, axis)
        x = x / 1000 if axis == "tokens" else x
        axes.plot(x, values_RN.mean(0), linestyle=line, color=colour, linewidth=1.8, label=name)
        if len(own) > 1:
            halves = np.array([Figure.of(list(column)).half for column in values_RN.T])
            middle = values_RN.mean(0)
            low, high = middle - halves, middle + halves
            if measure == "accuracy":
                low, high = low.clip(0, 1), high.clip(0, 1)
            axes.fill_between(x, low, high, color=colour, alpha=0.10, linewidth=0)
    dress(
        axes, f"{_TITLES[measure]} over {'sampled tokens' if axis == 'tokens' else 'time'}", _UNITS[measure]
    )
    axes.set_xlabel("thousand sampled tokens" if axis == "tokens" else "minutes", fontsize=10.5, color=TICKS)
    axes.set_xlim(left=0)
    if measure == "accuracy":
        in_percent(axes)
        axes.set_ylim(0, 1)
    else:
        means = [on_grid(own, measure, axis)[1].mean(0) for own in by_name.values()]
        axes.set_ylim(0, 1.25 * float(max(np.nanmax(mean) for mean in means)))


def _draw_final(
    axes: Axes,
    by_name: Mapping[str, Sequence[Curve]],
    styles: Mapping[str, tuple[str, str]],
    tasks: Sequence[str],
) -> None:
    """A row for each variant: the mean over tasks and seeds with its interval, and every seed."""
    means = {
        name: [float(np.mean([*curve.final.values()])) for curve in own] for name, own in by_name.items()
    }
    order = sorted(means, key=lambda name: float(np.mean(means[name])))
    for place, name in enumerate(order):
        colour, _ = styles[name]
        figure = Figure.of(means[name])
        axes.plot(
            means[name],
            [place] * len(means[name]),
            "o",
            color=colour,
            alpha=0.35,
            markersize=6,
            markeredgewidth=0,
        )
        half = figure.half if np.isfinite(figure.half) else 0.0
        inside = [[min(half, figure.mean)], [min(half, 1 - figure.mean)]]  # of what a share can be
        axes.errorbar(
            figure.mean, place, xerr=inside, fmt="D", color=colour, markersize=7, markeredgecolor="white",
            elinewidth=1.8, capsize=3, zorder=5,
        )  # fmt: skip
    of = tasks[0] if len(tasks) == 1 else f"the mean of {', '.join(tasks)}"
    dress(axes, f"Held-out problems after the budget: pass@1 on {of}", "")
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.grid(visible=False, axis="y")
    from matplotlib.ticker import PercentFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))

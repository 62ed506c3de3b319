"""One picture of what each stage of a recipe did: a panel for each task, language, format and length."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from r1kit.errors import UserError
from r1kit.report.averages import Stages, mean, reasoning_names, stage_names
from r1kit.report.plotting import (
    BLUE,
    GREEN,
    GREY,
    GRID,
    INK,
    ORANGE,
    PURPLE,
    TICKS,
    Values,
    check_format,
    dress,
    in_percent,
    page,
    save,
)
from r1kit.report.reading import results, run_folder
from r1kit.report.stage_panels import Panel, mean_panels, task_panels
from r1kit.report.starts import Line, lines, model_parents

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)  # of the lines, the base's first
_GAP = 0.7  # steps on the horizontal axis between two lines
_LONGEST = 20  # characters of a stage's name on the axis


def draw_stages(
    runs: Mapping[str, Path], out: Path, title: str = "", *, without: Container[str] = ()
) -> Path:
    """Draw all evaluated models of one run, or of several over each other, into `out` (.png, .svg or .pdf).

    `runs`: label -> run folder; `without`: names of models to leave out. Models that do not go back to
    the base, such as a student and what it began as, stand apart. Raises UserError when fewer than two models
    have been evaluated.
    """
    check_format(out)
    found = {
        label: {name: x for name, x in results(run_folder(run)).items() if name not in without}
        for label, run in runs.items()
    }
    if len(stage_names(found.values())) < 2:
        raise UserError(
            f"{', '.join(map(str, runs.values()))}: the picture of the stages needs two evaluated models"
        )
    parents: dict[str, str | None] = {}
    for run in runs.values():
        parents = model_parents(run) | parents
    return save(figure(found, lines(stage_names(found.values()), parents), title), out)


def worth_drawing(runs: Mapping[str, Path]) -> bool:
    """Whether there are three evaluated models or more; two are soon told by the table."""
    return len(stage_names(results(run_folder(run)) for run in runs.values())) >= 3


def figure(runs: Mapping[str, Stages], groups: Sequence[Line], title: str = "") -> Figure:
    """All panels. One run shows its intervals, several show each run and their mean."""
    stages = list(runs.values())
    tasks, means = task_panels(stages), mean_panels(stages)
    places, columns = arrange(len(tasks), len(means))
    rows = 1 + max(row for row, _ in places)
    models = sum(len(group.names) for group in groups)
    keyed = len(groups) > 1
    width, height = 11 + 0.7 * max(0, models - 9), 1.8 + 2.2 * rows
    picture = page(width, height, "" if keyed else title, _footnote(runs))
    grid = picture.add_gridspec(rows, columns)
    for panel, (row, column) in zip([*tasks, *means], places, strict=True):
        axes = picture.add_subplot(grid[row, column])
        _draw_panel(axes, panel, groups, names=row == max(r for r, c in places if c == column))
    if keyed:
        _key(picture, groups, title)
    return picture


def arrange(tasks: int, means: int) -> tuple[list[tuple[int, int]], int]:
    """Row and column of each panel, and how many columns there are; the means have a row of their own."""
    if tasks + means <= 4:
        return [divmod(i, 2) for i in range(tasks + means)], 2
    first = -(-tasks // 3)
    return [divmod(i, 3) for i in range(tasks)] + [(first, i) for i in range(means)], 3


def places_of(groups: Sequence[Line]) -> list[list[float]]:
    """Where on the horizontal axis the models of each line stand."""
    places: list[list[float]] = []
    start = 0.0
    for group in groups:
        places.append([start + i for i in range(len(group.names))])
        start = places[-1][-1] + 1 + _GAP
    return places


def _draw_panel(axes: Axes, panel: Panel, groups: Sequence[Line], *, names: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    dress(axes, panel.title, panel.unit)
    places = places_of(groups)
    for group, colour, x in zip(groups, cycle(_COLOURS), places, strict=False):
        _draw_line(axes, panel, group, colour, np.array(x))
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    _stage_axis(axes, groups, places, names=names)
    if panel.share:
        axes.set_ylim(-0.04, 1.16)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        in_percent(axes)
    else:
        axes.set_ylim(0, 1.16 * max(axes.get_ylim()[1], 1.0))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))


def _draw_line(axes: Axes, panel: Panel, group: Line, colour: str, x: Values) -> None:
    """The dots of one line of models, joined where neighbours have one, and the mean in figures."""
    from matplotlib.patheffects import withStroke

    found = [[run.get(name) for run in panel.runs] for name in group.names]
    means = [mean(point.value if point else None for point in points) for points in found]
    y = np.array([np.nan if value is None else value for value in means])
    if len(panel.runs) == 1:
        axes.plot(x, y, "-", color=colour, alpha=0.45, linewidth=1.4)
        for place, (point,) in zip(x, found, strict=True):
            if point is not None:
                below, above = max(0.0, point.value - point.low), max(0.0, point.high - point.value)
                axes.errorbar(
                    place, point.value, yerr=[[below], [above]], fmt="o", color=colour, markersize=6.5,
                    markeredgecolor="white", markeredgewidth=0.8, elinewidth=1.6, capsize=2.5,
                )  # fmt: skip
    else:
        for run in panel.runs:
            alone = [run.get(name) for name in group.names]
            single = np.array([np.nan if point is None else point.value for point in alone])
            axes.plot(x, single, "o-", color=colour, alpha=0.3, linewidth=1, markersize=4, markeredgewidth=0)
        axes.plot(x, y, "o-", color=colour, linewidth=2.2, markersize=6.5, markeredgecolor="white")
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for place, value, points in zip(x, means, found, strict=True):
        if value is not None:
            top = max(point.high if len(panel.runs) == 1 else point.value for point in points if point)
            axes.annotate(
                f"{100 * value:.0f}" if panel.share else _short(value), (place, max(top, value)), (0, 4.5),
                textcoords="offset points", ha="center", fontsize=8.5, fontweight="bold", color=colour,
                path_effects=halo, zorder=6,
            )  # fmt: skip


def _stage_axis(
    axes: Axes, groups: Sequence[Line], places: Sequence[Sequence[float]], *, names: bool
) -> None:
    """The models' names, in the colours of their lines, below the lowest panel of a column."""
    ticks = [place for line in places for place in line]
    axes.set_xlim(ticks[0] - 0.6, ticks[-1] + 0.6)
    shown = [_clipped(name) for group in groups for name in group.names]
    colours = [colour for group, colour in zip(groups, cycle(_COLOURS), strict=False) for _ in group.names]
    axes.set_xticks(ticks, shown if names else [""] * len(ticks))
    for label, colour in zip(axes.get_xticklabels(), colours, strict=True):
        label.set(color=colour if len(groups) > 1 else TICKS, fontsize=9.5, parse_math=False)
        label.set(rotation=45, ha="right", rotation_mode="anchor")


def _key(picture: Figure, groups: Sequence[Line], title: str) -> None:
    """Which colour goes back to which start, below the title: the layout keeps no room for both apart."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.lines import Line2D

    dots = [
        Line2D([], [], color=colour, marker="o", label=f"{group.start} and what was made of it")
        for group, colour in zip(groups, cycle(_COLOURS), strict=False)
    ]
    key = picture.legend(handles=dots, loc="outside upper center", ncols=3, frameon=False, fontsize=10)
    key.set_title(title, prop=FontProperties(size=15, weight="bold"))
    key.get_title().set(color=INK, parse_math=False)


def _clipped(name: str) -> str:
    """A long name without its middle: the end tells the stages of a series apart."""
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[1 - half :]}"


def _short(value: float) -> str:
    """`136`, `1.4k`, `14k`: no wider than the room of a stage."""
    if value < 999.5:
        return f"{value:.0f}"
    return f"{value / 1000:.1f}k" if value < 9950 else f"{value / 1000:.0f}k"


def _footnote(runs: Mapping[str, Stages]) -> str:
    if len(runs) == 1:
        text = "dots: held-out problems (bar: 95% interval)"
    else:
        text = f"bold, with figures: mean of {len(runs)} runs ({', '.join(runs)}); faint: single runs"
    names = reasoning_names(list(runs.values()))
    over = f"; language, format and length: mean over {', '.join(names)}" if len(names) > 1 else ""
    return text + over

"""The picture of learning beside TRL: reward and length of responses over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.curves import NARROW, OURS, THEIRS
from r1kit.report.picture import smooth
from r1kit.report.plotting import BLUE, GREEN, INK, ORANGE, TICKS, check_format, dress, page, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WINDOW = 5  # steps of the moving mean
_STYLES = {THEIRS: (ORANGE, "-"), OURS: (BLUE, "-"), NARROW: (GREEN, "--")}
_PANELS = {"reward": ("Reward", "mean of a step"), "tokens": ("Length", "tokens per response")}


def draw(details: Mapping[str, Any], out: Path) -> Path:
    """Draw the part `learning` of bench/results.json into `out`."""
    check_format(out)
    curves, work = details["curves"], details["work"]
    seeds = len(next(iter(curves.values())))
    note = f"thick lines: means over {seeds} seeds; thin lines: single seeds; moving means of {_WINDOW} steps"
    title = f"{work['steps']} steps of GRPO on Countdown from the same weights"
    picture = page(11, 4.3, title, note)
    grid = picture.add_gridspec(1, len(_PANELS))
    for place, (measure, (heading, unit)) in enumerate(_PANELS.items()):
        axes = picture.add_subplot(grid[0, place])
        for side, runs in curves.items():
            _draw_side(axes, side, [run[measure] for run in runs])
        dress(axes, heading, unit)
        axes.set_xlabel("training step", fontsize=10.5, color=TICKS)
        axes.set_xlim(1, work["steps"])
        axes.set_ylim(bottom=0)
        if not place:
            axes.legend(frameon=False, fontsize=10, loc="lower right", labelcolor=INK)
    return save(picture, out)


def _draw_side(axes: Axes, side: str, runs: Sequence[Sequence[float]]) -> None:
    colour, line = _STYLES[side]
    steps = np.arange(1, len(runs[0]) + 1)
    smoothed = np.array([smooth(np.array(run), _WINDOW) for run in runs])
    for run in smoothed:
        axes.plot(steps, run, linestyle=line, color=colour, linewidth=0.9, alpha=0.4)
    axes.plot(steps, smoothed.mean(0), linestyle=line, color=colour, linewidth=2.4, label=side)

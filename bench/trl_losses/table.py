"""The measured rows, and the Markdown that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.trl_losses import own_side, trl_side
from bench.trl_losses.comparisons import AGREEING, Comparison
from bench.trl_losses.differences import DIFFERING, Difference
from bench.trl_losses.gradient import Gradient
from bench.trl_losses.scene import Scene, make_scene

TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison, measured."""

    name: str
    own: float  # loss
    trl: float  # loss
    of_loss: float  # relative distance
    of_gradient: float  # L2 norm of the difference / L2 norm
    difference: Difference | None = None
    unexplained: float = 0.0  # the larger of both distances that remains once the difference is expressed

    @property
    def agrees(self) -> bool:
        """Whether both numbers are within the tolerance."""
        return max(self.of_loss, self.of_gradient) <= TOLERANCE

    @property
    def holds(self) -> bool:
        """Whether the row is as it is said to be: equal, or different by the reason given."""
        if self.difference is None:
            return self.agrees
        return not self.agrees and self.unexplained <= TOLERANCE


def measure(folder: Path) -> Iterator[Row]:
    """Every row in turn; the model's states are kept in `folder`."""
    scene = make_scene(folder)
    for comparison in AGREEING:
        own, trl, _ = _sides(comparison, scene, folder)
        yield Row(comparison.name, own.loss, trl.loss, *trl.distance(own))
    for difference in DIFFERING:
        comparison = difference.comparison
        changed = scene.with_unscored(comparison.unscored)
        own, trl, run = _sides(comparison, changed, folder)
        left = trl.distance(difference.in_own_terms(run, changed))
        yield Row(comparison.name, own.loss, trl.loss, *trl.distance(own), difference, max(left))


def _sides(
    comparison: Comparison, scene: Scene, folder: Path
) -> tuple[Gradient, Gradient, Callable[..., Gradient]]:
    run = partial(
        own_side.gradient, scene, folder, on_policy=comparison.on_policy, temperature=comparison.temperature
    )

    trl = trl_side.gradient(
        scene,
        folder,
        comparison.trl,
        parts=comparison.parts,
        on_policy=comparison.on_policy,
        corrected=comparison.corrected,
    )
    assert trl.norm() > 1e-3, f"{comparison.name}: a gradient of nothing compares nothing"
    return run(comparison.own), trl, run


def markdown(rows: list[Row]) -> str:
    """Both tables."""
    heads = "| setting | loss, r1kit | loss, TRL | loss differs by | gradient differs by |"
    equal = [f"{heads} |", f"|---|{'---:|' * 4}---|"]
    unequal = [
        f"{heads} remains | why, where in TRL, and TRL's in r1kit's terms |",
        f"|---|{'---:|' * 5}---|",
    ]
    for row in rows:
        numbers = f"{row.own:.8g} | {row.trl:.8g} | {row.of_loss:.0e} | {row.of_gradient:.0e}"
        if row.difference is None:
            equal.append(f"| {row.name} | {numbers} | {'equal' if row.holds else 'NOT EQUAL'} |")
        else:
            left = f"{row.unexplained:.0e}{'' if row.holds else ' NOT EXPLAINED'}"
            reason, place = row.difference.reason, trl_side.place(row.difference.snippet)
            unequal.append(f"| {row.name} | {numbers} | {left} | {reason} (`{place}`) |")
    return "\n".join([*equal, "", *unequal])

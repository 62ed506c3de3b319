"""Whether a run fits into memory and onto the disk, before it starts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from r1kit.errors import ModelError, UserError
from r1kit.files import free_bytes
from r1kit.memory.estimate import BESIDE, Estimate
from r1kit.memory.limits import Limit, memory_limit
from r1kit.pipeline.config import BASE, Recipe, StageSpec
from r1kit.pipeline.footprint import (
    EVALUATION,
    Machine,
    Scene,
    evaluation_estimate,
    scene_of,
    stage_estimate,
    this_machine,
)
from r1kit.pipeline.relief import Change, alternatives, relief
from r1kit.pipeline.space import Space, spaces
from r1kit.settings import Settings

TOLERANCE = 0.2
"""How far estimates may be from what is measured: what the tests and docs/memory.md hold them to."""
_DRAWING = ("sampling", BESIDE)  # phases
_PROBLEMS = 100  # of a task whose settings do not say how many test problems it has


@dataclass(frozen=True, slots=True)
class Item:
    """A stage, or the evaluation of the largest model, with what it takes."""

    name: str  # of the stage, or "evaluation"
    settings: Settings
    estimate: Estimate
    spec: StageSpec | None  # None: the evaluation
    model: str  # whose shape counts: the one that is trained, sampled or evaluated

    @property
    def prefix(self) -> str:
        """What its settings' keys begin with on the command line."""
        return EVALUATION if self.spec is None else f"stages.{self.name}"


@dataclass(frozen=True, slots=True)
class Preflight:
    """What a recipe takes, and what there is."""

    items: tuple[Item, ...]
    scene: Scene
    limit: Limit
    spaces: dict[str, Space]
    free: int  # bytes of the disk

    @property
    def too_large(self) -> list[Item]:
        """What does not fit into memory."""
        return [item for item in self.items if item.estimate.peak.total > self.limit.size]

    @property
    def without_room(self) -> list[Item]:
        """What draws responses from a model whose context the longest prompt fills."""
        shapes, prompt = self.scene.shapes, self.scene.prompt
        full = (item for item in self.items if item.model in shapes and shapes[item.model].context <= prompt)
        return [item for item in full if any(phase.name in _DRAWING for phase in item.estimate.phases)]

    @property
    def disk(self) -> int:
        """Bytes of disk that the run may fill."""
        return sum(space.total for space in self.spaces.values())


def preflight(recipe: Recipe, out: Path, limit: Limit, machine: Machine, prompt: int) -> Preflight:
    """The estimates of all stages and of the evaluation. Raises ModelError for a model of unknown shape."""
    scene = scene_of(recipe, machine, prompt)
    return Preflight(_items(recipe, scene), scene, limit, spaces(recipe), free_bytes(out))


def _items(recipe: Recipe, scene: Scene) -> tuple[Item, ...]:
    items = [
        Item(spec.name, spec.settings, stage_estimate(spec, scene), spec, spec.name) for spec in recipe.stages
    ]
    settings = recipe.run.evaluation
    tested = _tested(recipe)
    if settings is not None and tested:
        largest = max(tested, key=lambda name: scene.shape(name).parameters)
        estimate = evaluation_estimate(settings, largest, test_problems(recipe), scene)
        items.append(Item(EVALUATION, settings, estimate, None, largest))
    return tuple(items)


def _tested(recipe: Recipe) -> list[str]:
    """The models that are evaluated, by name."""
    settings = recipe.run.evaluation
    if settings is None:
        return []
    made = [spec.name for spec in recipe.stages if spec.entry.makes == "model"]
    models = [*([BASE] if recipe.run.base else []), *made, *recipe.packaged_starts]
    return [name for name in models if settings.stages is None or name in settings.stages]


def test_problems(recipe: Recipe) -> int:
    """Most problems of one task that are tested."""
    settings = recipe.run.evaluation
    assert settings is not None
    if settings.problems is not None:
        return settings.problems
    return max(int(recipe.run.tasks[name].get("test_size", _PROBLEMS)) for name in settings.tasks)


def peak_with(recipe: Recipe, item: Item, scene: Scene, settings: Any) -> int:
    """The peak of an item if it had other settings, in bytes."""
    if item.spec is not None:
        return stage_estimate(replace(item.spec, settings=settings), scene).peak.total
    changed = replace(recipe, run=recipe.run.model_copy(update={"evaluation": settings}))
    return _items(changed, scene)[-1].estimate.peak.total


def advice(recipe: Recipe, item: Item, scene: Scene, limit: int) -> tuple[list[Change], list[Change]]:
    """Settings that each suffice alone; without any, those that do together, or come nearest to it."""

    def peak_of(settings: Any) -> int:
        return peak_with(recipe, item, scene, settings)

    alone = alternatives(item.settings, peak_of, limit)
    return alone, [] if alone else relief(item.settings, peak_of, limit)


def advice_text(item: Item, alone: Sequence[Change], together: Sequence[Change]) -> str:
    """`"lower stages.r1_zero.batch.tokens_per_microbatch=4096, or …"`, on one line."""
    if alone:
        return "set " + ", or ".join(_override(item, change) for change in alone)
    words = " ".join(_override(item, change) for change in together)
    if together and together[-1].fits:
        return f"set {words}"
    less = f", or more than these: {words}" if words else ""
    return f"take a smaller model or more memory{less}"


def _override(item: Item, change: Change) -> str:
    value = str(change.value).lower() if isinstance(change.value, bool) else change.value
    return f"{item.prefix}.{change.key}={value}"


def require_memory(recipe: Recipe, stages: Collection[str], device: str) -> None:
    """Raise UserError when one of `stages` clearly cannot fit into memory.

    Prompts count as one token, and the estimate as being too high by as much as it may be. Models of unknown
    shape are let through.
    """
    if device not in ("cpu", "cuda"):
        return
    limit = memory_limit(device)
    machine = this_machine(device, limit.size, recipe.run.threads)
    try:
        scene = scene_of(recipe, machine, 1)
    except ModelError:
        return
    room = round(limit.size / (1 - TOLERANCE))
    for item in _items(recipe, scene):
        if (item.spec is None or item.name in stages) and item.estimate.peak.total > room:
            advised = advice_text(item, *advice(recipe, item, scene, limit.size))
            raise UserError(
                f"{item.prefix}: needs about {gib(item.estimate.peak.total)} of memory,"
                f" {limit.source} is {gib(limit.size)}; {advised}; `r1kit preflight` shows the parts, and"
                " --ignore-memory runs it all the same"
            )


def gib(size: int) -> str:
    """`"1.50 GiB"`, or `"512 MiB"` below one."""
    return f"{size / 2**30:.2f} GiB" if size >= 1 << 30 else f"{size / 2**20:.0f} MiB"

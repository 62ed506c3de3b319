"""A comparison: one stage of a recipe, several variants of it, several seeds of each, under one budget.

Every run is an ordinary one, in OUT/VARIANT/seed-N, with a recipe file of its own, OUT/VARIANT/seed-N.yaml:
each can be looked at, repeated and gone on with by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from r1kit.errors import RecipeError
from r1kit.files import write_atomic
from r1kit.pipeline.config import BASE, Recipe, StageSpec, check_recipe, is_outside, load_recipe
from r1kit.pipeline.merge import Layered, load_layers
from r1kit.stages.settings import RLStageSettings


@dataclass(frozen=True, slots=True)
class Variant:
    """`Variant("dapo", ("stages.r1_zero.algorithm=dapo",))`."""

    name: str
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """What every run may spend: `Budget("tokens", 600_000)` of sampled tokens, or steps."""

    unit: Literal["tokens", "steps"]
    amount: int


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a comparison."""

    variant: str
    seed: int
    folder: Path  # of the run
    recipe: Path  # its file


def stage_to_compare(recipe: str, stage: str | None, overrides: Sequence[str] = ()) -> StageSpec:
    """The named stage of reinforcement learning, or the recipe's first one. Raises RecipeError."""
    checked = load_recipe(recipe, overrides)
    if stage is not None:
        return _comparable(checked.stage(stage), checked)
    for spec in checked.stages:
        if isinstance(spec.settings, RLStageSettings):
            return _comparable(spec, checked)
    raise RecipeError(f"recipe {checked.name}: no stage of reinforcement learning to compare")


def _comparable(spec: StageSpec, recipe: Recipe) -> StageSpec:
    if not isinstance(spec.settings, RLStageSettings):
        raise RecipeError(f"recipe {recipe.name}: stage {spec.name} is no reinforcement learning")
    for role, source in spec.parents.items():
        if source != BASE and not is_outside(source):
            raise RecipeError(
                f"recipe {recipe.name}: stage {spec.name} takes its {role} from the stage {source!r}; only"
                " one that starts from what is there can be compared: give"
                f" stages.{spec.name}.from=RUN/stages/{source}/model of a finished run"
            )
    return spec


def prepare(
    recipe: str,
    spec: StageSpec,
    variants: Sequence[Variant],
    budget: Budget,
    seeds: Sequence[int],
    out: Path,
    overrides: Sequence[str] = (),
    *,
    scale_learning_rate: bool = False,
) -> list[Member]:
    """Check every variant, then write the recipe file of every run, all variants of a seed after one another.

    A budget of tokens sets `limits.sampled_tokens` and, because the number of steps is not known before, a
    constant learning rate after the warm-up, unless the variant or `overrides` give `optimizer.schedule`.

    With `scale_learning_rate` a variant that makes k updates of a step's rollouts gets 1 / sqrt(k) of the
    learning rate, unless it has one of its own: an update sees 1/k of the rollouts. Source: the square root
    rule for Adam, Malladi et al. 2022, arXiv 2205.10287.

    Raises RecipeError, before anything is written.
    """
    made: list[tuple[Member, dict[str, Any]]] = []
    for seed in seeds:
        for variant in variants:
            own = [*overrides, *variant.overrides]
            layered = load_layers(recipe, [*_budget(spec, budget, own), *own, f"seed={seed}"])
            _narrow(layered, spec.name, f"{layered.data['name']}-{variant.name}")
            settings = _settings(check_recipe(layered).stage(spec.name))
            _within(spec.name, settings, budget)
            rate = f"stages.{spec.name}.optimizer.learning_rate"
            if scale_learning_rate and not any(text.startswith(f"{rate}=") for text in variant.overrides):
                _scale(layered, spec.name, settings)
            folder = out / variant.name / f"seed-{seed}"
            member = Member(variant.name, seed, folder, folder.with_suffix(".yaml"))
            made.append((member, layered.data))
    for member, data in made:
        member.recipe.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        write_atomic(member.recipe, text.encode())
    return [member for member, _ in made]


def _budget(spec: StageSpec, budget: Budget, own: Sequence[str]) -> list[str]:
    at = f"stages.{spec.name}"
    if budget.unit == "steps":
        return [f"{at}.steps={budget.amount}"]
    found = [f"{at}.limits.sampled_tokens={budget.amount}"]
    if not any(text.startswith(f"{at}.optimizer.schedule=") for text in own):
        found.append(f"{at}.optimizer.schedule=constant")
    if not any(text.startswith(f"{at}.steps=") for text in own):
        found.append(f"{at}.steps={_most_steps(_settings(spec), budget.amount)}")
    return found


def _most_steps(settings: RLStageSettings, tokens: int) -> int:
    """Steps that surely sample so many tokens, a thirtieth of the longest response each."""
    shortest = max(1, settings.sampling.max_new_tokens // 30)
    return math.ceil(tokens / (settings.questions_per_step * settings.group_size * shortest))


def _narrow(layered: Layered, stage: str, name: str) -> None:
    """Leave the one stage, and only its own model to be tested."""
    layered.data["stages"] = {stage: layered.data["stages"][stage]}
    layered.data["name"] = name[:64]
    layered.data.pop("description", None)
    if isinstance(layered.data.get("evaluation"), Mapping):
        layered.data["evaluation"] = {**layered.data["evaluation"], "stages": [stage]}


def _settings(spec: StageSpec) -> RLStageSettings:
    assert isinstance(spec.settings, RLStageSettings)
    return spec.settings


def _scale(layered: Layered, stage: str, settings: RLStageSettings) -> None:
    if "optimizer.learning_rate" in settings.schedules:
        raise RecipeError(f"stages.{stage}.optimizer.learning_rate is a schedule; it cannot be scaled")
    rate = settings.optimizer.learning_rate / math.sqrt(settings.batch.updates)
    layered.data["stages"][stage]["optimizer"] = {
        **layered.data["stages"][stage].get("optimizer", {}),
        "learning_rate": float(f"{rate:.3g}"),
    }


def _within(stage: str, settings: RLStageSettings, budget: Budget) -> None:
    if budget.unit == "tokens" and settings.limits.sampled_tokens != budget.amount:
        raise RecipeError(
            f"stages.{stage}.limits.sampled_tokens={settings.limits.sampled_tokens}: the budget of a"
            f" comparison is one for all, {budget.amount}"
        )

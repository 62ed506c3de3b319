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
    write: bool = True,
) -> list[Member]:
    """Check every variant, then write the recipe file of every run, all variants of a seed after one another.

    A budget of tokens sets `limits.sampled_tokens` and, because the number of steps is not known before, a
    constant learning rate after the warm-up, unless the variant or `overrides` give `optimizer.schedule`.

    With `scale_learning_rate` a variant that makes k updates of a step's rollouts gets 1 / sqrt(k) of the
    learning rate, unless it has one of its own: an update sees 1/k of the rollouts. Source: the square root
    rule for Adam, Malladi et al. 2022, arXiv 2205.10287.

    Without `write` nothing is written. Raises RecipeError, before anything is written: also for variants that
    are the same, that would be tested on other problems, or spend another budget, and where `out` holds runs
    of other settings.
    """
    made: list[tuple[Member, dict[str, Any]]] = []
    tested: dict[str, Any] = {}
    for seed in seeds:
        for variant in variants:
            data = _run_data(recipe, spec.name, variant, budget, seed, overrides, scale_learning_rate)
            folder = out / variant.name / f"seed-{seed}"
            member = Member(variant.name, seed, folder, folder.with_suffix(".yaml"))
            _check_others(member, data, made, tested)
            made.append((member, data))
    for member, data in made:
        _check_earlier(member, data)
    for member, data in made if write else ():
        member.recipe.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        write_atomic(member.recipe, text.encode())
    return [member for member, _ in made]


def _run_data(
    recipe: str,
    stage: str,
    variant: Variant,
    budget: Budget,
    seed: int,
    overrides: Sequence[str],
    scale_learning_rate: bool,
) -> dict[str, Any]:
    """The recipe of one run, as plain data."""
    own, at = [*overrides, *variant.overrides], f"stages.{stage}"
    for text in own:
        if text.partition("=")[0].strip() in ("seed", "name"):
            raise RecipeError(
                f"variant {variant.name}: {text}: a comparison sets the seed and the name itself"
            )
    settings = _settings(check_recipe(load_layers(recipe, own)).stage(stage))
    _require_no_limits(variant, settings, own, at, budget)
    layered = load_layers(recipe, [*own, *_budget(settings, own, at, budget), f"seed={seed}"])
    _narrow(layered, stage, f"{layered.data['name']}-{variant.name}")
    if layered.data.get("evaluation") is None:
        raise RecipeError(f"{layered.top}: evaluation: a comparison needs it, to test every variant")
    rate = f"{at}.optimizer.learning_rate"
    if scale_learning_rate and not any(text.startswith(f"{rate}=") for text in variant.overrides):
        _scale(layered, stage, settings)
    check_recipe(layered)
    return layered.data


def _require_no_limits(
    variant: Variant, settings: RLStageSettings, own: Sequence[str], at: str, budget: Budget
) -> None:
    """One budget for all: nobody sets its own, or counts from an end that is not known before."""
    for key in ("steps", "limits.sampled_tokens"):
        if any(text.startswith(f"{at}.{key}=") for text in own):
            raise RecipeError(
                f"variant {variant.name}: {at}.{key}: the budget of a comparison is one for all,"
                f" {budget.unit}={budget.amount}"
            )
    terms = [
        *settings.rewards.values(),
        *(settings.tasks.values() if isinstance(settings.tasks, dict) else ()),
    ]
    late = any(not isinstance(term, float | int) and term.last_steps is not None for term in terms)
    if budget.unit == "tokens" and late:
        raise RecipeError(
            f"variant {variant.name}: {at}: last_steps counts from the end, which a budget of tokens does not"
            " know; use --budget steps=N"
        )


def _budget(settings: RLStageSettings, own: Sequence[str], at: str, budget: Budget) -> list[str]:
    if budget.unit == "steps":
        return [f"{at}.steps={budget.amount}"]
    found = [
        f"{at}.limits.sampled_tokens={budget.amount}",
        f"{at}.steps={_most_steps(settings, budget.amount)}",
    ]
    if not any(text.startswith(f"{at}.optimizer.schedule=") for text in own):
        found.append(f"{at}.optimizer.schedule=constant")
    return found


def _most_steps(settings: RLStageSettings, tokens: int) -> int:
    """Steps that surely sample so many tokens: every response has one at least."""
    sizes = {"questions_per_step": settings.questions_per_step, "group_size": settings.group_size}
    fewest = {
        name: settings.schedules[name].points.values() if name in settings.schedules else [size]
        for name, size in sizes.items()
    }
    return min(
        _MOST_STEPS, math.ceil(tokens / max(1, math.prod(int(min(values)) for values in fewest.values())))
    )


_MOST_STEPS = 100_000  # a comparison's runs are short; every step of the plan is checked before


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


def _check_others(
    member: Member,
    data: Mapping[str, Any],
    made: Sequence[tuple[Member, Mapping[str, Any]]],
    tested: dict[str, Any],
) -> None:
    """A variant differs from the others, but not in what it is tested on."""
    for other, theirs in made:
        if other.seed == member.seed and {**theirs, "name": ""} == {**data, "name": ""}:
            raise RecipeError(f"variants {other.variant} and {member.variant} are the same")
    tasks = {name: data["tasks"].get(name) for name in data["evaluation"]["tasks"]}
    if tested.setdefault("all", (data["evaluation"], tasks)) != (data["evaluation"], tasks):
        raise RecipeError(
            f"variant {member.variant}: evaluation or a task of it differs from the first variant's: they"
            " would be tested on other problems; train it on a task of another name"
        )


def _check_earlier(member: Member, data: Mapping[str, Any]) -> None:
    """The folder holds no run of other settings; the number of threads may change."""
    if not member.recipe.exists():
        return
    earlier = yaml.safe_load(member.recipe.read_text(encoding="utf-8"))
    if not isinstance(earlier, dict) or {**earlier, "threads": 0} != {**data, "threads": 0}:
        raise RecipeError(
            f"{member.recipe}: was made with other settings or another budget; give the same, or another"
            " --out"
        )

"""The longest batch of a stage as a piece of work for `memory.measure`."""

from __future__ import annotations

from typing import Any

from r1kit.learning.settings import RLSettings
from r1kit.memory.measure import Work
from r1kit.memory.microbatch import largest
from r1kit.memory.shapes import ModelShape, config_for
from r1kit.pipeline.config import Recipe
from r1kit.pipeline.footprint import Scene, rl_work, sft_work
from r1kit.pipeline.preflight import Item, test_problems
from r1kit.rollouts.memory import MOST_ROWS
from r1kit.stages.settings import (
    CorpusTrainingSettings,
    EvaluationSettings,
    RLStageSettings,
    SFTStageSettings,
)


def work_of(recipe: Recipe, item: Item, scene: Scene) -> Work | None:
    """What to run for a stage or the evaluation; None for a stage that is not measured.

    Measured are reinforcement learning without reward models and teachers, supervised training without a
    teacher, and evaluation, as which the stages that only sample are.
    """
    settings = item.settings
    if item.spec is not None and any(need.makes != "dataset" for need in item.spec.needs):
        return None
    if isinstance(settings, RLStageSettings):
        assert item.spec is not None
        return _reinforcement(recipe, settings, scene.shape(item.spec.start), scene)
    if isinstance(settings, CorpusTrainingSettings | SFTStageSettings):
        shape, batch = scene.shape(item.name), settings.training.batch
        micro, _ = largest(shape, sft_work(settings, shape), scene.machine.arithmetic(batch.precision))
        length: dict[str, Any] = {"rows": micro.rows, "length": micro.length, "learned": micro.length - 1}
        length["shares"] = micro.shares
        return Work(**_common(recipe, shape, scene), **length, batch=batch)
    if isinstance(settings, EvaluationSettings):
        problems = min(test_problems(recipe), max(1, MOST_ROWS // settings.samples))
        asked: dict[str, Any] = {
            "questions": problems,
            "group_size": settings.samples,
            "prompt": scene.prompt,
        }
        common = _common(recipe, scene.shape(item.model), scene)
        return Work(**common, **asked, sampling=settings.sampling(), precision=settings.precision)
    return None


def _reinforcement(recipe: Recipe, settings: RLStageSettings, shape: ModelShape, scene: Scene) -> Work:
    draws, training = rl_work(settings, shape, scene.prompt)
    micro, _ = largest(shape, training, scene.machine.arithmetic(settings.batch.precision))
    group = int(settings.ever("group_size"))
    plain = {name: value for name, value in dict(settings).items() if name in RLSettings.model_fields}
    return Work(
        **_common(recipe, shape, scene),
        questions=draws.responses // group,
        group_size=group,
        prompt=draws.prompt,
        sampling=settings.sampling.model_copy(update={"max_new_tokens": draws.new, "stop": ()}),
        rows=micro.rows,
        shares=micro.shares,
        length=micro.length,
        learned=min(draws.new, micro.length - 1),
        rl=RLSettings.model_construct(**plain),
    )


def _common(recipe: Recipe, shape: ModelShape, scene: Scene) -> dict[str, Any]:
    machine = {"device": scene.machine.device, "threads": scene.machine.threads}
    return {"config": config_for(shape), **machine}

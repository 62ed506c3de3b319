"""The kinds of stage a recipe can name: one table entry each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from r1kit.settings import Settings
from r1kit.stages.protocol import Stage
from r1kit.stages.settings import PretrainStageSettings, RLStageSettings

_COMMON = ("types.py", "seeds.py", "models", "learning")


@dataclass(frozen=True, slots=True)
class StageKind:
    """One kind of stage."""

    settings: type[Settings]
    build: Callable[[Any], Stage]  # imports torch only when called
    needs_model: bool  # whether `from:` names a model to start with
    code: tuple[str, ...]  # folders and files of the package that its result depends on


def _rl(settings: RLStageSettings) -> Stage:
    from r1kit.stages.rl import RLStage

    return RLStage(settings)


def _pretrain(settings: PretrainStageSettings) -> Stage:
    from r1kit.stages.pretrain import PretrainStage

    return PretrainStage(settings)


STAGE_KINDS: dict[str, StageKind] = {
    "pretrain": StageKind(
        PretrainStageSettings, _pretrain, False, (*_COMMON, "tasks", "world", "stages/pretrain.py")
    ),
    "rl": StageKind(
        RLStageSettings,
        _rl,
        True,
        (*_COMMON, "text", "verify", "tasks", "objectives", "rewards", "rollouts", "stages/rl.py"),
    ),
}
EVALUATION_CODE = (
    *("types.py", "seeds.py", "text", "verify", "tasks", "models", "rollouts"),
    *("stages/evaluation.py", "stages/metrics.py"),
)

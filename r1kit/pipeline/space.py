"""How much disk the stages of a run may fill at most, estimated before any of them starts."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from r1kit.errors import ModelError
from r1kit.memory.shapes import shape_of
from r1kit.pipeline.config import BASE, Recipe, StageSpec
from r1kit.pipeline.footprint import config_of
from r1kit.stages.data_settings import RewardModelStageSettings
from r1kit.stages.settings import (
    ArchitectureSettings,
    CorpusTrainingSettings,
    PretrainStageSettings,
    RLStageSettings,
    SFTStageSettings,
)

LOGS = 64 << 20  # bytes allowed for a stage's logs besides rollouts
_TRAINED = 12  # bytes per parameter in a checkpoint: float32 weights and AdamW's two float32 moments
_WEIGHTS = 4  # bytes per parameter of float32 weights
_ROLLOUT_TOKEN = 8  # bytes of a token of rollouts.jsonl: its text, and its share of what stands beside it
_ITEM_BYTES = {"bfloat16": 2, "float16": 2}  # of config.json's dtype; anything else counts as 4


@dataclass(frozen=True, slots=True)
class Space:
    """What a stage leaves on disk at most, in bytes."""

    checkpoints: int  # one more than are kept: the oldest goes only after the newest stands
    model: int
    logs: int  # rollouts among them

    @property
    def total(self) -> int:
        """All of it."""
        return self.checkpoints + self.model + self.logs


def bytes_needed(recipe: Recipe, stages: Collection[str]) -> int:
    """Upper estimate in bytes for `stages`; a hub base of unknown size counts as nothing."""
    return sum(space.total for name, space in spaces(recipe).items() if name in stages)


def spaces(recipe: Recipe) -> dict[str, Space]:
    """What each stage may fill."""
    parameters: dict[str, int] = {BASE: _base_parameters(recipe)}
    found = {}
    for spec in recipe.stages:
        count = parameters[spec.name] = _parameters(spec, parameters)
        checkpoint = count * _bytes_per_parameter(spec)
        copies = _checkpoints(spec)
        found[spec.name] = Space(
            checkpoints=checkpoint * (copies + 1 if copies else 0),
            model=0 if spec.entry.makes == "dataset" else count * _WEIGHTS,
            logs=LOGS + _rollouts(spec),
        )
    return found


def _checkpoints(spec: StageSpec) -> int:
    settings = spec.settings
    if isinstance(settings, CorpusTrainingSettings | SFTStageSettings | RewardModelStageSettings):
        return settings.training.keep_checkpoints
    return settings.keep_checkpoints if isinstance(settings, RLStageSettings) else 0


def _bytes_per_parameter(spec: StageSpec) -> int:
    settings, size = spec.settings, _TRAINED
    if isinstance(settings, RLStageSettings):
        size += _WEIGHTS if settings.ever("objective.kl_beta") > 0 else 0
        size += _WEIGHTS if settings.rollouts.staleness else 0
        size += _TRAINED if settings.critic is not None and settings.critic.kind == "separate" else 0
    return size


def _rollouts(spec: StageSpec) -> int:
    settings = spec.settings
    if not isinstance(settings, RLStageSettings):
        return 0
    responses = settings.ever("questions_per_step") * settings.ever("group_size") * settings.steps
    tokens = responses * settings.ever("sampling.max_new_tokens")
    return int(tokens * settings.log_rollouts_share * _ROLLOUT_TOKEN)


def _parameters(spec: StageSpec, known: dict[str, int]) -> int:
    if isinstance(spec.settings, PretrainStageSettings):
        return _new_parameters(spec.settings.model, spec.settings.vocab_size)
    return known.get(spec.start, _parameters_of(spec.start, None)) if spec.start else 0


def _new_parameters(shape: ArchitectureSettings, vocabulary: int) -> int:
    attention = shape.width * shape.head_width * 2 * (shape.heads + shape.kv_heads)
    layer = attention + 3 * shape.width * shape.feed_forward + 2 * shape.width
    return shape.layers * layer + vocabulary * shape.width * (1 if shape.tie_embeddings else 2)


def _base_parameters(recipe: Recipe) -> int:
    return _parameters_of(recipe.run.base, recipe.run.revision) if recipe.run.base else 0


def _parameters_of(place: str, revision: str | None) -> int:
    """Parameters of a model by its `config.json`; of another architecture by the size of its files, 0 for a
    hub name.
    """
    from r1kit.models.load import resolve_base

    try:
        return shape_of(config_of(place, revision), place).parameters
    except ModelError:  # a damaged config is told when the model is loaded
        folder = Path(str(resolve_base(place)))
    if not folder.is_dir():
        return 0
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    try:
        dtype = json.loads((folder / "config.json").read_bytes())["dtype"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        dtype = None
    return size // _ITEM_BYTES.get(str(dtype), 4)

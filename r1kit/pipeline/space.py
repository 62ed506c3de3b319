"""How much disk the stages of a run may fill at most, estimated before any of them starts."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
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


@dataclass(frozen=True, slots=True)
class _Model:
    parameters: int
    context: int | None = None  # tokens of its longest sequence, where that is known


_NOTHING = _Model(0)


def bytes_needed(recipe: Recipe, stages: Collection[str]) -> int:
    """Upper estimate in bytes for `stages`; a hub base of unknown size counts as nothing."""
    return sum(space.total for name, space in spaces(recipe).items() if name in stages)


def spaces(recipe: Recipe) -> dict[str, Space]:
    """What each stage may fill."""
    base = recipe.run.base
    models = {BASE: _model_at(base, recipe.run.revision) if base else _NOTHING}
    found = {}
    for spec in recipe.stages:
        model = models[spec.name] = _model_of(spec, models)
        count = model.parameters
        checkpoint = count * _bytes_per_parameter(spec)
        copies = _checkpoints(spec)
        found[spec.name] = Space(
            checkpoints=checkpoint * (copies + 1 if copies else 0),
            model=0 if spec.entry.makes == "dataset" else count * _WEIGHTS,
            logs=LOGS + _rollouts(spec, model.context),
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


def _rollouts(spec: StageSpec, context: int | None) -> int:
    settings = spec.settings
    if not isinstance(settings, RLStageSettings):
        return 0
    responses = settings.ever("questions_per_step") * settings.ever("group_size") * settings.steps
    longest = int(settings.ever("sampling.max_new_tokens"))
    tokens = responses * (longest if context is None else min(longest, context))
    return int(tokens * settings.log_rollouts_share * _ROLLOUT_TOKEN)


def _model_of(spec: StageSpec, known: Mapping[str, _Model]) -> _Model:
    if isinstance(spec.settings, PretrainStageSettings):
        model = spec.settings.model
        return _Model(_new_parameters(model, spec.settings.vocab_size), model.max_positions)
    if not spec.start:
        return _NOTHING
    return known[spec.start] if spec.start in known else _model_at(spec.start, None)


def _new_parameters(shape: ArchitectureSettings, vocabulary: int) -> int:
    attention = shape.width * shape.head_width * 2 * (shape.heads + shape.kv_heads)
    layer = attention + 3 * shape.width * shape.feed_forward + 2 * shape.width
    return shape.layers * layer + vocabulary * shape.width * (1 if shape.tie_embeddings else 2)


def _model_at(place: str, revision: str | None) -> _Model:
    """A model by its `config.json`, of another architecture by the size of its files; nothing of a hub's."""
    from r1kit.models.load import resolve_base

    try:
        shape = shape_of(config_of(place, revision), place)
        return _Model(shape.parameters, shape.context)
    except ModelError:  # a damaged config is told when the model is loaded
        folder = Path(str(resolve_base(place)))
    if not folder.is_dir():
        return _NOTHING
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    try:
        dtype = json.loads((folder / "config.json").read_bytes())["dtype"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        dtype = None
    return _Model(size // _ITEM_BYTES.get(str(dtype), 4))

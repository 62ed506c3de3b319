"""Which settings to lower where memory is too small, and how far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r1kit.settings import Settings
from r1kit.stages.data_settings import (
    ColdStartStageSettings,
    RewardModelStageSettings,
    SamplingSettings,
)
from r1kit.stages.settings import (
    CorpusTrainingSettings,
    EvaluationSettings,
    RLStageSettings,
    SFTStageSettings,
)

_TRAINING = ("tokens_per_microbatch", "gradient_checkpointing", "logprob_chunk")
SETTINGS: Mapping[type[Settings], Sequence[str]] = {
    RLStageSettings: (
        *(f"batch.{name}" for name in _TRAINING),
        *("sampling.max_new_tokens", "group_size", "questions_per_step", "objective.kl_beta"),
        "rollouts.staleness",
    ),
    SFTStageSettings: (*(f"training.batch.{name}" for name in _TRAINING), "training.tokens_per_batch"),
    CorpusTrainingSettings: (*(f"training.batch.{name}" for name in _TRAINING), "training.tokens_per_batch"),
    RewardModelStageSettings: (
        *("training.tokens_per_microbatch", "training.gradient_checkpointing", "training.max_tokens"),
    ),
    ColdStartStageSettings: tuple(
        f"ways.{way}.sampling.max_new_tokens" for way in ("few_shot", "direct", "refine")
    ),
    SamplingSettings: ("sampling.max_new_tokens",),
    EvaluationSettings: ("max_new_tokens", "problems", "samples"),
}
"""What takes memory, by kind of settings; which of them matters most follows from the estimate."""

LEAST = {"tokens_per_microbatch": 256, "logprob_chunk": 128, "max_new_tokens": 16, "group_size": 2}
"""No number is lowered further than this, others to 1."""


@dataclass(frozen=True, slots=True)
class Change:
    """`Change("batch.tokens_per_microbatch", 4096, 812 << 20, True)`."""

    key: str  # path within the settings
    value: Any  # what it would be
    peak: int  # bytes then, with the changes before it
    fits: bool


def relief(settings: Settings, peak_of: Callable[[Any], int], limit: int) -> list[Change]:
    """Changes that together bring the peak under the limit, the most effective first; each with those before
    it.

    The last one has the mildest value that suffices, those before it their least. Where nothing suffices,
    `fits` is false throughout. Settings without an effect are left out.
    """
    chosen: list[Change] = []
    while not (chosen and chosen[-1].fits):
        peak, used = peak_of(settings), {change.key for change in chosen}
        tried = [_lowered(settings, key, peak_of, limit) for key in _keys(settings) if key not in used]
        able = [(change, changed) for change, changed in tried if change is not None and change.peak < peak]
        if not able:
            break
        best, settings = min(able, key=lambda pair: (not pair[0].fits, pair[0].peak))
        chosen.append(best)
    return chosen


def alternatives(settings: Settings, peak_of: Callable[[Any], int], limit: int) -> list[Change]:
    """Each setting that brings the peak under the limit alone, in the mildest value that does.

    The one that could lower it most comes first.
    """
    able = []
    for key in _keys(settings):
        change, _ = _lowered(settings, key, peak_of, limit)
        if change is not None and change.fits:
            least = list(_values(key, _value(settings, key)))[-1]
            able.append((peak_of(_with(settings, key, least)), change))
    return [change for _, change in sorted(able, key=lambda pair: pair[0])]


def _keys(settings: Settings) -> Sequence[str]:
    return next((keys for kind, keys in SETTINGS.items() if isinstance(settings, kind)), ())


def _lowered(
    settings: Settings, key: str, peak_of: Callable[[Any], int], limit: int
) -> tuple[Change | None, Any]:
    """The mildest value of one setting that fits, else its least; None where it cannot be lowered."""
    change: Change | None = None
    changed: Any = settings
    for value in _values(key, _value(settings, key)):
        changed = _with(settings, key, value)
        peak = peak_of(changed)
        change = Change(key, value, peak, peak <= limit)
        if change.fits:
            break
    return change, changed


def _values(key: str, value: Any) -> Iterator[Any]:
    """Ever lower values: a number halved, an option that saves memory switched on, a weight set to 0."""
    name = key.rpartition(".")[2]
    if name == "gradient_checkpointing":
        if not value:
            yield True
    elif name in ("kl_beta", "staleness"):
        if value:
            yield 0
    elif value is not None:
        number = int(value)
        while number // 2 >= LEAST.get(name, 1):
            number //= 2
            yield number


def _value(settings: Any, key: str) -> Any:
    """The setting at a path; None where there is none (a way that the stage does not use)."""
    for name in key.split("."):
        settings = dict(settings).get(name) if settings is not None else None
    return settings


def _with(settings: Any, key: str, value: Any) -> Any:
    """A copy with another value at a path, and no schedule there."""
    head, _, rest = key.partition(".")
    inner = _with(dict(settings)[head], rest, value) if rest else value
    if isinstance(settings, dict):
        return {**settings, head: inner}
    changed = {head: inner}
    if isinstance(settings, RLStageSettings):
        left = {path: shape for path, shape in settings.schedules.items() if path != key}
        changed["schedules"] = left
    return settings.model_copy(update=changed)

"""The frozen teacher of a distillation that needs its log-probabilities."""

from __future__ import annotations

from typing import Any

from r1kit.errors import RecipeError
from r1kit.learning.distillation import Teacher, same_vocabulary
from r1kit.models.precision import resolve
from r1kit.rewards.learned import TEACHER
from r1kit.schedules import Schedule
from r1kit.stages.checkpoint import load_source
from r1kit.stages.protocol import StageContext


def load_teacher(context: StageContext, tokenizer: Any, weight: float | Schedule | None) -> Teacher | None:
    """The frozen teacher of on-policy distillation, None without a weight. Raises RecipeError."""
    if weight is None:
        return None
    source = context.inputs[TEACHER]
    model, its_tokenizer = load_source(source, resolve("auto", context.device), context.device)
    if (reason := same_vocabulary(its_tokenizer, tokenizer)) is not None:
        raise RecipeError(
            f"{context.name}: the teacher {source.place} has another tokenizer ({reason}); "
            "distil its text instead, with a stage of kind sft"
        )
    return Teacher(model, weight)

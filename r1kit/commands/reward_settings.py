"""The rewards of a command: `--reward`, `--file` and the `--set name.param=value` that are for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from r1kit.errors import RecipeError
from r1kit.pipeline.merge import parse_override
from r1kit.rewards.file_scorers import file_scorers
from r1kit.rewards.files import file_entries
from r1kit.rewards.learned import TEACHER, LearnedParameters
from r1kit.rewards.registry import REWARDS, Scorer
from r1kit.rewards.rubric import Rubric, TermSpec, check_terms, term_parameters

DEFAULT_REWARDS = ("accuracy=1", "format=0.1")


def parse_rewards(
    rewards: Sequence[str], settings: Sequence[str] = (), files: Sequence[str] = ()
) -> tuple[list[TermSpec], list[str]]:
    """The terms of `accuracy`, `format=0.1` or several with commas between, and the settings left over.

    A name that is not built in is looked up in the reward files; `cosine.max_length=500` is for the term of
    that name. Raises UserError.
    """
    texts = [part.strip() for argument in rewards or DEFAULT_REWARDS for part in argument.split(",")]
    params: dict[str, dict[str, Any]] = {text.partition("=")[0]: {} for text in texts}
    others = []
    for setting in settings:
        keys, value = parse_override(setting)
        if keys[0] not in params or len(keys) == 1:
            others.append(setting)
            continue
        inner = params[keys[0]]
        for key in keys[1:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = value
    specs = [_spec(text, params[text.partition("=")[0]], files) for text in texts]
    check_terms(specs)
    return specs, others


def whole_rubric(specs: Sequence[TermSpec]) -> Rubric:
    """The rubric of terms of any kind, with reward models loaded. Raises UserError."""
    for spec in specs:
        if spec.name == TEACHER:
            raise RecipeError(
                f"reward {TEACHER!r}: it is paid token by token in training; no response has one"
            )
    models = {spec.name: _model(spec) for spec in specs if _by_model(spec)}
    return Rubric(specs, models | file_scorers(specs))


def _spec(text: str, params: Mapping[str, Any], files: Sequence[str]) -> TermSpec:
    name, equals, weight = text.partition("=")
    try:
        spec = TermSpec(name=name, weight=float(weight) if equals else 1.0, params=dict(params))
    except ValueError:
        raise RecipeError(f"--reward {text}: the weight must be a finite number") from None
    holding = [file for file in files if name not in REWARDS and name in file_entries(file)]
    return spec.model_copy(update={"file": holding[0]}) if holding else spec


def _by_model(spec: TermSpec) -> bool:
    return spec.file is None and isinstance(term_parameters(spec), LearnedParameters)


def _model(spec: TermSpec) -> Scorer:
    from r1kit.pipeline.base import checked_model
    from r1kit.pipeline.machine import choose_device
    from r1kit.stages.protocol import ModelSource
    from r1kit.stages.rubrics import model_scorer

    parameters = term_parameters(spec)
    assert isinstance(parameters, LearnedParameters)
    source = ModelSource(checked_model(parameters.model)) if parameters.model else None
    return model_scorer(spec.name, parameters, source, choose_device("auto"))

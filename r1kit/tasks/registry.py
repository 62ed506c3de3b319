"""The tasks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from r1kit.errors import RecipeError, UnknownNameError
from r1kit.settings import Settings
from r1kit.tasks.code import Code
from r1kit.tasks.code_settings import CodeSettings
from r1kit.tasks.countdown import Countdown, CountdownSettings
from r1kit.tasks.dialogue import Dialogue, DialogueSettings
from r1kit.tasks.gym import Gym, GymSettings
from r1kit.tasks.knights_knaves import KnightsKnaves, KnightsKnavesSettings
from r1kit.tasks.math import Math
from r1kit.tasks.math_settings import MathSettings
from r1kit.tasks.protocol import Task

AnySettings = TypeVar("AnySettings", bound=Settings)


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """One row of the table."""

    build: Callable[[Any], Task]  # takes an instance of `settings`
    settings: type[Settings]
    summary: str  # one line for `r1kit tasks`


TASKS: Mapping[str, TaskEntry] = {
    "countdown": TaskEntry(Countdown, CountdownSettings, "make a target from given numbers, each used once"),
    "dialogue": TaskEntry(
        Dialogue, DialogueSettings, "good replies to helpful requests, refusals of harmful ones"
    ),
    "gym": TaskEntry(Gym, GymSettings, "generated problems of reasoning-gym, by a generator's name"),
    "knights_knaves": TaskEntry(
        KnightsKnaves, KnightsKnavesSettings, "who always tells the truth and who always lies"
    ),
    "math": TaskEntry(Math, MathSettings, "answers that can be checked: stories, equations, GSM8K and MATH"),
    "code": TaskEntry(Code, CodeSettings, "small Python programs, run on tests in a sandbox"),
}


def make_task(name: str, /, **settings: Any) -> Task:
    """`make_task("countdown", numbers=[3, 4])`. Raises UnknownNameError or RecipeError, one line each."""
    if name not in TASKS:
        raise UnknownNameError("task", name, TASKS)
    entry = TASKS[name]
    return entry.build(settings_from(entry.settings, settings, f"task {name!r}"))


def settings_from(cls: type[AnySettings], values: Mapping[str, Any], where: str) -> AnySettings:
    """An instance of `cls`. Raises UnknownNameError for an unknown key, RecipeError for a wrong value."""
    for key in values:
        if key not in cls.model_fields:
            raise UnknownNameError("setting", key, cls.model_fields, where)
    try:
        return cls(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        found = f", found {first['input']!r}"[:80] if key and first["type"] != "value_error" else ""
        raise RecipeError(f"{where}: {key + ': ' if key else ''}{message}{found}") from None


def describe() -> list[dict[str, Any]]:
    """Per task: name, summary, reference keys, and its settings as `describe_settings` tells them."""
    return [
        {
            "name": name,
            "summary": entry.summary,
            "reference_keys": list(entry.build(entry.settings()).reference_keys),
            "settings": describe_settings(entry.settings),
        }
        for name, entry in TASKS.items()
    ]


def describe_settings(cls: type[Settings]) -> list[dict[str, Any]]:
    """Each field's name, whether it must be given, default (None where it must) and description."""
    return [
        {
            "name": name,
            "required": field.is_required(),
            "default": None if field.is_required() else field.get_default(call_default_factory=True),
            "description": field.description,
        }
        for name, field in cls.model_fields.items()
    ]

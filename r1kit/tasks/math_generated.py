"""Generated mathematics: worded arithmetic and small algebra, drawn until a split is full."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from r1kit import seeds
from r1kit.errors import RecipeError
from r1kit.tasks import algebra, worded
from r1kit.tasks.math_settings import MathSettings
from r1kit.tasks.protocol import split_of
from r1kit.tasks.shares import pick
from r1kit.tasks.worded import Language
from r1kit.types import Message, Problem, Split

NAME = "math"
_PATIENCE = 20_000  # draws in a row that bring no new problem before the settings count as exhausted


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of generated problem."""

    family: str  # the task part of `split_of`; "worded" keeps what the micro world's corpus held out
    draw: Callable[
        [random.Random, int, int, int], Any
    ]  # (rng, steps, largest, largest_result) -> item | None
    key: Callable[[Any], str]
    ask: Callable[[random.Random, Any, Language], tuple[str, dict[str, Any]]]  # -> question, reference


def generated(settings: MathSettings, split: Split) -> list[Problem]:
    """The problems of a split, unique by kind and canonical key, the kinds mixed in their shares.

    A split of n problems is the beginning of the same split with more. Raises RecipeError when the settings
    have too few different problems.
    """
    sizes = {
        "train": settings.train_size,
        "validation": settings.validation_size,
        "test": settings.test_size,
    }
    kinds = [
        pick(settings.kinds, seeds.fraction(settings.seed, NAME, "kind", split, n))
        for n in range(sizes[split])
    ]
    streams = {name: iter(_draw(name, split, kinds.count(name), settings)) for name in settings.kinds}
    return [next(streams[name]) for name in kinds]


def _draw(name: str, split: Split, count: int, settings: MathSettings) -> list[Problem]:
    """The first `count` problems of one kind that belong to `split`, out of one stream for all splits."""
    kind = _KINDS[name]
    rng = seeds.generator(settings.seed, NAME, name, "problems")
    found: dict[str, Problem] = {}
    misses = 0
    while len(found) < count:
        steps = rng.choice(settings.steps)
        item = kind.draw(rng, steps, settings.largest, settings.largest_result)
        key = "" if item is None else kind.key(item)
        if key and key not in found and split_of(kind.family, key) == split:
            found[key] = _problem(name, item, key, steps, settings)
            misses = 0
        elif (misses := misses + 1) > _PATIENCE:
            raise RecipeError(
                f"math: {count} {name} problems are wanted for {split}, but these settings have only about "
                f"{len(found)}; lower {split}_size, or widen steps, largest or largest_result"
            )
    return list(found.values())


def _problem(name: str, item: Any, key: str, steps: int, settings: MathSettings) -> Problem:
    """The problem in words that follow from its key and the seed alone."""
    language = pick(settings.languages, seeds.fraction(settings.seed, NAME, name, "language", key))
    rng = seeds.generator(settings.seed, NAME, name, "wording", key)
    question, reference = _KINDS[name].ask(rng, item, cast(Language, language))
    tags = (name, f"{steps} step{'s' if steps > 1 else ''}")
    return Problem(f"{NAME}/{name}/{key}", NAME, (Message("user", question),), reference, language, tags)


def _ask_sum(rng: random.Random, item: worded.Sum, language: Language) -> tuple[str, dict[str, Any]]:
    story = worded.tell(rng, item, language)
    return story.text, {
        "answer": str(worded.value(item)),
        "counted_in": list(worded.units(story.things, language)),
    }


def _ask_equation(
    rng: random.Random, item: algebra.Equation, language: Language
) -> tuple[str, dict[str, Any]]:
    unknown = rng.choice(algebra.UNKNOWNS)
    question = algebra.question(rng, item, language, unknown)
    return question, {"answer": str(item.solution), "unknown": unknown}


_KINDS: Mapping[str, Kind] = {
    "worded": Kind(worded.FAMILY, worded.draw, worded.key, _ask_sum),
    "algebra": Kind(algebra.FAMILY, algebra.draw, algebra.key, _ask_equation),
}

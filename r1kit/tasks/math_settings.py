"""The settings of the `math` task: a file, or what kind of problems to generate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from r1kit.settings import Settings
from r1kit.tasks import shares
from r1kit.verify.maths.declared import declare

KINDS = ("worded", "algebra")
LANGUAGES = ("en", "zh")
MAX_STEPS = 4
UNREADABLE, KEEP = "unreadable", "keep"  # of `answers`: what becomes of a gold that cannot be read


def _declared(answers: Mapping[str, str | float]) -> dict[str, str | float]:
    return {key: value for key, value in answers.items() if key != UNREADABLE}


class MathSettings(Settings):
    """Where the problems come from."""

    data: str | None = None
    """A .jsonl or .parquet file or a hub data set with `question` or `problem`, `answer` or `solution`; none:
    generated problems."""
    test_data: str | None = None
    """A file or hub data set of the test split alone; `data` then gives train and validation."""
    language: str = "en"
    """Language of the questions of a file, ISO 639-1."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """At most so many problems of each split, the first of a seeded order."""
    skip_bad_rows: bool = False
    """Leave out rows whose gold answer is missing or cannot be checked, instead of refusing the file."""
    answers: dict[str, str | float] = Field(default={})
    """Of a file: what its golds do not show. form "interval": (1, 2) is one; "tuple": [1, 2] is one;
    "choice": letters; "words": text; "expression": 3+5 is as good as 8. tolerance 0.01, or "1%" of the gold:
    so far may a number be off. percent "number": 50% is 50; "fraction": it is 0.5. units "optional": one may
    be missing or added. unreadable "keep": training rows whose gold cannot be read stay; no answer to them
    can be checked, and `accuracy` with `published: true` pays 0.5 for any, as published (those of validation
    and test are left out). A row's own fields `answer_form` and `tolerance` come first."""
    seed: int = 0
    """Seed of the order, the draw and the wording. It never moves a problem to another split."""
    kinds: dict[str, float] = Field(default={"worded": 0.7, "algebra": 0.3})
    """Generated: kind of problem -> its share. "worded": a short story; "algebra": a linear equation."""
    steps: Annotated[
        tuple[int, ...],
        BeforeValidator(
            lambda value: (value,) if type(value) is int else tuple(value) if type(value) is list else value
        ),
        Field(min_length=1),
    ] = (1, 2)
    """Generated: operations that it takes, e.g. 2 or [1, 2] (drawn evenly while different ones are left); 1
    to 4. The micro world's stories have 1 or 2."""
    largest: Annotated[int, Field(ge=5, le=10**6)] = 20
    """Generated: largest number in a story or an equation, solution included."""
    largest_result: Annotated[int, Field(ge=10, le=10**9)] = 99
    """Generated: largest result of any step; none is below 0."""
    languages: dict[str, float] = Field(default={"en": 0.7, "zh": 0.3})
    """Generated: language of the question -> its share."""
    train_size: Annotated[int, Field(ge=0)] = 1100
    """Generated: training problems."""
    validation_size: Annotated[int, Field(ge=0)] = 128
    """Generated: validation problems."""
    test_size: Annotated[int, Field(ge=0)] = 128
    """Generated: test problems."""

    @property
    def declared(self) -> dict[str, str | float]:
        """What is declared of the gold answers of a file."""
        return _declared(self.answers)

    @property
    def keep_unreadable_golds(self) -> bool:
        """Whether training rows stay whose gold answer cannot be read."""
        return UNREADABLE in self.answers

    @field_validator("answers")
    @classmethod
    def _check_answers(cls, value: dict[str, str | float]) -> dict[str, str | float]:
        if value.get(UNREADABLE, KEEP) != KEEP:
            raise ValueError(f'{UNREADABLE}: the only choice is "{KEEP}", found {value[UNREADABLE]!r}')
        declare(_declared(value))
        return value

    @field_validator("kinds")
    @classmethod
    def _check_kinds(cls, value: dict[str, float]) -> dict[str, float]:
        return shares.checked(value, KINDS)

    @field_validator("languages")
    @classmethod
    def _check_languages(cls, value: dict[str, float]) -> dict[str, float]:
        return shares.checked(value, LANGUAGES)

    @field_validator("steps")
    @classmethod
    def _check_steps(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= steps <= MAX_STEPS for steps in value):
            raise ValueError(f"each must be 1 to {MAX_STEPS}, found {list(value)}")
        return value

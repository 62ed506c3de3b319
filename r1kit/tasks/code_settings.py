"""The settings of the `code` task: generated requests or a file, and how programs may run."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from r1kit.settings import Settings
from r1kit.tasks import shares
from r1kit.tasks.program_requests import LANGUAGES


class CodeSettings(Settings):
    """Where the problems come from, and what their programs may use."""

    allow_unsafe_programs: bool = False
    """Run programs that the model wrote also where no sandbox holds them, as on macOS: as your user, with
    limits alone; they can read your files, use the network and leave processes behind."""
    seconds: Annotated[int, Field(ge=1, le=600)] = 2
    """CPU time of one program, all its tests together. The wall clock ends it after 2 + 3 times that; in a
    sandbox, 1 + that of sleep do so too."""
    memory_mb: Annotated[int, Field(ge=64, le=1 << 20)] = 512
    """Address space of one program; not limited on macOS."""
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Programs that run at a time; 0: one per processor."""
    batch_seconds: Annotated[int, Field(ge=1)] = 1800
    """After so long, no further program of one step's samples is begun; the rest of them is unscored."""
    steps: Annotated[
        tuple[int, ...],
        BeforeValidator(
            lambda value: (value,) if type(value) is int else tuple(value) if type(value) is list else value
        ),
        Field(min_length=1),
    ] = (1, 2)
    """Generated: operations that a function makes, 1, 2 or [1, 2]."""
    languages: dict[str, float] = Field(default={"en": 0.7, "zh": 0.3})
    """Generated: language of the request -> its share."""
    data: str | None = None
    """A .jsonl or .parquet file or a hub data set with `prompt` or `question`, and `tests`, MBPP's
    `test_list` or APPS' `input_output`; none: generated requests."""
    test_data: str | None = None
    """A file or hub data set of the test split alone; `data` then gives train and validation."""
    language: str = "en"
    """Language of the questions of a file, ISO 639-1."""
    skip_bad_rows: bool = False
    """Leave out rows whose tests cannot be read, instead of refusing the file."""
    train_size: Annotated[int, Field(ge=0)] = 1100
    """Training problems. Generated: exactly so many; loaded: at most."""
    validation_size: Annotated[int, Field(ge=0)] = 128
    """Validation problems."""
    test_size: Annotated[int, Field(ge=0)] = 128
    """Test problems."""
    seed: int = 0
    """Seed of the draw, the order and the wording. It never moves a problem to another split."""

    @field_validator("languages")
    @classmethod
    def _check_languages(cls, value: dict[str, float]) -> dict[str, float]:
        return shares.checked(value, LANGUAGES)

    @field_validator("steps")
    @classmethod
    def _check_steps(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not set(value) <= {1, 2}:
            raise ValueError(f"each must be 1 or 2, found {list(value)}")
        return value

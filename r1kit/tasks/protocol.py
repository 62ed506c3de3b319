"""What every task offers, and which problem belongs to which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from r1kit import seeds
from r1kit.types import Problem, Split, Verdict

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
"""Every split, in the order in which they are told."""

TRAIN_SHARE = 0.80
"""Share of all problems of a task that belong to the training split."""

VALIDATION_SHARE = 0.10
"""Share that belongs to the validation split; the rest is the test split."""


class Task(Protocol):
    """A source of problems with a checker of answers. Tasks are stateless apart from caches."""

    @property
    def name(self) -> str:
        """The registered name; every problem's `task`."""

    @property
    def reference_keys(self) -> tuple[str, ...]:
        """The row fields that `problem_from_reference` needs, e.g. `("nums", "target")`."""

    @property
    def free_form(self) -> bool:
        """Whether a response without any tag is itself the answer, as in dialogue."""

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split, always the same for the same settings. Raises UserError."""

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """Check the text of one answer. Never raises on any `answer`, takes linear time."""

    def gold(self, problem: Problem) -> str:
        """A right answer: `verify(problem, gold(problem))` is CORRECT."""

    def problem_from_reference(self, row: Mapping[str, Any], where: str = "row") -> Problem:
        """The problem of a row that has `reference_keys`. Raises DataError that starts with `where`."""


@runtime_checkable
class VerifiesMany(Protocol):
    """A task that checks many answers faster together than one by one."""

    def verify_many(self, answers: Sequence[tuple[Problem, str]], spent: float = 0.0) -> list[Verdict]:
        """As `Task.verify` of each, in order, in bounded time, of which `spent` seconds are over already."""


@runtime_checkable
class GroupsAnswers(Protocol):
    """A task that knows which answers to a problem are the same, for the majority vote."""

    def same_answers(self, problem: Problem, answers: Sequence[str]) -> list[int]:
        """A number for each answer, equal for those that say the same. Never raises, in bounded time."""


@runtime_checkable
class RunsPrograms(Protocol):
    """A task that runs programs which the model wrote."""

    def protection(self) -> Mapping[str, Any]:
        """What locks them in, for `run.json`. Raises SandboxError where they may not run."""


def split_of(task: str, key: str) -> Split:
    """The one split that a problem can be in, by its canonical key alone: no seed or setting moves it."""
    position = seeds.fraction(task, key)
    if position < TRAIN_SHARE:
        return "train"
    return "validation" if position < TRAIN_SHARE + VALIDATION_SHARE else "test"

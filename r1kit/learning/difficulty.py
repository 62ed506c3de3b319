"""Adaptive difficulty: questions from levels between easy and hard, where the policy solves some and not all.

A group whose answers are all right or all wrong teaches nothing to a group baseline; the variance of right
and wrong, which it learns from, is largest at a pass rate of one half. The difficulty is a number from 0, the
first level, to their count less 1: at 1.25 a quarter of the questions are from level 2, the rest from level
1. It moves after each step whose pass rate is out of a band.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from pydantic import Field, model_validator

from r1kit import seeds
from r1kit.schedules import Schedule, value_at
from r1kit.settings import Settings
from r1kit.types import Outcome, Problem, RolloutGroup


class DifficultySettings(Settings):
    """Tasks of the stage as levels, and the pass rate to keep."""

    levels: tuple[str, ...] = Field(min_length=2)
    """All tasks of the stage, the easiest first."""
    band: tuple[float, float] = (0.4, 0.7)
    """A step whose pass rate is above the band makes the next ones harder, one below easier."""
    move: float = Field(default=0.2, gt=0, le=1)
    """Levels by which the difficulty moves at once."""
    start: float = Field(default=0.0, ge=0)
    """Difficulty of the first step: 0 is the first level alone."""

    @model_validator(mode="after")
    def _band_and_start_are_possible(self) -> Self:
        low, high = self.band
        if not 0 <= low < high <= 1:
            raise ValueError(f"band: found {low}, {high}; two rising numbers from 0 to 1 are expected")
        if self.start > len(self.levels) - 1:
            raise ValueError(f"start: {self.start} is above the last level, {len(self.levels) - 1}")
        if len(set(self.levels)) < len(self.levels):
            raise ValueError("levels: each task stands for one level")
        return self


class Asked(Protocol):
    """What asks the questions of a run: `learning.questions.Questions`, or `AdaptiveQuestions`."""

    def __call__(self, step: int) -> list[Problem]:
        """The questions of a step, counted from 1."""
        ...

    def more(self, step: int, round: int, count: int, asked: Sequence[Problem]) -> list[Problem]:
        """Further questions of a step."""
        ...

    def learn(self, groups: Sequence[RolloutGroup]) -> dict[str, float]:
        """Take in the rollouts of a step; what to log of it."""
        ...

    def state(self) -> Mapping[str, float]:
        """What a checkpoint holds."""
        ...


class AdaptiveQuestions:
    """The questions of each step from two neighbouring levels.

    Given the difficulty, the questions of a step are a pure function of the seed and the step; the difficulty
    alone is saved. Questions are drawn anew each step, without epochs: levels come and go.

    Args:
        problems: level -> its problems; every level of the settings.
        settings: levels, band and moves.
        per_step: questions of a step.
        seed: of the draws.
        state: of an interrupted run.
    """

    def __init__(
        self,
        problems: Mapping[str, Sequence[Problem]],
        settings: DifficultySettings,
        per_step: int | Schedule,
        seed: int,
        state: Mapping[str, float] | None = None,
    ) -> None:
        assert all(problems[level] for level in settings.levels)
        self._problems, self._settings, self._per_step, self._seed = problems, settings, per_step, seed
        self.difficulty = (state or {}).get("difficulty", settings.start)

    def __call__(self, step: int) -> list[Problem]:
        """The questions of `step`, counted from 1, the easier level's first."""
        return self._draw(round(value_at(self._per_step, step)), (), "level", step)

    def more(self, step: int, round: int, count: int, asked: Sequence[Problem]) -> list[Problem]:
        """`count` further questions of the same difficulty, each round others, none `asked` if it can be."""
        return self._draw(count, asked, "more", step, round)

    def learn(self, groups: Sequence[RolloutGroup]) -> dict[str, float]:
        """Move by the pass rate of a step's rollouts; "difficulty" is the one that they were asked at.

        Rollouts that the verifier failed on do not count.
        """
        was, (low, high) = self.difficulty, self._settings.band
        outcomes = [rollout.verdict.outcome for group in groups for rollout in group.rollouts]
        if known := [outcome for outcome in outcomes if outcome is not Outcome.ERROR]:
            rate = known.count(Outcome.CORRECT) / len(known)
            moved = was + self._settings.move * ((rate > high) - (rate < low))
            self.difficulty = min(max(moved, 0.0), len(self._settings.levels) - 1.0)
        return {"difficulty": was}

    def state(self) -> Mapping[str, float]:
        """`{"difficulty": 1.25}`."""
        return {"difficulty": self.difficulty}

    def _draw(self, count: int, asked: Sequence[Problem], *path: int | str) -> list[Problem]:
        lower = min(int(self.difficulty), len(self._settings.levels) - 2)
        chance = seeds.generator(self._seed, "harder", *path).random()
        harder = int(count * (self.difficulty - lower) + chance)  # up or down by chance: the mean is exact
        known = {(problem.task, problem.id) for problem in asked}
        found: list[Problem] = []
        for level, number in zip(
            self._settings.levels[lower : lower + 2], (count - harder, harder), strict=True
        ):
            generator = seeds.generator(self._seed, level, *path)
            problems = self._problems[level]
            new = [problem for problem in problems if (problem.task, problem.id) not in known]
            found += generator.sample(new, min(number, len(new)))
            found += generator.choices(problems, k=max(0, number - len(new)))
        return found

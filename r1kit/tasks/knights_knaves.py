"""Knights and knaves: knights always tell the truth, knaves always lie; who is which?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from r1kit import seeds
from r1kit.errors import DataError, RecipeError
from r1kit.settings import Settings
from r1kit.tasks import shares, sources
from r1kit.tasks.knights_knaves_answer import check_assignment
from r1kit.tasks.knights_knaves_key import canonical_key
from r1kit.tasks.knights_knaves_puzzle import MAX_DEPTH, MAX_PEOPLE, Puzzle, depth_of, generate, solve
from r1kit.tasks.knights_knaves_rows import StoredPuzzle, read_row
from r1kit.tasks.knights_knaves_words import (
    KIND_WORDS,
    NAMES,
    Language,
    Wording,
    answer,
    numbered_answer,
    question,
    with_instruction,
)
from r1kit.tasks.protocol import SPLITS, split_of
from r1kit.types import Message, Problem, Split, Verdict

NAME = "knights_knaves"
_PATIENCE = 10_000  # draws in a row that bring no new puzzle before the settings count as exhausted


class KnightsKnavesSettings(Settings):
    """Where the puzzles come from, and how they are worded."""

    people: Annotated[
        tuple[int, ...],
        BeforeValidator(
            lambda value: (value,) if type(value) is int else tuple(value) if type(value) is list else value
        ),
        Field(min_length=1),
    ] = (2, 3)
    """How many people a puzzle has: 3 or [2, 3] (drawn evenly); 2 to 8."""
    depth: int = 2
    """Most involved statements: 1 on two people, 2 joins two claims, 3 nests them; see `generate`."""
    languages: dict[str, float] = Field(default={"en": 0.7, "zh": 0.3})
    """Language of the question -> its share."""
    wording: Wording = "brief"
    """"brief" for the micro world; "full" explains the puzzle and asks for a numbered list."""
    train_size: Annotated[int, Field(ge=0)] = 1100
    """Training puzzles, at most."""
    validation_size: Annotated[int, Field(ge=0)] = 128
    """Validation puzzles, at most."""
    test_size: Annotated[int, Field(ge=0)] = 128
    """Test puzzles, at most."""
    data: str | None = None
    """A .jsonl or .parquet file or a hub data set with `quiz`, `names`, `solution`; none: generated."""
    seed: int = 0
    """Seed of the draw. It never moves a puzzle to another split."""

    @field_validator("people")
    @classmethod
    def _check_people(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(2 <= count <= MAX_PEOPLE for count in value):
            raise ValueError(f"each must be 2 to {MAX_PEOPLE}, found {list(value)}")
        return value

    @field_validator("depth")
    @classmethod
    def _check_depth(cls, value: int) -> int:
        if not 1 <= value <= MAX_DEPTH:
            raise ValueError(
                f"must be 1 to {MAX_DEPTH}, found {value}; statements on one person each (0) never have one "
                "solution"
            )
        return value

    @field_validator("languages")
    @classmethod
    def _check_languages(cls, value: dict[str, float]) -> dict[str, float]:
        return shares.checked(value, KIND_WORDS)


class KnightsKnaves:
    """The task. `KnightsKnaves(KnightsKnavesSettings(people=(3,))).problems("test")`.

    Small settings have few puzzles, counted without names and order of the people, in train / validation /
    test: 2 people 15 / 1 / 2 at depth 1 and 33 / 1 / 4 at depth 2; 3 people 614 / 80 / 82 at depth 1 and
    2182 / 280 / 268 at depth 2. A split may therefore be smaller than its size asks for.
    """

    name = NAME
    reference_keys = ("names", "solution")
    free_form = False

    def __init__(self, settings: KnightsKnavesSettings) -> None:
        self.settings = settings

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split, unique by key. Raises DataError, or RecipeError for an empty split."""
        problems = self._splits[split]
        if not problems and self._sizes[split]:
            where = self.settings.data or f"people={list(self.settings.people)}, depth={self.settings.depth}"
            raise RecipeError(f"{NAME}: {where} has no puzzle for the {split} split; widen it")
        return problems

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """CORRECT when the answer says of everyone, and of nobody else, what the solution says."""
        return check_assignment(answer, problem.reference["names"], problem.reference["solution"])

    def gold(self, problem: Problem) -> str:
        """The solution, in the problem's language; in the full wording as the numbered list asked for."""
        write = answer if self.settings.wording == "brief" else numbered_answer
        names, solution = problem.reference["names"], problem.reference["solution"]
        return write(tuple(solution), "zh" if problem.language == "zh" else "en", names)

    def problem_from_reference(self, row: Mapping[str, Any], where: str = "row") -> Problem:
        """The problem of a row with `names` and `solution`, and `quiz` where it has one."""
        return self._stored_problem(read_row(row, where))

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        return self._generated() if self.settings.data is None else self._loaded(self.settings.data)

    @property
    def _sizes(self) -> dict[Split, int]:
        settings = self.settings
        return {
            "train": settings.train_size,
            "validation": settings.validation_size,
            "test": settings.test_size,
        }

    def _generated(self) -> dict[Split, list[Problem]]:
        """Draw until every split is full or nothing new comes; each split is a prefix of one stream."""
        sizes = self._sizes
        found: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
        seen: set[str] = set()
        rng = seeds.generator(self.settings.seed, NAME, "problems")
        misses = 0
        while misses < _PATIENCE and any(len(found[split]) < sizes[split] for split in SPLITS):
            puzzle = generate(rng, rng.choice(self.settings.people), self.settings.depth)
            key = canonical_key(puzzle)
            misses = misses + 1 if key in seen else 0
            split = split_of(NAME, key)
            if key not in seen and len(found[split]) < sizes[split]:
                found[split].append(self._problem(puzzle, key))
            seen.add(key)
        return found

    def _loaded(self, data: str) -> dict[Split, list[Problem]]:
        """The rows of `data`, in a seeded order, later copies of one puzzle left out."""
        unique: dict[str, StoredPuzzle] = {}
        for number, row in sources.rows(data):
            where = f"{data}: row {number}"
            stored = read_row(row, where)
            if not stored.quiz.strip():
                raise DataError(f"{where}: field 'quiz' is missing or empty")
            unique.setdefault(stored.key, stored)
        keys = list(unique)
        seeds.generator(self.settings.seed, NAME, "order").shuffle(keys)
        found: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
        for key in keys:
            found[split_of(NAME, key)].append(self._stored_problem(unique[key]))
        return {split: found[split][:size] for split, size in self._sizes.items()}

    def _problem(self, puzzle: Puzzle, key: str) -> Problem:
        weights = self.settings.languages
        rng = seeds.generator(self.settings.seed, NAME, "language", key)
        drawn = rng.choices(list(weights), list(weights.values()))[0]
        language: Language = "zh" if drawn == "zh" else "en"
        people = len(puzzle.statements)
        reference = {"names": list(NAMES[:people]), "solution": list(solve(puzzle)[0])}
        text = question(puzzle, language, self.settings.wording)
        depth = max(map(depth_of, puzzle.statements))
        tags = (f"{people} people", f"depth {depth}")
        return Problem(f"{NAME}/{key}", NAME, (Message("user", text),), reference, language, tags)

    def _stored_problem(self, stored: StoredPuzzle) -> Problem:
        language = stored.language
        brief = self.settings.wording == "brief"
        text = stored.quiz if brief else with_instruction(stored.quiz, language)
        reference = {"names": list(stored.names), "solution": list(stored.solution)}
        tags = (f"{len(stored.names)} people",)
        return Problem(f"{NAME}/{stored.key}", NAME, (Message("user", text),), reference, language, tags)

"""Stored knights and knaves puzzles, in the schema of the Logic-RL and K&K data sets (arXiv 2410.23123)."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xxhash

from r1kit.errors import DataError
from r1kit.tasks.knights_knaves_key import canonical_key
from r1kit.tasks.knights_knaves_puzzle import (
    MAX_PEOPLE,
    Claim,
    Compound,
    CompoundKind,
    Kinds,
    Puzzle,
    Statement,
    solve,
)
from r1kit.tasks.knights_knaves_tokens import is_name
from r1kit.tasks.knights_knaves_words import KIND_WORDS, Language

MAX_STATEMENTS = 4000  # characters
MAX_NESTING = 8

_HAN = re.compile("[\u4e00-\u9fff]")
_LEAVES = {"telling-truth": True, "lying": False}
_COMPOUNDS: Mapping[str, tuple[CompoundKind, int]] = {  # name -> ours, most parts
    "not": ("not", 1),
    "->": ("if", 2),
    "<=>": ("iff", 2),
    "and": ("and", MAX_PEOPLE),
    "or": ("or", MAX_PEOPLE),
}


@dataclass(frozen=True, slots=True)
class StoredPuzzle:
    """`StoredPuzzle("You meet …", ("Zoey", "Oliver"), (False, True), "is1-/…")`."""

    quiz: str  # "" when the row has none
    names: tuple[str, ...]
    solution: Kinds
    key: str  # canonical where the row has `statements`, else a hash of the quiz without its names

    @property
    def language(self) -> Language:
        """The language of the quiz."""
        return "zh" if _HAN.search(self.quiz) else "en"


def read_row(row: Mapping[str, Any], where: str) -> StoredPuzzle:
    """A row with `names`, `solution` and perhaps `quiz`, `statements`, `knight_knave`; others are ignored.

    `solution` alone will do as name -> "knight" or "knave". `statements` is checked against `solution` by the
    solver. Raises DataError that names the field.
    """
    row = _with_lists(row, where)
    solution, names = _solution(row, where), _names(row, where)
    if len(names) != len(solution):
        raise DataError(f"{where}: field 'solution' has {len(solution)} entries for {len(names)} names")
    _check_kinds(row.get("knight_knave"), where)
    quiz = row.get("quiz", "")
    if not isinstance(quiz, str):
        raise DataError(f"{where}: field 'quiz' must be text, found {repr(quiz)[:60]}")
    if row.get("statements") is None:
        return StoredPuzzle(quiz, names, solution, _text_key(quiz, names, solution))
    puzzle = _puzzle(row["statements"], len(names), where)
    solutions = solve(puzzle)
    if solutions != [solution]:
        raise DataError(
            f"{where}: field 'solution' is not the one solution of 'statements', which has {len(solutions)}"
            if len(solutions) != 1
            else f"{where}: field 'solution' is {list(solution)}, but 'statements' gives {list(solutions[0])}"
        )
    return StoredPuzzle(quiz, names, solution, canonical_key(puzzle))


def _with_lists(row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A row whose `solution` says who is what, `{"Zoey": "knave"}`, in the data sets' own form."""
    told = row.get("solution")
    if not isinstance(told, Mapping):
        return row
    kinds = {"knight": True, "knave": False}
    if not told or not all(isinstance(kind, str) and kind in kinds for kind in told.values()):
        raise DataError(
            f"{where}: field 'solution' must call each person 'knight' or 'knave', found {repr(told)[:60]}"
        )
    names = row.get("names", list(told))
    known = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not known or sorted(names) != sorted(told):
        raise DataError(
            f"{where}: field 'names' must name the people of 'solution', found {repr(names)[:60]}"
        )
    return {**row, "names": list(names), "solution": [kinds[told[name]] for name in names]}


def _field(row: Mapping[str, Any], field: str, where: str) -> Any:
    if field not in row:
        found = ", ".join(map(str, row)) or "none"
        raise DataError(f"{where}: field {field!r} is missing; found {found[:200]}")
    return row[field]


def _names(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    names = _field(row, "names", where)
    if (
        not isinstance(names, list | tuple)
        or not 2 <= len(names) <= MAX_PEOPLE
        or not all(isinstance(name, str) and is_name(name) for name in names)
        or len({name.lower() for name in names}) != len(names)
    ):
        raise DataError(
            f"{where}: field 'names' must be a list of 2 to {MAX_PEOPLE} different names, "
            f"found {repr(names)[:60]}"
        )
    return tuple(names)


def _solution(row: Mapping[str, Any], where: str) -> Kinds:
    solution = _field(row, "solution", where)
    if not isinstance(solution, list | tuple) or not all(type(kind) is bool for kind in solution):
        raise DataError(
            f"{where}: field 'solution' must be a list of true (knight) and false (knave), or name -> kind, "
            f"found {repr(solution)[:60]}"
        )
    return tuple(solution)


def _check_kinds(words: Any, where: str) -> None:
    """The perturbed sets call the kinds otherwise, some the other way round; their answers are not read."""
    if words is None:
        return
    expected = {name: KIND_WORDS["en"][name == "knight"] for name in ("knight", "knave")}
    for name, word in expected.items():
        found = words.get(name) if isinstance(words, Mapping) else words
        if not isinstance(found, str) or found.lower().removeprefix("a ") != word:
            raise DataError(
                f"{where}: field 'knight_knave' must call a {name} {word!r}, found {repr(found)[:60]}; "
                "perturbed puzzles with other words are not supported"
            )


def _puzzle(statements: Any, people: int, where: str) -> Puzzle:
    """`"(('lying', 1), ('->', ('telling-truth', 0), ('lying', 1)))"`: what each person says, in order."""
    try:
        if not isinstance(statements, str) or len(statements) > MAX_STATEMENTS:
            raise ValueError(f"must be text of at most {MAX_STATEMENTS} characters")
        said = ast.literal_eval(statements.strip())
        if not isinstance(said, tuple) or len(said) != people:
            raise ValueError(f"must be a tuple of {people} statements")
        return Puzzle(tuple(_claim(claim, people, 1) for claim in said))
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        reason = str(error).strip().splitlines()
        raise DataError(f"{where}: field 'statements': {reason[0][:120] if reason else 'not read'}") from None


def _claim(said: Any, people: int, nesting: int) -> Claim:
    """One statement. Raises ValueError."""
    if nesting > MAX_NESTING:
        raise ValueError(f"nested deeper than {MAX_NESTING}")
    if not isinstance(said, tuple) or len(said) < 2 or not isinstance(said[0], str):
        raise ValueError(f"{repr(said)[:60]} is no statement")
    operator, *parts = said
    if operator in _LEAVES:
        if len(parts) != 1 or type(parts[0]) is not int or not 0 <= parts[0] < people:
            raise ValueError(f"{repr(said)[:60]} names no person from 0 to {people - 1}")
        return Statement("is", ((parts[0], _LEAVES[operator]),))
    if operator not in _COMPOUNDS:
        raise ValueError(f"{operator[:20]!r} is none of {', '.join([*_LEAVES, *_COMPOUNDS])}")
    kind, most = _COMPOUNDS[operator]
    if not min(most, 2) <= len(parts) <= most:
        raise ValueError(f"{operator!r} takes {most if most < MAX_PEOPLE else '2 or more'} parts")
    return Compound(kind, tuple(_claim(part, people, nesting + 1) for part in parts))


def _text_key(quiz: str, names: tuple[str, ...], solution: Kinds) -> str:
    """A key for a puzzle that is known by its words alone: names count by their place."""
    longest_first = sorted(names, key=len, reverse=True)
    places = {name: f"<{person}>" for person, name in enumerate(names)}
    pattern = re.compile(f"(?<![A-Za-z])(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z])")
    text = pattern.sub(lambda match: places[match.group()], " ".join(quiz.split()))
    whole = text or "".join("-+"[kind] for kind in solution)
    return xxhash.xxh3_64_hexdigest(whole.encode("utf-8", "surrogatepass"))

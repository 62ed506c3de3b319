"""Knights and knaves puzzles: knights always tell the truth, knaves always lie; who is which?"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from r1kit.world.families.styles import Language

NAMES = "ABC"
KIND_WORDS = {"en": {True: "knight", False: "knave"}, "zh": {True: "骑士", False: "骗子"}}

Kinds = tuple[bool, ...]  # one entry per person, True for a knight
StatementKind = Literal["is", "and", "or", "same", "different"]


@dataclass(frozen=True, slots=True)
class Statement:
    """`Statement("or", ((0, False), (1, True)))`: A is a knave or B is a knight."""

    kind: StatementKind
    parts: tuple[tuple[int, bool], ...]  # (person, is a knight); "same" and "different" ignore the second

    def holds(self, kinds: Kinds) -> bool:
        """Whether the statement is true when the people are of these kinds."""
        people = [kinds[person] for person, _ in self.parts]
        if self.kind in ("same", "different"):
            return (people[0] == people[1]) == (self.kind == "same")
        fits = [kind == claimed for kind, (_, claimed) in zip(people, self.parts, strict=True)]
        return any(fits) if self.kind == "or" else all(fits)


@dataclass(frozen=True, slots=True)
class Puzzle:
    """`Puzzle((Statement("is", ((1, False),)), …))`: person i says `statements[i]`."""

    statements: tuple[Statement, ...]


def solve(puzzle: Puzzle) -> list[Kinds]:
    """All assignments in which exactly the knights' statements are true, by brute force."""
    everyone = itertools.product((True, False), repeat=len(puzzle.statements))
    return [k for k in everyone if all(s.holds(k) == k[i] for i, s in enumerate(puzzle.statements))]


def generate(rng: random.Random, people: int, depth: int = 2) -> Puzzle:
    """A puzzle for 2 or 3 people with exactly one solution.

    Depth 1 says one thing of one or two people ("both A and B are knaves"); depth 2 also joins two different
    claims ("A is a knave or B is a knight"). Statements on one person alone never single out a solution:
    turning everybody into the other kind keeps all of them consistent.
    """
    while True:
        drawn = [rng.choice(_sayings(people, p, 0 if rng.random() < 0.4 else depth)) for p in range(people)]
        possible = (1 << 2**people) - 1
        for _, mask in drawn:
            possible &= mask
        if possible.bit_count() == 1:
            return Puzzle(tuple(statement for statement, _ in drawn))


def key(puzzle: Puzzle) -> str:
    """The canonical key, the same for all renamings of the people."""
    return min(_encode(puzzle, order) for order in itertools.permutations(range(len(puzzle.statements))))


def say(statement: Statement, language: Language) -> str:
    """The statement in words, without a full stop."""
    names = [NAMES[person] for person, _ in statement.parts]
    kinds = [KIND_WORDS[language][kind] for _, kind in statement.parts]
    alike = len(kinds) == 2 and kinds[0] == kinds[1]
    if language == "en":
        claims = [f"{name} is a {kind}" for name, kind in zip(names, kinds, strict=True)]
        pair = " and ".join(names)
        both = f"both {pair} are {kinds[0]}s" if alike else " and ".join(claims)
        some = f"at least one of {pair} is a {kinds[0]}" if alike else " or ".join(claims)
        same, different = f"{pair} are the same kind", f"{pair} are different"
    else:
        claims = [f"{name}是{kind}" for name, kind in zip(names, kinds, strict=True)]
        pair = "和".join(names)
        both = f"{pair}都是{kinds[0]}" if alike else "而且".join(claims)
        some = f"{pair}至少一个是{kinds[0]}" if alike else "或者".join(claims)
        same, different = f"{pair}是同一种人", f"{pair}不同"
    phrases = {"is": claims[0], "and": both, "or": some, "same": same, "different": different}
    return phrases[statement.kind]


def question(puzzle: Puzzle, language: Language) -> str:
    """The puzzle as a user asks it."""
    lines = list(zip(NAMES, puzzle.statements, strict=False))
    if language == "en":
        return (
            " ".join(f"{name} says {say(s, 'en')}." for name, s in lines)
            + " who is a knight and who is a knave?"
        )
    return "".join(f"{name}说{say(s, 'zh')}。" for name, s in lines) + "谁是骑士,谁是骗子?"


def answer(kinds: Kinds, language: Language) -> str:
    """The answer in words: `A is a knight, B is a knave`."""
    joiner, claim = (", ", "{} is a {}") if language == "en" else (",", "{}是{}")
    return joiner.join(claim.format(NAMES[p], KIND_WORDS[language][kind]) for p, kind in enumerate(kinds))


@lru_cache
def _sayings(people: int, speaker: int, depth: int) -> tuple[tuple[Statement, int], ...]:
    """What `speaker` may say, each with the bit mask of the assignments it leaves possible.

    Depth 0 speaks of one other person, the greater depths of two.
    """
    others = [p for p in range(people) if p != speaker]
    said = [Statement("is", ((p, kind),)) for p in others for kind in (True, False)] if depth == 0 else []
    for first, second in itertools.combinations(range(people), 2) if depth else ():
        both_knights = ((first, True), (second, True))
        said += [Statement("same", both_knights), Statement("different", both_knights)]
        for kinds in itertools.product((True, False), repeat=2):
            parts = ((first, kinds[0]), (second, kinds[1]))
            if depth > 1 or kinds[0] == kinds[1]:
                said += [Statement("and", parts), Statement("or", parts)]
    everyone = list(itertools.product((True, False), repeat=people))
    return tuple((s, sum((s.holds(k) == k[speaker]) << i for i, k in enumerate(everyone))) for s in said)


def _encode(puzzle: Puzzle, order: tuple[int, ...]) -> str:
    """The puzzle when person p is renamed order[p]."""
    lines = [""] * len(order)
    for speaker, statement in enumerate(puzzle.statements):
        parts = sorted((order[person], kind) for person, kind in statement.parts)
        lines[order[speaker]] = statement.kind + "".join(f"{person}{'-+'[kind]}" for person, kind in parts)
    return "/".join(lines)

"""The labelled suites of the mathematics verifier, packaged as JSON lines under `verify/suites`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from r1kit.text.tags import parse
from r1kit.types import Outcome, Verdict
from r1kit.verify.maths.checker import check
from r1kit.verify.maths.declared import STRICT, Declared, declare

PAIRS = "math.jsonl"
"""Gold and answer, with the verdict of a mathematician who holds the answer to the gold's form."""
HOSTILE = "math_hostile.jsonl"
"""Texts that want to hang, crash or flood a verifier; none is right."""


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled pair: `Case("fraction", "1/3", "0.333", False, adversarial=True)`."""

    category: str
    gold: str
    text: str  # the answer, or the whole response
    correct: bool  # the label
    adversarial: bool = False  # wrong, and near to what is right
    is_response: bool = False  # then the answer is still to be found in `text`
    declared: Declared = STRICT


def load(name: str = PAIRS) -> list[Case]:
    """The cases of a packaged suite. A row with `pieces`, [[text, times], …], is written out."""
    text = (files("r1kit.verify") / "suites" / name).read_text("utf-8")
    return [_case(json.loads(line)) for line in text.splitlines()]


def grade(case: Case) -> Verdict:
    """What our verifier says of a case."""
    if not case.is_response:
        return check(case.text, case.gold, case.declared)
    answer = parse(case.text).answer
    if answer is None:
        return Verdict(Outcome.NO_ANSWER)
    return check(answer, case.gold, case.declared)


def _case(row: Mapping[str, Any]) -> Case:
    if "pieces" in row:
        text = "".join(_written_out(row["pieces"]))
    else:
        text = row["response"] if "response" in row else row["answer"]
    return Case(
        row["category"],
        row["gold"],
        text,
        row["correct"],
        row.get("adversarial", False),
        "response" in row,
        declare(row.get("declared", {})),
    )


def _written_out(pieces: list[tuple[str, int]]) -> Iterator[str]:
    for text, times in pieces:
        yield text * times

"""Stored rollouts for the reward lab: what was sampled, what it earned then."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from r1kit.errors import DataError, UserError
from r1kit.objectives.advantages import ADVANTAGES
from r1kit.report.reading import Row, json_object, jsonl
from r1kit.rewards.registry import RewardInput
from r1kit.rewards.rubric import grade
from r1kit.stages.settings import RewardTerm
from r1kit.tasks.registry import TASKS, make_task
from r1kit.text.tags import parse
from r1kit.types import Completion, Message, Outcome, Problem, Verdict

NAME = "rollouts.jsonl"
_HAN = re.compile("[\u4e00-\u9fff]")
_WHERE_FROM = ("step", "problem", "task", "language", "tags", "group", "of", "prompt")
_RESPONSE = ("completion", "thinking", "extracted", "tokens", "finish")
_GRADED = ("verdict", "detail", "terms", "reward", "unscored", "advantage", "successful")
_OWN = frozenset((*_WHERE_FROM, *_RESPONSE, *_GRADED))  # fields of a row that are no part of its reference


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored rollout."""

    sample: RewardInput
    step: int
    group: tuple[int, str]  # step, and which group of the step
    of: int | None  # rollouts of the whole group, where that is known
    then: float | None  # its reward then; None where it had none
    terms: Mapping[str, float]  # raw terms then


@dataclass(frozen=True, slots=True)
class Origin:
    """What the stage that sampled them says of itself."""

    advantage: str = "grpo"  # of total rewards; dr_grpo for a run whose own needs more than these
    group_size: int | None = None
    steps: int | None = None
    rewards: Mapping[str, float | RewardTerm] | None = None  # as its recipe gave them
    tasks: Mapping[str, str] | None = None  # its tasks' names -> registered names


def rollouts_file(place: Path) -> Path:
    """The log of `FILE`, `RUN/stages/STAGE` or `RUN/STAGE`. Raises UserError."""
    for path in (place, place / NAME, place.parent / "stages" / place.name / NAME):
        if path.is_file():
            return path
    raise UserError(f"{place}: no rollouts there; give a {NAME}, a stage's folder, or RUN/STAGE")


def origin(file: Path) -> Origin:
    """The stage's settings that stand beside the log; without them, the defaults. Raises UserError."""
    record = file.parent / "stage.json"
    if not record.is_file():
        return Origin()
    identity = json_object(record).get("identity", {})
    try:
        settings = identity["settings"]
        rewards = TypeAdapter(dict[str, float | RewardTerm]).validate_json(json.dumps(settings["rewards"]))
        advantage = str(settings["objective"]["advantage"])
        return Origin(
            advantage if advantage in ADVANTAGES else "dr_grpo",
            int(settings["group_size"]),
            int(settings["steps"]),
            rewards,
            {name: str(task["task"]) for name, task in identity["tasks"].items()},
        )
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise UserError(f"{record}: not the record of a stage with rewards: {str(error)[:120]!r}") from None


def stored_rollouts(file: Path, made: Origin, task: str | None = None) -> list[Stored]:
    """The rows of a log in order. A row without a verdict, which has a task's reference, is graded here.

    `task`: of the rows that name none. Raises DataError that names the row.
    """
    return [
        _stored(row, f"{file}: row {number}", made, task) for number, row in enumerate(jsonl(file), start=1)
    ]


def _stored(row: Row, where: str, made: Origin, task: str | None) -> Stored:
    text = row.get("completion")
    if not isinstance(text, str):
        raise DataError(f"{where}: field 'completion' is missing or not text")
    count = _number(row, "tokens", where)
    completion = Completion(
        (), (0,) * int(count or 0), (), (), text, "length" if row.get("finish") == "length" else "stop", 0
    )
    step = int(_number(row, "step", where) or 0)
    of = _number(row, "of", where)
    terms = row.get("terms") or {}
    if not isinstance(terms, dict):
        raise DataError(f"{where}: field 'terms' must be an object, found {str(terms)[:40]!r}")
    sample = _recorded(row, completion, where) if "verdict" in row else _graded(row, completion, where, task)
    return Stored(
        sample,
        step,
        (step, str(row.get("group", sample.problem.id))),
        int(of) if of is not None else made.group_size,
        _number(row, "reward", where),
        {name: value for name, found in terms.items() if (value := _finite(found)) is not None},
    )


def _recorded(row: Row, completion: Completion, where: str) -> RewardInput:
    """The sample with the verdict that it had."""
    answer, prompt = row.get("extracted"), str(row.get("prompt", ""))
    try:
        outcome = Outcome(row["verdict"])
    except ValueError:
        raise DataError(f"{where}: field 'verdict' is {str(row['verdict'])[:40]!r}, no verdict") from None
    language = row.get("language", "zh" if _HAN.search(prompt) else "en")
    tags = row.get("tags", [])
    problem = Problem(
        str(row.get("problem", "")),
        str(row.get("task", "")),
        (Message("user", prompt),),
        {key: value for key, value in row.items() if key not in _OWN},
        str(language),
        tuple(map(str, tags)) if isinstance(tags, list) else (),
    )
    verdict = Verdict(
        outcome,
        answer if isinstance(answer, str) else None,
        1.0 if outcome is Outcome.CORRECT else 0.0,
        str(row.get("detail", "")),
    )
    return RewardInput(problem, completion, parse(completion.text), verdict)


def _graded(row: Row, completion: Completion, where: str, task: str | None) -> RewardInput:
    name = row.get("task", task)
    if not isinstance(name, str) or name not in TASKS:
        raise DataError(
            f"{where}: has no 'verdict'; to grade it, 'task' must be one of {', '.join(sorted(TASKS))}"
        )
    checker = make_task(name)
    problem = checker.problem_from_reference(row, where)
    return RewardInput(problem, completion, *grade(problem, completion, checker))


def _number(row: Mapping[str, Any], field: str, where: str) -> float | None:
    """A finite number of a row, None where it is missing or null."""
    if row.get(field) is None:
        return None
    value = _finite(row[field])
    if value is None:
        raise DataError(f"{where}: field {field!r} must be a finite number, found {str(row[field])[:40]!r}")
    if field in ("tokens", "step", "of") and not 0 <= value <= 1 << 24:
        raise DataError(f"{where}: field {field!r} must be between 0 and {1 << 24}, found {value:g}")
    return value


def _finite(value: object) -> float | None:
    """A JSON number as a float, None for anything else and for what no float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None

"""The findings of the reward lab as plain data, for `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from r1kit.report.lab_advantages import Change
from r1kit.report.lab_corpus import Case
from r1kit.report.lab_grading import Column, Hack, Judgement, Mistake
from r1kit.report.lab_rollouts import Origin, Stored
from r1kit.types import Unscored

Matrix = Sequence[Sequence[float | None]]


def corpus_record(
    cases: Sequence[Case],
    columns: Sequence[Column],
    judgements: Sequence[Judgement],
    undeserved: Sequence[Hack],
    wrong: Sequence[Hack],
    matrix: Matrix,
) -> dict[str, Any]:
    """Every completion with its labels and what it earns, each reward's mistakes, the hacks, correlations."""
    return {
        "completions": [
            {
                "task": case.task,
                "name": case.name,
                "completion": case.sample.completion.text,
                "deserves": asdict(case.labels),
                "verdict": case.sample.verdict.outcome.value,
                "earns": _earns(columns, index),
            }
            for index, case in enumerate(cases)
        ],
        "rewards": {
            found.column.name: {
                "pays_for": list(found.column.aspects),
                "judged": found.judged,
                "blind": list(found.blind),
                "unscored": dict(found.unscored),
                "false_accepts": [_mistake(cases, mistake) for mistake in found.false_accepts],
                "false_rejects": [_mistake(cases, mistake) for mistake in found.false_rejects],
            }
            for found in judgements
        },
        "hacks": [_hack(cases, hack) for hack in undeserved],
        "hacks_with_a_wrong_answer": [_hack(cases, hack) for hack in wrong],
        "correlation": _matrix(columns, matrix),
    }


def rollouts_record(
    file: Path,
    stored: Sequence[Stored],
    columns: Sequence[Column],
    hacks: Sequence[Hack],
    matrix: Matrix,
    change: Change,
    made: Origin,
) -> dict[str, Any]:
    """Rewards then and now of every rollout, the hacks, and the change of every whole group."""
    return {
        "file": str(file),
        "advantage": made.advantage,
        "samples": [
            {
                "step": row.step,
                "problem": row.sample.problem.id,
                "verdict": row.sample.verdict.outcome.value,
                "then": row.then,
                "now": _earns(columns, index),
            }
            for index, row in enumerate(stored)
        ],
        "hacks": [
            {**asdict(hack), "completion": stored[hack.index].sample.completion.text} for hack in hacks
        ],
        "correlation": _matrix(columns, matrix),
        "reward_then": change.reward_then,
        "reward_now": change.reward_now,
        "rank_correlation": change.rank,
        "groups": [asdict(group) for group in change.groups],
        "incomplete_groups": change.incomplete,
        "mean_absolute_change": change.mean_change,
        "sign_flips": change.flipped,
        "rank_correlation_in_groups": change.group_rank,
    }


def _earns(columns: Sequence[Column], index: int) -> dict[str, float | str | None]:
    """Of each column the value, or how it failed."""
    found: dict[str, float | str | None] = {}
    for column in columns:
        value = column.values[index]
        found[column.name] = value.failure.value if isinstance(value, Unscored) else value
    return found


def _mistake(cases: Sequence[Case], mistake: Mistake) -> dict[str, Any]:
    case = cases[mistake.case]
    return {"task": case.task, "name": case.name, "value": mistake.value, "line": mistake.line}


def _hack(cases: Sequence[Case], hack: Hack) -> dict[str, Any]:
    case = cases[hack.index]
    return {"task": case.task, "name": case.name, "value": hack.value, "line": hack.line, "bytes": hack.size}


def _matrix(columns: Sequence[Column], matrix: Matrix) -> dict[str, dict[str, float | None]]:
    names = [column.name for column in columns]
    return {name: dict(zip(names, row, strict=True)) for name, row in zip(names, matrix, strict=True)}

"""Questions whose gold answer cannot be read: refused, or kept and paid as published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.errors import DataError
from r1kit.rewards.registry import RewardInput
from r1kit.rewards.rubric import Rubric, TermSpec, grade
from r1kit.tasks.math import Math
from r1kit.tasks.math_settings import MathSettings
from r1kit.types import UNREADABLE_GOLD, Completion, Failure, Problem, Reward, Unscored

TASK = Math(MathSettings(answers={"unreadable": "keep"}))
READ = TASK.problem_from_reference({"question": "q", "answer": "18"})
UNREAD = TASK.problem_from_reference({"question": "p", "answer": "3 = 4"})
RIGHT, NONE = "<think>a</think>\n<answer>18</answer>", "no idea"
ACCURACY = TermSpec(name="accuracy", params={"published": True})


def outcomes(problem: Problem, texts: list[str], *terms: TermSpec) -> list[Reward | Unscored]:
    samples = []
    for text in texts:
        completion = Completion((), (), (), (), text, "stop", 0)
        samples.append(RewardInput(problem, completion, *grade(problem, completion, TASK)))
    return Rubric(terms).outcomes(samples)


def paid(found: list[Reward | Unscored]) -> list[object]:
    return [each if isinstance(each, Unscored) else (each.total, dict(each.terms)) for each in found]


def test_published_accuracy_pays_half_for_any_answer_to_an_unreadable_gold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    format_ = TermSpec(name="format", weight=0.1)
    assert UNREAD.reference == {"answer": "3 = 4", UNREADABLE_GOLD: "an equation between numbers"}
    assert paid(outcomes(UNREAD, [RIGHT, NONE], ACCURACY, format_)) == [
        (0.6, {"accuracy": 0.5, "format": 1.0}),
        (0.5, {"accuracy": 0.5, "format": 0.0}),
    ]
    assert "2 of 2 samples answer problems whose gold cannot be read" in caplog.text
    assert paid(outcomes(READ, [RIGHT, NONE], ACCURACY)) == [
        (1.0, {"accuracy": 1.0}),
        (0.0, {"accuracy": 0.0}),
    ]


def test_an_unreadable_gold_leaves_samples_unscored_otherwise() -> None:
    detail = "the gold answer cannot be read: an equation between numbers"
    unscored = Unscored("verifier", Failure.VERIFIER, detail)
    assert outcomes(UNREAD, [RIGHT, NONE], TermSpec(name="accuracy")) == [unscored] * 2
    assert outcomes(UNREAD, [RIGHT], TermSpec(name="format")) == [unscored]
    cosine = Unscored("cosine", Failure.VERIFIER, detail)
    assert outcomes(UNREAD, [RIGHT], ACCURACY, TermSpec(name="cosine")) == [cosine]


def test_such_rows_are_refused_skipped_or_kept_for_training_alone(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    rows = [{"question": f"q{n}", "answer": "18" if n % 2 else "3 = 4"} for n in range(80)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"answers\.unreadable=keep keeps them for published accuracy"):
        Math(MathSettings(data=str(data))).problems("train")
    skipping = Math(MathSettings(data=str(data), skip_bad_rows=True))
    keeping = Math(MathSettings(data=str(data), answers={"unreadable": "keep"}))
    assert skipping.skipped == 40
    kept = [problem for problem in keeping.problems("train") if not problem.gradable]
    assert len(kept) + keeping.skipped == 40
    assert len(kept) >= 20
    assert {p.id for p in keeping.problems("train")} - {p.id for p in kept} == {
        p.id for p in skipping.problems("train")
    }
    for split in ("validation", "test"):
        assert {p.id for p in keeping.problems(split)} == {p.id for p in skipping.problems(split)}  # type: ignore[arg-type]

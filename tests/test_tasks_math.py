from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.errors import DataError, RecipeError
from r1kit.tasks.math import Math, MathSettings
from r1kit.tasks.registry import make_task
from r1kit.types import Outcome, Problem, Split
from r1kit.verify.maths import symbolic

DATA = str(Path(__file__).parent / "data" / "math_small.jsonl")
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def write(path: Path, *rows: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def everything(task: Math) -> list[Problem]:
    return [problem for split in SPLITS for problem in task.problems(split)]


def test_gold_answers_are_found_and_verify_against_themselves() -> None:
    task = Math(MathSettings(data=DATA))
    problems = everything(task)
    assert sorted(task.gold(problem) for problem in problems) == ["-5", "19", "5,000", r"\frac{1}{8}"]
    assert all(task.verify(problem, task.gold(problem)).correct for problem in problems)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("5000", Outcome.CORRECT),
        ("$5,000.00", Outcome.CORRECT),
        ("5001", Outcome.WRONG),
        ("5000 or 5001", Outcome.MALFORMED),
        ("#### 5000", Outcome.CORRECT),
        ("#### 5000 #### 5001", Outcome.MALFORMED),
        ("5000 dollars", Outcome.CORRECT),
        ("5 thousand dollars", Outcome.CORRECT),
        ("5000 thousand", Outcome.WRONG),
        ("5000 or so", Outcome.MALFORMED),
    ],
)
def test_only_the_answer_text_is_graded(answer: str, outcome: Outcome) -> None:
    problem = next(p for p in everything(Math(MathSettings(data=DATA))) if "bicycle" in p.messages[0].content)
    assert Math(MathSettings()).verify(problem, answer).outcome is outcome


def test_a_problem_keeps_its_split_in_every_file(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + 1?", "answer": f"#### {n + 1}"} for n in range(400)]
    whole = Math(MathSettings(data=write(tmp_path / "a.jsonl", *rows)))
    part = Math(MathSettings(data=write(tmp_path / "b.jsonl", *rows[:200]), seed=5))
    for split in SPLITS:
        assert {problem.id for problem in part.problems(split)} <= {
            problem.id for problem in whole.problems(split)
        }
    assert len(everything(whole)) == 400
    assert 300 <= len(whole.problems("train")) <= 340


def test_a_file_of_test_problems_is_the_test_split_and_leaves_training(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + 1?", "answer": f"#### {n + 1}"} for n in range(100)]
    task = Math(
        MathSettings(
            data=write(tmp_path / "a.jsonl", *rows), test_data=write(tmp_path / "t.jsonl", *rows[:20])
        )
    )
    tested = {problem.id for problem in task.problems("test")}
    assert len(tested) == 20
    assert len(everything(task)) == 100
    assert not tested & {problem.id for problem in task.problems("train")}


def test_a_limit_keeps_the_first_of_a_seeded_order(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + 1?", "answer": f"{n + 1}"} for n in range(50)]
    path = write(tmp_path / "t.jsonl", *rows)
    all_of_them = Math(MathSettings(test_data=path)).problems("test")
    assert Math(MathSettings(test_data=path, limit=10)).problems("test") == all_of_them[:10]
    assert Math(MathSettings(test_data=path, seed=1)).problems("test") != all_of_them


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"question": "?"}, "field 'answer' or 'solution' is missing; found question"),
        ({"answer": "5"}, "field 'question' or 'problem' is missing; found answer"),
        ({"question": "", "answer": "5"}, "field 'question' must be non-empty text, found ''"),
        ({"question": "?", "answer": 5}, "field 'answer' must be non-empty text, found 5"),
        (
            {"question": "?", "answer": "#### 3 = 4"},
            "field 'answer': the gold answer '3 = 4' cannot be read (an equation between numbers);",
        ),
        (
            {"question": "?", "solution": r"\boxed{9^{9^9}}"},
            "field 'solution': the gold answer '9^{9^9}' cannot be read (too large to compute)",
        ),
        (
            {"question": "?", "answer": "5", "tolerance": -1},
            "field 'tolerance': a tolerance is a number above 0",
        ),
        (
            {"question": "?", "answer": "5", "answer_form": "range"},
            "field 'answer_form': form must be one of auto, expression, interval, tuple, choice, words",
        ),
    ],
)
def test_a_bad_row_is_named_and_may_be_skipped(tmp_path: Path, row: dict[str, object], reason: str) -> None:
    path = write(tmp_path / "rows.jsonl", {"question": "1+1?", "answer": "2"}, row)
    with pytest.raises(DataError) as error:
        Math(MathSettings(data=path)).problems("train")
    assert str(error.value).startswith(f"{path}: row 2: {reason}")
    lenient = Math(MathSettings(data=path, skip_bad_rows=True))
    assert (len(everything(lenient)), lenient.skipped) == (1, 1)


def test_a_file_takes_neither_units_nor_unknowns_nor_sizes(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + 1?", "answer": f"{n + 1}", "counted_in": ["cm"]} for n in range(50)]
    task = Math(MathSettings(data=write(tmp_path / "a.jsonl", *rows), train_size=1, test_size=0))
    problems = everything(task)
    assert len(problems) == 50
    assert all(problem.reference == {"answer": task.gold(problem)} for problem in problems)
    assert task.verify(problems[0], f"{task.gold(problems[0])} cm").outcome is Outcome.MALFORMED


def test_a_reference_row_needs_no_question() -> None:
    task = make_task("math")
    assert task.verify(task.problem_from_reference({"answer": "so\n#### 1,000"}), "1000").correct


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        (r"\boxed{(1, 2)}", "(1,2)", r"\{1,2\}"),
        (r"\boxed{x^2+1}", "1+x^2", "x^2"),
        (r"\boxed{[0, \infty)}", "x >= 0", "x > 0"),
        (r"\boxed{45^\circ}", r"\frac{\pi}{4}", "45%"),
        (r"\boxed{2\sqrt{3}}", r"\sqrt{12}", "3.46"),
        (r"\boxed{\text{(B)}}", "B", "A"),
        ("#### 1,250", "1250", "1 or 250"),
    ],
)
def test_the_gold_of_a_row_says_what_form_an_answer_has(gold: str, right: str, wrong: str) -> None:
    task = Math(MathSettings())
    problem = task.problem_from_reference({"answer": "so " + gold})
    assert task.verify(problem, right).outcome is Outcome.CORRECT
    assert task.verify(problem, wrong).outcome in (Outcome.WRONG, Outcome.MALFORMED)
    assert task.verify(problem, task.gold(problem)).outcome is Outcome.CORRECT


def test_settings_and_rows_declare_forms_and_tolerances(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"question": "a", "answer": "2.5"},
        {"question": "b", "answer": "2.5", "tolerance": "1%"},
        {"question": "c", "answer": "(1, 2)", "answer_form": "interval"},
    ]
    path = write(tmp_path / "a.jsonl", *rows)
    answers: dict[str, str | float] = {"tolerance": 0.5, "percent": "fraction", "units": "optional"}
    task = Math(MathSettings(data=path, answers=answers))
    found = {problem.messages[0].content: problem for problem in everything(task)}
    assert found["a"].reference == {"answer": "2.5", "declared": answers}
    assert found["b"].reference == {"answer": "2.5", "declared": {**answers, "tolerance": "1%"}}
    assert task.verify(found["a"], "3 cm").correct
    assert not task.verify(found["b"], "3").correct
    assert task.verify(found["b"], "2.525").correct
    assert task.verify(found["a"], "250%").correct
    assert task.verify(found["c"], "1 < x < 2").correct
    assert json.loads(json.dumps(dict(found["c"].reference))) == found["c"].reference


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"tolerance": 0.0}, "a tolerance is a number above 0, or a share of the gold as '1%'; found 0.0"),
        ({"tolerance": "1/2"}, "a tolerance is a number above 0"),
        ({"from": "interval"}, "unknown key 'from'; did you mean 'form'"),
        ({"percent": "ratio"}, "percent must be one of own, number, fraction, found 'ratio'"),
    ],
)
def test_settings_refuse_what_cannot_be_declared(answers: dict[str, str | float], reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        make_task("math", answers=answers)


def test_golds_that_need_sympy_are_refused_without_it_when_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symbolic, "available", lambda: False)
    rows = [{"question": "a", "answer": "2"}, {"question": "b", "answer": r"\boxed{\ln 2}"}]
    path = write(tmp_path / "a.jsonl", *rows)
    with pytest.raises(DataError) as error:
        Math(MathSettings(data=path)).problems("train")
    assert str(error.value) == (
        f"{path}: row 2: field 'answer': the gold answer '\\\\ln 2' needs the symbolic check: "
        "pip install 'r1kit[math]'; or skip_bad_rows=true leaves such rows out"
    )
    lenient = Math(MathSettings(data=path, skip_bad_rows=True))
    assert (len(everything(lenient)), lenient.skipped) == (1, 1)


def test_rows_of_the_form_of_gsm8k_verify() -> None:
    task = Math(MathSettings())
    for gold in ("18", "70000", "1,450,000", "-3", "0.5", "$42", "2,125"):
        row = {
            "question": "How many?",
            "answer": f"There are <<9*2=18>>18 of them.\nSo it is so.\n#### {gold}",
        }
        problem = task.problem_from_reference(row)
        assert task.verify(problem, gold).correct
        assert task.verify(problem, rf"\boxed{{{gold}}}").correct
        assert not task.verify(problem, gold + "1").correct

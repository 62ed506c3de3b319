from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.errors import DataError, RecipeError, SandboxError
from r1kit.tasks import code as code_module
from r1kit.tasks import program_requests
from r1kit.tasks.code import Code
from r1kit.tasks.code_settings import CodeSettings
from r1kit.tasks.program_requests import Program
from r1kit.tasks.program_steps import STEPS
from r1kit.tasks.protocol import split_of
from r1kit.tasks.registry import make_task
from r1kit.types import Outcome, Problem, Split
from r1kit.verify.program_check import check_program
from r1kit.verify.program_run import Limits
from r1kit.verify.program_values import encode, same
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox.protection import Protection, Tier
from r1kit.world.families import programs

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def made(**settings: Any) -> Code:
    defaults: dict[str, Any] = {"train_size": 40, "validation_size": 20, "test_size": 20}
    return Code(CodeSettings(seconds=1, **{**defaults, **settings}))


def write(path: Path, *rows: dict[str, object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def only(task: Code) -> Problem:
    (problem,) = [problem for split in SPLITS for problem in task.problems(split)]
    return problem


# ------------------------------------------------------------------ requests


def test_the_pages_are_those_that_the_packaged_base_was_trained_on() -> None:
    pages = repr([programs.document(random.Random(seed)) for seed in range(100)])
    assert hashlib.sha256(pages.encode()).hexdigest()[:16] == "9fa43c6bd3e5f217"


def test_every_request_has_six_to_ten_tests_with_the_edges() -> None:
    rng = random.Random(1)
    for _ in range(500):
        item = program_requests.generate(rng)
        tests = program_requests.tests(item)
        assert 6 <= len(tests) <= 10
        assert tests == program_requests.tests(item)
        arguments = [test["args"][0] for test in tests]
        empty = {"number": 0, "list": [], "string": ""}[STEPS[item.steps[0]].domain]
        assert empty in arguments
        if STEPS[item.steps[0]].domain == "number":
            assert min(arguments) < 0
            assert not STEPS[item.steps[0]].uses_k or item.constants[0] in arguments


def outcomes(code: str, arguments: list[Any]) -> list[Any]:
    """What `f` returns on each argument, an exception's type where it raises."""
    scope: dict[str, Any] = {}
    exec(code, scope)
    found: list[Any] = []
    for argument in arguments:
        try:
            found.append(encode(scope["f"](argument.copy() if isinstance(argument, list) else argument)))
        except Exception as error:
            found.append(type(error).__name__)
    return found


def pool(domain: str, k: int) -> list[Any]:
    """Many more arguments than a request has tests."""
    rng = random.Random(k)
    near = range(max(k, 5) - 2, max(k, 5) + 13)
    if domain == "number":
        return [*range(-60, 61), *near]
    if domain == "string":
        return ["abcdefghijklmnopqrstuvwxyz"[:length] for length in range(20)]
    lists = [[rng.randint(-9, 60) for _ in range(rng.randint(0, 5))] for _ in range(150)]
    return [*lists, *([y] for y in near), *([y, y + 1, 3] for y in near)]


@pytest.mark.parametrize("first", STEPS)
def test_wrong_programs_fail_unless_they_do_what_was_asked_everywhere(first: str) -> None:
    rng = random.Random(first)
    requests = [item for _ in range(1500) if (item := program_requests.generate(rng)).steps[0] == first][:30]
    caught = equivalent = 0
    for item in requests:
        tests = program_requests.tests(item)
        everything = pool(STEPS[first].domain, item.constants[0])
        for _ in range(6):
            code = program_requests.write(rng, item, right=False).code
            wanted = [encode(program_requests.expected(item, argument)) for argument in everything]
            differs = not all(map(same, wanted, outcomes(code, everything)))
            results = outcomes(code, [test["args"][0] for test in tests])
            fails = not all(same(test["expected"], got) for test, got in zip(tests, results, strict=True))
            assert fails == differs, (item, code)
            caught, equivalent = caught + fails, equivalent + (not fails)
    assert caught > 9 * equivalent


def test_right_programs_pass_and_wrong_ones_fail_in_a_process() -> None:
    rng = random.Random(3)
    verdicts: Counter[tuple[bool, Outcome]] = Counter()
    for _ in range(40):
        item = program_requests.generate(rng)
        for right in (True, False):
            code = program_requests.write(rng, item, right).code
            verdict = check_program(code, "f", program_requests.tests(item), Limits(seconds=1), run_program)
            verdicts[right, verdict.outcome] += 1
    assert verdicts[True, Outcome.CORRECT] == 40
    assert verdicts[False, Outcome.WRONG] >= 36
    assert verdicts.total() == 80


# ------------------------------------------------------------------ the task


def test_gold_programs_pass_in_every_split() -> None:
    task = made(train_size=12, validation_size=6, test_size=6)
    problems = [problem for split in SPLITS for problem in task.problems(split)]
    assert len(problems) == 24
    assert all(task.verify(problem, task.gold(problem)).correct for problem in problems)


def test_a_known_request_is_asked_and_checked() -> None:
    task = made(languages={"en": 1.0})
    item = Program(("sort", "front"), (0, 42))
    problem = task._problem(item, program_requests.key(item))
    assert problem.id == "code/sort0/front42"
    assert "sorts the list x and then puts 42 at the front of it" in problem.messages[0].content
    assert task.verify(problem, "def f(x):\n    return [42] + sorted(x)").correct
    assert task.verify(problem, "```python\ndef f(x):\n    return (42, *sorted(x))\n```").correct
    wrong = task.verify(problem, "def f(x):\n    return sorted(x) + [42]")
    assert wrong.outcome is Outcome.WRONG
    assert re.fullmatch(r"test [2-5]: expected \[42, .+\], got \[.+, 42\]", wrong.detail)
    assert task.verify(problem, "return sorted(x)").outcome is Outcome.MALFORMED


@given(st.text(max_size=80))
def test_no_answer_makes_the_task_raise(answer: str) -> None:
    task = made(train_size=1, validation_size=0, test_size=0)
    assert not task.verify(task.problems("train")[0], answer).correct


def test_splits_are_those_of_the_corpus_and_share_no_request() -> None:
    task = made(train_size=300, validation_size=60, test_size=60)
    for split in SPLITS:
        keys = [problem.id.removeprefix("code/") for problem in task.problems(split)]
        assert len(set(keys)) == len(keys) == {"train": 300}.get(split, 60)
        assert {split_of("programs", key) for key in keys} == {split}
    smaller = made(train_size=5, validation_size=60, test_size=3)
    assert smaller.problems("train") == task.problems("train")[:5]
    assert smaller.problems("test") == task.problems("test")[:3]
    assert made(seed=1).problems("test") != made().problems("test")


def test_no_page_of_the_corpus_asks_for_a_held_out_program() -> None:
    asked = {programs.document(random.Random(seed))[0] for seed in range(2000)}
    held_out = {p.messages[0].content for p in made(validation_size=300).problems("validation")}
    assert held_out.isdisjoint(asked)
    assert any(p.messages[0].content in asked for p in made(train_size=2000).problems("train"))


def test_steps_and_languages_follow_the_settings() -> None:
    single = made(steps=[1], train_size=100).problems("train")
    assert {problem.tags for problem in single} == {("1 step",)}
    double = made(steps=2, train_size=100, languages={"zh": 1.0}).problems("train")
    assert {problem.tags for problem in double} == {("2 steps",)}
    assert all(problem.language == "zh" and "再" in problem.messages[0].content for problem in double)
    languages = Counter(problem.language for problem in made(train_size=400).problems("train"))
    assert languages["zh"] / 400 == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 3}, "task 'code': steps: each must be 1 or 2, found [3]"),
        ({"languages": {"fr": 1.0}}, "task 'code': languages: must give en or zh a positive share"),
        ({"seconds": 0}, "task 'code': seconds: Input should be greater than or equal to 1, found 0"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as error:
        make_task("code", **settings)
    assert str(error.value).startswith(message)


def test_too_few_requests_are_told() -> None:
    with pytest.raises(RecipeError, match=r"code: test_size=500, but steps=\[1\] has only about \d+ such"):
        made(steps=1, test_size=500).problems("test")


def test_nothing_runs_where_no_sandbox_holds_it_unless_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = made().problems("train")[0]
    bare = Protection(Tier.LIMITS, run_program, 1, ("start a process",), missing="full: no Landlock")
    monkeypatch.setattr(code_module, "find_protection", lambda workers: bare)
    task = made()
    for refused in (lambda: task.problems("train"), lambda: task.problem_from_reference({"tests": []})):
        with pytest.raises(
            SandboxError, match=r"one could start a process; .* allow_unsafe_programs=true"
        ) as e:
            refused()
        assert "\n" not in str(e.value)
    verdict = task.verify(problem, "def f(x): pass")
    assert (verdict.outcome, verdict.program) == (Outcome.ERROR, None)
    assert "allow_unsafe_programs" in verdict.detail
    allowed = made(allow_unsafe_programs=True)
    assert allowed.verify(problem, allowed.gold(problem)).correct
    assert allowed.protection()["breaches"] == ["start a process"]


def test_windows_is_refused_whatever_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Protection(Tier.LIMITS, None, 1, ())
    monkeypatch.setattr(code_module, "find_protection", lambda workers: nothing)
    monkeypatch.setattr("platform.system", lambda: "Windows")
    with pytest.raises(SandboxError, match="the code task is refused on Windows"):
        made(allow_unsafe_programs=True).problems("train")


# ------------------------------------------------------------------ files

MBPP = {
    "text": "Write a function to find the shared elements.",
    "code": "def similar(a, b):\r\n    return tuple(sorted(set(a) & set(b)))",
    "test_list": ["assert similar((3, 4, 5), (5, 4)) == (4, 5)", "assert similar((1, ), ()) == ()"],
}
APPS_CALL = {
    "question": "Double every number.",
    "input_output": json.dumps(
        {"fn_name": "double", "inputs": [[[1, 2]], [[]]], "outputs": [[[2, 4]], [[]]]}
    ),
    "starter_code": "def double(xs):\n\t",
    "solutions": json.dumps(
        ["class Solution:\n    def double(self, xs):\n        return [2 * x for x in xs]"]
    ),
}
APPS_SCRIPT = {
    "question": "Print the sum of two numbers.",
    "input_output": {"inputs": ["1 2\n", ["3", "4"]], "outputs": ["3\n", ["7", ""]]},
    "solutions": ["import sys\nprint(sum(map(int, sys.stdin.read().split())))"],
}
OWN = {
    "prompt": "Write g(x, y) that adds.",
    "entry": "g",
    "tests": [{"args": [1, 2], "expected": 3}, {"args": ["a", "b"], "expected": "ab"}],
    "solution": "def g(x, y): return x + y",
}


@pytest.mark.parametrize(
    ("row", "tag", "shown", "wrong"),
    [
        (
            MBPP,
            "function",
            "must pass: assert similar((3, 4, 5), (5, 4)) == (4, 5)",
            "similar = lambda a, b: [4, 5]",
        ),
        (APPS_CALL, "function", "def double(xs):", "def double(xs): return [[2 * x for x in xs]]"),
        (APPS_SCRIPT, "script", "Print the sum", "print(3)"),
        (OWN, "function", "g(x, y)", "def g(x, y): return 3"),
    ],
)
def test_rows_of_the_common_data_sets_are_read_and_checked(
    tmp_path: Path, row: dict[str, Any], tag: str, shown: str, wrong: str
) -> None:
    task = made(data=write(tmp_path / "rows.jsonl", row))
    problem = only(task)
    assert (problem.tags, problem.task) == ((tag,), "code")
    assert shown in problem.messages[0].content
    assert json.loads(json.dumps(problem.reference)) == problem.reference
    assert task.verify(problem, task.gold(problem)).correct
    assert task.verify(problem, wrong).outcome is Outcome.WRONG
    again = task.problem_from_reference(row)
    assert again.reference["tests"] == problem.reference["tests"]
    assert task.problem_from_reference({**problem.reference}).reference == problem.reference


def test_a_file_of_test_problems_is_the_test_split_and_leaves_training(tmp_path: Path) -> None:
    rows = [{**OWN, "prompt": f"Add, variant {number}."} for number in range(60)]
    data = write(tmp_path / "a.jsonl", *rows)
    task = made(data=data, test_data=write(tmp_path / "t.jsonl", *rows[:12], rows[0]), train_size=100)
    ids = {split: {problem.id for problem in task.problems(split)} for split in SPLITS}
    assert len(ids["test"]) == 12
    assert not ids["test"] & (ids["train"] | ids["validation"])
    assert len(ids["train"]) + len(ids["validation"]) == 48
    assert len(made(test_data=str(tmp_path / "t.jsonl"), test_size=5).problems("test")) == 5


def test_a_row_without_a_solution_has_no_gold(tmp_path: Path) -> None:
    row = {key: value for key, value in OWN.items() if key != "solution"}
    task = made(data=write(tmp_path / "rows.jsonl", row))
    with pytest.raises(DataError, match="its row has no solution"):
        task.gold(only(task))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"prompt": None}, "field 'prompt' or 'question' or 'text' is missing; found prompt, entry"),
        ({"prompt": " "}, "field 'prompt' must be non-empty text, found ' '"),
        ({"tests": None}, "field 'tests' or 'test_list' or 'input_output' is missing; found prompt"),
        ({"tests": []}, "field 'tests': holds no test"),
        ({"tests": [{"args": [1]}]}, "field 'tests': must be a list of tests with 'args' and 'expected'"),
        ({"tests": [{"args": 1, "expected": 2}]}, "field 'tests': the arguments must be a list, found 1"),
        ({"entry": "a b"}, "field 'tests': 'entry' must be a function's name, found 'a b'"),
        ({"entry": None}, "field 'tests': must be a list of tests with 'stdin' and 'stdout'"),
        (
            {"tests": [{"args": [{"__set__": [[1]]}], "expected": 1}]},
            "field 'tests': a list, set or dictionary inside a set",
        ),
        (
            {"tests": None, "test_list": ["import os"]},
            "field 'test_list': only lines like 'assert f(1) == 2' with literals are read, found 'import os'",
        ),
        ({"tests": None, "test_list": ["assert f(g(1)) == 2"]}, "field 'test_list': only lines like"),
        ({"tests": None, "test_list": ["assert f(1) == 1j"]}, "field 'test_list': only lines like"),
        ({"tests": None, "test_list": ["assert f(*[1]) == 1"]}, "field 'test_list': only lines like"),
        ({"tests": None, "test_list": ["assert f(" + "(" * 9999]}, "field 'test_list': only lines like"),
        (
            {"tests": None, "test_list": ["assert f(1) == 1", "assert g(1) == 1"]},
            "calls several functions: f, g",
        ),
        ({"tests": None, "input_output": "{"}, "field 'input_output': is no JSON, found '{'"),
        ({"tests": None, "input_output": "[]"}, "field 'input_output': must hold an object with 'inputs'"),
        ({"tests": None, "input_output": {"inputs": [1], "outputs": []}}, "must be lists of one length"),
        (
            {"tests": None, "input_output": {"inputs": [1], "outputs": [2]}},
            "what is read and printed must be text",
        ),
        (
            {"tests": None, "input_output": {"inputs": [[1]], "outputs": [2], "fn_name": ""}},
            "'fn_name' must be",
        ),
    ],
)
def test_a_bad_row_is_named_and_may_be_skipped(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = write(tmp_path / "rows.jsonl", {**OWN, "prompt": "Another."}, {**OWN, **change})
    with pytest.raises(DataError) as error:
        made(data=path).problems("train")
    assert str(error.value).startswith(f"{path}: row 2: ")
    assert reason in str(error.value)
    assert str(error.value).endswith("skip_bad_rows=true leaves such rows out")
    lenient = made(data=path, skip_bad_rows=True)
    assert only(lenient).messages[0].content == "Another."
    assert lenient.skipped == 1

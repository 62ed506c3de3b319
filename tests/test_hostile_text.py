"""Long runs of combining marks, which Unicode normalisation puts into order in quadratic time."""

from __future__ import annotations

import ast
import random
import time
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.datasets import forms
from r1kit.datasets.filters import Candidate, FilterSettings, Screen
from r1kit.datasets.refinement import RefinementRules, refine
from r1kit.errors import DataError
from r1kit.rewards.registry import REWARDS, RewardInput
from r1kit.rewards.rubric import grade
from r1kit.tasks.code_rows import read_tests
from r1kit.tasks.protocol import Task
from r1kit.tasks.registry import make_task
from r1kit.text.behaviours import behaviour_counts
from r1kit.text.language import language_consistency
from r1kit.text.tags import final_part, parse
from r1kit.tracking.terminal import printable
from r1kit.types import Completion, Demonstration, Message, Outcome, Problem
from r1kit.verify.program_check import MAX_CHARACTERS, check_program
from r1kit.verify.program_run import Limits
from r1kit.verify.program_text import MAX_MARKS, longest_run_of_marks, parse_program
from r1kit.verify.programs import run_program
from r1kit.world.glossary import micro_glossary

MEGABYTE = "\u0301" * 250_000 + "\u0316" * 250_000  # in UTF-8; the second half belongs before the first
TASKS = ("countdown", "math", "knights_knaves", "dialogue", "code")


def task_and_problem(name: str) -> tuple[Task, Problem]:
    task = make_task(name, train_size=1, validation_size=0, test_size=0)
    (problem,) = task.problems("train")
    return task, problem


def completion(text: str) -> Completion:
    return Completion((), (), (), (), text, "stop", 0)


def read(text: str) -> Iterator[object]:
    """Everything that reads a response, one after the other."""
    yield parse(text)
    yield final_part(text)
    yield forms.convert(text, "tags")
    yield printable(text)
    for language in ("en", "zh"):
        yield behaviour_counts(text, language)
        yield language_consistency(text, language)
        yield refine(text, "3+7", language, RefinementRules(), micro_glossary())
    messages = (Message("user", "Use the numbers 3, 7 to make 10."), Message("assistant", text))
    long_lines = {"max_paragraph_words": 10**9, "max_paragraph_characters": 10**9}
    screen = Screen(FilterSettings(min_consistency=0.0, **long_lines), ["another question"])  # type: ignore[arg-type]
    yield screen.reason(Candidate(Demonstration("1", "countdown", messages, "test")))
    task, problem = task_and_problem("countdown")
    graded = grade(problem, completion(text), task)
    yield graded
    for term in REWARDS.values():
        for published in {False, "published" in term.parameters.model_fields}:
            if term.function is not None:
                parameters = term.parameters(**({"published": True} if published else {}))
                yield term.function(RewardInput(problem, completion(text), *graded), parameters)


@pytest.mark.parametrize("text", [MEGABYTE, f"<think>so 3+7=10\na{MEGABYTE}</think>\n<answer>3+7</answer>"])
def test_a_megabyte_of_marks_is_read_in_linear_time(text: str) -> None:
    list(read(text[:9]))  # imports, tables
    readers, start = read(text), time.process_time()
    for _ in readers:
        assert time.process_time() - start < 2.0
        start = time.process_time()


@pytest.mark.parametrize("name", TASKS)
def test_a_megabyte_of_marks_as_an_answer_is_refused_in_linear_time(name: str) -> None:
    task, problem = task_and_problem(name)
    start = time.process_time()
    _, verdict = grade(problem, completion(f"<think>a</think><answer>a{MEGABYTE}</answer>"), task)
    assert verdict.outcome in (Outcome.MALFORMED, Outcome.WRONG)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("mark", ["\u0301\u0316", "\u0f73", "\uff9e"])
def test_the_longest_program_of_marks_is_refused_before_its_names_are_normalised(mark: str) -> None:
    name = "a" + mark * ((MAX_CHARACTERS - 30) // len(mark))
    start = time.process_time()
    verdict = check_program(f"def f(x):\n    {name} = 1", "f", [], Limits(1, 5.0), run_program)
    assert verdict.outcome is Outcome.MALFORMED
    with pytest.raises(DataError, match="only lines like"):
        read_tests({"test_list": [f"assert {name}(1) == 2"]}, "row 1")
    assert time.process_time() - start < 0.3


def test_names_of_any_language_are_parsed() -> None:
    code = "def größe(数, é=1):\n    naïve = 'z' + '\u0301' * 3\n    return naïve"
    assert ast.dump(parse_program(code)) == ast.dump(ast.parse(code))
    most = "a" + "\u0301" * MAX_MARKS
    assert ast.dump(parse_program(most)) == ast.dump(ast.parse(most))
    with pytest.raises(SyntaxError, match="more than 30 combining marks in a row"):
        parse_program(most + "\u0301")


@given(st.text(st.sampled_from("ab é\u0301\u0316\u0f73\uff9e\u0344가\ud800"), max_size=40))
def test_a_run_of_marks_is_what_normalisation_has_to_put_in_order(text: str) -> None:
    decomposed, longest, run = unicodedata.normalize("NFKD", text), 0, 0
    for character in decomposed:
        run = run + 1 if unicodedata.combining(character) else 0
        longest = max(longest, run)
    assert longest_run_of_marks(text) <= longest <= 3 * (longest_run_of_marks(text) + 1)


def test_programs_of_allowed_marks_take_linear_time() -> None:
    rng = random.Random(1)
    marks = [chr(i) for i in range(0x300, 0x370) if unicodedata.combining(chr(i))]
    count = MAX_CHARACTERS // (MAX_MARKS + 1)
    pieces = ["a" + "".join(rng.choices(marks, k=MAX_MARKS)) for _ in range(count)]
    start = time.process_time()
    parse_program("".join(pieces))
    assert time.process_time() - start < 0.3

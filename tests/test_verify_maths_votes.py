"""Which answers are one vote."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from r1kit.stages.metrics import consensus, same_value
from r1kit.tasks.math import Math, MathSettings
from r1kit.tasks.protocol import GroupsAnswers
from r1kit.types import Completion, Problem, Prompt, Rollout, RolloutGroup
from r1kit.verify.maths import symbolic
from r1kit.verify.maths.declared import Declared
from r1kit.verify.maths.votes import MAX_CLASSES, classes


@pytest.fixture(autouse=True, scope="module")
def _no_process_is_left() -> Iterator[None]:
    yield
    symbolic.close()


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["1/2", "0.5", r"\frac12", "x = 1/2", "2"], [0, 0, 0, 0, 1]),
        (["(1,2)", "x=1, y=2", "(2,1)", "[1,2]", "{1,2}"], [0, 0, 1, 2, 3]),
        ([r"\log_2 3", r"\frac{\ln 3}{\ln 2}", r"\log_3 2"], [0, 0, 1]),
        (["2, -2", r"\pm 2", "x_1=2, x_2=-2", "2"], [0, 0, 0, 1]),
        (["A", "(A)", "A. 12", "B"], [0, 0, 0, 1]),
        (["no solution", r"\emptyset", "无解", "0"], [0, 0, 0, 1]),
        (["3+5", "8", "5+3"], [0, 1, 0]),  # the verifier takes no arithmetic for a number
        (["what is", "what  is", "what was"], [0, 0, 1]),
        ([], []),
    ],
)
def test_answers_that_the_verifier_calls_equal_are_one_vote(answers: list[str], expected: list[int]) -> None:
    assert classes(answers) == expected


def test_what_the_data_set_declares_holds_for_votes() -> None:
    assert classes(["18 eggs", "18"]) == [0, 1]
    assert classes(["18 eggs", "18"], Declared(units="optional")) == [0, 0]


def test_more_classes_than_are_compared_stay_apart_and_numbers_still_meet() -> None:
    many = [f"x^{{{n}}}+{n}" for n in range(2, 3 * MAX_CLASSES)]
    found = classes([*many, "1/3", r"\frac{2}{6}", many[0]])
    assert found[: len(many)] == list(range(len(many)))
    assert found[-3:] == [len(many), len(many), 0]


def test_hostile_votes_take_bounded_time() -> None:
    hostile = [rf"\sin({n}x)^{{\sin({n}x)^{{{n}}}}}" for n in range(2, 66)]
    start = time.process_time()
    assert len(classes(hostile)) == len(hostile)
    assert time.process_time() - start < 5.0  # of this process; each question of the other has 1.2 s


def voted(task: Math, problem: Problem, *answers: str) -> RolloutGroup:
    """Samples with these answers, each with the task's own verdict."""
    completion = Completion((7,), (1,), (0.0,), (0.0,), "x", "stop", 0)
    rollouts = tuple(Rollout(completion, task.verify(problem, answer), None) for answer in answers)
    return RolloutGroup(problem, Prompt((7,), ""), rollouts)


def test_the_majority_of_equal_spellings_beats_a_repeated_wrong_text() -> None:
    task = Math(MathSettings())
    problem = task.problem_from_reference({"question": "?", "answer": "(1/2, 3)"})
    group = voted(task, problem, "(2,3)", r"(\frac12, 3)", "(2,3)", "(0.5, 3)", "x=1/2, y=3")
    assert isinstance(task, GroupsAnswers)
    assert consensus([group], task.same_answers) == 1.0
    assert consensus([group], same_value) == 0.0


def test_units_and_unknowns_of_generated_problems_do_not_divide_votes() -> None:
    task = Math(MathSettings())
    story = task.problem_from_reference({"question": "?", "answer": "12", "counted_in": ["apples"]})
    assert task.same_answers(story, ["12", "12 apples", "$12$ apples.", "12 pears"]) == [0, 0, 0, 1]
    equation = task.problem_from_reference({"question": "?", "answer": "3", "unknown": "n"})
    assert task.same_answers(equation, ["n=3", "3", "n = 4"]) == [0, 0, 1]

"""The questions of a step: shares, epochs, last steps."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from r1kit.learning.order import draw
from r1kit.learning.questions import Questions, Source
from r1kit.types import Message, Problem


def problems(task: str, count: int) -> list[Problem]:
    return [Problem(f"{task}/{i}", task, (Message("user", str(i)),), {}) for i in range(count)]


def test_one_source_is_drawn_as_ever() -> None:
    only = problems("a", 7)
    questions = Questions({"a": Source(only)}, 5, 3, seed=4)
    assert [questions(step) for step in range(1, 6)] == [
        [only[i] for i in draw(7, 4, step, 3)] for step in range(5)
    ]


def test_further_questions_come_in_the_shares_of_the_step() -> None:
    sources = {
        "a": Source(problems("a", 50), 3.0),
        "b": Source(problems("b", 50), 1.0),
        "late": Source(problems("late", 9), 4.0, last_steps=1),
    }
    questions = Questions(sources, 400, 8, seed=1)
    single = Counter(questions.more(step, 1, 1, [])[0].task for step in range(1, 400))
    assert set(single) == {"a", "b"}
    assert 265 <= single["a"] <= 335  # 299.25 expected, standard deviation 8.6
    assert {problem.task for problem in questions.more(400, 1, 60, [])} == {"late", "a", "b"}


def test_further_questions_are_others_each_round_and_the_same_on_resuming() -> None:
    sources = {"a": Source(problems("a", 20), 3.0), "b": Source(problems("b", 20), 1.0)}
    questions = Questions(sources, 5, 8, seed=1)
    asked = questions(2)
    first = questions.more(2, 1, 4, asked)
    second = questions.more(2, 2, 3, asked + first)
    names = [problem.id for problem in [*asked, *first, *second]]
    assert len(set(names)) == len(names) == 15
    assert first == Questions(sources, 5, 8, seed=1).more(2, 1, 4, asked)
    assert questions.more(3, 1, 4, []) != questions.more(2, 1, 4, [])


def test_where_all_were_asked_further_questions_come_again() -> None:
    only = problems("a", 3)
    questions = Questions({"a": Source(only)}, 5, 3, seed=1)
    again = questions.more(1, 1, 2, only[:2])
    assert len(again) == 2
    assert only[2] in again
    assert len(questions.more(1, 1, 2, only)) == 2


def test_shares_hold_and_each_source_goes_through_its_problems() -> None:
    sources = {"a": Source(problems("a", 10), 3.0), "b": Source(problems("b", 4), 1.0)}
    questions = Questions(sources, 20, 6, seed=1)
    asked = [questions(step) for step in range(1, 21)]
    assert all(len(step) == 6 for step in asked)
    counts = Counter(problem.task for step in asked for problem in step)
    assert counts == {"a": 90, "b": 30}  # 4.5 and 1.5 a step
    assert {Counter(p.task for p in step)["b"] for step in asked} == {1, 2}
    of_b = [problem.id for step in asked for problem in step if problem.task == "b"]
    assert all(len(set(of_b[i : i + 4])) == 4 for i in range(0, 28, 4))  # every epoch has all of them


def test_a_source_may_come_in_the_last_steps_alone() -> None:
    sources = {"a": Source(problems("a", 9)), "b": Source(problems("b", 9), 3.0, last_steps=2)}
    questions = Questions(sources, 5, 4, seed=1)
    tasks = [Counter(problem.task for problem in questions(step)) for step in range(1, 6)]
    assert tasks == [{"a": 4}, {"a": 4}, {"a": 4}, {"a": 1, "b": 3}, {"a": 1, "b": 3}]


@given(st.lists(st.floats(0.01, 10), min_size=2, max_size=5), st.integers(1, 40), st.integers(1, 12))
def test_every_step_has_its_number_and_no_source_falls_behind(
    shares: list[float], per_step: int, steps: int
) -> None:
    sources = {str(i): Source(problems(str(i), 3), share) for i, share in enumerate(shares)}
    questions = Questions(sources, steps, per_step, seed=2)
    counts: Counter[str] = Counter()
    for step in range(1, steps + 1):
        asked = questions(step)
        assert len(asked) == per_step
        counts.update(problem.task for problem in asked)
    for i, share in enumerate(shares):
        assert abs(counts[str(i)] - steps * per_step * share / sum(shares)) <= len(shares) + 1


def test_a_step_does_not_depend_on_those_asked_for_before() -> None:
    sources = {"a": Source(problems("a", 5)), "b": Source(problems("b", 5))}
    first = Questions(sources, 9, 3, seed=1)
    again = Questions(sources, 9, 3, seed=1)
    for step in range(1, 7):
        first(step)
    assert first(7) == again(7)

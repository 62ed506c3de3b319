"""Adaptive difficulty: which levels are asked, how the pass rate moves it, and what a checkpoint needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from r1kit.learning.difficulty import AdaptiveQuestions, DifficultySettings
from r1kit.schedules import Schedule
from r1kit.types import Completion, Message, Outcome, Problem, Prompt, Rollout, RolloutGroup, Verdict

LEVELS = ("two", "three", "four")
PROBLEMS = {
    level: [Problem(f"{level}/{k}", level, (Message("user", "?"),), {}) for k in range(20)]
    for level in LEVELS
}


def questions(start=0.0, state=None, per_step=8, **settings):
    chosen = DifficultySettings(levels=LEVELS, start=start, **settings)
    return AdaptiveQuestions(PROBLEMS, chosen, per_step, 7, state)


def groups(right, wrong):
    outcomes = [Outcome.CORRECT] * right + [Outcome.WRONG] * wrong
    completion = Completion((1,), (2,), (0.0,), (0.0,), "a", "stop", 0)
    rollouts = tuple(Rollout(completion, Verdict(outcome, "a"), None, None) for outcome in outcomes)
    return [RolloutGroup(PROBLEMS["two"][0], Prompt((1,)), rollouts)]


def asked(found):
    return [sum(problem.task == level for problem in found) for level in LEVELS]


def test_a_difficulty_between_levels_asks_both_in_its_proportion():
    assert asked(questions(0.0)(1)) == [8, 0, 0]
    assert asked(questions(0.25)(1)) == [6, 2, 0]
    assert asked(questions(1.5)(1)) == [0, 4, 4]
    assert asked(questions(2.0)(1)) == [0, 0, 8]


def test_the_difficulty_follows_the_pass_rate_into_the_band():
    ladder = questions(1.0, band=(0.4, 0.7), move=0.25)
    assert ladder.learn(groups(8, 2)) == {"difficulty": 1.0}
    assert ladder.difficulty == 1.25
    ladder.learn(groups(7, 3))  # on the edge of the band: it stays
    ladder.learn(groups(4, 6))
    assert ladder.difficulty == 1.25
    ladder.learn(groups(3, 7))
    assert ladder.difficulty == 1.0


def test_what_could_not_be_verified_says_nothing_of_the_difficulty():
    completion = Completion((1,), (2,), (0.0,), (0.0,), "a", "stop", 0)
    failed = Rollout(completion, Verdict(Outcome.ERROR), None, None)
    ladder = questions(1.0, band=(0.4, 0.7), move=0.25)
    ladder.learn([RolloutGroup(PROBLEMS["two"][0], Prompt((1,)), (failed,) * 9)])
    assert ladder.difficulty == 1.0
    right = groups(8, 2)[0]
    ladder.learn([right, RolloutGroup(right.problem, right.prompt, (failed,) * 9)])
    assert ladder.difficulty == 1.25


def test_one_question_at_a_time_is_of_each_level_as_often_as_the_difficulty_says():
    harder = [asked(questions(0.25, per_step=1)(step))[1] for step in range(1, 1001)]
    assert 0.2 < sum(harder) / len(harder) < 0.3


def test_the_difficulty_stays_between_the_first_and_the_last_level():
    ladder = questions(0.1, move=1.0)
    ladder.learn(groups(0, 9))
    assert ladder.difficulty == 0.0
    for _ in range(5):
        ladder.learn(groups(9, 0))
    assert ladder.difficulty == 2.0


def test_the_questions_are_those_of_the_seed_the_step_and_the_difficulty():
    first = questions(0.5)
    assert first(3) == questions(0.5)(3)
    assert first(3) != first(4)
    resumed = questions(0.0, state=first.state())
    assert resumed(4) == first(4)
    assert len({problem.id for problem in first(3)}) == 8


def test_further_questions_are_of_the_same_difficulty_and_new():
    ladder = questions(0.5)
    before = ladder(1)
    further = ladder.more(1, 1, 6, before)
    assert asked(further) == [3, 3, 0]
    assert not {problem.id for problem in further} & {problem.id for problem in before}
    assert ladder.more(1, 2, 6, before) != further


def test_the_number_of_questions_may_follow_a_schedule():
    per_step = Schedule(shape="step", points={1: 4, 3: 10})
    ladder = questions(0.5, per_step=per_step)
    assert [len(ladder(step)) for step in (1, 2, 3)] == [4, 4, 10]


@given(st.floats(0, 2), st.integers(1, 60))
def test_every_difficulty_gives_the_number_of_questions_asked_for(difficulty, count):
    found = questions(difficulty, per_step=count)(1)
    assert len(found) == count
    assert sum(share > 0 for share in asked(found)) <= 2


WRONG = [
    ({"band": (0.7, 0.4)}, "two rising numbers"),
    ({"band": (0.2, 1.4)}, "two rising numbers"),
    ({"start": 2.5}, "above the last level, 2"),
    ({"levels": ("two", "two")}, "each task stands for one level"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        DifficultySettings(**{"levels": LEVELS, **settings})

"""Numbers that change over the steps: their values, where they may stand, and how they are refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from r1kit.errors import RecipeError
from r1kit.learning.questions import Questions, Source
from r1kit.learning.scheduled import SCHEDULED
from r1kit.learning.settings import RLSettings
from r1kit.pipeline.explain import validate
from r1kit.schedules import Schedule, value_at
from r1kit.stages.rubrics import term_specs
from r1kit.stages.settings import RLStageSettings
from r1kit.types import Message, Problem


def rl(written):
    """As a recipe's loader reads it."""
    return validate(RLSettings, written, ("stages", "zero"), lambda path: "recipe.yaml")


def schedule(shape, **points):
    return Schedule(shape=shape, points={int(step[1:]): value for step, value in points.items()})


def test_a_step_schedule_holds_each_value_until_the_next_point():
    rooms = schedule("step", s1=32.0, s3=64.0, s5=16.0)
    assert [rooms.at(step) for step in range(1, 8)] == [32, 32, 64, 64, 16, 16, 16]


def test_a_linear_schedule_is_straight_between_its_points_and_level_outside():
    line = schedule("linear", s2=1.0, s6=2.0, s8=1.0)
    assert [line.at(step) for step in range(1, 10)] == [1, 1, 1.25, 1.5, 1.75, 2, 1.5, 1, 1]


def test_a_cosine_schedule_falls_by_half_a_wave():
    fall = schedule("cosine", s1=1.0, s5=0.2)
    expected = [0.2 + 0.4 * (1 + math.cos(math.pi * k / 4)) for k in range(5)]
    assert [fall.at(step) for step in range(1, 6)] == pytest.approx(expected, rel=1e-15)


@given(
    st.dictionaries(st.integers(1, 50), st.floats(-1e3, 1e3), min_size=1, max_size=5),
    st.sampled_from(["step", "linear", "cosine"]),
    st.integers(1, 60),
)
def test_a_schedule_meets_its_points_and_never_leaves_their_range(points, shape, step):
    made = Schedule(shape=shape, points=dict(sorted(points.items())))
    assert all(made.at(at) == value for at, value in points.items())
    assert min(points.values()) - 1e-9 <= made.at(step) <= max(points.values()) + 1e-9


@pytest.mark.parametrize("points", [{}, {0: 1.0}, {3: 1.0, 2: 0.5}])
def test_points_count_from_1_and_rise(points):
    with pytest.raises(ValidationError):
        Schedule(points=points)


WRITTEN = {
    "steps": 9,
    "group_size": {"shape": "linear", "points": {1: 4, 5: 7}},
    "sampling": {"max_new_tokens": 8, "temperature": {"points": {1: 1.0, 3: 1.2, 6: 0.9}}},
    "optimizer": {"learning_rate": {"shape": "cosine", "points": {2: 1e-4, 9: 1e-6}}, "warmup_steps": 2},
}


def test_a_schedule_is_written_where_the_number_stands_and_every_step_has_plain_settings():
    settings = rl(WRITTEN)
    assert set(settings.schedules) == {"group_size", "sampling.temperature", "optimizer.learning_rate"}
    assert (settings.group_size, settings.sampling.temperature) == (4, 1.0)
    steps = [settings.at(step) for step in range(1, 10)]
    assert [now.sampling.temperature for now in steps] == [1, 1, 1.2, 1.2, 1.2, 0.9, 0.9, 0.9, 0.9]
    assert [now.group_size for now in steps] == [4, 5, 6, 6, 7, 7, 7, 7, 7]  # 4.75 and 5.5 are rounded
    assert all(isinstance(now.group_size, int) for now in steps)
    assert steps[8].optimizer.learning_rate == pytest.approx(1e-6)
    assert (steps[3].optimizer.warmup_steps, steps[3].sampling.max_new_tokens) == (2, 8)
    assert not steps[3].schedules
    assert settings.ever("sampling.temperature") == 1.2
    assert settings.ever("objective.kl_beta") == 0.0


def test_settings_without_schedules_are_those_of_every_step():
    settings = RLSettings(steps=4)
    assert settings.at(3) is settings


def test_settings_with_schedules_read_back_what_they_dump():
    settings = rl(WRITTEN)
    assert RLSettings.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize("path", SCHEDULED)
def test_every_setting_of_the_list_takes_a_schedule(path):
    *groups, name = path.split(".")
    points = {1: 2, 2: 3} if SCHEDULED[path] is int or name == "dual_clip" else {1: 0.5, 2: 1.0}
    scheduled = {name: {"shape": "step", "points": points}}
    now = rl({groups[0]: scheduled} if groups else scheduled).at(2).model_dump()
    for part in path.split("."):
        now = now[part]
    assert now == points[2]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            {"sampling": {"temperature": {"points": {1: 1.0, 5: 0.0}}}},
            r"sampling\.temperature at step 5: .*temperature is 0",
        ),
        ({"group_size": {"points": {1: 4, 2: 1}}}, r"group_size at step 2: .*one alone teaches nothing"),
        (
            {"group_size": {"points": {3: 4, 2: 5}}},
            r"schedules\.group_size: points: steps count from 1",
        ),
        ({"group_size": {"points": {1: "many"}}}, r"schedules\.group_size\.points\.1: found 'many' \(text\)"),
        ({"group_size": {"points": {1: 4}, "shap": "step"}}, r"schedules\.group_size\.shap: unknown key"),
        ({"steps": {"points": {1: 5}}}, r"zero\.steps: found .* expected an integer"),
        (
            {"schedules": {"save_every": {"points": {1: 5}}}},
            "save_every has none; these may: questions_per_step",
        ),
        ({"schedules": 3}, r"zero\.schedules: found 3 \(integer\), expected a mapping"),
    ],
)
def test_a_wrong_schedule_is_refused_with_its_place(written, message):
    with pytest.raises(RecipeError, match=message):
        rl(written)


def problems(task):
    return [Problem(f"{task}/{i}", task, (Message("user", str(i)),), {}) for i in range(9)]


def test_tasks_and_questions_follow_their_schedules():
    people3, people5 = schedule("step", s1=1.0, s4=0.0), schedule("step", s1=0.0, s4=1.0)
    sources = {"3": Source(problems("3"), people3), "5": Source(problems("5"), people5)}
    questions = Questions(sources, 6, schedule("step", s1=4.0, s3=2.0), seed=1)
    asked = [[problem.task for problem in questions(step)] for step in range(1, 7)]
    assert asked == [["3"] * 4, ["3"] * 4, ["3"] * 2, ["5"] * 2, ["5"] * 2, ["5"] * 2]


def test_one_source_with_scheduled_questions_goes_through_its_problems():
    questions = Questions({"a": Source(problems("a"))}, 4, schedule("step", s1=4.0, s2=1.0), seed=1)
    asked = [problem.id for step in range(1, 5) for problem in questions(step)]
    assert len(asked) == len(set(asked)) == 7


def test_a_step_without_any_task_is_refused():
    tasks = {"a": {"share": {"points": {1: 1.0, 3: 0.0}}}, "b": {"share": 1.0, "last_steps": 2}}
    with pytest.raises(ValidationError, match="none has a share of step 3"):
        RLStageSettings.model_validate({"steps": 6, "tasks": tasks, "rewards": {"accuracy": 1.0}})
    fine = RLStageSettings.model_validate({"steps": 4, "tasks": tasks, "rewards": {"accuracy": 1.0}})
    assert fine.steps == 4


LAST = st.none() | st.integers(1, 14)
POINTS = st.dictionaries(st.integers(1, 14), st.sampled_from([0.0, 1.0]), min_size=1).map(
    lambda points: dict(sorted(points.items()))
)
SHARES = st.builds(Schedule, shape=st.sampled_from(["step", "linear", "cosine"]), points=POINTS)


@given(st.lists(st.tuples(SHARES, LAST), min_size=1, max_size=3), st.integers(1, 12))
def test_a_step_without_any_task_is_found_wherever_it_is(tasks, steps):
    shares = {
        str(k): {"share": share.model_dump(), "last_steps": last}
        for k, (share, last) in enumerate(tasks)
        if max(share.points.values()) > 0
    }
    empty = [
        step
        for step in range(1, steps + 1)
        if not any(share.at(step) > 0 and (last is None or step > steps - last) for share, last in tasks)
    ]
    written = {"steps": steps, "tasks": shares, "rewards": {"accuracy": 1.0}}
    if not shares:
        return
    if empty:
        with pytest.raises(ValidationError, match="none has a share of step"):
            RLStageSettings.model_validate(written)
    else:
        assert RLStageSettings.model_validate(written).steps == steps


def test_the_weight_of_a_reward_takes_a_schedule():
    rewards = {"accuracy": 1.0, "format": {"weight": {"points": {"1": 1.0, "4": 0.0}}}}
    written = {"tasks": ["a"], "rewards": rewards}
    settings = validate(RLStageSettings, written, (), str)
    accuracy, form = term_specs(settings.rewards)
    assert accuracy.weight == 1.0
    assert [value_at(form.weight, step) for step in (1, 3, 4)] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("share", [-1.0, 0.0, {"points": {1: 1.0, 2: -0.5}}, {"points": {1: 0.0}}])
def test_a_share_is_positive_somewhere_and_negative_nowhere(share):
    with pytest.raises(ValidationError, match="share: must not be negative"):
        RLStageSettings.model_validate({"tasks": {"a": {"share": share}}, "rewards": {"accuracy": 1.0}})


def test_a_plain_number_is_its_own_value_at_every_step():
    assert value_at(0.5, 7) == 0.5

"""Preference pairs from a model's own samples: by hand, and small from the packaged base."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from r1kit.datasets.records import read_preferences
from r1kit.errors import DataError
from r1kit.pipeline.config import load_recipe
from r1kit.pipeline.runner import RunOptions, run_recipe
from r1kit.stages.data_settings import RewardSamplesSettings
from r1kit.stages.reward_samples import RewardSamplesStage, sides, usable
from r1kit.stages.sampling_log import LoggedSample
from r1kit.tasks.registry import make_task
from r1kit.text.tags import parse
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Outcome, Preference, Problem

TASK = make_task("countdown", numbers=3, target_high=40)
PROBLEM = TASK.problems("train")[0]

RECIPE = """name: preference-test
base: micro
threads: 1
tasks: {countdown: {task: countdown, numbers: 3, target_high: 40}}
stages:
  pairs:
    kind: reward_samples
    rows: preferences
    tasks: [countdown]
    problems: 48
    samples: 8
    sampling: {max_new_tokens: 96, temperature: 1.0}
    per_problem: 2
"""


def paired(samples: Sequence[tuple[str, bool]], per_problem: int = 4, gold: bool = True) -> list[Preference]:
    settings = RewardSamplesSettings(
        rows="preferences", tasks=("countdown",), per_problem=per_problem, gold=gold
    )
    outcome = {True: Outcome.CORRECT, False: Outcome.WRONG}
    group = tuple(LoggedSample(text, "stop", len(text), outcome[right], None) for text, right in samples)
    return list(RewardSamplesStage(settings).pairs([PROBLEM], iter([group]), {"countdown": TASK}))


def test_each_wrong_response_is_set_against_the_right_one_of_the_nearest_length() -> None:
    pairs = paired(
        [("right", True), ("wrong!", False), ("right and long", True), ("wrong and longer", False)]
    )
    assert [(p.chosen, p.rejected) for p in pairs] == [
        ("right", "wrong!"),
        ("right and long", "wrong and longer"),
    ]
    assert [p.id for p in pairs] == [f"{PROBLEM.id}/0/sample", f"{PROBLEM.id}/1/sample"]
    assert {(p.prompt, p.language, p.task) for p in pairs} == {
        (PROBLEM.messages, PROBLEM.language, PROBLEM.task)
    }


def test_a_text_counts_once_and_a_problem_gives_at_most_so_many_pairs() -> None:
    samples = [("right", True), *[("same", False)] * 3, ("other", False), ("third", False)]
    assert [p.rejected for p in paired(samples)] == ["same", "other", "third"]
    assert [p.rejected for p in paired(samples, per_problem=2)] == ["same", "other"]


def test_the_gold_response_stands_in_where_none_is_right() -> None:
    (pair,) = paired([("wrong", False)])
    assert pair.chosen == TASK.gold(PROBLEM)
    assert pair.id == f"{PROBLEM.id}/0/gold"
    assert paired([("wrong", False)], gold=False) == []


def test_nothing_comes_of_responses_that_are_all_right() -> None:
    assert paired([("right", True), ("right too", True)]) == []


def is_right(problem: Problem, text: str) -> bool:
    answer = parse(text).answer
    return answer is not None and TASK.verify(problem, answer).correct


def test_judged_rows_have_as_many_right_as_wrong_responses() -> None:
    settings = RewardSamplesSettings(rows="judged", tasks=("countdown",), per_problem=2)
    texts = [("a", False), ("b", True), ("c", False), ("d", True), ("e", True), ("f", False)]
    outcome = {True: Outcome.CORRECT, False: Outcome.WRONG}
    group = tuple(LoggedSample(text, "stop", 1, outcome[right], None) for text, right in texts)
    stage = RewardSamplesStage(settings)
    rows = list(stage.judged([PROBLEM], iter([group])))
    assert [(r.response, r.safe) for r in rows] == [("b", True), ("d", True), ("a", False), ("c", False)]
    assert list(stage.judged([PROBLEM], iter([group[:1]]))) == []


def test_the_gold_answer_stands_in_the_form_of_the_wrong_one() -> None:
    (pair,) = paired([("<think>so</think>\n<answer>wrong</answer>", False)])
    assert pair.chosen == f"<think>so</think>\n<answer>{TASK.gold(PROBLEM)}</answer>"


def test_what_could_not_be_verified_is_neither_right_nor_wrong_and_is_counted() -> None:
    outcomes = (Outcome.ERROR, Outcome.TIMEOUT, Outcome.NO_ANSWER, Outcome.CORRECT)
    group = tuple(LoggedSample(str(outcome), "stop", 1, outcome, None) for outcome in outcomes)
    left_out: Counter[str] = Counter()
    (kept,) = usable([group], left_out)
    assert sides(kept) == ([str(Outcome.CORRECT)], [str(Outcome.NO_ANSWER)])
    assert left_out == {"unverified": 2}


def test_what_no_data_set_may_hold_is_neither_either() -> None:
    texts = ("", "  \n", "a\0b", "\ud800", "good")
    outcomes = (Outcome.CORRECT, Outcome.WRONG)
    group = tuple(LoggedSample(text, "stop", 1, outcome, None) for text in texts for outcome in outcomes)
    left_out: Counter[str] = Counter()
    kept, empty = usable([group, group[:2]], left_out)
    assert sides(kept) == (["good"], ["good"])
    assert empty == ()
    assert left_out == {"unreadable": 8 + 2}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preferences")
    (folder / "recipe.yaml").write_text(RECIPE)
    recipe = load_recipe(str(folder / "recipe.yaml"), [])
    run_recipe(recipe, folder / "run", RunOptions(), Progress(quiet=True), StopFlag())
    return folder / "run/stages/pairs"


def test_sampled_pairs_are_what_the_verifier_says(stage: Path) -> None:
    problems = {problem.id: problem for problem in TASK.problems("train")}
    pairs = read_preferences(str(stage / "data"))
    summary = json.loads((stage / "stage.json").read_text())["summary"]
    assert summary["examples"] == len(pairs) > 48
    assert summary["left_out"] == {}
    assert summary["gold"] == sum(pair.id.endswith("/gold") for pair in pairs) > 0
    for pair in pairs:
        problem = problems[pair.id.rsplit("/", 2)[0]]
        assert not is_right(problem, pair.rejected)
        if pair.id.endswith("/sample"):
            assert is_right(problem, pair.chosen)


def test_no_pair_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    overrides = ["stages.pairs.problems=1", "stages.pairs.samples=1", "stages.pairs.gold=false"]
    recipe = load_recipe(str(tmp_path / "recipe.yaml"), overrides)
    with pytest.raises(DataError, match=r"^pairs: no problem has both a right and a wrong response"):
        run_recipe(recipe, tmp_path / "run", RunOptions(), Progress(quiet=True), StopFlag())

"""Rejection sampling from the packaged base, small: a fifth of its guesses is right."""

import json
from pathlib import Path
from typing import Any

import pytest

from r1kit.datasets.records import read_demonstrations
from r1kit.errors import DataError, Interrupted
from r1kit.pipeline.config import load_recipe
from r1kit.pipeline.runner import RunOptions, run_recipe
from r1kit.stages.rejection_sampling import demonstration
from r1kit.stages.sampling_log import LoggedSample
from r1kit.tasks.registry import make_task
from r1kit.text.tags import parse
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Outcome, Problem

RECIPE = """name: rejection-test
base: micro
threads: 1
tasks: {countdown: {task: countdown, numbers: 3, target_high: 40}}
stages:
  kept:
    kind: rejection_sampling
    tasks: [countdown]
    problems: 160
    samples: 8
    sampling: {max_new_tokens: 96, temperature: 1.0}
    per_problem: 1
"""


class StopAfter(StopFlag):
    """Asks for a stop at its n-th look."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    @property
    def requested(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def go(tmp_path: Path, out: str, *overrides: str, stop: StopFlag | None = None) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    recipe = load_recipe(str(file), overrides)
    run_recipe(recipe, tmp_path / out, RunOptions(resume=True), Progress(quiet=True), stop or StopFlag())
    return tmp_path / out / "stages" / "kept"


def summary_of(stage: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((stage / "stage.json").read_text())["summary"]
    return summary


def right_samples(stage: Path) -> dict[str, int]:
    rows = [json.loads(line) for line in (stage / "samples.jsonl").read_text().splitlines()]
    return {row["problem"]: sum(s["outcome"] == "correct" for s in row["samples"]) for row in rows}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return go(tmp_path_factory.mktemp("rejection"), "run")


def test_everything_kept_is_correct_readable_and_one_of_its_problem(stage: Path) -> None:
    task = make_task("countdown", numbers=3, target_high=40)
    problems = {problem.id: problem for problem in task.problems("train")}
    kept = read_demonstrations(str(stage / "data"))
    assert len({example.id for example in kept}) == len(kept) > 3
    for example in kept:
        parsed = parse(example.messages[-1].content)
        assert parsed.well_formed
        assert parsed.answer is not None
        assert task.verify(problems[example.id], parsed.answer).correct
        assert example.messages[:-1] == problems[example.id].messages


def test_the_funnel_accounts_for_every_sample(stage: Path) -> None:
    summary = summary_of(stage)
    funnel = summary["funnel"]
    assert funnel[0] == {"step": "in", "dropped": 0, "left": 160 * 8}
    assert [row["step"] for row in funnel[1:3]] == ["wrong", "form"]
    assert funnel[-1]["step"] == "choice"
    assert 1280 - sum(row["dropped"] for row in funnel) == funnel[-1]["left"] == summary["examples"]
    rows = [json.loads(line) for line in (stage / "samples.jsonl").read_text().splitlines()]
    right = sum(sample["outcome"] == "correct" for row in rows for sample in row["samples"])
    assert funnel[1]["left"] == right
    assert summary["pass_rate"] == pytest.approx(right / 1280)


def test_broken_sampling_goes_on_to_the_same_data(stage: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="kept: stopped after 128 of 160 problems"):
        go(tmp_path, "run", stop=StopAfter(2))  # before the stage, before its first round
    log = tmp_path / "run/stages/kept/samples.jsonl"
    with log.open("a") as file:
        file.write('{"problem": "a row of a round that a crash')
    broken = go(tmp_path, "run")
    for name in ("samples.jsonl", "data/data.jsonl"):
        assert (broken / name).read_bytes() == (stage / name).read_bytes()


def test_hardest_problems_come_first_when_the_total_is_bounded(stage: Path, tmp_path: Path) -> None:
    bounded = go(tmp_path, "run", "stages.kept.total=3")
    rates = right_samples(bounded)
    chosen = sorted(rates[example.id] for example in read_demonstrations(str(bounded / "data")))
    everything = sorted(rates[example.id] for example in read_demonstrations(str(stage / "data")))
    assert chosen == everything[:3]


def test_without_rejection_samples_are_kept_as_drawn(tmp_path: Path) -> None:
    stage = go(tmp_path, "run", "stages.kept.reject=false", "stages.kept.total=40")
    assert summary_of(stage)["examples"] == 40
    assert [row["step"] for row in summary_of(stage)["funnel"]] == ["in", "unreadable", "overlap", "choice"]
    rates = right_samples(stage)
    kept = [rates[example.id] for example in read_demonstrations(str(stage / "data"))]
    assert sum(kept) > sum(sorted(rates.values())[:40])  # not the hardest problems alone


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kept: no sample is left: 16 sampled, 16 wrong, 0 kept"):
        go(
            tmp_path,
            "run",
            "stages.kept.problems=8",
            "stages.kept.samples=2",
            "stages.kept.sampling.max_new_tokens=1",
        )


def test_a_demonstration_is_the_question_with_the_response() -> None:
    problem: Problem = make_task("countdown").problems("train")[0]
    sample = LoggedSample("<think>a</think><answer>1</answer>", "stop", 9, Outcome.CORRECT, "1")
    made = demonstration(problem, sample)
    assert [message.role for message in made.messages] == ["user", "assistant"]
    assert (made.id, made.origin, made.language) == (problem.id, "rejection", problem.language)

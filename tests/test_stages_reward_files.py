"""Reward files in real runs of the tiny recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_models import checkpoint

from r1kit import cli
from r1kit.errors import Interrupted, RecipeError, RunFolderError, UserError
from r1kit.pipeline.config import load_recipe
from r1kit.pipeline.runner import RunOptions, run_recipe
from r1kit.stages import rl
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag

MINE = """
import random
from r1kit.rewards import reward

seen = []

@reward("moody", low=0, high=9, formula="depends on what came before in the step, and on a draw")
def moody(sample):
    seen.append(sample)
    if len(seen) == 2 and sample.problem.reference["target"] >= 0:
        return 1 / 0
    return len(seen) + random.random()
"""


def go(out: Path, file: Path, *overrides: str, **options: Any) -> None:
    rewards = f"stages.r1_zero.rewards.moody={{file: {file}, weight: 0.5}}"
    small = ["threads=1", "evaluation.stages=[base]", "stages.r1_zero.limits.unscored_share=0.5"]
    recipe = load_recipe("tiny", [f"base={checkpoint('qwen2')}", *small, rewards, *overrides])
    run_recipe(recipe, out, RunOptions(**options), Progress(quiet=True), StopFlag())


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


def logged(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "stages/r1_zero" / name).read_text().splitlines()]


def test_a_resumed_run_scores_as_the_uninterrupted_one(
    tmp_path: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    go(whole, mine)
    real = rl.train_rl

    def stopped_after_one_step(*arguments: Any, stop: StopFlag, **named: Any) -> dict[str, float]:
        stop.request()
        return real(*arguments, stop=stop, **named)

    with monkeypatch.context() as patched:
        patched.setattr(rl, "train_rl", stopped_after_one_step)
        with pytest.raises(Interrupted, match="stopped after step 1 of 2"):
            go(broken, mine)
    go(broken, mine, resume=True)
    for name in ("metrics.jsonl", "rollouts.jsonl"):
        assert (whole / "stages/r1_zero" / name).read_bytes() == (
            broken / "stages/r1_zero" / name
        ).read_bytes()

    metrics, rollouts = logged(whole, "metrics.jsonl"), logged(whole, "rollouts.jsonl")
    assert [(row["unscored"], row["unscored/moody/raised"]) for row in metrics] == [(1.0, 1.0)] * 2
    assert [row["unscored"] for row in rollouts] == [None, "moody/raised", None, None] * 2
    assert [row["reward"] is None for row in rollouts] == [False, True, False, False] * 2
    assert [(row["group"], row["of"]) for row in rollouts[:4]] == [(0, 2), (0, 2), (1, 2), (1, 2)]
    assert rollouts[0]["terms"]["moody"] == rollouts[4]["terms"]["moody"] == 1 + 0.8444218515250481  # seed 0
    lab = tmp_path / "lab.json"
    assert cli.main(["reward-lab", "--rollouts", str(whole / "r1_zero"), "--json", str(lab)]) == 0
    again = json.loads(lab.read_text())["rollouts"]
    assert [sample["then"] for sample in again["samples"]] == [row["reward"] for row in rollouts]
    assert [sample["now"]["total"] for sample in again["samples"]] == [
        "raised" if row["reward"] is None else row["reward"] for row in rollouts
    ]
    assert (len(again["groups"]), again["mean_absolute_change"], again["sign_flips"]) == (4, 0.0, 0.0)
    record = json.loads((whole / "stages/r1_zero/stage.json").read_text())["identity"]
    assert list(record["settings_files"]) == ["rewards.moody.file"]
    assert (whole / "stages/r1_zero/rewards/mine.py").read_text() == MINE


def test_an_edited_file_makes_the_stage_changed(tmp_path: Path, mine: Path) -> None:
    go(tmp_path / "run", mine)
    mine.write_text(MINE + "\n# edited")
    with pytest.raises(RunFolderError, match="settings_files"):
        go(tmp_path / "run", mine, resume=True)
    go(tmp_path / "run", mine, rerun_changed=True)
    assert "# edited" in (tmp_path / "run/stages/r1_zero/rewards/mine.py").read_text()


def test_too_many_unscored_samples_stop_the_run_and_say_why(tmp_path: Path, mine: Path) -> None:
    mine.write_text(MINE.replace("len(seen) == 2", "len(seen) >= 2"))
    with pytest.raises(UserError, match=r"75% of a step's rollouts could not be scored.*\(moody/raised 3\)"):
        go(tmp_path / "run", mine)


def test_a_wrong_file_is_found_when_the_recipe_is_read(mine: Path) -> None:
    mine.write_text(MINE.replace("def moody(sample)", "def moody(sample, parameters, more)"))
    with pytest.raises(RecipeError) as caught:
        load_recipe("tiny", [f"stages.r1_zero.rewards.moody.file={mine}"])
    assert str(caught.value).startswith("command line: stages.r1_zero.rewards: ")
    assert "the function must take (sample) or (sample, parameters)" in str(caught.value)

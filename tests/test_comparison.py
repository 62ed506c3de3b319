"""Comparisons: what each run gets, what becomes of failures and interruptions, and the numbers at the end."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from r1kit.cli import main
from r1kit.errors import RecipeError, UserError
from r1kit.pipeline.comparison import Budget, Variant, prepare, stage_to_compare
from r1kit.pipeline.comparison_runs import run_members
from r1kit.pipeline.config import load_recipe
from r1kit.report.comparison import Curve, on_grid, read_curve, summary, table_rows
from r1kit.report.comparison_picture import draw_comparison
from r1kit.rollouts.intervals import seed_interval
from r1kit.tracking.stop import StopFlag

ROOT = Path(__file__).parents[1]
TOKENS = Budget("tokens", 3000)


def stage_in(member):
    return load_recipe(str(member.recipe)).stage("r1_zero").settings


def prepared(tmp_path, *variants, budget=TOKENS, seeds=(1,), overrides=(), recipe="tiny"):
    return prepare(recipe, stage_to_compare(recipe, None), variants, budget, seeds, tmp_path, overrides)


def test_every_run_has_a_recipe_of_its_own_that_differs_in_variant_and_seed_alone(tmp_path):
    plain, hot = Variant("plain", ()), Variant("hot", ("stages.r1_zero.sampling.temperature=1.5",))
    members = prepared(tmp_path, plain, hot, seeds=(1, 2))
    assert [(m.variant, m.seed) for m in members] == [("plain", 1), ("hot", 1), ("plain", 2), ("hot", 2)]
    first, second, third, _ = (yaml.safe_load(member.recipe.read_text()) for member in members)
    assert (first.pop("name"), second.pop("name"), third.pop("name")) == (
        "tiny-plain",
        "tiny-hot",
        "tiny-plain",
    )
    assert second["stages"]["r1_zero"]["sampling"].pop("temperature") == 1.5
    assert first["stages"]["r1_zero"]["sampling"].pop("temperature") == 1.0
    assert first == second
    assert third | {"seed": 1, "stages": first["stages"]} == first


def test_a_budget_of_tokens_limits_them_and_holds_the_learning_rate(tmp_path):
    (member,) = prepared(tmp_path, Variant("plain", ()))
    settings = stage_in(member)
    assert settings.limits.sampled_tokens == 3000
    assert settings.optimizer.schedule == "constant"
    # tiny: 2 questions x 2 samples of at most 16 tokens; each is surely of one at least
    assert settings.steps == 3000 / 4
    assert load_recipe(str(member.recipe)).run.evaluation.stages == ("r1_zero",)


def test_a_budget_of_steps_leaves_the_schedule_as_it_is(tmp_path):
    (member,) = prepared(tmp_path, Variant("plain", ()), budget=Budget("steps", 7))
    settings = stage_in(member)
    assert (settings.steps, settings.limits.sampled_tokens) == (7, None)
    assert settings.optimizer.schedule == "linear"


def test_what_is_set_for_all_or_by_a_variant_goes_before_what_the_budget_chooses(tmp_path):
    own = Variant("own", ("stages.r1_zero.optimizer.schedule=cosine", "stages.r1_zero.steps=9"))
    (member,) = prepared(tmp_path, own, overrides=["stages.r1_zero.group_size=4"])
    settings = stage_in(member)
    assert (settings.optimizer.schedule, settings.steps, settings.group_size) == ("cosine", 9, 4)


def test_more_updates_of_a_step_take_smaller_ones_by_the_square_root(tmp_path):
    rate = "stages.r1_zero.optimizer.learning_rate"
    variants = [
        Variant("grpo", ("stages.r1_zero.algorithm=grpo",)),  # one update
        Variant("gspo", ("stages.r1_zero.algorithm=gspo",)),  # four
        Variant("dapo", ("stages.r1_zero.algorithm=dapo",)),  # sixteen
        Variant("own", ("stages.r1_zero.algorithm=dapo", f"{rate}=3e-3")),
    ]
    spec = stage_to_compare("tiny", None)
    members = prepare(
        "tiny", spec, variants, TOKENS, [1], tmp_path, [f"{rate}=2e-4"], scale_learning_rate=True
    )
    assert [stage_in(m).optimizer.learning_rate for m in members] == [2e-4, 1e-4, 5e-5, 3e-3]
    falling = f"{rate}={{shape: linear, points: {{1: 1e-4, 9: 1e-5}}}}"
    with pytest.raises(RecipeError, match="is a schedule; it cannot be scaled"):
        prepare("tiny", spec, variants, TOKENS, [1], tmp_path, [falling], scale_learning_rate=True)


def test_no_variant_has_another_budget(tmp_path):
    with pytest.raises(RecipeError, match="the budget of a comparison is one for all, 3000"):
        prepared(tmp_path, Variant("more", ("stages.r1_zero.limits.sampled_tokens=9000",)))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_variant_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(RecipeError, match="unknown algorithm 'dapi'; did you mean 'dapo'"):
        prepared(tmp_path, Variant("ok", ()), Variant("dapi", ("stages.r1_zero.algorithm=dapi",)))
    assert list(tmp_path.iterdir()) == []


def test_a_stage_that_needs_another_one_is_refused_with_what_to_give():
    with pytest.raises(RecipeError, match=r"give stages\.reasoning_rl\.from=RUN/stages/cold_start_sft/model"):
        stage_to_compare("laptop", "reasoning_rl")
    with pytest.raises(RecipeError, match="cold_start_sft is no reinforcement learning"):
        stage_to_compare("laptop", "cold_start_sft")
    with pytest.raises(RecipeError, match="no stage of reinforcement learning"):
        stage_to_compare("micro-base", None)
    assert stage_to_compare("laptop", None).name == "r1_zero"


WRONG = [
    (["--budget", "tokens=3000"], "nothing to compare"),
    (["--presets", "grpo", "--budget", "3000"], "expected tokens=N or steps=N"),
    (["--presets", "grpo", "--budget", "tokens=0"], "expected tokens=N or steps=N"),
    (["--presets", "grpo", "grpo", "--budget", "steps=1"], "two variants are named 'grpo'"),
    (["--variant", "a/b", "--budget", "steps=1"], "variant 'a/b': its name"),
    (["--variant", "a", "x.y=1", "--budget", "steps=1"], "x: unknown key"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_arguments_are_told_in_a_line(arguments, message, tmp_path, capsys):
    assert main(["compare", "tiny", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_comparison_runs_what_is_missing_and_reports_all(tmp_path, capsys):
    command = ["compare", "tiny", "--variant", "plain", "--vary", "stages.r1_zero.group_size", "4"]
    command += ["--budget", "steps=1", "--seeds", "1", "--parallel", "2", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())["variants"]
    assert list(found) == ["group_size-4", "plain"]
    log = tmp_path / "out/plain/seed-1/stages/r1_zero/metrics.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert found["plain"]["sampled_tokens"]["mean"] == rows[0]["sampled_tokens"]
    assert found["plain"]["accuracy"] == {
        "mean": rows[0]["accuracy"],
        "half_ci95": None,
        "seeds": {"1": rows[0]["accuracy"]},
    }
    assert (tmp_path / "out" / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "group_size-4" in capsys.readouterr().out
    before = log.stat().st_mtime_ns
    (tmp_path / "out" / "comparison.json").unlink()
    assert main([*command, "--report-only"]) == 0
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["variants"] == found
    assert main(command) == 0  # all is there: nothing is trained again
    assert log.stat().st_mtime_ns == before


def test_runs_that_fail_are_named_with_their_reason_and_the_others_are_made(tmp_path):
    members = prepared(tmp_path, Variant("bad", ()), Variant("good", ()), budget=Budget("steps", 1))
    text = members[0].recipe.read_text()
    members[0].recipe.write_text(text.replace("base: micro", "base: ./nothing-here"))
    said = []
    with pytest.raises(UserError, match=r"1 of 2 runs failed:\nbad, seed 1: .*nothing-here"):
        run_members(members, 1, said.append, StopFlag())
    assert said[1] == "good, seed 1: done"


def test_an_interrupted_comparison_saves_its_runs_and_goes_on(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "r1kit", "compare", "tiny", "--variant", "plain", "--seeds", "1"]
    command += ["--budget", "steps=40", "--out", str(out)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    log = out / "plain/seed-1/stages/r1_zero/metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") >= 2):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "go on with: r1kit compare tiny" in said
    steps = log.read_text().count("\n")
    assert 2 <= steps < 40
    assert (log.parent / "checkpoints").exists() or list(log.parent.rglob("step-*"))


def curve(variant, seed, tokens, accuracy, final):
    measures = {"accuracy": accuracy, "response_tokens": [10.0] * len(tokens), "entropy": [0.5] * len(tokens)}
    return Curve(
        variant, seed, np.array(tokens), np.array(tokens) / 60, {k: np.array(v) for k, v in measures.items()},
        {"countdown": final},
    )  # fmt: skip


def test_the_interval_over_seeds_is_students():
    # mean 2, standard deviation 1: 4.303 / sqrt(3)
    mean, half = seed_interval([1.0, 2.0, 3.0])
    assert (mean, half) == (2.0, pytest.approx(2.4843, abs=1e-4))
    assert seed_interval([0.0, 1.0])[1] == pytest.approx(12.706 * 0.5)
    assert seed_interval([5.0]) == (5.0, math.inf)
    ten = seed_interval([0.0] * 5 + [1.0] * 5)[1]
    assert ten == pytest.approx(2.2622 * math.sqrt(10 / 36) / math.sqrt(10), rel=1e-3)


def test_curves_are_read_where_all_seeds_have_been():
    runs = [
        curve("a", 1, [10, 20, 30, 40], [0.0, 0.3, 0.6, 0.9], 0.8),
        curve("a", 2, [20, 40, 60], [1.0] * 3, 1.0),
    ]
    grid, values_RN = on_grid(runs, "accuracy", "tokens", points=3)
    assert grid.tolist() == [20.0, 30.0, 40.0]
    # means of three neighbours: 0.15, 0.3, 0.6, 0.75
    assert values_RN[0] == pytest.approx([0.3, 0.6, 0.75])
    assert values_RN[1].tolist() == [1.0, 1.0, 1.0]


def test_the_summary_is_of_the_end_and_the_best_variant_stands_first():
    runs = [
        curve("low", 1, [10, 20, 90, 100], [0.0, 0.0, 0.2, 0.4], 0.3),
        curve("low", 2, [10, 20, 90, 100], [0.0, 0.0, 0.4, 0.6], 0.5),
        curve("high", 1, [50, 100], [0.5, 1.0], 0.9),
        curve("high", 2, [50, 100], [0.5, 0.0], 0.9),
    ]
    found = summary(runs)
    assert found["low"]["accuracy"]["seeds"] == {"1": pytest.approx(0.3), "2": pytest.approx(0.5)}
    assert found["low"]["pass@1/countdown"]["mean"] == pytest.approx(0.4)
    assert found["low"]["pass@1/countdown"]["half_ci95"] == pytest.approx(12.706 * 0.1)
    headings, rows = table_rows(found)
    assert headings[:2] == ["variant", "pass@1"]
    assert [row[0] for row in rows] == ["high", "low"]
    assert rows[0][1] == "90.0 ± 0.0%"


def test_an_unfinished_run_is_named(tmp_path):
    with pytest.raises(UserError, match=r"seed-1.*metrics\.jsonl: cannot be read"):
        read_curve("a", 1, tmp_path / "seed-1", "r1_zero")


def test_many_variants_are_drawn_each_in_its_own_line(tmp_path):
    runs = [curve(f"v{k}", s, [10, 20, 30], [0.1, 0.2, 0.3], 0.5) for k in range(13) for s in (1, 2)]
    draw_comparison(runs, tmp_path / "p.svg", "thirteen")
    text = (tmp_path / "p.svg").read_text()
    assert text.startswith("<?xml")

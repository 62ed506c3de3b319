"""Comparisons: what each run gets, what becomes of failures and interruptions, and the numbers at the end."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

from r1kit.cli import main
from r1kit.errors import RecipeError, UserError
from r1kit.files import lock
from r1kit.pipeline.comparison import Budget, Variant, prepare, stage_to_compare
from r1kit.pipeline.comparison_runs import run_members
from r1kit.pipeline.config import load_recipe
from r1kit.report.comparison import Curve, is_finished, on_grid, read_curve, summary, table_rows
from r1kit.report.comparison_picture import draw_comparison
from r1kit.rollouts.intervals import seed_interval
from r1kit.tracking.stop import StopFlag

ROOT = Path(__file__).parents[1]
TOKENS, STEP = Budget("tokens", 3000), Budget("steps", 1)


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
    # tiny: 2 questions x 2 samples, each surely of one token at least
    assert settings.steps == 3000 / 4
    assert load_recipe(str(member.recipe)).run.evaluation.stages == ("r1_zero",)


def test_a_budget_of_steps_leaves_the_schedule_as_it_is(tmp_path):
    (member,) = prepared(tmp_path, Variant("plain", ()), budget=Budget("steps", 7))
    settings = stage_in(member)
    assert (settings.steps, settings.limits.sampled_tokens) == (7, None)
    assert settings.optimizer.schedule == "linear"


def test_what_is_set_for_all_or_by_a_variant_goes_before_what_the_budget_chooses(tmp_path):
    own = Variant("own", ("stages.r1_zero.optimizer.schedule=cosine",))
    (member,) = prepared(tmp_path, own, overrides=["stages.r1_zero.group_size=4"])
    settings = stage_in(member)
    assert (settings.optimizer.schedule, settings.steps, settings.group_size) == ("cosine", 375, 4)


REFUSED = [
    (
        "stages.r1_zero.steps=9",
        "stages.r1_zero.steps: the budget of a comparison is one for all, tokens=3000",
    ),
    ("stages.r1_zero.limits.sampled_tokens=9000", "is one for all, tokens=3000"),
    ("stages.r1zero.group_size=4", "stages.r1zero"),
    ("seed=4", "a comparison sets the seed and the name itself"),
    ("evaluation.problems=1", "they would be tested on other problems"),
    ("tasks.countdown.numbers=4", "they would be tested on other problems"),
    ("evaluation=null", "a comparison needs it"),
    ("stages.r1_zero.rewards.format={weight: 0.1, last_steps: 3}", "last_steps counts from the end"),
    ("stages.r1_zero.group_size=2", "variants plain and other are the same"),
]


@pytest.mark.parametrize(("override", "message"), REFUSED)
def test_variants_that_could_not_be_compared_are_refused(override, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        prepared(tmp_path, Variant("plain", ()), Variant("other", (override,)))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_runs_of_other_settings_is_left_alone(tmp_path):
    (member,) = prepared(tmp_path, Variant("plain", ()))
    before = member.recipe.read_text()
    assert prepared(tmp_path, Variant("plain", ()), overrides=["threads=2"]) == [member]
    before = member.recipe.read_text()
    with pytest.raises(RecipeError, match=r"seed-1\.yaml: was made with other settings or another budget"):
        prepared(tmp_path, Variant("plain", ()), budget=Budget("tokens", 9000))
    assert member.recipe.read_text() == before


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
    (["--vary", "stages.r1_zero.group_size", "--budget", "steps=1"], "give its values after it"),
    (["--variant", "comparison.png", "--budget", "steps=1"], "that is the name of the report"),
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
    members = prepared(
        tmp_path, Variant("bad", ()), Variant("good", ("stages.r1_zero.group_size=3",)), budget=STEP
    )
    text = members[0].recipe.read_text()
    members[0].recipe.write_text(text.replace("base: micro", "base: ./nothing-here"))
    said = []
    (failed,) = run_members(members, 1, said.append, StopFlag())
    assert failed.startswith("bad, seed 1: ")
    assert "nothing-here" in failed
    assert said == [failed, "good, seed 1: done"]
    assert [is_finished(member.folder, "r1_zero") for member in members] == [False, True]


def started(out):
    """A comparison of one run that has made two steps, and the log of its steps."""
    command = [sys.executable, "-m", "r1kit", "compare", "tiny", "--variant", "plain", "--seeds", "1"]
    command += ["--budget", "steps=40", "--out", str(out)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    log = out / "plain/seed-1/stages/r1_zero/metrics.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") >= 2):
        time.sleep(0.1)
    return process, log


def test_an_interrupted_comparison_saves_its_runs_and_goes_on(tmp_path):
    process, log = started(tmp_path / "out")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "go on with: r1kit compare tiny" in said
    steps = log.read_text().count("\n")
    assert 2 <= steps < 40
    assert (log.parent / "checkpoints").exists() or list(log.parent.rglob("step-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_killed_comparison_leaves_no_run_behind_that_goes_on(tmp_path):
    process, log = started(tmp_path / "out")
    process.kill()
    process.communicate(timeout=120)
    folder = tmp_path / "out/plain/seed-1"
    deadline = time.monotonic() + 120
    while "stopping at the next point" not in folder.with_suffix(".log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with lock_when_free(folder, deadline):
        assert 2 <= log.read_text().count("\n") < 40
        assert list(log.parent.rglob("step-*"))


@contextmanager
def lock_when_free(folder, deadline):
    """The run's folder once nobody else is at it."""
    while True:
        try:
            with lock(folder):
                yield
                return
        except UserError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


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
    assert seed_interval([0.0, 0.0, 0.0]) == (0.0, math.inf)  # alike: that says nothing of the spread
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
    assert (rows[0][1], rows[1][1]) == ("90.0%", "40.0 ± 127.1%")


def test_a_number_that_no_step_has_is_left_open():
    run = curve("a", 1, [10, 20, 30], [0.1, 0.2, 0.3], 0.5)
    run.measures["entropy"][:] = math.nan
    found = summary([run])
    assert found["a"]["entropy"] == {"mean": None, "half_ci95": None, "seeds": {}}
    json.dumps(found, allow_nan=False)
    headings, rows = table_rows(found)
    assert rows[0][headings.index("entropy")] == "–"


def test_an_unfinished_run_is_named(tmp_path):
    with pytest.raises(UserError, match=r"seed-1.*metrics\.jsonl: cannot be read"):
        read_curve("a", 1, tmp_path / "seed-1", "r1_zero")


def test_many_variants_are_drawn_each_in_its_own_line(tmp_path):
    runs = [curve(f"v{k}", s, [10, 20, 30], [0.1, 0.2, 0.3], 0.5) for k in range(13) for s in (1, 2)]
    draw_comparison(runs, tmp_path / "p.svg", "thirteen")
    text = (tmp_path / "p.svg").read_text()
    assert text.startswith("<?xml")

"""Where the time of a run goes: how looks at threads become parts of a run."""

from __future__ import annotations

import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

import r1kit.cli
from bench import page, profile_page
from bench.icicle import boxes, svg
from bench.looks import FORK, JOIN, Looks, Stack, busy, short, stack_of
from bench.run_parts import REST, RULES, by_part, part_of, timed_as
from bench.run_profile import LAPTOP, beside_clock, summary
from r1kit.pipeline.config import load_recipe
from r1kit.stages.settings import RLStageSettings

ROOT = Path(__file__).parents[1]
CLI = ("r1kit/__main__.py:<module>", "r1kit/cli.py:main", "r1kit/pipeline/runner.py:_Run.train")
STEP = (*CLI, "r1kit/stages/rl.py:RLStage.run", "r1kit/learning/rl_loop.py:train_rl")
SAMPLE = (
    *("r1kit/learning/refill.py:draw_step", "r1kit/rollouts/collect.py:collect"),
    *("r1kit/learning/timing.py:TimedSampler.sample", "r1kit/rollouts/local.py:LocalSampler.sample"),
)
COMPILED = "r1kit/rollouts/compiled_engine.py:CompiledEngine."
ENGINE = (JOIN, "r1kit/rollouts/threads.py:_finish", COMPILED + "step")
OTHER = (JOIN, "r1kit/rollouts/threads.py:_finish", "r1kit/rollouts/engine.py:Engine.step")
UPDATE = (*STEP, "r1kit/learning/policy_update.py:update_policy", "r1kit/learning/learner.py:Learner.update")
GRADE = (*STEP, "r1kit/learning/refill.py:draw_step", "r1kit/rollouts/collect.py:collect")
TEST = (*CLI, "r1kit/stages/evaluation.py:evaluate_model", "r1kit/stages/evaluation.py:sample_groups")
WAIT = "threading.py:Condition.wait"
METRICS = "r1kit/learning/rollout_stats.py:rollout_metrics"
MEASURE = "r1kit/rollouts/measures.py:measure"
GRADES = "r1kit/rewards/rubric.py:grade_many"
IMPORT = "<frozen importlib._bootstrap>:_find_and_load"
FORWARD = "r1kit/learning/learner.py:Learner._measure"
BACKWARD = ("r1kit/learning/shares.py:backward", "torch/autograd/__init__.py:grad")
OPTIMIZER = ("r1kit/learning/learner.py:Learner._step", "torch/optim/adamw.py:AdamW.step")
SAVE = ("r1kit/learning/checkpoint.py:Checkpoints.save", "r1kit/files/disk.py:Disk.sync")
SCORE = ("r1kit/rewards/model_terms.py:RewardModelScorer.scores", "r1kit/models/reward_scores.py:score_texts")


@pytest.mark.parametrize(
    ("stack", "part"),
    [
        ((*CLI, IMPORT, "torch/__init__.py:<module>"), "start-up: importing"),
        ((*STEP, *SAMPLE, "numba/core/dispatcher.py:compile"), "start-up: compiling loops"),
        ((*STEP, *SAMPLE, FORK, *ENGINE, COMPILED + "_decoded"), "sampling: decoding"),
        ((*STEP, *SAMPLE, FORK, *OTHER, "r1kit/rollouts/engine.py:Engine._decode"), "sampling: decoding"),
        ((*STEP, *SAMPLE, FORK, *ENGINE, "r1kit/rollouts/jobs.py:Waiting.enter"), "sampling: prefill"),
        ((*STEP, *SAMPLE, FORK, *ENGINE, COMPILED + "_enter"), "sampling: prefill"),
        ((*STEP, *SAMPLE, FORK, *ENGINE, COMPILED + "_retire"), "sampling: retiring"),
        ((*STEP, *SAMPLE, "r1kit/rollouts/stopping.py:new_texts"), "sampling: around the steps"),
        ((*GRADE, GRADES, "r1kit/tasks/countdown.py:Countdown.verify"), "grading"),
        ((*GRADE, *SCORE), "grading"),
        ((*UPDATE, FORWARD, "torch/nn/modules/linear.py:Linear.forward"), "learning: forward"),
        ((*UPDATE, *BACKWARD), "learning: backward"),
        ((*UPDATE, *OPTIMIZER), "learning: optimizer"),
        ((*STEP, METRICS, MEASURE), "logging"),
        ((*STEP, "r1kit/tracking/metrics.py:RunLog.metrics", "r1kit/files/disk.py:Disk.append"), "logging"),
        ((*STEP, *SAVE), "checkpoints"),
        ((*TEST, "r1kit/rollouts/collect.py:collect", GRADES), "evaluation: grading"),
        ((*TEST, "r1kit/stages/metrics.py:evaluate_groups", MEASURE), "evaluation: metrics"),
        ((*CLI, "r1kit/stages/sft.py:encode_demonstrations", "r1kit/text/templates.py:render"), "data"),
        ((*CLI[:2], "r1kit/commands/run.py:_print_results", "matplotlib/figure.py:savefig"), "report"),
        (("threading.py:Thread.run", "rich/live.py:_RefreshThread.run"), "progress bar"),
        ((*CLI, "r1kit/pipeline/store.py:RunFolder.write_results"), "runner"),
        (("threading.py:Thread.run", "tqdm/_monitor.py:TMonitor.run"), REST),
    ],
)
def test_a_stack_belongs_to_the_part_that_its_frames_name(stack: Stack, part: str) -> None:
    assert part_of(stack) == part


def test_the_run_that_is_looked_at_has_every_stage_with_half_its_steps() -> None:
    whole, half = load_recipe("laptop"), load_recipe(LAPTOP[0], LAPTOP[1:])
    assert [stage.name for stage in half.stages] == [stage.name for stage in whole.stages]
    steps = {
        name: [recipe.stage(name).settings.steps for recipe in (half, whole)]
        for name in (stage.name for stage in whole.stages)
        if isinstance(whole.stage(name).settings, RLStageSettings)
    }
    assert steps == {
        "r1_zero": [30, 60], "reasoning_rl": [11, 22], "general_rl": [13, 26], "student_rl": [8, 16],
    }  # fmt: skip


def test_every_file_of_the_rules_is_there() -> None:
    named = {name.partition(":")[0] for rule in RULES for name in (*rule.frames, *rule.within)}
    own = [name for name in named if name.startswith("r1kit/")]
    assert [name for name in own if not (ROOT / name).exists()] == []


def test_work_in_threads_stands_under_what_it_was_handed_over_for() -> None:
    main = (*STEP, *SAMPLE, FORK, "concurrent/futures/_base.py:wait", WAIT)
    worker = ("threading.py:Thread.run", "concurrent/futures/thread.py:_worker", *ENGINE, "torch/x.py:y")
    idle = ("threading.py:Thread.run", "concurrent/futures/thread.py:_worker")
    assert busy({1: main, 2: worker, 3: idle}, main=1) == [(*STEP, *SAMPLE, FORK, *ENGINE, "torch/x.py:y")]
    assert (
        busy({1: main, 2: worker, 3: worker}, main=1) == [(*STEP, *SAMPLE, FORK, *ENGINE, "torch/x.py:y")] * 2
    )


def test_a_main_thread_that_waits_alone_is_told_by_its_own_frames() -> None:
    waits = (*GRADE, "r1kit/rewards/files.py:score", WAIT)
    bar = ("threading.py:Thread.run", "rich/live.py:_RefreshThread.run", "threading.py:Event.wait")
    assert busy({1: waits, 2: bar}, main=1) == [waits]


def test_seconds_by_part_add_up_and_name_what_a_run_adds() -> None:
    stacks = {
        (*STEP, *SAMPLE, FORK, *ENGINE, COMPILED + "_decoded"): 60.0,
        (*STEP, *SAMPLE, FORK, *ENGINE, COMPILED + "_decoded", "torch/x.py:y"): 20.0,
        (*STEP, "r1kit/tracking/metrics.py:RunLog.metrics"): 1.0,
        (*CLI, "r1kit/pipeline/store.py:RunFolder.write_results"): 0.5,
        (*CLI[:2], "r1kit/commands/run.py:_print_results"): 0.25,
        ("tqdm/_monitor.py:TMonitor.run",): 18.25,
    }
    assert by_part(stacks) == {
        "report": 0.25, "logging": 1.0, "sampling: decoding": 80.0, "runner": 0.5, REST: 18.25,
    }  # fmt: skip
    found = summary(stacks)
    assert (found["seconds"], found["added"], found["share"]) == (100.0, 1.75, 0.0175)


def test_looks_are_set_beside_the_clock_of_the_steps() -> None:
    sampling, grading = (*STEP, *SAMPLE, "torch/x.py:y"), (*GRADE, GRADES)
    logging = (*STEP, METRICS)
    assert [timed_as(s) for s in (sampling, grading, UPDATE, logging, TEST)] == [
        "sampling", "grading", "learning", None, None,
    ]  # fmt: skip
    rows = [{"seconds/sampling": 1.0, "seconds/grading": 0.5, "seconds/learning": 2.0}] * 2
    assert beside_clock({sampling: 1.9, grading: 1.1, UPDATE: 4.2, logging: 9.0}, rows) == {
        "sampling": {"looks": 1.9, "logged": 2.0},
        "grading": {"looks": 1.1, "logged": 1.0},
        "learning": {"looks": 4.2, "logged": 4.0},
    }


def test_looks_find_a_function_at_work() -> None:
    def toil() -> None:
        before = looks.count
        while looks.count < before + 2:  # the second one began after this function did
            pass

    with Looks(every=0.001) as looks:
        thread = threading.Thread(target=toil)
        thread.start()
        thread.join()
    assert any(stack[-1].endswith(".<locals>.toil") for stack in looks.seconds)
    assert min(looks.seconds.values()) > 0


def test_frames_are_named_from_their_package_on() -> None:
    assert short(r1kit.cli.__file__) == "r1kit/cli.py"
    assert short(threading.__file__) == "threading.py"
    assert short("/home/r1kit/.venv/lib/python3.11/site-packages/torch/_tensor.py") == "torch/_tensor.py"
    assert stack_of(None) == ()


def test_the_icicle_is_as_wide_as_a_function_took_long_under_its_caller() -> None:
    loop = ("r1kit/cli.py:main", "r1kit/pipeline/runner.py:_Run.go")
    train, evaluate = "r1kit/pipeline/runner.py:_Run.train", "r1kit/stages/evaluation.py:<script>"
    stacks = {
        (*loop, train, "torch/x.py:y", "r1kit/models/a.py:f.<locals>.<lambda>", "r1kit/models/a.py:g"): 60.0,
        (*loop, train): 15.0,
        (*loop, evaluate + "x"): 24.9,
        (*loop, evaluate + "short"): 0.1,  # too short to be seen
    }
    assert list(boxes(stacks)) == [
        (train, 75.0, 0.0, 0.75, 0),
        ("r1kit/models/a.py:g", 60.0, 0.0, 0.6, 1),
        (evaluate + "x", 24.9, 0.75, pytest.approx(0.249), 0),
    ]
    drawn = svg(stacks)
    names = [element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawn)]
    assert names == ["rect", "g", "g", "g"]
    assert '<rect x="900.0" y="0" width="298.3"' in drawn


def test_the_page_has_a_row_for_each_part_with_its_share(tmp_path: Path) -> None:
    details = {
        "of the run": summary({UPDATE: 50.0, (*UPDATE, *BACKWARD): 149.0, CLI: 1.0})
        | {"looks": 40000, "every": 0.005},
        "beside its own clock": {"learning": {"looks": 199.0, "logged": 198.0}},
        "icicle": "<svg/>",
    }
    machine = {"processor": "P", "threads": 2, "precision": "float32", "versions": {"torch": "2"}}
    part = {"machine": machine, "date": "d", "seconds": 210.0, "rows": [], "notes": [], "details": details}
    path = tmp_path / "performance.md"
    path.write_text(f"{page.BEGIN}{page.END}", "utf-8")
    page.write({"parts": {"profile": part}}, path)
    told = path.read_text("utf-8")
    assert "| **learning** | 99.5% | 199.0 |\n| - backward | 74.5% | 149.0 |" in told
    assert "| **runner** | 0.5% | 1.0 |" in told
    assert "Runner, logging and report: 1.0 s, 0.50% of the run. Found by 40,000 looks" in told
    assert "learning 199 s (198 s)" in told
    assert (tmp_path / profile_page.PICTURE).read_text("utf-8") == "<svg/>"

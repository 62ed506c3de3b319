import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import checkpoint

from r1kit import cli
from r1kit.errors import Interrupted, RecipeError
from r1kit.files import verify_folder
from r1kit.learning.rl_loop import train_rl
from r1kit.pipeline.config import load_recipe
from r1kit.pipeline.runner import RunOptions, run_recipe
from r1kit.stages import evaluation, rl
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag


def go(out: Path, *overrides: str, stop: StopFlag | None = None, **options: Any) -> Mapping[str, Any]:
    recipe = load_recipe("tiny", [f"base={checkpoint('qwen2')}", "threads=1", *overrides])
    return run_recipe(recipe, out, RunOptions(**options), Progress(quiet=True), stop or StopFlag())


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny recipe on a random Qwen2."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    go(out)
    return out


def test_results_have_the_published_form(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert list(results) == ["stages"]
    assert list(results["stages"]) == ["base", "r1_zero"]
    for tasks in results["stages"].values():
        record = tasks["countdown"]
        low, high = record["pass@1"]["ci95"]
        assert 0.0 <= low <= record["pass@1"]["mean"] <= high <= 1.0
        assert {"cons@2", "pass@2", "format_rate", "thinking_tokens", "thinking_tokens_p95"} <= set(record)
        assert {"truncation_rate", "repetition_rate", "verdicts"} <= set(record)
        assert (record["problems"], record["samples"]) == (2, 4)
        assert sum(record["verdicts"].values()) == pytest.approx(1.0)


def test_logs_have_a_row_for_each_step(finished: Path) -> None:
    stage = finished / "stages" / "r1_zero"
    assert [row["step"] for row in rows(stage / "metrics.jsonl")] == [1, 2]
    assert len(rows(stage / "rollouts.jsonl")) == 8  # 2 steps x 2 questions x 2 samples, all logged
    tested = rows(finished / "evaluations" / "base.jsonl")
    assert [row["samples"] for row in tested] == [2, 2]
    record = json.loads((finished / "results.json").read_text())["stages"]["base"]["countdown"]
    assert sum(row["correct"] for row in tested) / 4 == record["pass@1"]["mean"]
    assert {row["problem"] for row in tested} == {
        row["problem"] for row in rows(finished / "evaluations" / "r1_zero.jsonl")
    }


def test_output_is_an_ordinary_checkpoint_with_a_card(finished: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = finished / "stages" / "r1_zero" / "model"
    assert verify_folder(folder) == []
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == "qwen2"
    assert tokenizer.decode(tokenizer.encode("<think>3+7</think>")) == "<think>3+7</think>"
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    made = json.loads((folder / "provenance.json").read_text())
    assert made["settings"]["steps"] == 2
    assert (
        made["fingerprint"] == json.loads((finished / "stages/r1_zero/stage.json").read_text())["fingerprint"]
    )


def test_second_command_prints_the_results_and_trains_nothing(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rl, "train_rl", None)
    arguments = ["run", "tiny", f"base={checkpoint('qwen2')}", "threads=1", "--out", str(finished)]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "r1_zero" in shown
    assert f"results   {finished}/results.json" in shown
    assert f"picture   {finished}/training.png" in shown
    assert (finished / "training.png").stat().st_size > 10_000


def test_show_reads_the_run(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", str(finished)]) == 0
    assert "r1_zero" in capsys.readouterr().out


def test_deepseek_v3_goes_through_the_same_recipe(tmp_path: Path) -> None:
    results = go(tmp_path / "run", f"base={checkpoint('deepseek_v3')}")
    assert results["stages"]["r1_zero"]["countdown"]["samples"] == 4


def test_large_recipe_takes_two_steps_on_a_tiny_model(tmp_path: Path) -> None:
    overrides = [
        f"base={checkpoint('qwen2')}",
        "threads=1",
        "tasks.countdown={data: null, train_size: 8, validation_size: 2, test_size: 2}",
        "evaluation={problems: 2, samples: 2, max_new_tokens: 8}",
        "stages.r1_zero={steps: 2, questions_per_step: 2, group_size: 2, save_every: 1}",
        "stages.r1_zero.sampling.max_new_tokens=8",
    ]
    recipe = load_recipe("qwen2.5-3b-countdown", overrides)
    run_recipe(recipe, tmp_path / "run", RunOptions(), Progress(quiet=True), StopFlag())
    logged = rows(tmp_path / "run/stages/r1_zero/metrics.jsonl")
    assert [row["step"] for row in logged] == [1, 2]


def test_stop_during_an_evaluation_keeps_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, stop = evaluation.evaluate_model, StopFlag()

    def stopped(*arguments: Any, **named: Any) -> Any:
        stop.request()
        return real(*arguments, **named)

    monkeypatch.setattr(evaluation, "evaluate_model", stopped)
    with pytest.raises(Interrupted, match="evaluate base on countdown: stopped after 0 of 2 problems"):
        go(tmp_path / "run", stop=stop)
    assert not (tmp_path / "run/evaluations").exists()


def test_stop_in_the_last_round_of_an_evaluation_keeps_it_and_begins_no_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, stop = evaluation.evaluate_model, StopFlag()

    def stopped(*arguments: Any, **named: Any) -> Any:
        found = real(*arguments, **named)
        stop.request()
        return found

    monkeypatch.setattr(evaluation, "evaluate_model", stopped)
    with pytest.raises(Interrupted, match="r1_zero: stopped before it was begun"):
        go(tmp_path / "run", stop=stop)
    assert (tmp_path / "run/evaluations/base.json").exists()
    assert not (tmp_path / "run/stages/r1_zero").exists()


def test_tensorboard_events_are_written_when_asked(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    go(tmp_path / "run", "tensorboard=true")
    assert list((tmp_path / "run/stages/r1_zero/tensorboard").glob("events.out.tfevents.*"))


def test_stop_between_steps_resumes_to_the_same_numbers(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    real = train_rl

    def stopped_after_one_step(*arguments: Any, stop: StopFlag, **named: Any) -> dict[str, float]:
        stop.request()
        return real(*arguments, stop=stop, **named)

    monkeypatch.setattr(rl, "train_rl", stopped_after_one_step)
    with pytest.raises(Interrupted, match="stopped after step 1 of 2"):
        go(out)
    assert list(json.loads((out / "results.json").read_text())["stages"]) == ["base"]
    monkeypatch.setattr(rl, "train_rl", real)
    go(out, resume=True)
    assert_same_run(out, finished)


def assert_same_run(left: Path, right: Path) -> None:
    for name in ("results.json", "stages/r1_zero/metrics.jsonl", "stages/r1_zero/rollouts.jsonl"):
        assert (left / name).read_bytes() == (right / name).read_bytes(), name
    weights = "stages/r1_zero/model/model.safetensors"
    assert (left / weights).read_bytes() == (right / weights).read_bytes()


COMMAND = [sys.executable, "-m", "r1kit", "run", "tiny", "threads=1"]


def start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [*COMMAND, f"base={checkpoint('qwen2')}", "--out", str(out), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["evaluations/base.json", "stages/r1_zero/checkpoints/step-000001"])
def test_kill_and_resume_gives_the_same_results(finished: Path, tmp_path: Path, moment: str) -> None:
    out = tmp_path / "run"
    process = start(out)
    wait_for(out / moment, process)
    process.kill()
    process.communicate()
    resumed = start(out, "--resume")
    _, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    assert_same_run(out, finished)


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(out, "stages.r1_zero.steps=2000")
    wait_for(out / "stages/r1_zero/checkpoints/step-000001", process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    last = err.splitlines()[-1]
    assert last.startswith("r1kit: r1_zero: stopped after step ")
    assert last.endswith(
        f"go on with: r1kit run tiny threads=1 base={checkpoint('qwen2')} stages.r1_zero.steps=2000 "
        f"--out {out} --resume"
    )


def test_pretraining_makes_a_base_that_the_pipeline_can_use(tmp_path: Path) -> None:
    recipe = tmp_path / "world.yaml"
    recipe.write_text(
        "name: world\nseed: 1\n"
        "tasks: {countdown: {task: countdown, train_size: 8, validation_size: 2, test_size: 2}}\n"
        "evaluation: {tasks: [countdown], problems: 2, samples: 2, max_new_tokens: 8}\n"
        "stages:\n  micro:\n    kind: pretrain\n    mixture: {countdown: 0.7, facts: 0.3}\n"
        "    documents: 40\n    held_out: 8\n    tokenizer_documents: 40\n    vocab_size: 512\n"
        "    model: {layers: 1, width: 32, heads: 2, kv_heads: 1, head_width: 16, feed_forward: 32}\n"
        "    stored_as: bfloat16\n"
        "    training: {steps: 4, tokens_per_batch: 512, log_every: 1, save_every: 2}\n"
        "    probe: {tasks: [countdown], problems: 2, samples: 2, max_new_tokens: 8}\n"
        "  more:\n    kind: continued_pretrain\n    from: micro\n    mixture: {countdown_search: 1.0}\n"
        "    documents: 20\n    held_out: 4\n    training: {steps: 2, tokens_per_batch: 512, log_every: 1}\n"
        "  r1_zero:\n    kind: rl\n    from: more\n    tasks: [countdown]\n    template: chat\n"
        "    rewards: {accuracy: 1}\n    steps: 1\n    questions_per_step: 2\n    group_size: 2\n"
        "    sampling: {max_new_tokens: 8}\n"
    )
    out = tmp_path / "run"
    results = run_recipe(load_recipe(str(recipe)), out, RunOptions(), Progress(quiet=True), StopFlag())
    assert list(results["stages"]) == ["micro", "more", "r1_zero"]
    more = json.loads((out / "stages/more/model/provenance.json").read_text())
    assert more["summary"]["updates"] == 2
    assert more["start"] == json.loads((out / "stages/micro/model/provenance.json").read_text())
    made = json.loads((out / "stages/micro/model/provenance.json").read_text())
    assert made["summary"]["held_out_loss"] > 0
    assert made["summary"]["updates"] == 4
    stored = load_file(out / "stages/micro/model/model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    assert (
        json.loads((out / "stages/micro/model/tokenizer_config.json").read_text())["model_max_length"] == 2048
    )
    assert set(made["summary"]["quality"]) >= {"steps_right", "verdicts_right", "thinking_pays"}
    assert len(rows(out / "stages/micro/metrics.jsonl")) == 4


PPO = (
    "stages.r1_zero.objective={advantage: gae, whiten: true, kl_in: reward, kl_kind: k1, kl_beta: 0.001}",
    "stages.r1_zero.critic={pretrain_steps: 1, optimizer: {learning_rate: 1e-4}}",
    "stages.r1_zero.group_size=1",
    "stages.r1_zero.batch.minibatches=2",
)


def test_a_recipe_with_a_critic_trains_by_ppo_and_its_critic_stays_out_of_the_model(
    finished: Path, tmp_path: Path
) -> None:
    go(tmp_path / "run", *PPO)
    stage = tmp_path / "run/stages/r1_zero"
    first, second = rows(stage / "metrics.jsonl")
    assert {"value/loss", "critic/grad_norm", "value/explained_variance"} <= first.keys() & second.keys()
    assert ("learning_rate" in first, "learning_rate" in second) == (False, True)
    assert second["critic/learning_rate"] == 1e-4
    weights = [load_file(run / "model/model.safetensors") for run in (stage, finished / "stages/r1_zero")]
    assert weights[0].keys() == weights[1].keys()


def test_a_critic_without_its_advantage_is_refused_when_the_recipe_is_read() -> None:
    with pytest.raises(RecipeError, match=r"stages\.r1_zero: .*'gae' needs a critic"):
        load_recipe("tiny", ["stages.r1_zero.objective.advantage=gae"])
    with pytest.raises(RecipeError, match=r"stages\.r1_zero: critic: the advantage 'grpo' asks none"):
        load_recipe("tiny", ["stages.r1_zero.critic={}"])
    teacher = ["stages.r1_zero.rewards.teacher={params: {model: base}}", *PPO]
    with pytest.raises(RecipeError, match=r"stages\.r1_zero: critic: the teacher's reward is an advantage"):
        load_recipe("tiny", teacher)

"""`r1kit preflight`, and what `r1kit run` refuses by the same arithmetic."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tiny_models import checkpoint

from r1kit import cli
from r1kit.errors import ModelError, UserError
from r1kit.memory.limits import Limit, container_limit
from r1kit.memory.measure import Work, measure
from r1kit.memory.shapes import config_for, shape_of
from r1kit.pipeline import preflight as module
from r1kit.pipeline.config import load_recipe
from r1kit.pipeline.footprint import ESTIMATES, Machine, evaluation_estimate, scene_of, stage_estimate
from r1kit.pipeline.measured import work_of
from r1kit.pipeline.preflight import preflight, require_memory
from r1kit.pipeline.relief import Change, alternatives, relief
from r1kit.pipeline.space import bytes_needed, spaces
from r1kit.stages.registry import STAGE_KINDS
from r1kit.stages.settings import RLStageSettings

GIB = 1 << 30


def group(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text + "\n")


def test_least_limit_above_a_process_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/jobs/run\n")
    group(tmp_path / "groups/jobs/run", "memory.max", "max")
    group(tmp_path / "groups/jobs", "memory.max", str(3 * GIB))
    assert container_limit(tmp_path / "groups", own) == 3 * GIB


def test_limit_of_the_first_version_is_read_where_the_path_is_the_hosts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("9:name=systemd:/\n4:cpu,memory:/docker/0123\n")
    group(tmp_path / "groups/memory", "memory.limit_in_bytes", str(2 * GIB))
    group(tmp_path / "groups/cpu", "memory.limit_in_bytes", "1")
    assert container_limit(tmp_path / "groups", own) == 2 * GIB


def test_machine_without_groups_has_no_container_limit(tmp_path: Path) -> None:
    assert container_limit(tmp_path, tmp_path / "none") is None
    own = tmp_path / "own"
    own.write_text("0::/../outside\n")
    assert container_limit(tmp_path / "groups", own) is None


def test_every_kind_of_stage_has_an_estimate() -> None:
    missing = [
        name for name, kind in STAGE_KINDS.items() if not any(issubclass(kind.settings, k) for k in ESTIMATES)
    ]
    assert missing == []


def test_every_stage_of_the_whole_recipe_is_estimated() -> None:
    recipe = load_recipe("tiny-r1")
    found = preflight(recipe, Path("runs/x"), Limit(GIB, "a test"), Machine("cpu", True, GIB), 40)
    assert [item.name for item in found.items] == [*(spec.name for spec in recipe.stages), "evaluation"]
    peaks = {item.name: item.estimate.peak for item in found.items}
    assert peaks["pairs"].total == 380 << 20
    assert peaks["r1_zero"].name == "learning"
    assert peaks["on_policy"].parts["other models"] == 2 * 1_869_504  # its teacher, in bfloat16
    assert peaks["evaluation"].parts["weights"] == 2 * 1_869_504


def test_schedules_count_with_their_largest_value() -> None:
    machine = Machine("cpu", True, 64 * GIB)
    words = "stages.r1_zero.group_size"
    plain = load_recipe("tiny", [f"{words}=8"])
    scheduled = load_recipe("tiny", [f"{words}={{points: {{1: 4, 2: 8}}}}"])
    first, second = (
        stage_estimate(recipe.stage("r1_zero"), scene_of(recipe, machine, 40))
        for recipe in (plain, scheduled)
    )
    assert first == second


def test_settings_that_are_named_make_the_recipe_fit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    narrow = ["--memory-gib", "1", "--prompt-tokens", "20", "--out", str(tmp_path)]
    assert cli.main(["preflight", "laptop-zero", "evaluation=null", *narrow]) == 2
    message = capsys.readouterr().err
    assert "does not fit, with 1.00 GiB of memory: stages.r1_zero needs 1." in message
    named = re.findall(r"stages\.r1_zero\.[a-z_.]+=\w+", message)
    assert named[0].startswith("stages.r1_zero.questions_per_step=")
    for setting in named:
        assert cli.main(["preflight", "laptop-zero", "evaluation=null", setting, *narrow]) == 0, setting
    assert "fits" in capsys.readouterr().out


def test_disk_that_does_not_suffice_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "free_bytes", lambda path: 1000)
    assert cli.main(["preflight", "tiny", "--prompt-tokens", "20", "--out", str(tmp_path / "x")]) == 2
    assert f"{tmp_path / 'x'}:" in capsys.readouterr().err


def test_run_that_clearly_cannot_fit_is_refused_before_it_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "memory_limit", lambda device: Limit(300 << 20, "a test's memory"))
    assert cli.main(["run", "tiny", "--out", str(tmp_path / "x")]) == 2
    message = capsys.readouterr().err
    assert "stages.r1_zero: needs about" in message
    assert "a test's memory is 300 MiB" in message
    assert "--ignore-memory" in message
    assert not (tmp_path / "x" / "stages").exists()


def test_run_within_the_estimates_tolerance_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("tiny", ["evaluation=null"])
    size = (
        preflight(recipe, Path("x"), Limit(GIB, ""), Machine("cpu", True, GIB), 1)
        .items[0]
        .estimate.peak.total
    )
    for room, refused in ((size - 1, False), (round(size * 0.79), True)):
        monkeypatch.setattr(module, "memory_limit", lambda device, room=room: Limit(room, "a test's memory"))
        monkeypatch.setattr("r1kit.models.precision._fast_bfloat16", lambda device: True)
        if refused:
            with pytest.raises(UserError, match="needs about"):
                require_memory(recipe, ["r1_zero"], "cpu")
            require_memory(recipe, [], "cpu")  # it is done already
        else:
            require_memory(recipe, ["r1_zero"], "cpu")


def test_architecture_that_is_not_known_is_told_and_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base = f"base={checkpoint('deepseek_v3')}"
    assert cli.main(["preflight", "tiny", base, "--out", str(tmp_path)]) == 2
    assert "memory of model_type 'deepseek_v3' cannot be estimated" in capsys.readouterr().err
    monkeypatch.setattr(module, "memory_limit", lambda device: Limit(1, "a test's memory"))
    require_memory(load_recipe("tiny", [base]), ["r1_zero"], "cpu")


def test_hub_model_that_is_not_at_hand_says_how_to_get_its_config(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["preflight", "qwen2.5-3b-countdown", "--out", str(tmp_path)]) == 2
    assert "get it with: hf download Qwen/Qwen2.5-3B config.json" in capsys.readouterr().err


def test_folder_with_a_config_alone_is_enough(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shape = scene_of(load_recipe("tiny"), Machine("cpu", True, GIB), 1).shape("base")
    (tmp_path / "config.json").write_text(json.dumps(config_for(shape)))
    words = ["tiny", f"base={tmp_path}", "--prompt-tokens", "20", "--out", str(tmp_path / "x")]
    assert cli.main(["preflight", *words]) == 0
    assert "r1_zero" in capsys.readouterr().out
    assert cli.main(["preflight", *words[:2], *words[-2:]]) == 0  # nothing can say how long prompts are
    assert "512 tokens, an assumption (--prompt-tokens)" in capsys.readouterr().out


def test_prompts_as_long_as_the_context_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    context = scene_of(load_recipe("tiny"), Machine("cpu", True, GIB), 1).shape("base").context
    words = ["preflight", "tiny", "--out", str(tmp_path), "--prompt-tokens"]
    assert cli.main([*words, str(context - 1)]) == 0
    capsys.readouterr()
    assert cli.main([*words, str(context)]) == 2
    told = f"prompts of {context} tokens leave no room for a response: its model's context is {context}"
    assert told in capsys.readouterr().err


def rl_peak(changed: RLStageSettings) -> int:
    kept = 100 if changed.batch.gradient_checkpointing else 200
    return 400 + kept + changed.batch.tokens_per_microbatch // 100


def test_mildest_value_that_suffices_alone_is_named_and_the_strongest_setting_first() -> None:
    settings = load_recipe("laptop-zero").stage("r1_zero").settings
    assert alternatives(settings, rl_peak, 700) == [
        Change("batch.tokens_per_microbatch", 8192, 681, True),
        Change("batch.gradient_checkpointing", True, 663, True),
    ]


def test_settings_that_suffice_only_together_are_named_together() -> None:
    settings = load_recipe("laptop-zero").stage("r1_zero").settings
    assert alternatives(settings, rl_peak, 590) == []
    assert relief(settings, rl_peak, 590) == [
        Change("batch.tokens_per_microbatch", 256, 602, False),
        Change("batch.gradient_checkpointing", True, 502, True),
    ]


def test_nothing_is_promised_where_nothing_suffices() -> None:
    settings = load_recipe("laptop-zero").stage("r1_zero").settings
    together = relief(settings, lambda changed: 500 + changed.batch.tokens_per_microbatch, 400)
    assert together == [Change("batch.tokens_per_microbatch", 256, 756, False)]


def test_rollouts_of_the_same_step_are_a_way_out() -> None:
    words = ["stages.r1_zero.objective.importance_cap=2", "stages.r1_zero.rollouts.staleness=1"]
    settings = load_recipe("laptop-zero", words).stage("r1_zero").settings
    assert alternatives(settings, lambda changed: 500 + 200 * changed.rollouts.staleness, 600) == [
        Change("rollouts.staleness", 0, 500, True)
    ]


def test_disk_counts_reference_older_weights_and_critic() -> None:
    count, logs = 1_869_504, (64 << 20)
    plain = load_recipe("tiny", ["stages.r1_zero.keep_checkpoints=1", "stages.r1_zero.log_rollouts_share=0"])
    assert spaces(plain)["r1_zero"].checkpoints == 2 * 12 * count
    assert bytes_needed(plain, ["r1_zero"]) == (2 * 12 + 4) * count + logs
    kl = ["stages.r1_zero.keep_checkpoints=1", "stages.r1_zero.objective.kl_beta=0.1"]
    assert spaces(load_recipe("tiny", kl))["r1_zero"].checkpoints == 2 * 16 * count
    older = ["stages.r1_zero.objective.importance_cap=2", "stages.r1_zero.rollouts.staleness=1"]
    assert spaces(load_recipe("tiny", [kl[0], *older]))["r1_zero"].checkpoints == 2 * 16 * count
    words = ["stages.r1_zero.keep_checkpoints=1", "stages.r1_zero.algorithm=ppo"]  # it has a reference too
    assert spaces(load_recipe("tiny", words))["r1_zero"].checkpoints == 2 * (12 + 12 + 4) * count


def test_disk_counts_no_response_longer_than_the_models_context() -> None:
    words = ["stages.r1_zero.log_rollouts_share=1", "stages.r1_zero.steps=2"]
    base = scene_of(load_recipe("tiny"), Machine("cpu", True, GIB), 1).shape("base")
    longest = [
        f"stages.r1_zero.sampling.max_new_tokens={count}"
        for count in (base.context // 2, base.context, 10**6)
    ]
    logs = [spaces(load_recipe("tiny", [*words, each]))["r1_zero"].logs for each in longest]
    assert logs[1] - (64 << 20) == 2 * (logs[0] - (64 << 20)) > 0
    assert logs[2] == logs[1]


def test_estimate_is_within_a_fifth_of_what_a_process_takes() -> None:
    batch = "stages.cold_start_sft.training.batch"
    words = ["stages.cold_start_sft.max_tokens=512", "stages.cold_start_sft.training.tokens_per_batch=4096"]
    recipe = load_recipe("tiny-r1", [*words, f"{batch}.precision=float32"])
    found = preflight(recipe, Path("x"), Limit(GIB, ""), Machine("cpu", False, GIB), 40)
    (item,) = (item for item in found.items if item.name == "cold_start_sft")
    work = work_of(recipe, item, found.scene)
    assert work is not None
    assert (work.rows, work.length) == (16, 400)
    measured = measure(work)["learning"]
    assert item.estimate.peak.total == pytest.approx(measured, rel=0.2)


def test_process_that_fails_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^measuring: the process ended with status 1: ") as error:
        measure(Work(config={"model_type": "no such model"}, rows=1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"num_key_value_heads": 3},
            "num_key_value_heads: needs a divisor of num_attention_heads, 4; found 3",
        ),
        (
            {"num_key_value_heads": 8},
            "num_key_value_heads: needs a divisor of num_attention_heads, 4; found 8",
        ),
        ({"model_type": ["llama"]}, r"memory of model_type \['llama'\] cannot be estimated"),
    ],
)
def test_a_config_that_no_model_can_have_is_refused(change: dict[str, Any], message: str) -> None:
    shape = {"vocab_size": 9, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    with pytest.raises(ModelError, match=message):
        shape_of({"model_type": "llama", "num_attention_heads": 4, **shape, **change}, "here")


def test_evaluations_are_bounded_by_the_models_context_too() -> None:
    recipe = load_recipe("laptop-zero")
    settings = recipe.run.evaluation
    assert settings is not None
    longer = settings.model_copy(update={"max_new_tokens": 10**6})
    machine = Machine("cpu", True, 64 * GIB)
    context = scene_of(recipe, machine, 40).shape("base").context
    most = settings.model_copy(update={"max_new_tokens": context - 40})
    found = [evaluation_estimate(s, "base", 100, scene_of(recipe, machine, 40)) for s in (longer, most)]
    assert found[0] == found[1]
    crowded = evaluation_estimate(most, "base", 100, scene_of(recipe, machine, 10**9))
    assert crowded.peak.total < 64 * GIB


def test_threads_are_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["preflight", "laptop-zero", "threads=100000"]) == 2
    assert "threads" in capsys.readouterr().err

"""Supervised runs, and runs whose settings or questions change over the steps, go on bit-identically."""

import json
import math

import pytest
import torch
from test_learning_resume import (
    PROBLEMS,
    SAVE_EVERY,
    STEPS,
    EchoTask,
    SevensRubric,
    StopAtLook,
    assert_same_run,
    make_model,
    make_tokenizer,
    one_thread,  # noqa: F401 - a fixture
    run_rl,
)

from r1kit.errors import CheckpointError, Interrupted
from r1kit.learning.batch import EncodedDocument
from r1kit.learning.checkpoint import model_tensors
from r1kit.learning.difficulty import DifficultySettings
from r1kit.learning.questions import Source
from r1kit.learning.rl_loop import train_rl
from r1kit.learning.settings import BatchSettings, OptimizerSettings, RLSettings, SFTSettings
from r1kit.learning.sft_loop import mean_loss, train_supervised
from r1kit.models.precision import convert_parameters
from r1kit.pipeline.explain import validate
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag

SFT = SFTSettings(
    steps=11, tokens_per_batch=60, save_every=4, log_every=3,
    optimizer=OptimizerSettings(learning_rate=0.02, schedule="cosine", min_ratio=0.1, warmup_steps=2),
    batch=BatchSettings(precision="float32"),
)  # fmt: skip
DOCUMENTS = [EncodedDocument([3 + (n + k) % 10 for k in range(4 + n % 5)], 1) for n in range(40)]


def run_sft(folder, stop=None, settings=SFT):
    model = make_model(make_tokenizer())
    with RunLog(folder) as log:
        summary = train_supervised(
            model, DOCUMENTS, settings, seed=3, workdir=folder / "checkpoints", log=log,
            progress=Progress(quiet=True), stop=stop or StopFlag(),
        )  # fmt: skip
    return model, summary


@pytest.mark.parametrize("window", [1, 3])
def test_supervised_training_learns_and_an_interruption_changes_nothing(tmp_path, window):
    settings = SFT.model_copy(update={"length_window": window})
    untrained = mean_loss(make_model(make_tokenizer()), DOCUMENTS, SFT.batch)
    whole, summary = run_sft(tmp_path / "whole", settings=settings)
    with pytest.raises(Interrupted, match="stopped after step 5 of 11"):
        run_sft(tmp_path / "parts", StopAtLook(5), settings)
    parts, parts_summary = run_sft(tmp_path / "parts", settings=settings)
    assert mean_loss(whole, DOCUMENTS, SFT.batch) < 0.7 * untrained
    assert summary == parts_summary
    for name, tensor in model_tensors(parts).items():
        assert torch.equal(tensor, model_tensors(whole)[name]), name
    metrics = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in ("parts", "whole")]
    assert metrics[0] == metrics[1]
    assert len(metrics[0].splitlines()) == 4  # steps 3, 6, 9 and 11


def test_measuring_a_loss_keeps_the_number_format_and_the_rotary_frequencies():
    model = make_model(make_tokenizer())
    wide = mean_loss(model, DOCUMENTS, SFT.batch)
    frequencies = model.model.rotary_emb.inv_freq.clone()
    convert_parameters(model, torch.bfloat16)
    before = {name: tensor.clone() for name, tensor in model_tensors(model).items()}
    assert mean_loss(model, DOCUMENTS, SFT.batch) == pytest.approx(wide, abs=0.02)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.equal(model.model.rotary_emb.inv_freq, frequencies)
    for name, tensor in model_tensors(model).items():
        assert torch.equal(tensor, before[name]), name


SCHEDULED = validate(
    RLSettings,
    {
        "steps": STEPS, "template": "chat", "save_every": SAVE_EVERY, "log_rollouts_share": 1.0,
        "rollouts": {"refill_rounds": 1},
        "questions_per_step": {"points": {1: 3, 4: 2}},
        "group_size": {"points": {1: 2, 3: 5}},
        "sampling": {"max_new_tokens": 10, "temperature": {"shape": "linear", "points": {1: 1.0, 6: 0.5}}},
        "objective": {
            "whiten": True, "kl_in": "reward", "kl_kind": "k1", "kl_beta": {"points": {1: 0.0, 4: 0.01}},
        },
        "optimizer": {"learning_rate": {"shape": "cosine", "points": {1: 0.05, 6: 0.01}}},
        "batch": {"minibatches": 2, "precision": "float32"},
    },
    (),
    str,
)  # fmt: skip


def test_a_run_with_schedules_follows_them_and_is_the_same_after_a_stop(tmp_path):
    whole = tmp_path / "whole"
    expected = (whole, *run_rl(whole, settings=SCHEDULED))
    metrics = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    for k, row in enumerate(metrics):
        if row["trained_sequences"]:  # else all groups of the step were dead, twice
            assert row["learning_rate"] == pytest.approx(0.01 + 0.02 * (1 + math.cos(math.pi * k / 5)))
            assert "kl" in row
    rows = [json.loads(line) for line in (whole / "rollouts.jsonl").read_text().splitlines()]
    for step in range(1, STEPS + 1):
        drawn = sum(row["step"] == step for row in rows)
        questions, group_size = (3 if step < 4 else 2), (2 if step < 3 else 5)
        # one round more for the questions whose group was dead
        assert drawn % group_size == 0
        assert questions <= drawn // group_size <= 2 * questions
    assert sum(row["trained_sequences"] > 0 for row in metrics) >= STEPS // 2
    with pytest.raises(Interrupted):
        run_rl(tmp_path / "stopped", StopAtLook(3), settings=SCHEDULED)
    resumed = run_rl(tmp_path / "stopped", settings=SCHEDULED)
    assert_same_run(tmp_path / "stopped", *resumed, expected)


LADDER = DifficultySettings(levels=("low", "high"), band=(0.1, 0.3), move=0.5, start=0.5)
PLAIN = RLSettings(
    steps=STEPS, questions_per_step=4, group_size=4, template="chat", save_every=SAVE_EVERY,
    optimizer=OptimizerSettings(learning_rate=0.01), batch=BatchSettings(precision="float32"),
    sampling=SamplingParams(max_new_tokens=6), log_rollouts_share=1.0,
)  # fmt: skip


def run_ladder(folder, stop=None, ladder=LADDER):
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    levels = {"low": Source(PROBLEMS[:3]), "high": Source(PROBLEMS[3:])}
    with RunLog(folder) as log:
        summary = train_rl(
            model, tokenizer, {"echo": EchoTask()}, levels,
            LocalSampler(model, tokenizer), SevensRubric(), PLAIN, seed=3, workdir=folder / "checkpoints",
            log=log, progress=Progress(quiet=True), stop=stop or StopFlag(), difficulty=ladder,
        )  # fmt: skip
    return model_tensors(model), summary


def test_an_adaptive_difficulty_follows_the_pass_rate_and_is_the_same_after_a_stop(tmp_path):
    whole = tmp_path / "whole"
    expected = (whole, *run_ladder(whole))
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    wanted = 0.5
    for row in rows:
        assert row["difficulty"] == wanted
        wanted += 0.5 * ((row["accuracy"] > 0.3) - (row["accuracy"] < 0.1))
        wanted = min(max(wanted, 0.0), 1.0)
    assert len({row["difficulty"] for row in rows}) > 1
    with pytest.raises(Interrupted):
        run_ladder(tmp_path / "stopped", StopAtLook(3))
    with pytest.raises(CheckpointError, match="difficulty"):
        run_ladder(tmp_path / "stopped", ladder=LADDER.model_copy(update={"move": 0.25}))
    assert_same_run(tmp_path / "stopped", *run_ladder(tmp_path / "stopped"), expected)

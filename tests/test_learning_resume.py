"""Runs that are killed or interrupted go on bit-identically; damaged checkpoints are found and passed over.

Run as a script, this file trains in a folder and kills itself at a named moment.
"""

import io
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from r1kit.errors import CheckpointError, Interrupted
from r1kit.learning import checkpoint
from r1kit.learning.batch import EncodedDocument
from r1kit.learning.checkpoint import model_tensors
from r1kit.learning.questions import Source
from r1kit.learning.rl_loop import train_rl
from r1kit.learning.settings import (
    BatchSettings,
    LimitSettings,
    ObjectiveSettings,
    OptimizerSettings,
    RLSettings,
    SFTSettings,
)
from r1kit.learning.sft_loop import mean_loss, train_supervised
from r1kit.models.precision import convert_parameters
from r1kit.pipeline.explain import validate
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Failure, Message, Outcome, Problem, Reward, Unscored, Verdict

STEPS, SAVE_EVERY = 6, 2


def make_tokenizer():
    names = ["<pad>", "<end>", "<unk>", *"0123456789 <>/abcdefghijklmnopqrstuvwxyz"]
    inner = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    inner.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<end>", pad_token="<pad>", unk_token="<unk>",
        chat_template="{% for m in messages %}{{ m['content'] }}{% endfor %}",
    )  # fmt: skip


def make_model(tokenizer):
    torch.manual_seed(4)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, tie_word_embeddings=True, eos_token_id=1, pad_token_id=0,
            max_position_embeddings=64,
        )
    )  # fmt: skip


class EchoTask:
    """`"7"` is right when the answer repeats the question's digit."""

    name = "echo"
    free_form = False

    def verify(self, problem, answer):
        return Verdict(Outcome.CORRECT if answer == problem.reference["digit"] else Outcome.WRONG, answer)


class SevensRubric:
    """Pays for the share of 7s, which a random model can learn; leaves some samples unscored."""

    specs = ()
    learned = ()

    def outcomes(self, samples, steps_left=None, step=1):
        return [self.reward(sample.completion.text) for sample in samples]

    def reward(self, text):
        if text.startswith("z"):
            return Unscored("sevens", Failure.RAISED)
        share = text.count("7") / max(1, len(text))
        return Reward(share, {"sevens": share})


PROBLEMS = [
    Problem(f"echo/{digit}", "echo", (Message("user", f"say {digit}"),), {"digit": digit})
    for digit in "01234"
]
RL = RLSettings(
    steps=STEPS, questions_per_step=3, group_size=4, template="chat", save_every=SAVE_EVERY,
    sampling=SamplingParams(max_new_tokens=10),
    objective=ObjectiveSettings(kl_beta=0.01, reference_refresh=4),
    optimizer=OptimizerSettings(learning_rate=0.05, schedule="linear", warmup_steps=2),
    batch=BatchSettings(tokens_per_microbatch=64, minibatches=2, precision="float32"),
    log_rollouts_share=0.5,
)  # fmt: skip


def run_rl(folder, stop=None, log_class=RunLog, settings=RL, seed=3, progress=None):
    """Train to the end; the final weights, the summary."""
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    with log_class(folder) as log:
        summary = train_rl(
            model, tokenizer, {"echo": EchoTask()}, {"echo": Source(PROBLEMS)},
            LocalSampler(model, tokenizer), SevensRubric(),
            settings, seed=seed, workdir=folder / "checkpoints", log=log,
            progress=progress or Progress(quiet=True), stop=stop or StopFlag(),
        )  # fmt: skip
    return model_tensors(model), summary


class DyingLog(RunLog):
    """Kills the process when the metrics of a step have been written, before its rollouts."""

    at = 1

    def metrics(self, step, values):
        super().metrics(step, values)
        if step == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def die_while_saving(step):
    write = checkpoint.write_json

    def dying(path, obj):
        if obj["step"] == step:
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, obj)

    checkpoint.write_json = dying


def killed_run(folder, moment, step):
    """Start or go on in a process of its own, which must die by SIGKILL."""
    arguments = [sys.executable, __file__, str(folder), moment, str(step)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert done.returncode == -signal.SIGKILL, done.stderr


class StopAtLook(StopFlag):
    """As if the signal came before a loop's n-th look at the flag; loops look once after every step."""

    def __init__(self, look):
        super().__init__()
        self._looks_left = look

    @property
    def requested(self):
        self._looks_left -= 1
        return self._looks_left <= 0


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    return folder, *run_rl(folder)


def assert_same_run(folder, weights, summary, whole_run):
    expected_folder, expected_weights, expected_summary = whole_run
    assert weights.keys() == expected_weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, expected_weights[name]), name
    assert summary == expected_summary
    for name in ("metrics.jsonl", "rollouts.jsonl", "alarms.jsonl"):
        assert (folder / name).read_bytes() == (expected_folder / name).read_bytes(), name
    assert (folder / "alarms.jsonl").stat().st_size > 0  # an untrained model draws most tokens at random
    steps = [line.split(b",")[0] for line in (folder / "timings.jsonl").read_bytes().splitlines()]
    assert steps == [b'{"step": %d' % step for step in range(1, STEPS + 1)]


def test_a_run_ends_well_once_it_has_sampled_its_tokens(tmp_path, whole_run):
    folder, _, _ = whole_run
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    limit = int(steps[0]["sampled_tokens"]) + 1  # reached in the second step
    settings = RL.model_copy(update={"limits": LimitSettings(sampled_tokens=limit)})
    weights, summary = run_rl(tmp_path, settings=settings)
    assert summary["steps"] == 2.0
    assert summary["sampled_tokens"] == steps[0]["sampled_tokens"] + steps[1]["sampled_tokens"]
    again, same = run_rl(tmp_path, settings=settings)  # it has ended: nothing more is done
    assert same == summary
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_the_summary_counts_the_tokens_of_all_steps_and_what_they_cost(whole_run):
    folder, weights, summary = whole_run
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for name in ("tokens", "sampled_tokens"):
        assert summary[name] == sum(step[name] for step in steps) > 0
    assert summary["tokens"] > summary["sampled_tokens"]  # prompts are read in training too
    parameters, sampled = sum(map(torch.numel, weights.values())), 2 * summary["sampled_tokens"]
    # of each token 2 for the reference, 2 for the old log-probabilities, and 2 or 6 for the update
    least, most = (parameters * (each * summary["tokens"] + sampled) / 1e12 for each in (6, 10))
    assert least < summary["teraflop"] <= most


def test_the_run_learns_what_is_rewarded(whole_run):
    _, _, summary = whole_run
    assert summary["steps"] == STEPS
    assert summary["last/reward"] > 2 * summary["first/reward"]


def test_a_run_killed_before_its_first_save_and_again_while_saving_ends_bit_identically(tmp_path, whole_run):
    killed_run(tmp_path, "logging", 1)
    assert not list(tmp_path.glob("checkpoints/step-*"))
    killed_run(tmp_path, "saving", 4)
    assert [path.name for path in tmp_path.glob("checkpoints/step-*")] == ["step-000002"]
    assert_same_run(tmp_path, *run_rl(tmp_path), whole_run)


def test_a_run_stopped_by_a_signal_saves_and_ends_bit_identically(tmp_path, whole_run):
    with pytest.raises(Interrupted, match="stopped after step 3 of 6"):
        run_rl(tmp_path, StopAtLook(3))
    assert "step-000003" in {path.name for path in tmp_path.glob("checkpoints/*")}
    assert_same_run(tmp_path, *run_rl(tmp_path), whole_run)


def test_a_finished_run_is_not_trained_further(tmp_path, whole_run):
    run_rl(tmp_path)
    assert_same_run(tmp_path, *run_rl(tmp_path), whole_run)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, whole_run):
    with pytest.raises(Interrupted):
        run_rl(tmp_path, StopAtLook(5))
    weights = tmp_path / "checkpoints" / "step-000005" / "model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-3] ^= 1
    weights.write_bytes(bytes(damaged))
    said = io.StringIO()
    assert_same_run(tmp_path, *run_rl(tmp_path, progress=Progress(said)), whole_run)
    assert f"{weights}: content differs from its hash" in said.getvalue()
    assert "this checkpoint is passed over" in said.getvalue()


def test_damage_to_every_checkpoint_stops_the_run_instead_of_starting_anew(tmp_path):
    with pytest.raises(Interrupted):
        run_rl(tmp_path, StopAtLook(3))
    for folder in (tmp_path / "checkpoints").iterdir():
        (folder / "optimizer.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"none of its 2 checkpoints is whole .*optimizer\.safetensors: missing"
    ):
        run_rl(tmp_path)


def test_a_checkpoint_of_other_settings_is_refused_with_the_difference(tmp_path):
    with pytest.raises(Interrupted):
        run_rl(tmp_path, StopAtLook(1))
    other = RL.model_copy(update={"optimizer": OptimizerSettings(learning_rate=0.5)})
    with pytest.raises(CheckpointError, match=r"settings\.optimizer\.learning_rate was 0\.05, now 0\.5"):
        run_rl(tmp_path, settings=other)
    with pytest.raises(CheckpointError, match="seed was 3, now 4"):
        run_rl(tmp_path, seed=4)


def test_only_the_newest_checkpoints_are_kept(whole_run):
    folder = whole_run[0] / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["step-000004", "step-000006"]
    files = sorted(path.name for path in (folder / "step-000006").iterdir())
    assert files == [
        "manifest.json", "model.safetensors", "optimizer.safetensors", "reference.safetensors", "state.json",
    ]  # fmt: skip


# --- supervised -------------------------------------------------------------------------------------------

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


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[2] == "saving":
        die_while_saving(int(sys.argv[3]))
        run_rl(Path(sys.argv[1]))
    else:
        DyingLog.at = int(sys.argv[3])
        run_rl(Path(sys.argv[1]), log_class=DyingLog)


SCHEDULED = validate(
    RLSettings,
    {
        "steps": STEPS, "template": "chat", "save_every": SAVE_EVERY, "log_rollouts_share": 1.0,
        "refill_rounds": 1,
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

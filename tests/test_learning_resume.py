"""Runs that are killed or interrupted go on bit-identically; damaged checkpoints are found and passed over.

Run as a script, this file trains in a folder and kills itself at a named moment.
"""

import io
import json
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
from r1kit.learning.checkpoint import model_tensors
from r1kit.learning.questions import Source
from r1kit.learning.rl_loop import train_rl
from r1kit.learning.settings import (
    BatchSettings,
    CriticSettings,
    LimitSettings,
    ObjectiveSettings,
    OptimizerSettings,
    RLSettings,
    RolloutSettings,
)
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

CRITICS = {
    kind: RL.model_copy(
        update={
            "objective": ObjectiveSettings(
                advantage="gae", whiten=True, kl_beta=0.01, kl_in="reward", kl_kind="k1"
            ),
            "critic": CriticSettings(
                kind=kind, pretrain_steps=3,
                optimizer=OptimizerSettings(learning_rate=0.02, schedule="linear", warmup_steps=2),
            ),
        }
    )
    for kind in ("separate", "head")
}  # fmt: skip

AHEAD = RL.model_copy(
    update={
        "rollouts": RolloutSettings(staleness=1),
        "objective": RL.objective.model_copy(update={"importance_cap": 2.0}),
    }
)
VARIANTS = {"": RL, "ahead": AHEAD, **CRITICS}


def run_rl(folder, stop=None, log_class=RunLog, settings=RL, seed=3, progress=None, rubric=None):
    """Train to the end; the final weights, the summary."""
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    with log_class(folder) as log:
        summary = train_rl(
            model, tokenizer, {"echo": EchoTask()}, {"echo": Source(PROBLEMS)},
            LocalSampler(model, tokenizer, apart=settings.rollouts.staleness > 0),
            rubric or SevensRubric(),
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


def killed_run(folder, moment, step, settings=""):
    """Start or go on in a process of its own, which must die by SIGKILL; `settings`: a key of `VARIANTS`."""
    arguments = [sys.executable, __file__, str(folder), moment, str(step), settings]
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


@pytest.mark.parametrize("kind", CRITICS)
def test_a_critic_killed_with_its_run_goes_on_bit_identically(tmp_path, kind):
    whole = tmp_path / "whole"
    expected = (whole, *run_rl(whole, settings=CRITICS[kind]))
    metrics = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert ["grad_norm" in row for row in metrics] == [False] * 3 + [True] * 3
    assert all(row["critic/grad_norm"] > 0 for row in metrics)
    assert metrics[0]["value/explained_variance"] == 0.0
    killed_run(tmp_path / "killed", "saving", 4, kind)
    kept = tmp_path / "killed/checkpoints/step-000002"
    assert {"critic.safetensors", "critic_optimizer.safetensors"} < {path.name for path in kept.iterdir()}
    assert_same_run(tmp_path / "killed", *run_rl(tmp_path / "killed", settings=CRITICS[kind]), expected)
    last = [folder / "checkpoints/step-000006" for folder in (whole, tmp_path / "killed")]
    for name in ("critic.safetensors", "critic_optimizer.safetensors"):
        assert (last[0] / name).read_bytes() == (last[1] / name).read_bytes()


def test_a_critics_work_counts_among_the_operations(tmp_path):
    _, summary = run_rl(tmp_path, settings=CRITICS["separate"])
    policy = sum(map(torch.numel, make_model(make_tokenizer()).parameters()))
    tokens, steps = summary["tokens"], 3
    metrics = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    pretrained = sum(row["tokens"] for row in metrics[:steps])
    critic = policy + 17  # the head was the embedding, which stays; its own has a weight of 16 and a bias
    expected = (
        policy * (2 * summary["sampled_tokens"] + 4 * tokens + 6 * (tokens - pretrained))
        + critic * (2 + 6) * tokens
    )
    assert summary["teraflop"] == pytest.approx(expected / 1e12, rel=1e-9)


if __name__ == "__main__":
    torch.set_num_threads(1)
    chosen = VARIANTS[sys.argv[4]]
    if sys.argv[2] == "saving":
        die_while_saving(int(sys.argv[3]))
        run_rl(Path(sys.argv[1]), settings=chosen)
    else:
        DyingLog.at = int(sys.argv[3])
        run_rl(Path(sys.argv[1]), log_class=DyingLog, settings=chosen)

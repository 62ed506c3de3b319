"""Reward-model training: it learns, filters are counted, and a killed or stopped run ends bit-identically.

Run as a script, this file trains in a folder and kills itself when an update has been logged.
"""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_learning_resume import StopAtLook
from tiny_models import SHAPES, TEXTS
from transformers import LlamaConfig, LlamaForCausalLM

from r1kit.errors import CheckpointError, DataError, Interrupted
from r1kit.learning.checkpoint import model_tensors
from r1kit.learning.reward_data import RewardExample, encode_examples, microbatches
from r1kit.learning.reward_learner import RewardLearner
from r1kit.learning.reward_loop import train_reward_model
from r1kit.learning.reward_settings import RewardTrainingSettings
from r1kit.learning.settings import OptimizerSettings
from r1kit.models import reward_scores
from r1kit.models.load import save_model
from r1kit.models.reward_model import new_reward_model
from r1kit.models.written_decoder import written_decoder
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Judged, Message, Preference
from r1kit.world.tokenizer import train_tokenizer

OPTIMIZER = OptimizerSettings(learning_rate=0.01, schedule="cosine", min_ratio=0.1, warmup_steps=2)
PAIRWISE = RewardTrainingSettings(
    kind="pairwise", epochs=2, examples_per_batch=8, optimizer=OPTIMIZER, precision="float32", save_every=4,
    tokens_per_microbatch=200,
)  # fmt: skip
POINTWISE = PAIRWISE.model_copy(update={"kind": "pointwise"})


def ask(number):
    return (Message("user", f"make {number}"),)


def pairs(start, count):
    """Numbers that say "yes" are preferred to those that say "no", whatever else is said."""
    return [
        Preference(
            f"{n}", "toy", ask(n), f"{n * 7 % 10} yes", f"<think>hm</think>{n * 3 % 10} no{' no' * (n % 2)}"
        )
        for n in range(start, start + count)
    ]


def judged(start, count):
    return [
        Judged(f"{n}", "toy", ask(n), f"{n * 7 % 10} {'yes' if n % 3 else 'no'}", n % 3 > 0)
        for n in range(start, start + count)
    ]


RECORDS = {"pairwise": pairs, "pointwise": judged}


def save_base(folder):
    tokenizer = train_tokenizer(TEXTS, 512)
    shape = {**SHAPES["qwen2"], "num_hidden_layers": 1}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=0,
        bos_token_id=1,
        **shape,
    )
    torch.manual_seed(4)
    save_model(LlamaForCausalLM(config), tokenizer, folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    save_base(folder)
    return folder


def run(base, folder, settings=PAIRWISE, stop=None, log_class=RunLog, seed=3, records=None, gaps=None):
    """Train to the end: the final weights and the summary."""
    make = RECORDS[settings.kind]
    model, tokenizer = new_reward_model(base, "cpu", seed=2)
    with log_class(folder) as log:
        summary = train_reward_model(
            model, tokenizer, make(0, 40) if records is None else records, settings, seed=seed,
            workdir=folder / "checkpoints", log=log, progress=Progress(quiet=True), stop=stop or StopFlag(),
            held_out=make(100, 30), gaps=gaps,
        )  # fmt: skip
    return model_tensors(model), summary


class DyingLog(RunLog):
    """Kills the process when an update has been logged, before its checkpoint."""

    def metrics(self, step, values):
        super().metrics(step, values)
        if step == 7:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def whole_runs(base, tmp_path_factory):
    """Kind -> folder, final weights and summary of an uninterrupted run."""
    torch.set_num_threads(1)
    finished = {}
    for settings in (PAIRWISE, POINTWISE):
        folder = tmp_path_factory.mktemp(settings.kind)
        finished[settings.kind] = (folder, *run(base, folder, settings))
    return finished


BOTH = pytest.mark.parametrize("settings", [PAIRWISE, POINTWISE], ids=lambda settings: settings.kind)


def assert_same_run(folder, weights, summary, whole_run):
    expected_folder, expected_weights, expected_summary = whole_run
    assert weights.keys() == expected_weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, expected_weights[name]), name
    assert summary == expected_summary
    assert (folder / "metrics.jsonl").read_bytes() == (expected_folder / "metrics.jsonl").read_bytes()


@BOTH
def test_the_preferred_and_the_safe_are_told_apart_on_held_out_examples(whole_runs, settings):
    folder, _, summary = whole_runs[settings.kind]
    assert (summary["updates"], summary["examples"], summary["skipped"]) == (10, 40, 0)
    assert summary["after/accuracy"] > 0.95
    assert summary["after/loss"] < summary["before/loss"] / 2
    assert summary["before/accuracy"] < 0.8
    if settings.kind == "pairwise":
        assert summary["after/longer_wins"] == 0.5
    else:
        assert summary["after/auc"] > 0.95
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, *range(1, 11), 10]
    assert rows[0]["held_out/accuracy"] == summary["before/accuracy"]
    assert rows[-1]["held_out/accuracy"] == summary["after/accuracy"]
    assert [row["learning_rate"] for row in rows[1:4]] == [0.005, 0.01, 0.01]


@BOTH
def test_a_stopped_run_goes_on_bit_identically(base, tmp_path, whole_runs, settings):
    whole_run = whole_runs[settings.kind]
    with pytest.raises(Interrupted, match="stopped after step 5 of 10"):
        run(base, tmp_path, settings, StopAtLook(5))
    assert_same_run(tmp_path, *run(base, tmp_path, settings), whole_run)
    assert_same_run(tmp_path, *run(base, tmp_path, settings), whole_run)  # a finished run trains no further


def test_a_run_killed_in_a_process_of_its_own_goes_on_bit_identically(base, tmp_path, whole_runs):
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, str(base), str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False, env=env,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path.name for path in tmp_path.glob("checkpoints/step-*")] == ["step-000004"]
    assert_same_run(tmp_path, *run(base, tmp_path), whole_runs["pairwise"])


def test_a_checkpoint_of_other_settings_or_data_is_refused(base, tmp_path):
    with pytest.raises(Interrupted):
        run(base, tmp_path, stop=StopAtLook(1))
    with pytest.raises(CheckpointError, match=r"settings\.margin was 0\.0, now 1\.0"):
        run(base, tmp_path, PAIRWISE.model_copy(update={"margin": 1.0}))
    with pytest.raises(CheckpointError, match="data was"):
        run(base, tmp_path, records=pairs(1, 40))


# --- examples ---------------------------------------------------------------------------------------------


@pytest.fixture
def tokenizer(base):
    return new_reward_model(base, "cpu", seed=2)[1]


def test_pairs_that_teach_nothing_or_the_wrong_thing_are_dropped_and_counted(tokenizer):
    texts = [
        ("tea.", "milk."),
        ("tea", "milk"),  # gap 0.5
        ("tea.", "tea tea tea tea tea"),  # 19 characters to 4
        ("<think>one</think>tea", "<think>two</think>tea"),
        ("<think>one", "tea"),
        ("a b c d e f g", "tea tea tea"),  # long
        ("tea .", "milk ."),  # gap 1
    ]
    records = [Preference(str(n), "toy", ask(n), *pair) for n, pair in enumerate(texts)]
    settings = PAIRWISE.model_copy(update={"min_score_gap": 1.0})
    lengths = encode_examples(records[5:6], tokenizer, PAIRWISE, max_tokens=99).examples[0].width
    data = encode_examples(records, tokenizer, settings, [None, 0.5, 3, 3, 3, 3, 1], max_tokens=lengths - 1)
    assert len(data.examples) == 2
    assert data.dropped == {"empty": 1, "equal": 1, "small_gap": 1, "unlike_lengths": 1, "too_long": 1}


def test_helpfulness_is_learned_from_summaries_and_harmlessness_from_whole_responses(tokenizer):
    response = "<think>hm</think><answer>tea</answer>"
    pair = encode_examples(
        [Preference("1", "toy", ask(1), response, "milk")], tokenizer, PAIRWISE, max_tokens=99
    ).examples[0]
    single = encode_examples(
        [Judged("1", "toy", ask(1), response, False)], tokenizer, POINTWISE, max_tokens=99
    ).examples[0]
    start, end = "<|user|>make 1<|assistant|>", "<|end|>"
    assert [tokenizer.decode(row) for row in pair.rows] == [f"{start}tea{end}", f"{start}milk{end}"]
    assert [tokenizer.decode(row) for row in single.rows] == [f"{start}{response}{end}"]
    assert (pair.characters, single.safe) == ((3, 4), False)


def test_records_of_the_other_kind_and_data_without_examples_are_one_line(base, tokenizer, tmp_path):
    with pytest.raises(DataError, match="pointwise training: row 2: found Preference, needs Judged"):
        encode_examples([*judged(0, 1), *pairs(0, 1)], tokenizer, POINTWISE, max_tokens=99)
    with pytest.raises(DataError, match="no example is left of 1; dropped: 1 equal"):
        run(base, tmp_path, records=[Preference("1", "toy", ask(1), "tea", "tea")])
    with pytest.raises(DataError, match="no example is left of 0; dropped: none"):
        run(base, tmp_path, records=[])


def test_microbatches_keep_pairs_whole_and_under_the_budget():
    examples = [RewardExample(((1,) * a, (1,) * b)) for a, b in [(3, 2), (9, 1), (2, 4), (30, 30)]]
    parts = [[example.width for example in part] for part in microbatches(examples, 36)]
    assert parts == [[30], [9, 4], [3]]


# --- the update -------------------------------------------------------------------------------------------


@BOTH
def test_the_update_of_many_small_parts_is_that_of_one_large_part(base, settings):
    weights = []
    for budget in (20, 10_000):
        model, tokenizer = new_reward_model(base, "cpu", seed=2)
        changed = settings.model_copy(update={"tokens_per_microbatch": budget})
        examples = encode_examples(RECORDS[settings.kind](0, 9), tokenizer, changed, max_tokens=99).examples
        learner = RewardLearner(model, changed, total_updates=5)
        stats = learner.learn(examples)
        weights.append((stats["loss"], stats["grad_norm"], stats["tokens"], stats["accuracy"]))
    assert weights[0] == pytest.approx(weights[1], rel=1e-5)
    assert weights[0][0] != pytest.approx(math.log(2), abs=1e-3)


@BOTH
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_layers_written_out_and_threads_make_the_update_of_the_module_tree(
    base, settings, threads, monkeypatch
):
    def updated(count):
        model, tokenizer = new_reward_model(base, "cpu", seed=2)
        examples = encode_examples(RECORDS[settings.kind](0, 9), tokenizer, settings, max_tokens=99).examples
        torch.set_num_threads(count)
        learner = RewardLearner(model, settings, total_updates=5)
        stats = [learner.learn(examples) for _ in range(2)]
        return stats[1], {name: tensor.clone() for name, tensor in model_tensors(model).items()}

    before = torch.get_num_threads()
    try:
        assert written_decoder(new_reward_model(base, "cpu", seed=2)[0]) is not None
        (found, weights), (again, same) = updated(threads), updated(threads)
        monkeypatch.setattr(reward_scores, "written_decoder", lambda model: None)
        expected, by_modules = updated(1)
    finally:
        torch.set_num_threads(before)
    assert found == again
    assert all(torch.equal(tensor, same[name]) for name, tensor in weights.items())
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    start = model_tensors(new_reward_model(base, "cpu", seed=2)[0])
    moved = sum(float((by_modules[name] - start[name]).norm()) for name in weights)
    assert sum(float((weights[name] - by_modules[name]).norm()) for name in weights) < 0.01 * moved


def test_the_first_update_goes_down_the_gradient_of_the_mean_loss(base):
    model, tokenizer = new_reward_model(base, "cpu", seed=2)
    examples = encode_examples(pairs(0, 6), tokenizer, PAIRWISE, max_tokens=99).examples
    learner = RewardLearner(model, PAIRWISE, total_updates=5)
    scores = learner.examine(examples)
    for _ in range(3):
        stats = learner.learn(examples)
    assert stats["loss"] < scores["loss"]
    margin = RewardLearner(model, PAIRWISE.model_copy(update={"margin": 2.0}), total_updates=5)
    assert margin.examine(examples)["loss"] > learner.examine(examples)["loss"]


def test_an_update_that_is_not_finite_is_skipped_and_counted(base):
    model, tokenizer = new_reward_model(base, "cpu", seed=2)
    examples = encode_examples(pairs(0, 6), tokenizer, PAIRWISE, max_tokens=99).examples
    with torch.no_grad():
        model.score.weight[0, 0] = math.inf
    before = {name: tensor.clone() for name, tensor in model_tensors(model).items()}
    learner = RewardLearner(model, PAIRWISE, total_updates=5)
    assert learner.learn(examples)["skipped"] == 1
    tokens = sum(len(row) for example in examples for row in example.rows)
    operations = 6 * tokens * sum(parameter.numel() for parameter in model.parameters())
    assert learner.counters() == {"updates": 1, "skipped": 1, "skipped_in_a_row": 1, "operations": operations}
    assert all(torch.equal(tensor, before[name]) for name, tensor in model_tensors(model).items())


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), Path(sys.argv[2]), log_class=DyingLog)

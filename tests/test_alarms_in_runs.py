"""Trainings that go wrong on purpose say so, in the terminal and in alarms.jsonl."""

import io
import json

import pytest
import test_learning_resume as tiny
from rich.console import Console

from r1kit.learning.questions import Source
from r1kit.learning.rl_loop import train_rl
from r1kit.learning.settings import (
    BatchSettings,
    ObjectiveSettings,
    OptimizerSettings,
    RLSettings,
    RolloutSettings,
)
from r1kit.report.show import show
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Outcome, Reward, Verdict


class AlwaysRight(tiny.EchoTask):
    """A task that is solved by whatever is said."""

    free_form = True

    def verify(self, problem, answer):
        return Verdict(Outcome.CORRECT, answer)


class Paying(tiny.SevensRubric):
    """Pays as a function of the text."""

    def __init__(self, pays):
        self._pays = pays

    def reward(self, text):
        return Reward(self._pays(text), {"pays": self._pays(text)})


class Forgetful(LocalSampler):
    """A sampler that new weights never reach."""

    def update(self, model):
        self.version += 1


def train(folder, *, task=None, rubric=None, sampler=None, steps=8, **settings):
    """Train a tiny model; what was said, the rows of alarms.jsonl, those of metrics.jsonl."""
    tokenizer = tiny.make_tokenizer()
    model = tiny.make_model(tokenizer)
    drawn_from = model if sampler is None else tiny.make_model(tokenizer)
    made = {
        "sampling": SamplingParams(max_new_tokens=10),
        "optimizer": OptimizerSettings(learning_rate=0.01),
        "batch": BatchSettings(precision="float32"),
        **settings,
    }
    said = io.StringIO()
    with RunLog(folder) as log:
        train_rl(
            model, tokenizer, {"echo": task or tiny.EchoTask()}, {"echo": Source(tiny.PROBLEMS)},
            (sampler or LocalSampler)(drawn_from, tokenizer), rubric or tiny.SevensRubric(),
            RLSettings(
                steps=steps, questions_per_step=3, group_size=4, template="chat", save_every=100,
                log_rollouts_share=0, **made,
            ),
            seed=3, workdir=folder / "checkpoints", log=log, progress=Progress(said), stop=StopFlag(),
        )  # fmt: skip
    logs = [(folder / f"{name}.jsonl").read_text().splitlines() for name in ("alarms", "metrics")]
    return said.getvalue(), *([json.loads(line) for line in lines] for lines in logs)


def first_told(alarms):
    """Rule -> the step at which it first spoke."""
    return {row["alarm"]: row["step"] for row in reversed(alarms)}


def test_a_learning_rate_far_too_high_is_told_by_entropy_kl_clipping_and_sample_size(tmp_path):
    _, alarms, metrics = train(
        tmp_path,
        steps=7,
        optimizer=OptimizerSettings(learning_rate=0.03),
        batch=BatchSettings(minibatches=3, rollout_epochs=4, precision="float32"),
        objective=ObjectiveSettings(kl_beta=0.001),
    )
    told = first_told(alarms)
    assert told["entropy_explosion"] == told["effective_sample_size"] == 4
    assert (told["kl_runaway"], told["clipping"]) == (5, 6)
    assert metrics[0]["staleness/max"] == 11.0


def test_a_single_update_too_many_collapses_the_entropy(tmp_path):
    _, alarms, _ = train(tmp_path, optimizer=OptimizerSettings(learning_rate=1.0), steps=10)
    assert "entropy_collapse" in first_told(alarms)


def test_a_length_limit_too_low_is_told_with_the_setting_to_raise(tmp_path):
    said, alarms, _ = train(tmp_path, sampling=SamplingParams(max_new_tokens=2), steps=4)
    (row,) = [row for row in alarms if row["alarm"] == "truncation"]
    assert (row["step"], row["severity"]) == (4, "warning")
    assert "raise sampling.max_new_tokens" in row["text"]
    assert f"reinforcement learning, step 4: {row['text']}" in said
    console = Console(file=io.StringIO(), width=400, color_system=None)
    show(tmp_path, console)
    shown = console.file.getvalue()
    assert f"alarms ({len(alarms)})" in shown
    assert row["text"] in shown


def test_a_temperature_of_two_leaves_most_tokens_to_chance(tmp_path):
    hot = SamplingParams(max_new_tokens=10, temperature=2.0)
    _, alarms, metrics = train(tmp_path, sampling=hot, steps=4)
    assert metrics[-1]["entropy"] > 3.0
    assert first_told(alarms)["entropy_explosion"] == 4


def test_a_task_out_of_reach_without_any_reward_is_told_as_such(tmp_path):
    nothing = Paying(lambda text: 0.0)
    _, alarms, metrics = train(tmp_path, rubric=nothing, steps=6)
    told = first_told(alarms)
    assert (told["no_reward"], told["questions_too_hard"]) == (5, 6)
    assert metrics[-1]["zero_advantage_tokens"] == 1.0


def test_a_task_that_is_solved_is_too_easy_and_refilling_it_leaves_steps_empty(tmp_path):
    _, alarms, metrics = train(
        tmp_path,
        task=AlwaysRight(),
        rubric=Paying(lambda text: 1.0),
        steps=6,
        rollouts=RolloutSettings(refill_rounds=1),
    )
    told = first_told(alarms)
    assert (told["empty_step"], told["questions_too_easy"]) == (1, 6)
    assert (metrics[0]["trained_sequences"], metrics[0]["sampled_sequences"]) == (0.0, 24.0)


def test_a_reward_that_does_not_tell_right_from_wrong_is_named(tmp_path):
    class EvenRight(tiny.EchoTask):
        free_form = True

        def verify(self, problem, answer):
            self.count = getattr(self, "count", 0) + 1
            return Verdict(Outcome.CORRECT if self.count % 2 else Outcome.WRONG, answer)

    _, alarms, _ = train(tmp_path, task=EvenRight(), rubric=Paying(lambda text: 0.5), steps=6)
    assert first_told(alarms)["rewards_all_equal"] == 6


def test_a_sampler_with_other_weights_is_told_by_the_gap(tmp_path):
    _, alarms, metrics = train(
        tmp_path, sampler=Forgetful, optimizer=OptimizerSettings(learning_rate=0.1), steps=8
    )
    assert metrics[0]["logprob_gap/mean"] < 1e-4
    assert metrics[-1]["logprob_gap/mean"] > 0.05
    told = first_told(alarms)
    assert told["logprob_gap"] >= 6
    assert "effective_sample_size" in told


@pytest.mark.filterwarnings("ignore:overflow")
def test_updates_that_overflow_are_told_while_the_run_still_goes_on(tmp_path):
    _, alarms, metrics = train(tmp_path, optimizer=OptimizerSettings(learning_rate=1e30), steps=6)
    (row,) = [row for row in alarms if row["alarm"] == "skipped_updates"]
    assert row["severity"] == "critical"
    assert metrics[-1]["skipped"] == 1.0
    assert metrics[-1]["grad_norm"] is None

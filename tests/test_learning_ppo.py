"""PPO with a critic learns what it should: the known optimum of one task, the known values of another."""

import json

import pytest
import torch
from test_learning_resume import run_rl

from r1kit.learning.settings import (
    BatchSettings,
    CriticSettings,
    ObjectiveSettings,
    OptimizerSettings,
    RLSettings,
)
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Reward


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Paying:
    """Pays what a function of the question's digit and of the response says."""

    specs = ()
    learned = ()

    def __init__(self, worth):
        self._worth = worth

    def outcomes(self, samples, steps_left=None, step=1):
        paid = [self._worth(s.problem.reference["digit"], s.completion.text) for s in samples]
        return [Reward(worth, {"worth": worth}) for worth in paid]


def ppo(steps, questions, learning_rate, critic, **objective):
    """Groups of one: the baseline is the critic's alone. Four tokens, in two passes of two minibatches."""
    return RLSettings(
        steps=steps, questions_per_step=questions, group_size=1, template="chat", save_every=1000,
        sampling=SamplingParams(max_new_tokens=4), log_rollouts_share=0.0, critic=critic,
        objective=ObjectiveSettings(advantage="gae", aggregation="token_mean", **objective),
        optimizer=OptimizerSettings(learning_rate=learning_rate, schedule="linear", min_ratio=0.1),
        batch=BatchSettings(minibatches=2, rollout_epochs=2, precision="float32"),
    )  # fmt: skip


def metrics_of(folder, settings, worth):
    run_rl(folder, settings=settings, rubric=Paying(worth))
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "critic", [{"gae_lambda": 1.0}, {"gae_lambda": 0.9, "returns_lambda": 1.0}, {"kind": "head"}]
)
def test_ppo_reaches_the_optimum_of_saying_the_questions_digit_four_times(tmp_path, critic):
    optimizer = OptimizerSettings(learning_rate=0.01)
    settings = ppo(50, 48, 0.01, CriticSettings(optimizer=optimizer, pretrain_steps=5, **critic), whiten=True)
    rows = metrics_of(tmp_path, settings, lambda digit, text: text.count(digit) / 4)
    assert rows[0]["reward"] < 0.1
    assert sum(row["reward"] for row in rows[-5:]) / 5 > 0.9  # the best is 1


@pytest.mark.parametrize(
    ("kind", "learning_rate", "pretrain_steps"), [("separate", 0.01, 19), ("head", 0.03, 0)]
)
def test_a_critic_comes_to_explain_rewards_that_follow_from_the_question(
    tmp_path, kind, learning_rate, pretrain_steps
):
    critic = CriticSettings(
        kind=kind, coefficient=1.0, pretrain_steps=pretrain_steps,
        optimizer=OptimizerSettings(learning_rate=learning_rate),
    )  # fmt: skip
    rows = metrics_of(tmp_path, ppo(20, 20, 0.003, critic), lambda digit, text: int(digit) / 4)
    explained = [row["value/explained_variance"] for row in rows]
    assert explained[0] == 0.0  # its first values are all 0
    assert sum(explained[-5:]) / 5 > 0.6  # the best is 1
    assert rows[-1]["value/loss"] < 0.5 * rows[0]["value/loss"]
    assert rows[-1]["value/mean"] == pytest.approx(rows[-1]["return/mean"], abs=0.15)

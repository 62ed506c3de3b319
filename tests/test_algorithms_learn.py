"""Every published algorithm reaches the known optimum of a bandit and of a short sequence task."""

import json

import pytest
from test_learning_ppo import Paying, one_thread  # noqa: F401 - a fixture
from test_learning_resume import make_model, make_tokenizer

from r1kit.learning.algorithms import ALGORITHMS, expanded
from r1kit.learning.questions import Source
from r1kit.learning.rl_loop import train_rl
from r1kit.learning.settings import RLSettings
from r1kit.pipeline.explain import validate
from r1kit.rollouts.local import LocalSampler
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Message, Outcome, Problem, Verdict


class OwnWords:
    """A task without a right answer: the rubric alone says what is good."""

    name = "own"
    free_form = True

    def verify(self, problem, answer):
        return Verdict(Outcome.WRONG, answer)


def arm(digit, text):
    """A bandit of 41 arms, of which 7 pays most; 3, a good one, is there to be stuck on."""
    return {"7": 1.0, "3": 0.6}.get(text, 0.0)


def doubled(digit, text):
    """1 for the question's digit twice, half for it in one of the two places."""
    return 0.5 * (text[:1] == digit) + 0.5 * (text[1:2] == digit)


PROBLEMS = [
    Problem(f"own/{digit}", "own", (Message("user", f"{digit}>"),), {"digit": digit}) for digit in "012"
]


def rewards_of_run(folder, name, value, length, steps):
    """Mean reward of each step of a tiny random model's run with the algorithm.

    One that takes a single update a step gets three times the steps.
    """
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    single = ALGORITHMS[name].settings["batch"]["minibatches"] == 1
    steps = 3 * steps if single else steps
    written = {
        "steps": steps,
        "questions_per_step": 6,
        "group_size": 16,
        "template": "chat",
        "sampling": {"max_new_tokens": length},
        "optimizer": {"learning_rate": 0.01, "schedule": "linear", "min_ratio": 0.1},
        "save_every": steps,
        "algorithm": name,
    }
    plain = {key: text for key, text in expanded(written).items() if key != "algorithm"}
    settings = validate(RLSettings, plain, (), lambda path: "test")
    with RunLog(folder) as log:
        train_rl(
            model, tokenizer, {"own": OwnWords()}, {"own": Source(PROBLEMS)}, LocalSampler(model, tokenizer),
            Paying(value), settings, seed=1, workdir=folder / "checkpoints", log=log,
            progress=Progress(quiet=True), stop=StopFlag(),
        )  # fmt: skip
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["reward"] for line in lines]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_best_arm_of_a_bandit_is_found(name, tmp_path):
    rewards = rewards_of_run(tmp_path, name, arm, length=1, steps=40)
    assert rewards[0] < 0.2
    fives = [sum(rewards[begin : begin + 5]) / 5 for begin in range(len(rewards) - 4)]
    # once all answers are right, PPO whitens what is left, the critic's noise, and may stumble
    assert (max(fives) if name == "ppo" else fives[-1]) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_sequence_is_learned_to_its_end(name, tmp_path):
    rewards = rewards_of_run(tmp_path, name, doubled, length=2, steps=60)
    assert rewards[0] < 0.2
    assert sum(rewards[-5:]) / 5 > 0.95

"""The policy's update: its loss against numbers worked by hand, and what is done to a batch before it."""

import math
from dataclasses import replace

import pytest
import torch
from test_learning_learner import learner_of, ragged_batch, tiny_model

from r1kit.learning.batch import EncodedDocument, make_batch
from r1kit.learning.losses import policy_loss
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, RLSettings
from r1kit.models.reference import frozen_copy


def _rl(minibatches, **objective_settings):
    return RLSettings(
        objective=ObjectiveSettings(aggregation="token_mean", **objective_settings),
        batch=BatchSettings(minibatches=minibatches, precision="float32"),
    )


def two_sequences(**extra):
    """Of two and one response tokens, with advantages 2 and -1, and what the sampler thought of them."""
    documents = [EncodedDocument((7, 1, 2), 1), EncodedDocument((7, 3), 1)]
    batch = make_batch(documents, advantages=[2.0, -1.0], sampler_logprobs=[[-1.0, -2.0], [-1.0]])
    return replace(batch, **extra)


OLD = torch.tensor([[0.0, -1.5, -1.0], [0.0, -1.0, 0.0]])
REFERENCE = torch.tensor([[0.0, -2.0, -2.0], [0.0, -2.0, 0.0]])
NOW = torch.tensor([-1.0, -1.5, -0.2])
R = [math.exp(0.5), math.exp(-0.5), math.exp(0.8)]  # 1.649, 0.607, 2.226
S = [1.0, 1.0, math.exp(0.8)]  # of the sequences
BY_HAND = {
    # clipped to [0.7, 1.5]; advantages 2, 2, -1; each token's share of the mean over sequences: 1/4, 1/4, 1/2
    "ppo": ({}, [-1.5 * 2, -R[1] * 2, R[2]]),
    "ppo, dual": ({"dual_clip": 2.0}, [-1.5 * 2, -R[1] * 2, 2.0]),
    "gspo": ({"loss": "gspo"}, [-S[0] * 2, -S[1] * 2, S[2]]),
    "cispo": ({"loss": "cispo"}, [-1.5 * 2 * -1.0, -0.7 * 2 * -1.5, 1.5 * -0.2]),
    "reinforce": ({"loss": "reinforce"}, [2 * 1.0, 2 * 1.5, -0.2]),
}


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("cap", [None, 1.2])
def test_the_policy_loss_is_what_its_settings_say(name, cap):
    settings, tokens = BY_HAND[name]
    # pi_old / pi_sampler: e^-0.5, e^1 (cut at 1.2) and 1
    weights = [1.0] * 3 if cap is None else [math.exp(-0.5), 1.2, 1.0]
    loss = policy_loss(ObjectiveSettings(clip_low=0.3, clip_high=0.5, importance_cap=cap, **settings))
    out = loss(NOW, torch.zeros(3), two_sequences(old_logprobs_BT=OLD))
    expected = sum(s * w * t for s, w, t in zip([0.25, 0.25, 0.5], weights, tokens, strict=True))
    assert float(out.loss) == pytest.approx(expected, rel=1e-6)
    if cap is not None:
        assert float(out.token_sums["importance"]) == pytest.approx(sum(weights), rel=1e-6)


def test_kl_and_entropy_are_added_to_the_loss_beside_the_importance_weight():
    settings = ObjectiveSettings(kl_beta=0.5, kl_kind="k1", entropy_bonus=0.1, importance_cap=1.2)
    plain = policy_loss(ObjectiveSettings(importance_cap=1.2))
    batch = two_sequences(old_logprobs_BT=OLD)
    entropy = torch.tensor([1.0, 2.0, 3.0])
    with_all = policy_loss(settings)(NOW, entropy, replace(batch, ref_logprobs_BT=REFERENCE)).loss
    kl = [0.25 * (-1.0 + 2.0), 0.25 * (-1.5 + 2.0), 0.5 * (-0.2 + 2.0)]
    bonus = 0.1 * (0.25 * 1.0 + 0.25 * 2.0 + 0.5 * 3.0)
    expected = float(plain(NOW, entropy, batch).loss) + 0.5 * sum(kl) - bonus
    assert float(with_all) == pytest.approx(expected, rel=1e-6)


def test_without_old_logprobs_the_importance_weight_is_that_of_the_policy_itself():
    loss = policy_loss(ObjectiveSettings(loss="reinforce", importance_cap=1.2))
    out = loss(NOW, torch.zeros(3), two_sequences())
    assert float(out.token_sums["importance"]) == pytest.approx(1.0 + 1.2 + 1.2, rel=1e-6)  # e^0, e^.5, e^.8


class Watched:
    """A learner that keeps the batches of its updates; policy and reference say what they are told."""

    def __init__(self):
        self.batches, self.updates = [], 0

    def logprobs(self, batch, model=None):
        return OLD if model is None else REFERENCE

    def update(self, batch, loss, *, idle):
        self.batches.append(batch)
        return {"loss": 0.0, "skipped": 0.0}

    def pass_over(self, updates):
        self.updates += updates


@pytest.mark.parametrize("minibatches", [1, 2])
@pytest.mark.parametrize("whiten", [False, True])
def test_the_kl_in_the_reward_is_taken_from_the_advantages_before_they_are_whitened(minibatches, whiten):
    learner = Watched()
    settings = _rl(minibatches, kl_beta=0.5, kl_in="reward", kl_kind="k1", whiten=whiten)
    stats = update_policy(learner, two_sequences(), settings, tiny_model(), seed=0)
    # KL per token 0.5, 1.0 and 1.0; to go 1.5, 1.0 and 1.0
    taken = [2 - 0.75, 2 - 0.5, -1 - 0.5]
    if whiten:
        mean = sum(taken) / 3
        std = math.sqrt(sum((value - mean) ** 2 for value in taken) / 3)
        taken = [(value - mean) / std for value in taken]
    found = {}
    for batch in learner.batches:
        assert batch.ref_logprobs_BT is None
        assert (batch.old_logprobs_BT is None) is (minibatches == 1)
        for row, values in zip(batch.tokens_BT.tolist(), batch.advantages_BT.tolist(), strict=True):
            found[row[1]] = [value for value in values[1:] if value != 0]
    assert found[1] + found[3] == pytest.approx(taken, rel=1e-6)
    assert stats["kl"] == pytest.approx(2.5 / 3)
    assert stats["trained_sequences"] == 2


def test_settings_without_effect_or_with_a_wrong_gradient_are_refused():
    with pytest.raises(ValueError, match="dual_clip has no effect on the loss 'cispo'"):
        ObjectiveSettings(loss="cispo", dual_clip=3.0)
    with pytest.raises(ValueError, match="only 'k1' has the gradient of the KL there"):
        ObjectiveSettings(kl_in="reward")
    with pytest.raises(ValueError, match=r"rollouts\.refill_rounds: with the advantage 'raw'"):
        RLSettings(rollouts={"refill_rounds": 1}, objective=ObjectiveSettings(advantage="raw"))


def test_the_kl_in_the_reward_is_nothing_against_a_fresh_reference():
    model = tiny_model(torch.float32)
    learner, reference = learner_of(model), frozen_copy(model)
    settings = _rl(1, kl_beta=0.1, kl_in="reward", kl_kind="k1")
    plain = update_policy(
        learner_of(frozen_copy(model).requires_grad_()), ragged_batch(), _rl(1), None, seed=0
    )
    first = update_policy(learner, ragged_batch(), settings, reference, seed=0)
    assert first["kl"] == pytest.approx(0.0, abs=1e-9)  # nothing is taken from any return yet
    assert first["loss"] == pytest.approx(plain["loss"], rel=1e-6)
    second = update_policy(learner, ragged_batch(), settings, reference, seed=0)
    own, theirs = learner_of(frozen_copy(model)), learner_of(reference)
    assert second["kl"] != 0.0
    gap = own.logprobs(ragged_batch()).double() - theirs.logprobs(ragged_batch()).double()
    third = update_policy(learner, ragged_batch(), settings, reference, seed=0)
    assert third["kl"] == pytest.approx(float(gap.sum()) / ragged_batch().num_tokens, rel=1e-4)


def test_the_entropy_bonus_alone_raises_the_entropy_also_where_no_advantage_is():
    learner = learner_of(tiny_model(torch.float32))
    batch = replace(ragged_batch(), advantages_BT=torch.zeros(6, 12))
    stats = [update_policy(learner, batch, _rl(1, entropy_bonus=1.0), None, seed=0) for _ in range(5)]
    assert stats[-1]["entropy"] > stats[0]["entropy"] + 1e-4


def test_whitened_advantages_reach_the_loss():
    # on policy the loss is minus the mean advantage of the tokens, which whitening makes 0
    plain = update_policy(learner_of(tiny_model()), ragged_batch(), _rl(1), None, seed=0)
    stats = update_policy(learner_of(tiny_model()), ragged_batch(), _rl(1, whiten=True), None, seed=0)
    assert abs(plain["loss"]) > 0.1
    assert stats["loss"] == pytest.approx(0.0, abs=1e-6)
    assert stats["grad_norm"] > 1e-3

"""Statistics of updates: against numbers worked by hand, and the same however a batch is cut."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_learning_learner import ragged_batch, tiny_model

from r1kit.learning.batch import EncodedDocument, make_batch
from r1kit.learning.learner import Learner
from r1kit.learning.losses import policy_loss
from r1kit.learning.policy_stats import policy_metrics
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings, RLSettings

# Three sequences of two, one and one response tokens, with advantages 2, -1 and 0.
DOCUMENTS = [EncodedDocument((7, 1, 2), 1), EncodedDocument((7, 3), 1), EncodedDocument((7, 4), 1)]
SAMPLER = [[-1.0, -2.0], [-1.0], [-0.5]]
OLD = torch.tensor([[0.0, -1.5, -1.0], [0.0, -1.0, 0.0], [0.0, -0.5, 0.0]])
NOW = torch.tensor([-1.0, -1.5, -0.2, -1.5])
LOG_RATIOS = [0.5, -0.5, 0.8, -1.0]


def batch_of(**extra):
    batch = make_batch(DOCUMENTS, advantages=[2.0, -1.0, 0.0], sampler_logprobs=SAMPLER)
    return replace(batch, old_logprobs_BT=OLD, **extra)


def stats_of(settings, batch, now=NOW):
    """The statistics of one update of one part."""
    out = policy_loss(settings)(now, torch.zeros(len(now)), batch)
    means = {name: float(value) / batch.num_tokens for name, value in out.token_sums.items()}
    update = {**means, **{name: float(value) for name, value in out.extremes.items()}, "skipped": 0.0}
    return policy_metrics([update], [batch.num_tokens])


def test_ratios_kl_and_clip_shares_are_those_worked_by_hand():
    stats = stats_of(ObjectiveSettings(clip_low=0.3, clip_high=0.5), batch_of())
    assert stats["ratio/max"] == pytest.approx(math.exp(0.8), rel=1e-6)
    assert stats["ratio/min"] == pytest.approx(math.exp(-1.0), rel=1e-6)
    assert stats["approx_kl"] == pytest.approx(sum(math.exp(x) - 1 - x for x in LOG_RATIOS) / 4, rel=1e-6)
    # e^0.5 is above 1.5 with advantage 2; e^-0.5 would be cut with a negative one, e^0.8 with a positive one;
    # e^-1 has no advantage that a clip could take away
    assert stats["clip/high"] == pytest.approx(1 / 3)
    assert stats["clip/low"] == 0.0
    assert stats["zero_advantage_tokens"] == pytest.approx(1 / 4)


def test_a_clip_without_regard_to_the_sign_counts_tokens_with_an_advantage_alone():
    stats = stats_of(ObjectiveSettings(loss="cispo", clip_low=0.3, clip_high=0.5), batch_of())
    assert stats["clip/high"] == pytest.approx(2 / 3)  # e^0.5 and e^0.8
    assert stats["clip/low"] == pytest.approx(1 / 3)  # e^-0.5, not e^-1


def test_the_effective_sample_size_and_the_gap_are_those_worked_by_hand():
    stats = stats_of(ObjectiveSettings(), batch_of())
    weights = [1.0, math.exp(0.5), math.exp(0.8), math.exp(-1.0)]  # now - sampler: 0, 0.5, 0.8, -1
    expected = sum(weights) ** 2 / (4 * sum(w * w for w in weights))
    assert stats["ess/tokens"] == pytest.approx(expected, rel=1e-6)
    products = [math.exp(0.5), math.exp(0.8), math.exp(-1.0)]
    expected = sum(products) ** 2 / (3 * sum(w * w for w in products))
    assert stats["ess/sequences"] == pytest.approx(expected, rel=1e-6)
    # old - sampler: -0.5, 1, 0, 0
    assert stats["logprob_gap/mean"] == pytest.approx(1.5 / 4, rel=1e-6)
    assert stats["logprob_gap/max"] == pytest.approx(1.0, rel=1e-6)
    expected = np.corrcoef([-1.5, -1.0, -1.0, -0.5], [-1.0, -2.0, -1.0, -0.5])[0, 1]
    assert stats["logprob_gap/correlation"] == pytest.approx(expected, rel=1e-6)


def test_on_policy_without_a_gap_nothing_is_off():
    own = [[-1.0, -1.5], [-0.2], [-1.5]]
    batch = make_batch(DOCUMENTS, advantages=[2.0, -1.0, 1.0], sampler_logprobs=own)
    stats = stats_of(ObjectiveSettings(), batch)
    ones = ("ratio/max", "ratio/min", "ess/tokens", "ess/sequences", "logprob_gap/correlation")
    assert [stats[name] for name in ones] == pytest.approx([1.0] * 5, rel=1e-6)
    noughts = ("approx_kl", "clip/low", "clip/high", "zero_advantage_tokens", "logprob_gap/max")
    assert [stats[name] for name in noughts] == pytest.approx([0.0] * 5, abs=1e-6)


def test_what_has_no_tokens_to_be_a_share_of_is_not_a_number():
    batch = replace(batch_of(), advantages_BT=torch.zeros(3, 3))
    stats = stats_of(ObjectiveSettings(), batch)
    assert stats["zero_advantage_tokens"] == 1.0
    assert math.isnan(stats["clip/low"])
    assert math.isnan(stats["clip/high"])
    same = make_batch(DOCUMENTS, advantages=[1.0] * 3, sampler_logprobs=[[-1.0, -1.0], [-1.0], [-1.0]])
    assert math.isnan(stats_of(ObjectiveSettings(), same)["logprob_gap/correlation"])  # they do not vary


def test_a_ratio_beyond_all_bounds_is_a_number():
    stats = stats_of(ObjectiveSettings(), batch_of(), torch.tensor([-1.0, -1.5, -0.2, -900.0]))
    assert stats["ratio/min"] == pytest.approx(math.exp(-20))
    assert all(map(math.isfinite, stats.values()))


TWO = [
    {
        **{"loss": 1.0, "grad_norm": 2.0, "grad_norm/clipped": 1.0, "learning_rate": 0.1, "padding": 0.5},
        **{"skipped": 0.0, "entropy": 1.0, "ratio/max": 3.0, "ratio/min": 0.5, "raw/credited": 0.5},
        **{"raw/clipped_low": 0.25, "raw/clipped_high": 0.0},
    },
    {
        **{"loss": 3.0, "grad_norm": 0.5, "grad_norm/clipped": 0.0, "learning_rate": 0.1, "padding": 0.1},
        **{"skipped": 0.0, "entropy": 5.0, "ratio/max": 2.0, "ratio/min": 0.1, "raw/credited": 1.0},
        **{"raw/clipped_low": 0.0, "raw/clipped_high": 0.1},
    },
]


def test_updates_count_by_their_tokens_and_extremes_are_over_all():
    stats = policy_metrics(TWO, [30, 10])
    assert stats["entropy"] == pytest.approx((30 * 1 + 10 * 5) / 40)
    assert (stats["ratio/max"], stats["ratio/min"]) == (3.0, 0.1)
    # credited tokens: 15 and 10; cut off at the low side 7.5, at the high side 1
    assert stats["zero_advantage_tokens"] == pytest.approx(15 / 40)
    assert stats["clip/low"] == pytest.approx(7.5 / 25)
    assert stats["clip/high"] == pytest.approx(1 / 25)
    assert (stats["loss"], stats["grad_norm"], stats["grad_norm/max"]) == (2.0, 1.25, 2.0)
    assert (stats["grad_norm/clipped"], stats["padding"]) == (0.5, 0.3)
    assert stats["staleness"] == pytest.approx(10 / 40)  # the second update's 10 tokens were one update old
    assert stats["staleness/max"] == 1.0
    assert not any(name.startswith("raw/") for name in stats)


def test_a_skipped_update_is_counted_and_otherwise_left_out():
    broken = {**TWO[0], "loss": math.nan, "grad_norm": math.inf, "entropy": math.nan, "skipped": 1.0}
    stats = policy_metrics([TWO[0], broken, TWO[1]], [30, 20, 10])
    assert stats == {**policy_metrics(TWO, [30, 10]), "skipped": 1.0}  # it moved nothing: one update old
    alone = policy_metrics([broken, broken], [30, 20])
    assert alone["skipped"] == 2.0
    assert math.isnan(alone["entropy"])
    assert (alone["ratio/max"], alone["staleness"]) == (3.0, 0.0)


ONE_PART = BatchSettings(precision="float32")
MANY_PARTS = BatchSettings(tokens_per_microbatch=12, precision="float32")


def test_a_critics_updates_are_skipped_and_made_by_themselves():
    critic = {"value/loss": 1.0, "critic/grad_norm": 2.0, "critic/skipped": 0.0}
    broken = {"value/loss": math.nan, "critic/grad_norm": math.inf, "critic/skipped": 1.0}
    last = {"value/loss": 4.0, "critic/grad_norm": 3.0, "critic/skipped": 0.0}
    rows = [TWO[0] | critic, TWO[1] | broken, {**TWO[1], "loss": math.nan, "skipped": 1.0} | last]
    stats = policy_metrics(rows, [30, 10, 20])
    assert stats["value/loss"] == pytest.approx((30 * 1 + 20 * 4) / 50)
    assert (stats["critic/grad_norm"], stats["critic/skipped"], stats["skipped"]) == (2.5, 1.0, 1.0)
    policy = policy_metrics(TWO, [30, 10])
    assert {name: stats[name] for name in policy} == {**policy, "skipped": 1.0}
    # while the critic learns alone there is nothing of the policy
    alone = policy_metrics([critic, last], [10, 30])
    assert alone == {"value/loss": 3.25, "critic/grad_norm": 2.5, "critic/skipped": 0.0}


STILL = OptimizerSettings(learning_rate=1e-30)  # no float32 weight moves by that
CUT_ALIKE = (
    *("entropy", "approx_kl", "clip/low", "clip/high", "zero_advantage_tokens", "ratio/max", "ratio/min"),
    *("ess/tokens", "ess/sequences", "logprob_gap/mean", "logprob_gap/max", "logprob_gap/correlation"),
)


def measured(micro, **cut):
    """Statistics of a policy that does not move, on a batch of six sequences drawn by another one."""
    model = tiny_model(torch.float32)
    learner = Learner(model, STILL, micro, total_updates=20)
    batch = ragged_batch()
    own = learner.logprobs(batch)
    noise = torch.linspace(-0.6, 0.9, own.numel()).reshape(own.shape) * batch.loss_mask_BT
    batch = replace(batch, sampler_logprobs_BT=own + noise, old_logprobs_BT=own - 0.5 * noise)
    settings = RLSettings(objective=ObjectiveSettings(), batch=micro.model_copy(update=cut))
    return update_policy(learner, batch, settings, None, seed=5)


def test_statistics_do_not_depend_on_how_a_batch_is_cut():
    whole = measured(ONE_PART)
    assert whole["ess/tokens"] < 0.95
    assert whole["clip/low"] + whole["clip/high"] > 0
    assert 0 < whole["zero_advantage_tokens"] < 1
    for other in (
        measured(MANY_PARTS),
        measured(ONE_PART, minibatches=3),
        measured(MANY_PARTS, minibatches=2, rollout_epochs=3),
    ):
        for name in CUT_ALIKE:
            assert other[name] == pytest.approx(whole[name], rel=1e-5, abs=1e-9), name


def test_staleness_counts_the_updates_since_the_rollouts_over_passes_and_minibatches():
    assert measured(ONE_PART)["staleness"] == 0.0
    stats = measured(ONE_PART, minibatches=6, rollout_epochs=2)
    assert stats["staleness/max"] == 11.0
    assert measured(ONE_PART, rollout_epochs=3)["staleness"] == 1.0  # 0, 1 and 2 on the same tokens


def test_a_minibatch_that_overflows_leaves_the_others_statistics_alone():
    learner = Learner(tiny_model(torch.float32), STILL, ONE_PART, total_updates=20)
    batch = ragged_batch()
    own = learner.logprobs(batch)
    broken = own.clone()
    broken[0][batch.loss_mask_BT[0]] = math.nan  # reaches the loss by the importance weight
    settings = RLSettings(
        objective=ObjectiveSettings(importance_cap=2.0),
        batch=BatchSettings(minibatches=6, precision="float32"),
    )
    stats = update_policy(learner, replace(batch, sampler_logprobs_BT=broken), settings, None, seed=5)
    assert stats["skipped"] == 1.0
    assert stats["ess/tokens"] == pytest.approx(1.0, rel=1e-5)
    assert stats["staleness/max"] == 4.0
    assert all(map(math.isfinite, stats.values()))

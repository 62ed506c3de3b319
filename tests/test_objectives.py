"""Advantages, aggregation and KL estimators, against numbers worked by hand."""

import math

import pytest
import torch

from r1kit.objectives.advantages import ADVANTAGES, WITHOUT_BASELINE, dead_groups, gdpo
from r1kit.objectives.aggregation import AGGREGATIONS, Totals
from r1kit.objectives.kl import KL_ESTIMATORS, k1, k2, k3
from r1kit.objectives.supervised import cross_entropy

NAN = math.nan


def tensor(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def advantages(name, *rewards, lengths=None):
    rewards = tensor(*rewards)
    return ADVANTAGES[name](rewards, torch.ones_like(rewards) if lengths is None else tensor(*lengths))


def assert_equal(got, *expected):
    torch.testing.assert_close(got, tensor(*expected), rtol=0, atol=1e-12, equal_nan=True)


def test_grpo_divides_by_the_sample_standard_deviation_plus_1e_4():
    # mean 2, squared deviations 4 + 0 + 0 + 4, sample variance 8/3
    std = math.sqrt(8 / 3)
    assert_equal(advantages("grpo", [0, 2, 2, 4])[0], -2 / (std + 1e-4), 0, 0, 2 / (std + 1e-4))


def test_dr_grpo_only_subtracts_the_mean():
    assert_equal(advantages("dr_grpo", [0, 2, 2, 4], [1, 1, 0, 0])[0], -2, 0, 0, 2)
    assert_equal(advantages("dr_grpo", [0, 2, 2, 4], [1, 1, 0, 0])[1], 0.5, 0.5, -0.5, -0.5)


def test_opo_weighs_the_baseline_by_length_so_that_the_tokens_advantages_sum_to_zero():
    # baseline (1 * 1 + 3 * 0) / 4
    assert_equal(advantages("opo", [1, 0], lengths=[[1, 3]])[0], 0.75, -0.25)
    rewards, lengths = [1.1, 0.1, NAN, 0], [20, 50, 400, 130]
    out = advantages("opo", rewards, lengths=[lengths])[0]
    assert float((out * tensor(*lengths)).nan_to_num().sum()) == pytest.approx(0, abs=1e-12)
    assert_equal(advantages("opo", rewards)[0], *advantages("dr_grpo", rewards)[0])  # of equal lengths


def test_rloo_leaves_the_sample_out_of_its_own_baseline():
    # 4 - mean(0, 2, 2), and so on
    assert_equal(advantages("rloo", [0, 2, 2, 4])[0], -8 / 3, -2 / 3 + 2 / 3, 0, 8 / 3)
    assert_equal(advantages("rloo", [0, NAN, 1])[0], -1, NAN, 1)


def test_rloo_is_dr_grpo_times_g_over_g_minus_1():
    rewards = torch.rand(5, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    lengths = torch.ones_like(rewards)
    rloo = ADVANTAGES["rloo"](rewards, lengths)
    for g in range(7):  # the definition: the mean of the six others
        others = torch.cat([rewards[:, :g], rewards[:, g + 1 :]], 1)
        torch.testing.assert_close(rloo[:, g], rewards[:, g] - others.mean(1), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(rloo, ADVANTAGES["dr_grpo"](rewards, lengths) * 7 / 6, rtol=1e-14, atol=0)


def test_raw_has_no_baseline():
    assert_equal(advantages("raw", [3, NAN, -1])[0], 3, NAN, -1)


def test_best_of_n_learns_the_first_of_the_best_and_nothing_else():
    assert_equal(advantages("best_of_n", [0, 2, NAN, 2])[0], 0, 1, NAN, 0)
    assert_equal(advantages("best_of_n", [0, 0, 0], [NAN, NAN, NAN]).flatten(), 1, 0, 0, NAN, NAN, NAN)


def test_gdpo_adds_each_terms_own_advantage():
    right, brief = [[1, 0, 0, 1]], [[0.5, 0.5, 0.1, 0.1]]
    got = gdpo(tensor(right, brief), tensor(1.0, 0.5))
    expected = advantages("grpo", *right) + 0.5 * advantages("grpo", *brief)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)
    # a sample's reward of one term alone is what grpo makes of it
    torch.testing.assert_close(gdpo(tensor(right), tensor(2.0)), 2 * advantages("grpo", *right))


def test_gdpo_tells_mixtures_with_one_sum_apart():
    right, polite = [[1, 0, 0, 0, 0]], [[0, 1, 1, 1, 0]]
    summed = advantages("grpo", [1, 1, 1, 1, 0])[0]
    assert float(summed[0]) == float(summed[1])
    got = gdpo(tensor(right, polite), tensor(1.0, 1.0))[0]
    # the rarer one tells more: 1 of 5 has a smaller std (sqrt(1/5)) than 3 of 5 (sqrt(3/10))
    assert float(got[0] - got[1]) == pytest.approx(math.sqrt(5) - math.sqrt(10 / 3), rel=1e-3)


def test_gdpo_leaves_out_terms_that_do_not_concern_a_group_and_samples_without_any():
    terms = tensor([[1, 0, NAN], [1, 0, 0]], [[NAN, NAN, NAN], [0, 1, 0]])
    got = gdpo(terms, tensor(1.0, 3.0))
    assert_equal(got[0], *advantages("grpo", [1, 0, NAN])[0])
    both = advantages("grpo", [1, 0, 0], [0, 1, 0])
    torch.testing.assert_close(got[1], both[0] + 3 * both[1], rtol=1e-12, atol=0)


def test_dividing_by_the_std_weighs_hard_and_easy_questions_more_than_their_rewards_do():
    # one right of eight, and four of eight: the absolute advantages of the harder group are 7/16 of the
    # other's, and 66% of them once each is divided by its std (Dr.GRPO's difficulty bias)
    hard, middle = [1] + [0] * 7, [1] * 4 + [0] * 4
    shares = {}
    for name in ("dr_grpo", "grpo"):
        first, second = advantages(name, hard, middle).abs().sum(1).tolist()
        shares[name] = first / second
    assert shares["dr_grpo"] == pytest.approx(7 / 16)
    assert shares["grpo"] == pytest.approx(7 / 16 * math.sqrt(2 / 7 * 8 / 8 / (7 / 8 / 7)), rel=1e-3)
    assert shares["grpo"] > 1.5 * shares["dr_grpo"]


BASELINES = [name for name in ADVANTAGES if name not in WITHOUT_BASELINE]


@pytest.mark.parametrize("name", BASELINES)
def test_equal_rewards_give_exactly_zero_advantage(name):
    # the mean of three times 0.1 is not 0.1 in floating point
    assert advantages(name, [0.1, 0.1, 0.1]).tolist() == [[0.0, 0.0, 0.0]]


def test_unscored_samples_stay_out_of_the_statistics_and_stay_nan():
    assert_equal(advantages("dr_grpo", [0, NAN, 1])[0], -0.5, NAN, 0.5)
    std = math.sqrt(0.5)
    assert_equal(advantages("grpo", [0, NAN, 1])[0], -0.5 / (std + 1e-4), NAN, 0.5 / (std + 1e-4))


@pytest.mark.parametrize("name", BASELINES)
def test_a_single_scored_sample_teaches_nothing(name):
    assert_equal(advantages(name, [3, NAN, NAN])[0], 0, NAN, NAN)
    assert_equal(advantages(name, [NAN, NAN])[0], NAN, NAN)


def test_dead_groups_are_those_without_two_different_scores():
    rewards = tensor([1, 1, 1], [1, 0, 1], [NAN, 1, 1], [NAN, NAN, 2], [NAN, NAN, NAN], [NAN, 0, 1])
    assert dead_groups(rewards).tolist() == [True, False, True, True, True, False]


def test_aggregation_weights_of_two_sequences_of_one_and_four_tokens():
    lengths, totals = torch.tensor([1, 4]), Totals(num_sequences=2, num_tokens=5)
    weights = {name: aggregate(lengths, totals, 10) for name, aggregate in AGGREGATIONS.items()}
    assert_equal(weights["sequence_mean"], 1 / 2, 1 / 8)
    assert_equal(weights["token_mean"], 1 / 5, 1 / 5)
    assert_equal(weights["constant"], 1 / 20, 1 / 20)


def test_aggregation_uses_the_totals_of_the_whole_batch_not_of_the_part():
    part, totals = torch.tensor([4]), Totals(num_sequences=8, num_tokens=100)
    assert_equal(AGGREGATIONS["sequence_mean"](part, totals, 10), 1 / 32)
    assert_equal(AGGREGATIONS["token_mean"](part, totals, 10), 1 / 100)
    assert_equal(AGGREGATIONS["constant"](part, totals, 10), 1 / 80)


def test_kl_estimators_of_one_token():
    # pi = 1/2, reference = 1/4: r = 1/2
    logprobs, reference = tensor(0.5).log(), tensor(0.25).log()
    assert_equal(k1(logprobs, reference), math.log(2))
    assert_equal(k2(logprobs, reference), math.log(2) ** 2 / 2)
    assert_equal(k3(logprobs, reference), 0.5 - 1 + math.log(2))


@pytest.mark.parametrize("name", KL_ESTIMATORS)
def test_kl_estimators_are_zero_where_policy_and_reference_agree(name):
    assert_equal(KL_ESTIMATORS[name](tensor(-1, -2), tensor(-1, -2)), 0, 0)


def _distributions():
    logits = tensor(0.3, -0.4, 0.9).requires_grad_()
    return logits, torch.log_softmax(logits, 0), torch.log_softmax(tensor(0.1, 0.5, -0.2), 0)


def _kl_and_its_gradient():
    logits, policy, reference = _distributions()
    kl = (policy.exp() * (policy - reference)).sum()
    return kl.detach(), torch.autograd.grad(kl, logits)[0]


@pytest.mark.parametrize("estimator", [k1, k3])
def test_k1_and_k3_are_unbiased_estimates_of_the_kl(estimator):
    _, policy, reference = _distributions()
    mean = (policy.exp() * estimator(policy, reference)).sum().detach()
    torch.testing.assert_close(mean, _kl_and_its_gradient()[0])


def _loss_gradient(estimator):
    """The expected gradient of the estimator used as a loss: the samples are fixed, not differentiated."""
    logits, policy, reference = _distributions()
    return torch.autograd.grad((policy.exp().detach() * estimator(policy, reference)).sum(), logits)[0]


def test_as_a_loss_k2_has_the_gradient_of_the_reverse_kl_and_the_others_have_not():
    _, true_gradient = _kl_and_its_gradient()
    torch.testing.assert_close(_loss_gradient(k2), true_gradient)
    torch.testing.assert_close(_loss_gradient(k1), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    assert (_loss_gradient(k3) - true_gradient).abs().max() > 0.01


def test_as_a_loss_k3_has_the_gradient_of_the_forward_kl():
    logits, policy, reference = _distributions()
    forward = (reference.exp() * (reference - policy)).sum()
    torch.testing.assert_close(_loss_gradient(k3), torch.autograd.grad(forward, logits)[0])


def test_kl_and_cross_entropy_pass_the_numerical_gradient_check():
    logprobs = tensor(-0.5, -1.2, -0.1).requires_grad_()
    other = tensor(-0.6, -1.0, -0.3)
    for estimator in KL_ESTIMATORS.values():
        assert torch.autograd.gradcheck(lambda x, estimator=estimator: estimator(x, other), logprobs)
    assert torch.autograd.gradcheck(cross_entropy, logprobs)


def test_cross_entropy_is_the_negative_logprob():
    assert_equal(cross_entropy(tensor(-0.5, -2.0)), 0.5, 2.0)

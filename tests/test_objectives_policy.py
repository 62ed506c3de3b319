"""Policy losses and credit by token, against numbers worked by hand, numerical gradients and identities."""

import math
from dataclasses import replace

import pytest
import torch

from r1kit.objectives.policy import (
    POLICY_LOSSES,
    Clip,
    Tokens,
    cispo,
    gspo,
    importance_weights,
    ppo,
    reinforce,
)
from r1kit.objectives.token_credit import kl_penalty, returns_to_go, whitened

WIDE = Clip(1.0, 1e9)


def tensor(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def tokens(ratios, advantages, sequences=None):
    """Tokens with these ratios of the policy to the old one, whose log-probability is -1."""
    logprobs_N = tensor(*ratios).log() - 1
    sequence_N = torch.tensor(sequences if sequences is not None else range(len(ratios)))
    return Tokens(
        logprobs_N.requires_grad_(), torch.full_like(logprobs_N, -1.0), tensor(*advantages), sequence_N
    )


def gradient(loss, given, clip):
    return torch.autograd.grad(loss(given, clip).loss_N.sum(), given.logprobs_N)[0]


def assert_equal(got, *expected):
    torch.testing.assert_close(got.detach(), tensor(*expected), rtol=0, atol=1e-12)


def test_ppo_takes_the_pessimistic_side():
    given = tokens([1.5, 1.5, 0.5, 0.5, 1.0], [2, -2, 2, -2, 3])
    out = ppo(given, Clip(0.2, 0.28))
    assert_equal(out.loss_N, -2.56, 3.0, -1.0, 1.6, -3.0)
    assert out.clipped_high_N.tolist() == [True, False, False, False, False]
    assert out.clipped_low_N.tolist() == [False, False, False, True, False]


def test_clipped_tokens_have_no_gradient_in_ppo_and_others_the_policy_gradient():
    given = tokens([1.5, 1.5, 0.5, 0.5, 1.0], [2, -2, 2, -2, 3])
    # d(-rho A)/d logprob = -rho A
    assert_equal(gradient(ppo, given, Clip(0.2, 0.28)), 0, 3.0, -1.0, 0, -3.0)


def test_clip_10_of_r1_never_clips_below():
    given = Tokens(tensor(-20.0, 2.0), tensor(0, 0), tensor(-1, 1), torch.tensor([0, 1]))
    out = ppo(given, Clip(1.0, 10.0))
    assert_equal(out.loss_N, math.exp(-20), -math.exp(2))
    assert not out.clipped_low_N.any()


def test_the_dual_clip_bounds_what_a_bad_token_can_pull():
    # ratio 10, advantage -2: loss 20 without it, 3 * 2 with it and no gradient; others as before
    given = tokens([10.0, 2.0, 10.0], [-2, -2, 1])
    out = ppo(given, Clip(0.2, 0.2, dual=3.0))
    assert_equal(out.loss_N, 6.0, 4.0, -1.2)
    assert out.clipped_high_N.tolist() == [True, False, True]
    assert_equal(gradient(ppo, given, Clip(0.2, 0.2, dual=3.0)), 0, 4.0, 0)
    assert_equal(ppo(given, Clip(0.2, 0.2)).loss_N, 20.0, 4.0, -1.2)


def test_gspo_has_one_ratio_for_a_sequence():
    # sequence 0: ratios 2 and 1/2, whose geometric mean is 1; sequence 1: 4 and 1, mean 2, clipped at 1.5
    given = tokens([2.0, 0.5, 4.0, 1.0], [1, 1, 3, 3], [0, 0, 1, 1])
    out = gspo(given, Clip(0.5, 0.5))
    assert_equal(out.loss_N, -1, -1, -4.5, -4.5)
    assert out.clipped_high_N.tolist() == [False, False, True, True]
    assert_equal(gradient(gspo, given, Clip(0.5, 0.5)), -1, -1, 0, 0)


def test_gspo_by_token_is_the_gradient_of_the_sequences_own_objective():
    given = tokens([1.2, 0.7, 1.1, 0.9], [2, 2, -1, -1], [0, 0, 0, 1])
    given = replace(given, advantages_N=tensor(2, 2, 2, -1))
    ratio_0 = (given.logprobs_N - given.old_logprobs_N)[:3].mean().exp()
    ratio_1 = (given.logprobs_N - given.old_logprobs_N)[3].exp()
    expected = torch.autograd.grad(-(2 * ratio_0 - ratio_1), given.logprobs_N)[0]
    weights = tensor(1 / 3, 1 / 3, 1 / 3, 1)  # the mean over a sequence's tokens
    got = torch.autograd.grad((gspo(given, WIDE).loss_N * weights).sum(), given.logprobs_N)[0]
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)


def test_cispo_weighs_by_the_cut_off_ratio_and_keeps_every_gradient():
    given = tokens([3.0, 0.1, 1.0], [2, -1, 1])
    out = cispo(given, Clip(1.0, 0.5))
    assert_equal(gradient(cispo, given, Clip(1.0, 0.5)), -3.0, 0.1, -1.0)
    assert out.clipped_high_N.tolist() == [True, False, False]
    assert not out.clipped_low_N.any()
    assert cispo(given, Clip(0.5, 0.5)).clipped_low_N.tolist() == [False, True, False]
    assert_equal(gradient(cispo, given, Clip(0.5, 0.5)), -3.0, 0.5, -1.0)


def test_reinforce_ignores_the_ratio():
    assert_equal(gradient(reinforce, tokens([3.0, 0.1], [2, -1]), Clip(0.2, 0.2)), -2.0, 1.0)


@pytest.mark.parametrize("name", POLICY_LOSSES)
def test_on_policy_every_loss_has_the_gradient_of_reinforce(name):
    given = tokens([1.0] * 6, [2, -1, 0.5, 0, 3, -2], [0, 0, 1, 1, 1, 2])
    assert_equal(gradient(POLICY_LOSSES[name], given, Clip(0.2, 0.28, dual=3.0)), -2, 1, -0.5, 0, -3, 2)


@pytest.mark.parametrize(
    ("loss", "clip"), [(ppo, Clip(0.2, 0.28)), (ppo, Clip(0.2, 0.2, 1.5)), (reinforce, WIDE)]
)
def test_losses_pass_the_numerical_gradient_check(loss, clip):
    given = tokens([1.1, 0.7, 2.5, 1.5], [1, -2, -0.5, 0.3])
    assert torch.autograd.gradcheck(
        lambda x: loss(replace(given, logprobs_N=x), clip).loss_N, given.logprobs_N
    )


@pytest.mark.parametrize("name", POLICY_LOSSES)
@pytest.mark.parametrize("dual", [None, 3.0])
def test_a_ratio_beyond_all_numbers_leaves_loss_and_gradient_finite(name, dual):
    logprobs = torch.tensor([0.0, 0.0, 0.0, -300.0], requires_grad=True)
    old = torch.tensor([-200.0, -200.0, -200.0, 0.0])
    given = Tokens(logprobs, old, torch.tensor([0.0, -1.0, 1.0, -1.0]), torch.tensor([0, 1, 2, 3]))
    out = POLICY_LOSSES[name](given, Clip(0.2, 0.28, dual))
    assert out.loss_N.isfinite().all()
    assert torch.autograd.grad(out.loss_N.sum(), logprobs)[0].isfinite().all()
    assert float(out.loss_N[0].detach()) == 0.0


def test_importance_weights_are_the_ratio_up_to_the_cap():
    assert_equal(
        importance_weights(tensor(0.5, 0.9, 0.1).log(), tensor(0.4, 0.3, 0.2).log(), 2.0), 1.25, 2.0, 0.5
    )


def test_returns_to_go_add_up_what_comes_later_within_the_mask():
    mask = torch.tensor([[False, True, True, True], [False, True, False, False]])
    rewards = tensor([9, 1, 2, 4], [9, 5, 9, 9])
    assert_equal(returns_to_go(rewards, mask), [0, 7, 6, 4], [0, 5, 0, 0])
    assert_equal(kl_penalty(rewards, mask, 0.5), [0, -3.5, -3, -2], [0, -2.5, 0, 0])


def test_the_kl_in_the_reward_is_the_policy_gradient_of_minus_the_kl():
    # two tokens drawn one after the other: the sampled returns, weighted by their probability
    logits = tensor([0.3, -0.4, 0.9], [0.1, 0.2, -0.5]).requires_grad_()
    log_p, log_q = logits.log_softmax(1), tensor([0.1, 0.5, -0.2], [0.3, -0.1, 0.0]).log_softmax(1)
    true_kl = (log_p.exp() * (log_p - log_q)).sum()
    expected = torch.autograd.grad(-0.7 * true_kl, logits, retain_graph=True)[0]
    mask, objective = torch.ones(1, 2, dtype=torch.bool), torch.zeros((), dtype=torch.float64)
    for first in range(3):
        for second in range(3):
            own = torch.stack([log_p[0, first], log_p[1, second]])[None]
            theirs = torch.stack([log_q[0, first], log_q[1, second]])[None]
            advantages = kl_penalty((own - theirs).detach(), mask, 0.7)
            objective = objective + own.detach().sum().exp() * (advantages * own).sum()
    torch.testing.assert_close(torch.autograd.grad(objective, logits)[0], expected, rtol=1e-12, atol=1e-14)


def test_whitening_gives_the_tokens_of_the_batch_mean_0_and_std_1():
    # tokens: 2 2 2 and -1: mean 1.25, deviations 0.75 and -2.25, variance (3 * 0.5625 + 5.0625) / 4
    mask = torch.tensor([[False, True, True, True], [False, True, False, False]])
    out = whitened(tensor([0, 2, 2, 2], [0, -1, 0, 0]), mask)
    std = math.sqrt((3 * 0.5625 + 5.0625) / 4)
    assert_equal(out, [0, 0.75 / std, 0.75 / std, 0.75 / std], [0, -2.25 / std, 0, 0])


def test_whitening_of_equal_advantages_or_of_no_token_is_zero():
    mask = torch.ones(2, 2, dtype=torch.bool)
    assert whitened(torch.full((2, 2), 0.1, dtype=torch.float64), mask).abs().max() < 1e-11
    assert_equal(whitened(tensor([1, 2], [3, 4]), ~mask), [0, 0], [0, 0])

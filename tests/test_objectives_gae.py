"""Generalized advantage estimation: numbers worked by hand, its closed forms, and the critic's loss."""

import math
from itertools import zip_longest

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from r1kit.objectives.gae import explained_variance, gae, terminal_rewards, value_loss
from r1kit.objectives.token_credit import returns_to_go, whitened


def rows(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


# two responses in a batch of width 5: tokens 1 to 4 of the first, 2 and 3 of the second
MASK = torch.tensor([[False, True, True, True, True], [False, False, True, True, False]])
REWARDS = rows([9.0, 0.0, 0.5, 0.0, 1.0], [9.0, 9.0, -0.25, 2.0, 9.0])
VALUES = rows([7.0, 0.5, 0.25, 1.0, 0.5], [7.0, 7.0, 1.0, 0.5, 7.0])


def test_a_ragged_batch_worked_by_hand():
    advantages, returns = gae(REWARDS, VALUES, MASK, gamma=0.5, gae_lambda=0.5)
    # delta = r + 0.5 V' - V; A = delta + 0.25 A'
    first = [0 + 0.125 - 0.5, 0.5 + 0.5 - 0.25, 0 + 0.25 - 1.0, 1.0 - 0.5]
    a4 = first[3]
    a3 = first[2] + 0.25 * a4
    a2 = first[1] + 0.25 * a3
    a1 = first[0] + 0.25 * a2
    b3 = 2.0 - 0.5
    b2 = (-0.25 + 0.25 - 1.0) + 0.25 * b3
    expected = rows([0, a1, a2, a3, a4], [0, 0, b2, b3, 0])
    assert expected.tolist() == [[0, -0.2265625, 0.59375, -0.625, 0.5], [0, 0, -0.625, 1.5, 0]]
    torch.testing.assert_close(advantages, expected, rtol=1e-15, atol=0)
    torch.testing.assert_close(returns, torch.where(MASK, expected + VALUES, 0.0), rtol=1e-15, atol=0)


ragged = st.integers(1, 4).flatmap(
    lambda rows: st.lists(
        st.lists(
            st.tuples(st.booleans(), st.floats(-3, 3), st.floats(-3, 3)), min_size=6, max_size=6
        ),
        min_size=rows, max_size=rows,
    )
)  # fmt: skip
share = st.floats(0, 1)


def batch_of(drawn):
    mask = torch.tensor([[token[0] for token in row] for row in drawn])
    rewards, values = (rows(*[[token[k] for token in row] for row in drawn]) for k in (1, 2))
    return rewards, values, mask


@given(ragged)
def test_lambda_and_gamma_1_give_the_reward_to_come_less_the_value(drawn):
    rewards, values, mask = batch_of(drawn)
    advantages, returns = gae(rewards, values, mask, 1.0, 1.0)
    to_come = returns_to_go(rewards, mask)
    torch.testing.assert_close(returns, to_come, rtol=0, atol=1e-12)
    torch.testing.assert_close(advantages, torch.where(mask, to_come - values, 0.0), rtol=0, atol=1e-12)


@given(ragged, share)
def test_lambda_0_gives_the_one_step_error(drawn, gamma):
    rewards, values, mask = batch_of(drawn)
    advantages, _ = gae(rewards, values, mask, gamma, 0.0)
    for b, row in enumerate(mask.tolist()):
        places = [t for t, inside in enumerate(row) if inside]
        for t, after in zip_longest(places, places[1:]):
            following = 0.0 if after is None else float(values[b, after])
            delta = float(rewards[b, t]) + gamma * following - float(values[b, t])
            assert float(advantages[b, t]) == pytest.approx(delta, abs=1e-12)


@given(ragged, share, share)
def test_the_recursion_is_the_sum_of_equation_16_and_passes_over_tokens_outside_the_mask(drawn, gamma, lam):
    rewards, values, mask = batch_of(drawn)
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    assert not advantages[~mask].any()
    assert not returns[~mask].any()
    for b, row in enumerate(mask):
        r, v = rewards[b, row].tolist(), [*values[b, row].tolist(), 0.0]
        delta = [r[t] + gamma * v[t + 1] - v[t] for t in range(len(r))]
        expected = [sum((gamma * lam) ** k * delta[t + k] for k in range(len(r) - t)) for t in range(len(r))]
        assert advantages[b, row].tolist() == pytest.approx(expected, abs=1e-10)


def test_the_true_values_of_a_policy_leave_no_advantage_in_expectation():
    # two tokens, each 1 with probability 1/4; the reward is their product
    values = {(): 1 / 16, (0,): 0.0, (1,): 1 / 4}
    for lam in (0.0, 0.5, 1.0):
        mean = torch.zeros(2, dtype=torch.float64)
        for first in (0, 1):
            for second in (0, 1):
                chance = (1 / 4 if first else 3 / 4) * (1 / 4 if second else 3 / 4)
                rewards = rows([0.0, float(first * second)])
                critic = rows([values[()], values[(first,)]])
                advantages, _ = gae(rewards, critic, torch.ones(1, 2, dtype=torch.bool), 1.0, lam)
                mean += chance * advantages[0]
        torch.testing.assert_close(mean, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-15)


def test_the_reward_of_a_response_comes_at_its_last_token_also_when_it_was_cut_off():
    rewards = torch.where(MASK, rows([1.0], [2.0]), 0.0)
    assert terminal_rewards(rewards, MASK).tolist() == [[0, 0, 0, 0, 1.0], [0, 0, 0, 2.0, 0]]
    # nothing of what the critic expects beyond the last token is added: its values are those of the tokens
    advantages, _ = gae(terminal_rewards(rewards, MASK), VALUES, MASK, 1.0, 1.0)
    assert advantages[0, 4] == 1.0 - 0.5
    assert advantages[1, 3] == 2.0 - 0.5


def test_whitened_advantages_have_mean_0_and_std_1_over_the_tokens_inside_the_mask():
    advantages, _ = gae(REWARDS, VALUES, MASK, 0.5, 0.5)
    white = whitened(advantages, MASK)
    found = [-0.2265625, 0.59375, -0.625, 0.5, -0.625, 1.5]
    mean = sum(found) / 6
    std = math.sqrt(sum((a - mean) ** 2 for a in found) / 6)
    assert white[MASK].tolist() == pytest.approx([(a - mean) / std for a in found], rel=1e-12)
    assert not white[~MASK].any()


def test_the_value_loss_by_hand():
    # from V_old = 1 values may move to 0.5 and 1.5
    old = rows(1.0, 1.0, 1.0, 1.0).flatten()
    values = rows(1.25, 2.0, 2.0, 0.0).flatten()
    returns = rows(3.0, 3.0, 0.0, 1.0).flatten()
    loss, clipped = value_loss(values, old, returns, 0.5)
    # inside: (1.25 - 3)^2; beyond it towards the return: (1.5 - 3)^2, without gradient;
    # beyond it away from the return: (2 - 0)^2, pulled back; overshot: (0 - 1)^2 counts
    assert loss.tolist() == [0.5 * 1.75**2, 0.5 * 1.5**2, 0.5 * 2.0**2, 0.5 * 1.0]
    assert clipped.tolist() == [False, True, False, False]
    plain, none = value_loss(values, old, returns, None)
    assert plain.tolist() == [0.5 * 1.75**2, 0.5 * 1.0, 0.5 * 4.0, 0.5 * 1.0]
    assert not none.any()


def test_the_gradient_of_the_value_loss_is_the_numerical_one():
    generator = torch.Generator().manual_seed(0)
    values, old, returns = (torch.randn(40, generator=generator, dtype=torch.float64) for _ in range(3))
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: value_loss(v, old, returns, 0.3)[0], values)
    (gradient,) = torch.autograd.grad(value_loss(values, old, returns, 0.3)[0].sum(), values)
    clipped = value_loss(values, old, returns, 0.3)[1]
    assert 3 < int(clipped.sum()) < 37
    assert not gradient[clipped].any()
    torch.testing.assert_close(gradient[~clipped], (values - returns).detach()[~clipped])


def test_explained_variance_by_hand():
    returns = rows(0.0, 1.0, 2.0, 3.0).flatten()
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(returns + 5, returns) == 1.0  # a constant error explains no variance away
    assert explained_variance(torch.zeros(4), returns) == 0.0
    assert explained_variance(-returns, returns) == 1 - 4
    # errors 0, 1, 0, 1 around their mean: variance 1/4 of 5/4
    assert explained_variance(rows(0, 0, 2, 2).flatten(), returns) == pytest.approx(1 - 0.25 / 1.25)
    assert math.isnan(explained_variance(returns, torch.full((4,), 0.1)))
    assert math.isnan(explained_variance(torch.zeros(0), torch.zeros(0)))

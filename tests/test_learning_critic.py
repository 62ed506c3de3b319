"""The critic: its values and updates through the learner's machinery, PPO's order of things, learning."""

import math
from dataclasses import replace

import pytest
import torch
from test_learning_learner import MANY_PARTS, ONE_PART, learner_of, ragged_batch, tiny_model

from r1kit.errors import UserError
from r1kit.learning.batch import EncodedDocument, make_batch
from r1kit.learning.critic import make_critic
from r1kit.learning.losses import LossOutput, policy_loss
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import (
    BatchSettings,
    CriticSettings,
    ObjectiveSettings,
    OptimizerSettings,
    RLSettings,
)
from r1kit.models.reference import frozen_copy
from r1kit.models.value_head import value_model
from r1kit.objectives.gae import explained_variance, gae, terminal_rewards

KINDS = ["separate", "head"]


def settings_of(kind="separate", budget=ONE_PART, objective=None, batch=None, **critic):
    optimizer = OptimizerSettings(learning_rate=0.01, max_grad_norm=1e9)
    return RLSettings(
        steps=10,
        objective=ObjectiveSettings(advantage="gae", aggregation="token_mean", **(objective or {})),
        critic=CriticSettings(kind=kind, optimizer=optimizer, **critic),
        batch=BatchSettings(tokens_per_microbatch=budget, precision="float32", **(batch or {})),
    )


def pair(settings, dtype=torch.float64):
    """A learner and its critic, whose head is not zero any more."""
    learner = learner_of(tiny_model(dtype), settings.batch.tokens_per_microbatch)
    critic = make_critic(learner, settings)
    head = critic.model if settings.critic.kind == "head" else critic.model.get_output_embeddings()
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-1, 1, 16))
        head.bias.fill_(0.25)
    return learner, critic, head


def valued_batch():
    """With what a critic's update reads."""
    generator = torch.Generator().manual_seed(3)
    old, returns = (torch.randn(6, 12, generator=generator) for _ in range(2))
    return replace(ragged_batch(), values_BT=old, returns_BT=returns)


def gradients_of(critic, batch, loss):
    """Those that the critic's update leaves to the optimizers, and its statistics."""
    found = {}
    for name, learner in (("critic", critic), ("policy", critic._policy)):
        learner.optimizer.step = lambda name=name, model=learner.model: found.update(
            {f"{name}/{key}": p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}
        )
    return found, critic.learn(batch, loss)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_critic_expects_nothing(kind):
    learner = learner_of(tiny_model())
    critic = make_critic(learner, settings_of(kind))
    assert not critic.values(ragged_batch()).any()
    assert all(p.dtype == torch.float64 for p in critic.model.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packing", [False, True])
def test_values_are_the_heads_at_the_states_before_the_tokens_that_carry_loss(kind, packing):
    settings = settings_of(kind, MANY_PARTS, batch={"packing": packing})
    learner, critic, head = pair(settings)
    batch = ragged_batch()
    hidden = learner.model.model(input_ids=batch.tokens_BT).last_hidden_state
    expected = torch.zeros(6, 12, dtype=torch.float64)
    expected[:, 1:] = head(hidden).squeeze(2)[:, :-1].detach()
    found = critic.values(batch)
    torch.testing.assert_close(found, (expected * batch.loss_mask_BT).float(), rtol=1e-5, atol=1e-6)
    assert found[~batch.loss_mask_BT].abs().sum() == 0.0
    assert found[batch.loss_mask_BT].abs().min() > 0.0


def test_a_value_model_leaves_its_policy_alone_and_shares_nothing_with_it():
    policy = tiny_model()
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    critic = value_model(policy)
    assert critic.get_output_embeddings().weight.shape == (1, 16)
    assert (policy.config.tie_word_embeddings, critic.config.tie_word_embeddings) == (True, False)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(1.0)
    assert policy.get_output_embeddings().weight is policy.get_input_embeddings().weight
    for name, tensor in policy.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alone", [False, True])
def test_many_microbatches_give_the_gradient_of_one(kind, alone):
    loss = None if alone else policy_loss(ObjectiveSettings(advantage="gae", aggregation="token_mean"))
    one, one_stats = gradients_of(pair(settings_of(kind))[1], valued_batch(), loss)
    many, many_stats = gradients_of(pair(settings_of(kind, MANY_PARTS))[1], valued_batch(), loss)
    assert one.keys() == many.keys()
    assert {name.partition("/")[0] for name in one} == ({"critic"} if alone else {"critic", "policy"})
    assert max(float(gradient.abs().max()) for gradient in one.values()) > 1e-3
    for name, gradient in one.items():
        torch.testing.assert_close(many[name], gradient, rtol=1e-9, atol=1e-12)
    for name in one_stats.keys() - {"padding"}:
        assert many_stats[name] == pytest.approx(one_stats[name], rel=1e-6), name


def test_the_critics_gradient_is_that_of_the_value_loss_over_all_tokens():
    _, critic, head = pair(settings_of(value_clip=0.2))
    batch, model = valued_batch(), critic.model
    mask = batch.loss_mask_BT[:, 1:]
    values = head(model.model(input_ids=batch.tokens_BT).last_hidden_state).squeeze(2)[:, :-1][mask]
    old, returns = batch.values_BT[:, 1:][mask].double(), batch.returns_BT[:, 1:][mask].double()
    near = old + (values - old).clamp(-0.2, 0.2)
    loss = 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2).mean()
    expected = dict(zip(dict(model.named_parameters()), torch.autograd.grad(loss, list(model.parameters())),
                        strict=True))  # fmt: skip
    found, stats = gradients_of(critic, batch, None)
    assert stats["value/loss"] == pytest.approx(float(loss.detach()))
    assert 0.1 < stats["value/clipped"] < 0.9
    assert stats["critic/learning_rate"] == 0.01
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in expected.values()))
    assert stats["critic/grad_norm"] == pytest.approx(norm)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[f"critic/{name}"], gradient, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("coefficient", [0.0, 0.3])
def test_a_head_adds_the_coefficient_times_its_loss_to_the_policys(coefficient):
    loss = policy_loss(ObjectiveSettings(advantage="gae", aggregation="token_mean"))
    found, stats = gradients_of(pair(settings_of("head", coefficient=coefficient))[1], valued_batch(), loss)
    learner, _, head = pair(settings_of("head"))
    batch, model = valued_batch(), learner.model
    mask = batch.loss_mask_BT[:, 1:]
    output = model(input_ids=batch.tokens_BT, output_hidden_states=True)
    values = head(output.hidden_states[-1]).squeeze(2)[:, :-1][mask]
    old, returns = batch.values_BT[:, 1:][mask].double(), batch.returns_BT[:, 1:][mask].double()
    near = old + (values - old).clamp(-0.5, 0.5)
    of_values = 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2).mean()
    chosen = output.logits.log_softmax(-1)[:, :-1].gather(2, batch.tokens_BT[:, 1:, None]).squeeze(2)[mask]
    advantages = batch.advantages_BT[:, 1:][mask]
    of_policy = -((chosen - chosen.detach()).exp() * advantages).mean()
    body = list(model.parameters())
    total = of_policy + coefficient * of_values
    for (name, _), gradient in zip(
        model.named_parameters(), torch.autograd.grad(total, body, retain_graph=True), strict=True
    ):
        torch.testing.assert_close(found[f"policy/{name}"], gradient, rtol=1e-7, atol=1e-11)
    # the head itself learns in full, whatever reaches the body
    for (name, _), gradient in zip(
        head.named_parameters(), torch.autograd.grad(of_values, list(head.parameters())), strict=True
    ):
        torch.testing.assert_close(found[f"critic/{name}"], gradient, rtol=1e-7, atol=1e-11)
    assert stats["loss"] == pytest.approx(float(total.detach()))
    assert stats["value/loss"] == pytest.approx(float(of_values.detach()))


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_that_is_not_finite_moves_neither_and_is_counted(kind):
    learner, critic, _ = pair(settings_of(kind), torch.float32)
    before = [p.clone() for model in (learner.model, critic.model) for p in model.parameters()]
    returns = torch.full((6, 12), math.nan)
    loss = policy_loss(ObjectiveSettings(advantage="gae"))
    stats = critic.learn(replace(valued_batch(), returns_BT=returns), loss)
    assert stats["critic/skipped"] == 1.0
    assert critic.skipped == 1
    after = [p for model in (learner.model, critic.model) for p in model.parameters()]
    still = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert all(still[len(list(learner.model.parameters())) :])
    assert stats["skipped"] == float(kind == "head")  # a body of its own does not touch the policy's
    assert all(still) is (kind == "head")
    with pytest.raises(UserError, match=r"critic\.optimizer: 1 updates in a row"):
        critic.require_progress(0)

    def broken(logprobs_N, entropy_N, part):
        return LossOutput((logprobs_N * math.nan).sum())

    assert critic.learn(valued_batch(), broken)["skipped"] == 1.0
    assert critic.skipped == (2 if kind == "head" else 1)


def test_rewards_become_advantages_in_ppos_order_old_reference_kl_values_whitening():
    settings = settings_of(
        batch={"minibatches": 2}, gamma=0.9, gae_lambda=0.8, returns_lambda=1.0,
        objective={"kl_in": "reward", "kl_kind": "k1", "kl_beta": 0.5, "whiten": True},
    )  # fmt: skip
    learner, critic, _ = pair(settings, torch.float32)
    reference, batch = frozen_copy(tiny_model(torch.float32)), ragged_batch()
    with torch.no_grad():
        reference.get_output_embeddings().weight.mul_(1.5)
    mask, seen = batch.loss_mask_BT, []
    kl = (learner.logprobs(batch) - learner.logprobs(batch, reference)).double()
    values = critic.values(batch)
    rewards = terminal_rewards(batch.advantages_BT.double(), mask) - 0.5 * kl
    advantages, _ = gae(rewards, values.double(), mask, 0.9, 0.8)
    _, returns = gae(rewards, values.double(), mask, 0.9, 1.0)
    white = (advantages - advantages[mask].mean()) / advantages[mask].std(correction=0)
    critic.learn = lambda part, loss, idle: seen.append(part) or {"skipped": 0.0, "critic/skipped": 1.0}
    stats = update_policy(learner, batch, settings, reference, seed=0, critic=critic)
    rows = {tuple(row): k for k, row in enumerate(batch.tokens_BT.tolist())}
    assert sorted(len(part) for part in seen) == [3, 3]
    for part in seen:
        assert part.ref_logprobs_BT is None
        assert part.old_logprobs_BT is not None
        for k, tokens in enumerate(part.tokens_BT.tolist()):
            row, width = rows[(*tokens, *[0] * (12 - len(tokens)))], len(tokens)
            here = mask[row, :width]
            for found, expected in (
                (part.advantages_BT, white), (part.returns_BT, returns), (part.values_BT, values),
            ):  # fmt: skip
                torch.testing.assert_close(
                    found[k][here].double(), expected[row, :width][here].double(), rtol=1e-5, atol=1e-6
                )
    assert stats["kl"] == pytest.approx(float(kl[mask].mean()))
    assert stats["value/mean"] == pytest.approx(float(values[mask].mean()))
    assert stats["return/mean"] == pytest.approx(float(returns[mask].mean()))
    assert stats["advantage/mean"] == pytest.approx(float(advantages[mask].mean()))
    assert stats["advantage/std"] == pytest.approx(float(advantages[mask].std(correction=0)))
    explained = explained_variance(values[mask], returns[mask])
    assert stats["value/explained_variance"] == pytest.approx(explained)
    assert (stats["skipped"], stats["critic/skipped"], stats["trained_sequences"]) == (0.0, 2.0, 6.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_update_has_the_gradient_of_raw_rewards(kind):
    # a new critic expects nothing: with lambda and gamma 1 the advantage of each token is its reward
    settings = settings_of(kind, coefficient=0.0)
    learner = learner_of(tiny_model(torch.float32))
    critic = make_critic(learner, settings)
    plain = settings.model_copy(
        update={"critic": None, "objective": ObjectiveSettings(advantage="raw", aggregation="token_mean")}
    )
    twin = learner_of(tiny_model(torch.float32))
    stats = update_policy(learner, ragged_batch(), settings, None, 0, critic)
    expected = update_policy(twin, ragged_batch(), plain, None, 0)
    assert stats["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-5)
    assert stats["value/mean"] == 0.0
    assert stats["value/explained_variance"] == 0.0
    for a, b in zip(learner.model.parameters(), twin.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_critic_learns_while_it_is_pretrained(kind):
    settings = settings_of(kind, pretrain_steps=2, batch={"minibatches": 2})
    learner = learner_of(tiny_model(torch.float32))
    critic = make_critic(learner, settings)
    before = [p.clone() for p in learner.model.parameters()]
    explained = []
    for step in range(2):
        stats = update_policy(learner, ragged_batch(), settings, None, step, critic)
        assert "grad_norm" not in stats
        assert (learner.updates, critic.updates) == (2 * (step + 1),) * 2
        explained.append(stats["value/explained_variance"])
    assert all(torch.equal(a, b) for a, b in zip(before, learner.model.parameters(), strict=True))
    assert explained[0] == 0.0 < explained[1]
    assert critic.values(ragged_batch()).abs().max() > 1e-3
    update_policy(learner, None, settings, None, 7, critic)  # a step without a batch
    assert (learner.updates, critic.updates) == (6, 6)
    stats = update_policy(learner, ragged_batch(), settings, None, 8, critic)
    assert stats["grad_norm"] > 0
    assert not any(torch.equal(a, b) for a, b in zip(before, learner.model.parameters(), strict=True))


def test_a_critic_counts_its_own_operations():
    settings, batch = settings_of(), ragged_batch()  # 40 tokens
    learner = learner_of(tiny_model())
    critic = make_critic(learner, settings)
    update_policy(learner, batch, settings, None, 0, critic)
    parameters = sum(p.numel() for p in critic.model.parameters())
    assert critic.operations == parameters * (2 * 40 + 6 * 40)
    headed = learner_of(tiny_model())
    update_policy(headed, batch, settings_of("head"), None, 0, make_critic(headed, settings_of("head")))
    parameters = sum(p.numel() for p in headed.model.parameters())
    assert headed.operations == parameters * (2 * 40 + 6 * 40)


def test_bfloat16_products_give_values_near_those_of_float32():
    settings = settings_of(batch={})
    _, critic, _ = pair(settings, torch.float32)
    exact = critic.values(ragged_batch())
    critic._dtype = torch.bfloat16
    torch.testing.assert_close(critic.values(ragged_batch()), exact, rtol=0, atol=0.1)
    assert not torch.equal(critic.values(ragged_batch()), exact)


@pytest.mark.parametrize("kind", KINDS)
def test_a_critic_without_an_optimizer_of_its_own_follows_the_policys_at_5_times_the_rate(kind):
    settings = settings_of(kind).model_copy(
        update={"critic": CriticSettings(kind=kind), "optimizer": OptimizerSettings(learning_rate=0.002)}
    )
    learner = learner_of(tiny_model(torch.float32))
    critic = make_critic(learner, settings)
    first = update_policy(learner, ragged_batch(), settings, None, 0, critic)
    assert first["critic/learning_rate"] == pytest.approx(0.01)
    lower = settings.model_copy(update={"optimizer": OptimizerSettings(learning_rate=0.001)})
    second = update_policy(
        learner, ragged_batch(), lower, None, 1, critic
    )  # as in a later step of a schedule
    assert second["critic/learning_rate"] == pytest.approx(0.005)
    own = CriticSettings(kind=kind, optimizer=OptimizerSettings(learning_rate=0.3))
    assert lower.model_copy(update={"critic": own}).critic_optimizer.learning_rate == 0.3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"objective": {"advantage": "gae"}}, r"'gae' needs a critic; add `critic: \{\}`"),
        ({"critic": {}}, "critic: the advantage 'grpo' asks none; use the advantage 'gae'"),
        (
            {"critic": {"pretrain_steps": 100}, "objective": {"advantage": "gae"}},
            "100 of 100 steps leave the",
        ),
        (
            {"critic": {}, "objective": {"advantage": "gae"}, "rollouts": {"refill_rounds": 1}},
            "with the advantage 'gae'",
        ),
        ({"group_size": 1}, "group_size: the advantage 'grpo' compares the responses of a group"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        RLSettings.model_validate(wrong)


def test_groups_of_one_are_allowed_where_nothing_is_compared():
    settings = {"group_size": 1, "objective": {"advantage": "gae"}, "critic": {}}
    assert RLSettings.model_validate(settings).group_size == 1
    assert RLSettings.model_validate({"group_size": 1, "objective": {"advantage": "raw"}}).group_size == 1


def test_a_part_of_a_batch_keeps_the_values_of_its_rows():
    documents = [EncodedDocument((1, 2, 3), 1), EncodedDocument((1, 2), 1)]
    numbers = torch.arange(6.0).view(2, 3)
    batch = replace(make_batch(documents), values_BT=numbers, returns_BT=numbers + 10)
    part = batch.part([1])
    assert part.values_BT.tolist() == [[3.0, 4.0]]
    assert part.returns_BT.tolist() == [[13.0, 14.0]]

"""One batch of rollouts becomes one or several optimizer updates."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from r1kit import seeds
from r1kit.learning import ranks
from r1kit.learning.batch import Batch, idle_rows, no_rows
from r1kit.learning.critic import Critic
from r1kit.learning.learner import Learner
from r1kit.learning.losses import policy_loss
from r1kit.learning.policy_stats import policy_metrics
from r1kit.learning.settings import ObjectiveSettings, RLSettings
from r1kit.objectives.gae import explained_variance, gae, terminal_rewards
from r1kit.objectives.kl import KL_ESTIMATORS
from r1kit.objectives.token_credit import kl_penalty, returns_to_go, whitened


def update_policy(
    learner: Learner,
    batch: Batch | None,
    settings: RLSettings,
    reference: nn.Module | None,
    seed: int,
    critic: Critic | None = None,
) -> dict[str, float]:
    """Update on the whole batch at once, or on random minibatches of it in turn; returns statistics.

    `batch.rollout_epochs` times, each time in other minibatches. With several updates the old
    log-probabilities are computed first, by the learner itself rather than the sampler, so that the ratio
    starts at exactly 1. With one update they are not needed, but for the KL in the reward. Then come the KL,
    in the reward or in the loss, the critic's opinion of each token, and whitening. A critic learns on the
    same minibatches, at first alone where it is pretrained. Without a batch there is no update, and the
    learning rate's schedule moves on. "trained_sequences" are those of the batch.

    Among several ranks `batch` is this one's share: rollouts of whole groups, whose advantages compare them,
    or None while another rank has some. No more minibatches are cut than the largest share has rows.
    """
    objective, cut = settings.objective, settings.batch
    if critic is not None:
        critic.settle(settings.critic_optimizer.learning_rate)
    batch = no_rows() if batch is None else batch
    trained = ranks.total(len(batch))
    if not trained:
        return _pass_over(learner, critic, settings)
    batch, stats = _prepared(learner, batch, settings, reference, critic)
    stats["trained_sequences"] = float(trained)
    moves = critic is None or not critic.pretraining
    loss = policy_loss(objective)
    updates, tokens = [], []
    for epoch in range(cut.rollout_epochs):
        for part in _minibatches(batch, cut.minibatches, seeds.derive(seed, "epoch", epoch)):
            idle = _idle_rows(part, objective)
            if critic is None:
                updates.append(learner.update(part, loss, idle=idle))
            else:
                updates.append(critic.learn(part, loss if moves else None, idle))
            tokens.append(ranks.total(part.num_tokens))
    learner.pass_over(cut.updates - (len(updates) if moves else 0))
    if critic is not None:
        critic.pass_over(cut.updates - len(updates))
    return policy_metrics(updates, tokens) | stats


def _pass_over(learner: Learner, critic: Critic | None, settings: RLSettings) -> dict[str, float]:
    learner.pass_over(settings.batch.updates)
    if critic is not None:
        critic.pass_over(settings.batch.updates)
    return {"trained_sequences": 0.0}


def _minibatches(batch: Batch, wanted: int, seed: int) -> list[Batch]:
    """The batch in random parts of nearly equal numbers of rows, no more of them than rows.

    Every rank has as many, some without rows where shares are unequal.
    """
    if wanted == 1:
        return [batch]
    rows = list(range(len(batch)))
    seeds.generator(seed, "minibatches").shuffle(rows)
    count = min(wanted, ranks.largest(len(rows)))
    shares = [rows[len(rows) * k // count : len(rows) * (k + 1) // count] for k in range(count)]
    return [batch.part(share).on_its_own() for share in shares]


def _prepared(
    learner: Learner, batch: Batch, settings: RLSettings, reference: nn.Module | None, critic: Critic | None
) -> tuple[Batch, dict[str, float]]:
    """The batch with the log-probabilities and advantages of its updates, and what was measured on the way.

    Old and reference log-probabilities, the KL in the reward, values, and whitening, each where it is needed.
    """
    objective, given_BT = settings.objective, batch.old_logprobs_BT
    stats: dict[str, float] = {}
    in_reward = reference is not None and objective.kl_in == "reward"
    kl_BT = None
    if given_BT is None and (settings.batch.updates > 1 or in_reward):
        batch = replace(batch, old_logprobs_BT=learner.logprobs(batch))
    if reference is not None:
        batch = replace(batch, ref_logprobs_BT=learner.logprobs(batch, reference))
    if in_reward:
        kl_BT, stats = _kl_of_tokens(batch, objective)
        batch = replace(batch, ref_logprobs_BT=None)
    if critic is not None:
        batch, found = _with_values(batch, critic, settings, kl_BT)
        stats |= found
    elif kl_BT is not None:
        assert batch.advantages_BT is not None
        taken_BT = kl_penalty(kl_BT, batch.loss_mask_BT, objective.kl_beta).to(batch.advantages_BT)
        batch = replace(batch, advantages_BT=batch.advantages_BT + taken_BT)
    if given_BT is None and settings.batch.updates == 1:
        batch = replace(batch, old_logprobs_BT=None)  # the ratio is 1, whatever another pass would round to
    if objective.whiten:
        assert batch.advantages_BT is not None
        batch = replace(batch, advantages_BT=whitened(batch.advantages_BT, batch.loss_mask_BT, ranks.summed))
    return batch, stats


def _kl_of_tokens(batch: Batch, objective: ObjectiveSettings) -> tuple[Tensor, dict[str, float]]:
    """The KL to the reference at each token, (B, T) nats, and "kl", its mean."""
    assert batch.ref_logprobs_BT is not None
    assert batch.old_logprobs_BT is not None
    kl_BT = KL_ESTIMATORS[objective.kl_kind](batch.old_logprobs_BT, batch.ref_logprobs_BT)
    return kl_BT, {"kl": ranks.mean(float(kl_BT[batch.loss_mask_BT].double().sum()), batch.num_tokens)}


def _with_values(
    batch: Batch, critic: Critic, settings: RLSettings, kl_BT: Tensor | None
) -> tuple[Batch, dict[str, float]]:
    """The batch with values, returns and the advantages that follow from them, instead of its rewards.

    "value/mean", "return/mean" and "value/explained_variance" tell of the critic before its updates;
    "advantage/mean" and "advantage/std" are over tokens, before whitening.
    """
    assert settings.critic is not None
    assert batch.advantages_BT is not None  # as yet the reward of each response
    gamma, gae_lambda = settings.critic.gamma, settings.critic.gae_lambda
    mask_BT, values_BT = batch.loss_mask_BT, critic.values(batch)
    rewards_BT = terminal_rewards(batch.advantages_BT.double(), mask_BT)
    # nothing but a response's one reward: credit of single tokens would be lost
    assert torch.equal(returns_to_go(rewards_BT, mask_BT), batch.advantages_BT.double())
    if kl_BT is not None:
        rewards_BT = rewards_BT - settings.objective.kl_beta * kl_BT
    advantages_BT, returns_BT = gae(rewards_BT, values_BT.double(), mask_BT, gamma, gae_lambda)
    if settings.critic.returns_lambda is not None:
        _, returns_BT = gae(rewards_BT, values_BT.double(), mask_BT, gamma, settings.critic.returns_lambda)
    advantages_N, returns_N = advantages_BT[mask_BT], returns_BT[mask_BT]
    stats = {
        "advantage/mean": float(advantages_N.mean()),
        "advantage/std": float(advantages_N.std(correction=0)),
        "value/mean": float(values_BT[mask_BT].double().mean()),
        "value/explained_variance": explained_variance(values_BT[mask_BT], returns_N),
        "return/mean": float(returns_N.mean()),
    }
    found = replace(
        batch, advantages_BT=advantages_BT.float(), values_BT=values_BT, returns_BT=returns_BT.float()
    )
    return found, stats


def _idle_rows(batch: Batch, objective: ObjectiveSettings) -> list[int]:
    """Rows without a gradient: the entropy bonus has one on every row."""
    return [] if objective.entropy_bonus else idle_rows(batch)

"""One batch of rollouts becomes one or several optimizer updates."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from r1kit import seeds
from r1kit.learning.batch import Batch, idle_rows
from r1kit.learning.learner import Learner
from r1kit.learning.losses import policy_loss
from r1kit.learning.policy_stats import policy_metrics
from r1kit.learning.settings import ObjectiveSettings, RLSettings
from r1kit.objectives.kl import KL_ESTIMATORS
from r1kit.objectives.token_credit import kl_penalty, whitened


def update_policy(
    learner: Learner, batch: Batch | None, settings: RLSettings, reference: nn.Module | None, seed: int
) -> dict[str, float]:
    """Update on the whole batch at once, or on random minibatches of it in turn; returns statistics.

    `batch.rollout_epochs` times, each time in other minibatches. With several updates the old
    log-probabilities are computed first, by the learner itself rather than the sampler, so that the ratio
    starts at exactly 1. With one update they are not needed, but for the KL in the reward. Then come the KL,
    in the reward or in the loss, and whitening. Without a batch there is no update, and the learning rate's
    schedule moves on. "trained_sequences" are those of the batch.
    """
    objective, cut = settings.objective, settings.batch
    if batch is None:
        learner.pass_over(cut.updates)
        return {"trained_sequences": 0.0}
    batch, stats = _prepared(learner, batch, settings, reference)
    stats["trained_sequences"] = float(len(batch))
    loss = policy_loss(objective)
    updates, tokens = [], []
    for epoch in range(cut.rollout_epochs):
        for part in _minibatches(batch, cut.minibatches, seeds.derive(seed, "epoch", epoch)):
            updates.append(learner.update(part, loss, idle=_idle_rows(part, objective)))
            tokens.append(part.num_tokens)
    learner.pass_over(cut.updates - len(updates))
    return policy_metrics(updates, tokens) | stats


def _minibatches(batch: Batch, wanted: int, seed: int) -> list[Batch]:
    """The batch in random parts of nearly equal numbers of rows, no more of them than rows."""
    if wanted == 1:
        return [batch]
    rows = list(range(len(batch)))
    seeds.generator(seed, "minibatches").shuffle(rows)
    count = min(wanted, len(rows))
    shares = [rows[len(rows) * k // count : len(rows) * (k + 1) // count] for k in range(count)]
    return [batch.part(share).on_its_own() for share in shares]


def _prepared(
    learner: Learner, batch: Batch, settings: RLSettings, reference: nn.Module | None
) -> tuple[Batch, dict[str, float]]:
    """The batch with old and reference log-probabilities, the KL in the reward, and whitened, as needed."""
    objective, given_BT = settings.objective, batch.old_logprobs_BT
    stats: dict[str, float] = {}
    in_reward = reference is not None and objective.kl_in == "reward"
    if given_BT is None and (settings.batch.updates > 1 or in_reward):
        batch = replace(batch, old_logprobs_BT=learner.logprobs(batch))
    if reference is not None:
        batch = replace(batch, ref_logprobs_BT=learner.logprobs(batch, reference))
    if in_reward:
        batch, stats = _with_kl_in_reward(batch, objective)
    if given_BT is None and settings.batch.updates == 1:
        batch = replace(batch, old_logprobs_BT=None)  # the ratio is 1, whatever another pass would round to
    if objective.whiten:
        assert batch.advantages_BT is not None
        batch = replace(batch, advantages_BT=whitened(batch.advantages_BT, batch.loss_mask_BT))
    return batch, stats


def _idle_rows(batch: Batch, objective: ObjectiveSettings) -> list[int]:
    """Rows without a gradient: the entropy bonus has one on every row."""
    return [] if objective.entropy_bonus else idle_rows(batch)


def _with_kl_in_reward(batch: Batch, objective: ObjectiveSettings) -> tuple[Batch, dict[str, float]]:
    """The batch with the reference's opinion in its advantages instead of its loss, and "kl" per token."""
    assert batch.ref_logprobs_BT is not None
    assert batch.old_logprobs_BT is not None
    assert batch.advantages_BT is not None
    mask_BT = batch.loss_mask_BT
    kl_BT = KL_ESTIMATORS[objective.kl_kind](batch.old_logprobs_BT, batch.ref_logprobs_BT)
    taken_BT = kl_penalty(kl_BT, mask_BT, objective.kl_beta).to(batch.advantages_BT)
    stats = {"kl": float(kl_BT[mask_BT].double().sum()) / max(batch.num_tokens, 1)}
    return replace(batch, advantages_BT=batch.advantages_BT + taken_BT, ref_logprobs_BT=None), stats

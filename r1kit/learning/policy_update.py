"""One batch of rollouts becomes one or several optimizer updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from r1kit import seeds
from r1kit.learning import ranks
from r1kit.learning.batch import Batch, idle_rows, no_rows
from r1kit.learning.learner import Learner
from r1kit.learning.losses import policy_loss
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

    Among several ranks `batch` is this one's share: rollouts of whole groups, whose advantages compare them,
    or None while another rank has some. No more minibatches are cut than the largest share has rows.
    """
    objective, cut = settings.objective, settings.batch
    batch = no_rows() if batch is None else batch
    trained = ranks.total(len(batch))
    if not trained:
        learner.pass_over(cut.updates)
        return {"trained_sequences": 0.0}
    batch, stats = _prepared(learner, batch, settings, reference)
    stats["trained_sequences"] = float(trained)
    loss = policy_loss(objective)
    updates = [
        learner.update(part, loss, idle=_idle_rows(part, objective))
        for epoch in range(cut.rollout_epochs)
        for part in _minibatches(batch, cut.minibatches, seeds.derive(seed, "epoch", epoch))
    ]
    learner.pass_over(cut.updates - len(updates))
    return _combined(updates) | stats


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
        batch = replace(batch, advantages_BT=whitened(batch.advantages_BT, batch.loss_mask_BT, ranks.summed))
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
    stats = {"kl": ranks.mean(float(kl_BT[mask_BT].double().sum()), batch.num_tokens)}
    return replace(batch, advantages_BT=batch.advantages_BT + taken_BT, ref_logprobs_BT=None), stats


def _combined(updates: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over the updates; the largest gap and the number of skipped updates."""
    stats = {name: sum(u[name] for u in updates) / len(updates) for name in updates[0]}
    stats["skipped"] = sum(u["skipped"] for u in updates)
    if "logprob_gap/max" in stats:
        stats["logprob_gap/max"] = max(u["logprob_gap/max"] for u in updates)
    return stats

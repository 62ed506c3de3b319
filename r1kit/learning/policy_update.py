"""One batch of rollouts becomes one or several optimizer updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from r1kit import seeds
from r1kit.learning.batch import Batch, idle_rows
from r1kit.learning.learner import Learner
from r1kit.learning.losses import policy_loss
from r1kit.learning.settings import RLSettings


def update_policy(
    learner: Learner, batch: Batch | None, settings: RLSettings, reference: nn.Module | None, seed: int
) -> dict[str, float]:
    """Update on the whole batch at once, or on random minibatches of it in turn; returns statistics.

    With several updates the old log-probabilities are computed first, by the learner itself rather than the
    sampler, so that the ratio starts at exactly 1. With one update they are not needed. No batch, no update.
    """
    if batch is None:
        return {}
    loss, minibatches = policy_loss(settings.objective), settings.batch.minibatches
    if reference is not None:
        batch = replace(batch, ref_logprobs_BT=learner.logprobs(batch, reference))
    if minibatches == 1:
        return learner.update(batch, loss, idle=idle_rows(batch))
    batch = replace(batch, old_logprobs_BT=learner.logprobs(batch))
    rows = list(range(len(batch)))
    seeds.generator(seed, "minibatches").shuffle(rows)
    count = min(minibatches, len(rows))
    shares = [rows[len(rows) * k // count : len(rows) * (k + 1) // count] for k in range(count)]
    parts = [batch.part(share).on_its_own() for share in shares]
    return _combined([learner.update(part, loss, idle=idle_rows(part)) for part in parts])


def _combined(updates: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means over the updates; the largest gap and the number of skipped updates."""
    stats = {name: sum(u[name] for u in updates) / len(updates) for name in updates[0]}
    stats["skipped"] = sum(u["skipped"] for u in updates)
    if "logprob_gap/max" in stats:
        stats["logprob_gap/max"] = max(u["logprob_gap/max"] for u in updates)
    return stats

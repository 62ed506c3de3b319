"""From scored groups to a training batch: rewards, advantages, tokens.

Shapes: P problems, G samples per problem, B sequences that are trained on.
"""

# ruff: noqa: N815 - fields that are tensors carry shape suffixes
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from r1kit.errors import UserError
from r1kit.learning.batch import Batch, EncodedDocument, make_batch
from r1kit.learning.settings import RLSettings
from r1kit.objectives.advantages import ADVANTAGES, TERM_ADVANTAGES, dead_groups
from r1kit.types import RolloutGroup, Unscored


@dataclass(frozen=True, slots=True)
class Credit:
    """What each rollout of a step earned; NaN where it could not be scored."""

    rewards_PG: Tensor  # float64, total rewards
    advantages_PG: Tensor  # float64; with a critic, which judges tokens, as yet the rewards
    unscored: Mapping[str, int]  # `{"short/hung": 3}`: how many samples stayed unscored, and in which ways

    def require_scored(self, limit: float) -> None:
        """Raise UserError when a larger share of the rollouts than `limit` is unscored."""
        share = float(self.rewards_PG.isnan().double().mean())
        if share > limit:
            ways = ", ".join(f"{way} {count}" for way, count in sorted(self.unscored.items()))
            raise UserError(
                f"{share:.0%} of a step's rollouts could not be scored, more than limits.unscored_share ="
                f" {limit:.0%}: a verifier or a reward term fails ({ways}),"
                " see the warnings above"
            )


def assign_credit(groups: Sequence[RolloutGroup], advantage: str) -> Credit:
    """Rewards and the advantages that follow, by a name in `objectives.advantages`."""
    rewards_PG = rewards_of(groups)
    if advantage in TERM_ADVANTAGES:
        advantages_PG = TERM_ADVANTAGES[advantage](*_terms_of(groups)).nan_to_num(nan=0.0)
        advantages_PG[rewards_PG.isnan()] = math.nan  # not where merely no term concerns the problem
    else:
        lengths = [[len(r.completion.tokens) for r in group.rollouts] for group in groups]
        advantages_PG = ADVANTAGES[advantage](rewards_PG, torch.tensor(lengths, dtype=torch.float64))
    return Credit(rewards_PG, advantages_PG, unscored_ways(groups))


def _terms_of(groups: Sequence[RolloutGroup]) -> tuple[Tensor, Tensor]:
    """Raw values of K reward terms, (K, P, G) float64, NaN where there is none; and their weights, (K,)."""
    rewards = [r.reward for group in groups for r in group.rollouts if r.reward is not None]
    weights = {name: weight for reward in rewards for name, weight in reward.weights.items()}
    weights = weights or {"none": 1.0}  # a term that no sample has, where none has any
    values = [
        [
            [math.nan if r.reward is None else r.reward.terms.get(name, math.nan) for r in group.rollouts]
            for group in groups
        ]
        for name in weights
    ]
    return torch.tensor(values, dtype=torch.float64), torch.tensor([*weights.values()], dtype=torch.float64)


def unscored_ways(groups: Sequence[RolloutGroup]) -> Counter[str]:
    """How many rollouts stayed unscored in which way: `{"short/hung": 3}`."""
    found = (rollout.unscored for group in groups for rollout in group.rollouts)
    return Counter(way_of(unscored) for unscored in found if unscored is not None)


def way_of(unscored: Unscored) -> str:
    """`"short/hung"`: the term and how it failed."""
    return f"{unscored.term}/{unscored.failure}"


def rewards_of(groups: Sequence[RolloutGroup]) -> Tensor:
    """Total rewards, (P, G) float64; NaN where a rollout could not be scored."""
    return torch.tensor(
        [[math.nan if r.reward is None else r.reward.total for r in group.rollouts] for group in groups],
        dtype=torch.float64,
    )


def rollout_batch(groups: Sequence[RolloutGroup], credit: Credit, settings: RLSettings) -> Batch | None:
    """The scored rollouts as one batch, each token with its rollout's advantage; None if there is none.

    The trained distribution is the one drawn from, so the sampler's log-probabilities are taken under its
    temperature. Truncated responses are in it if `objective.truncated` says so; groups whose rewards are all
    equal are, unless others were asked for in their place (`settings.rollouts.refill_rounds`).
    """
    documents, advantages, logprobs = [], [], []
    as_drawn, leave_out = settings.sampling.temperature == 1.0, settings.objective.truncated == "leave_out"
    for group, advantages_G in zip(*_trained(groups, credit, settings), strict=True):
        for rollout, advantage in zip(group.rollouts, advantages_G, strict=True):
            completion = rollout.completion
            if math.isnan(advantage) or (completion.finish == "length" and leave_out):
                continue
            tokens = (*completion.prompt_tokens, *completion.tokens)
            documents.append(EncodedDocument(tokens, len(completion.prompt_tokens)))
            advantages.append(advantage)
            logprobs.append(completion.logprobs if as_drawn else completion.sampling_logprobs)
    if not documents:
        return None
    return make_batch(documents, advantages=advantages, sampler_logprobs=logprobs)


def _trained(
    groups: Sequence[RolloutGroup], credit: Credit, settings: RLSettings
) -> tuple[Sequence[RolloutGroup], list[list[float]]]:
    """The groups that are trained on, with their advantages."""
    if not settings.rollouts.refill_rounds:
        return groups, credit.advantages_PG.tolist()
    live = (~dead_groups(credit.rewards_PG)).nonzero().flatten().tolist()
    return [groups[index] for index in live], credit.advantages_PG[live].tolist()

"""The rubric that a stage's `rewards:` mapping asks for."""

from __future__ import annotations

from collections.abc import Mapping

from r1kit.rewards.rubric import Rubric, TermSpec
from r1kit.stages.settings import RewardTerm


def make_rubric(rewards: Mapping[str, float | RewardTerm]) -> Rubric:
    """`{"accuracy": 1, "format": RewardTerm(weight=0.1)}` as a rubric. Raises UserError for unknown names."""
    terms = {
        name: term if isinstance(term, RewardTerm) else RewardTerm(weight=term)
        for name, term in rewards.items()
    }
    return Rubric(
        [TermSpec(name=name, weight=term.weight, params=term.params) for name, term in terms.items()]
    )

"""The rollouts of one step; questions that teach nothing are replaced by others where the settings say so."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from r1kit import seeds
from r1kit.learning.credit import rewards_of
from r1kit.learning.difficulty import Asked
from r1kit.learning.settings import RLSettings
from r1kit.objectives.advantages import dead_groups
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Problem, RolloutGroup


class Ask(Protocol):
    """`rollouts.collect.collect` with all but these settled."""

    def __call__(
        self,
        problems: Sequence[Problem],
        *,
        template: str,
        params: SamplingParams,
        group_size: int,
        seed: int,
        steps_left: int | None,
        step: int,
    ) -> list[RolloutGroup]:
        """Scored groups."""
        ...


def draw_step(ask: Ask, questions: Asked, step: int, settings: RLSettings, seed: int) -> list[RolloutGroup]:
    """All groups of a step with its settings, also those that `rollout_batch` leaves out: the dead ones.

    With `settings.rollouts.refill_rounds` as many other questions are asked as groups were dead, at most so
    many times. Source: dynamic sampling, DAPO, arXiv 2503.14476, section 3.2 and algorithm 1; there without a
    bound, so that a policy that solves everything, or nothing, would never get out.
    """
    ask_now = partial(
        ask,
        template=settings.template,
        params=settings.sampling,
        group_size=settings.group_size,
        steps_left=settings.steps - step + 1,
        step=step,
    )
    groups = ask_now(questions(step), seed=seed)
    for number in range(1, settings.rollouts.refill_rounds + 1):
        missing = settings.questions_per_step - _live(groups)
        if missing <= 0:
            break
        further = questions.more(step, number, missing, [group.problem for group in groups])
        groups += ask_now(further, seed=seeds.derive(seed, "refill", number))
    return groups


def _live(groups: Sequence[RolloutGroup]) -> int:
    return int((~dead_groups(rewards_of(groups))).sum())

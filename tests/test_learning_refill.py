"""Dynamic sampling: dead groups are replaced, within a bound."""

from __future__ import annotations

import pytest
import torch

from r1kit.learning.credit import assign_credit, rollout_batch
from r1kit.learning.questions import Questions, Source
from r1kit.learning.refill import draw_step
from r1kit.learning.settings import RLSettings
from r1kit.stages.settings import RLStageSettings
from r1kit.types import Completion, Message, Outcome, Problem, Prompt, Reward, Rollout, RolloutGroup, Verdict

PROBLEMS = [Problem(f"p{i}", "a", (Message("user", str(i)),), {}) for i in range(40)]


def group(problem: Problem, rewards: tuple[float, ...]) -> RolloutGroup:
    token = 10 + int(problem.id[1:])
    completion = Completion((7,), (token,), (-1.0,), (-1.0,), "x", "stop", 0)
    rollouts = [Rollout(completion, Verdict(Outcome.WRONG, None), Reward(r, {})) for r in rewards]
    return RolloutGroup(problem, Prompt((7,), ""), tuple(rollouts))


class Model:
    """Every `live`-th group of those asked for has different rewards."""

    def __init__(self, live: int) -> None:
        self.live, self.calls, self.asked = live, [], 0  # type: ignore[var-annotated]

    def __call__(self, problems, *, seed, steps_left, step, template, params, group_size):  # type: ignore[no-untyped-def]
        self.calls.append((len(problems), seed, steps_left))
        groups = []
        for problem in problems:
            self.asked += 1
            groups.append(group(problem, (0.0, 1.0) if self.asked % self.live == 0 else (1.0, 1.0)))
        return groups


def drawn(live: int, rounds: int) -> tuple[Model, list[RolloutGroup], RLSettings]:
    settings = RLSettings(steps=9, questions_per_step=8, group_size=2, rollouts={"refill_rounds": rounds})
    model = Model(live)
    questions = Questions({"a": Source(PROBLEMS)}, 9, 8, seed=3)
    return model, draw_step(model, questions, 4, settings, seed=5), settings


def test_as_many_others_are_asked_as_groups_were_dead() -> None:
    # of 8 groups 4 are live; then of 4 two, of 2 one, of 1 (the 15th) none, and the bound
    model, groups, _ = drawn(live=2, rounds=4)
    assert [call[0] for call in model.calls] == [8, 4, 2, 1, 1]
    assert len({call[1] for call in model.calls}) == 5  # each round has its own random numbers
    assert {call[2] for call in model.calls} == {6}
    assert len(groups) == 16


def test_nothing_is_asked_anew_where_all_groups_are_live_or_no_round_is_allowed() -> None:
    assert [call[0] for call in drawn(live=1, rounds=4)[0].calls] == [8]
    assert [call[0] for call in drawn(live=2, rounds=0)[0].calls] == [8]


def test_the_bound_holds_for_a_policy_that_solves_everything() -> None:
    model, groups, settings = drawn(live=10**6, rounds=3)
    assert [call[0] for call in model.calls] == [8, 8, 8, 8]
    assert rollout_batch(groups, assign_credit(groups, "grpo"), settings) is None


@pytest.mark.parametrize(("live", "rounds", "sequences"), [(2, 4, 16), (2, 0, 16), (3, 1, 8), (1, 2, 16)])
def test_only_live_groups_are_trained_on_where_others_take_the_place_of_the_dead(
    live: int, rounds: int, sequences: int
) -> None:
    _, groups, settings = drawn(live, rounds)
    credit = assign_credit(groups, "grpo")
    batch = rollout_batch(groups, credit, settings)
    assert batch is not None
    assert batch.totals.num_sequences == sequences
    assert batch.advantages_BT is not None
    trained = batch.advantages_BT.abs().amax(1)
    assert bool((trained > 0).all()) is (rounds > 0 or live == 1)
    assert torch.equal(batch.tokens_BT[:, 1], torch.tensor(expected(groups, rounds)))


def expected(groups: list[RolloutGroup], rounds: int) -> list[int]:
    kept = [g for g in groups if rounds == 0 or g.rollouts[0].reward != g.rollouts[1].reward]
    return [rollout.completion.tokens[0] for g in kept for rollout in g.rollouts]


def test_refilling_is_refused_where_equal_rewards_teach_or_rounds_would_be_normalised_alone() -> None:
    base = {"tasks": ("a",), "rollouts": {"refill_rounds": 1}}
    with pytest.raises(ValueError, match="the teacher's reward teaches on every group"):
        RLStageSettings.model_validate({**base, "rewards": {"teacher": {"params": {"model": "base"}}}})
    with pytest.raises(ValueError, match=r"rewards\.format is normalised over a step"):
        RLStageSettings.model_validate({**base, "rewards": {"format": {"normalise": "batch"}}})
    fine = RLStageSettings.model_validate({**base, "rewards": {"format": 1.0}})
    assert fine.rollouts.refill_rounds == 1

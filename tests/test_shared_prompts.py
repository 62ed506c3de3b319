"""Responses to one prompt learned beside each other: the prompt is computed once, all else is the same."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_sampler import make_model

from r1kit.learning import learner as learning
from r1kit.learning.batch import Batch, EncodedDocument, make_batch
from r1kit.learning.distillation import DistillationLoss
from r1kit.learning.learner import Learner
from r1kit.learning.losses import policy_loss
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings
from r1kit.learning.shared_prompts import Group, dealt_groups, grouped_microbatches

PROMPTS = [(5, 6, 7, 8, 9, 10), (5, 6, 7, 8, 9, 11), (12,)]  # alike but for the last token, and of one


def batch_of(responses: list[tuple[int, int]]) -> Batch:
    """(which prompt, how many tokens of its own) of each sequence."""
    documents = [
        EncodedDocument(
            (*PROMPTS[prompt], *(20 + (7 * row + t) % 40 for t in range(own))), len(PROMPTS[prompt])
        )
        for row, (prompt, own) in enumerate(responses)
    ]
    signs = [1.0 if row % 3 else -0.5 for row in range(len(documents))]
    logprobs = [[-1.0] * own for _, own in responses]
    return make_batch(documents, advantages=signs, sampler_logprobs=logprobs)


def test_sequences_with_one_prompt_are_a_group() -> None:
    batch = batch_of([(0, 3), (1, 2), (0, 4), (2, 1), (0, 1)] * 4)  # 144 tokens, of a group 36 at most
    first = Group([2, 7, 12, 17, 0, 5, 10, 15, 4, 9], 6, 36)
    others = [Group([14, 19], 6, 8), Group([1, 6, 11, 16], 6, 14), Group([3, 8, 13, 18], 1, 5)]
    assert dealt_groups(batch, range(20), 1000) == [[first, others[1], others[0], others[2]]]


def test_groups_stay_within_the_budget_but_for_a_single_sequence() -> None:
    batch = batch_of([(0, 3), (0, 3), (0, 30), (0, 3), (0, 3), (0, 3)])
    assert dealt_groups(batch, range(6), 15) == [
        [Group([2], 6, 36), Group([0, 1, 3], 6, 15), Group([4, 5], 6, 12)]
    ]


def test_nothing_is_grouped_where_little_would_be_spared() -> None:
    assert dealt_groups(batch_of([(0, 3), (1, 3)]), range(2), 1000) == []
    assert dealt_groups(batch_of([(2, 30), (2, 30)]), range(2), 1000) == []
    assert dealt_groups(batch_of([(0, 3)]), [], 1000) == []
    few = batch_of(
        [(0, 1), (0, 1), (0, 1)]
    )  # one thread would compute 7 or 8, the other the rest: alone 10.5
    assert dealt_groups(few, range(3), 1000, threads=8) == []


def test_shares_of_threads_are_of_about_the_same_size() -> None:
    batch = batch_of([(place % 2, 1 + place % 11) for place in range(200)])
    one, other = dealt_groups(batch, range(200), 100, threads=2)
    sizes = [sum(group.tokens for group in share) for share in (one, other)]
    assert sum(sizes) < 0.8 * int(batch.lengths_B.sum())
    assert max(sizes) < 1.15 * min(sizes)


@given(
    responses=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12)), min_size=1, max_size=20),
    budget=st.integers(1, 60),
)
def test_every_sequence_is_in_one_micro_batch_and_says_what_it_shares(
    responses: list[tuple[int, int]], budget: int
) -> None:
    batch = batch_of(responses)
    groups = [group for share in dealt_groups(batch, range(len(batch)), budget) for group in share]
    parts = grouped_microbatches(batch, groups, budget)
    assert sorted(row for part in parts for row in part.rows) == (list(range(len(batch))) if groups else [])
    computed = 0
    for part in parts:
        assert part.shared_R is not None
        tokens, lengths, first = part.inputs.input_ids_RW, part.batch.lengths_B, 0
        for place, shared in enumerate(part.shared_R.tolist()):
            first = first if shared else place
            assert tokens[place, :shared].tolist() == tokens[first, :shared].tolist()
            assert not part.batch.loss_mask_BT[place, :shared].any()
            assert shared < lengths[place]
        own = int((lengths - part.shared_R).sum())
        assert own <= budget or len(part.rows) == 1
        computed += own
    assert computed == sum(group.tokens for group in groups)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_update_is_that_of_the_module_tree(
    family: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, seen = batch_of([(place % 3, 1 + place % 11) for place in range(40)]), []
    grouped = learning.grouped_microbatches

    def counted(*arguments: Any) -> Any:
        parts = grouped(*arguments)
        seen.extend(int((part.batch.lengths_B - part.shared_R).sum()) for part in parts)
        return parts

    monkeypatch.setattr(learning, "grouped_microbatches", counted)
    monkeypatch.setattr(learning, "threads_for", lambda model, device: threads)
    found = []
    for written_out in (True, False):
        settings = BatchSettings(precision="float32", written_out=written_out, tokens_per_microbatch=96)
        learner = Learner(make_model(family), OptimizerSettings(), settings, total_updates=9)
        before = copy.deepcopy(learner.model.state_dict())
        logprobs = learner.logprobs(batch)
        stats = learner.update(batch, policy_loss(ObjectiveSettings()), idle=[3, 4, 5])
        moved = [value - before[name] for name, value in learner.model.state_dict().items()]
        found.append(
            (logprobs, stats["grad_norm"], stats["entropy"], torch.cat([m.flatten() for m in moved]))
        )
    assert sum(seen) < 1.4 * int(batch.lengths_B.sum())  # twice all of them, once for each of two passes
    (logprobs, norm, entropy, moved_by), (wanted, its_norm, its_entropy, its_moved) = found
    torch.testing.assert_close(logprobs, wanted, rtol=5e-6, atol=2e-6)
    assert norm == pytest.approx(its_norm, rel=1e-5)
    assert entropy == pytest.approx(its_entropy, rel=1e-6)
    assert float((moved_by - its_moved).norm() / its_moved.norm()) < 0.02  # AdamW's first step is a sign


def test_where_another_model_cannot_share_prompts_none_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, seen = batch_of([(0, 3)] * 30), []
    grouped = learning.grouped_microbatches

    def counted(*arguments: Any) -> Any:
        seen.append(arguments)
        return grouped(*arguments)

    monkeypatch.setattr(learning, "grouped_microbatches", counted)
    learner = Learner(make_model("llama"), OptimizerSettings(), BatchSettings(), total_updates=9)
    learner.logprobs(batch)
    assert seen
    seen.clear()
    learner.logprobs(batch, make_model("deepseek_v3"))
    learner.update(batch, DistillationLoss(make_model("deepseek_v3"), "forward_kl"))
    assert not seen

"""Batches, micro-batches, schedules and the order of the data."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from r1kit.learning.batch import EncodedDocument, idle_rows, make_batch
from r1kit.learning.credit import assign_credit, rollout_batch
from r1kit.learning.microbatches import (
    FEW,
    PART_COST,
    microbatches,
    padded,
    padded_for_written,
    padded_in_few_shapes,
    padding_tokens,
)
from r1kit.learning.order import TokenBatches, draw, fingerprint
from r1kit.learning.schedules import learning_rate_factor
from r1kit.learning.settings import ObjectiveSettings, RLSettings
from r1kit.objectives.aggregation import Totals
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Completion, Message, Outcome, Problem, Prompt, Reward, Rollout, RolloutGroup, Verdict


def test_documents_are_padded_on_the_right_and_only_responses_carry_loss():
    batch = make_batch([EncodedDocument((5, 6, 7, 8), 2), EncodedDocument((9, 3), 0)])
    assert batch.tokens_BT.tolist() == [[5, 6, 7, 8], [9, 3, 0, 0]]
    # nothing predicts the first token, so it carries no loss even where the response starts there
    assert batch.loss_mask_BT.tolist() == [[False, False, True, True], [False, True, False, False]]
    assert batch.lengths_B.tolist() == [4, 2]
    assert (batch.totals, batch.num_tokens) == (Totals(num_sequences=2, num_tokens=3), 3)


def test_advantages_and_sampler_logprobs_lie_on_the_response_tokens():
    batch = make_batch(
        [EncodedDocument((5, 6, 7), 1), EncodedDocument((9, 3), 1)],
        advantages=[2.0, -1.0],
        sampler_logprobs=[[-0.5, -0.25], [-1.0]],
    )
    assert batch.advantages_BT.tolist() == [[0, 2, 2], [0, -1, 0]]
    assert batch.sampler_logprobs_BT.tolist() == [[0, -0.5, -0.25], [0, -1, 0]]


def test_a_part_keeps_the_totals_of_the_whole_and_a_minibatch_counts_its_own():
    batch = make_batch([EncodedDocument((1, 2, 3), 1), EncodedDocument((4, 5), 1)], advantages=[1.0, 2.0])
    part = batch.part([1])
    assert part.tokens_BT.tolist() == [[4, 5]]
    assert part.advantages_BT.tolist() == [[0, 2]]
    assert part.totals == Totals(num_sequences=2, num_tokens=3)
    assert part.on_its_own().totals == Totals(num_sequences=1, num_tokens=1)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(10, 400))
def test_microbatches_hold_each_sequence_once_within_the_budget(lengths, budget):
    parts = [[row for (row,) in part] for part in padded(lengths, budget)]
    assert sorted(row for rows in parts for row in rows) == list(range(len(lengths)))
    widths = [max(lengths[row] for row in rows) for rows in parts]
    assert all(
        len(rows) == 1 or len(rows) * width <= budget for rows, width in zip(parts, widths, strict=True)
    )
    assert widths == sorted(widths, reverse=True)


def test_microbatches_are_the_cheapest_cut():
    # 4 x 1000 + 4 x 100 in two parts costs 4400 + 2 parts; together they would cost 8000 + 1 part
    lengths = [100, 1000, 100, 1000, 1000, 100, 1000, 100]
    batch = make_batch([EncodedDocument(range(length), 0) for length in lengths])
    parts = microbatches(batch, range(8), 10_000, padded)
    assert [part.rows for part in parts] == [[1, 3, 4, 6], [0, 2, 5, 7]]
    assert padding_tokens(parts) == (0, 4400)
    # a part more must save at least its fixed cost
    assert len(padded([100, 100 - PART_COST // 4], 10_000)) == 1
    # another part saves 8,064 computed tokens, or 512: more than 256, but less than 1,024
    for layout, few in ((padded_in_few_shapes, 2), (padded_for_written, 1)):
        assert len(layout([1024] * 8 + [16] * 8, 16384)) == 2
        assert len(layout([128] * 8 + [64] * 8, 16384)) == few


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(10, 400))
def test_few_shapes_hold_each_sequence_once_within_the_budget(lengths, budget):
    batch = make_batch([EncodedDocument(range(1, length + 1), 0) for length in lengths])
    parts = microbatches(batch, range(len(lengths)), budget, padded_in_few_shapes, FEW)
    assert sorted(row for part in parts for row in part.rows) == list(range(len(lengths)))
    for part in parts:
        rows, width = part.inputs.input_ids_RW.shape
        assert (rows.bit_count(), width % 16) == (1, 0)
        assert rows * width <= budget or rows == 1
        laid = part.inputs.input_ids_RW.flatten()[part.predicting_N() + 1]
        assert torch.equal(laid, part.batch.tokens_BT[part.batch.loss_mask_BT])


def test_what_few_shapes_fill_up_is_padding_and_counts_when_the_batch_is_cut():
    batch = make_batch([EncodedDocument(range(10), 0)] * 3)
    (part,) = microbatches(batch, range(3), 1000, padded_in_few_shapes, FEW)
    assert part.inputs.input_ids_RW.shape == (4, 16)
    assert padding_tokens([part]) == (64 - 30, 64)
    # five rows of 160 would be computed as eight: four and one are cheaper
    batch = make_batch([EncodedDocument(range(160), 0)] * 5)
    parts = microbatches(batch, range(5), 10_000, padded_in_few_shapes, FEW)
    assert sorted(len(part.rows) for part in parts) == [1, 4]


def test_padding_is_measured():
    batch = make_batch([EncodedDocument(range(10), 0), EncodedDocument(range(5), 0)])
    assert padding_tokens(microbatches(batch, [0, 1], 100, padded)) == (5, 20)


def test_sequences_without_advantage_need_no_backward_pass_unless_a_reference_pulls():
    batch = make_batch([EncodedDocument((1, 2), 1), EncodedDocument((3, 4), 1)], advantages=[0.0, 1.0])
    assert idle_rows(batch) == [0]
    assert idle_rows(replace(batch, ref_logprobs_BT=torch.zeros(2, 2))) == []


def test_warmup_rises_to_the_peak_and_the_last_update_uses_the_least_rate():
    rates = [learning_rate_factor("linear", step, 8, warmup_steps=2, min_ratio=0.1) for step in range(8)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.82, 0.64, 0.46, 0.28, 0.1])
    assert learning_rate_factor("cosine", 50, 101) == pytest.approx(0.5)
    assert learning_rate_factor("cosine", 100, 101, min_ratio=0.1) == pytest.approx(0.1)
    assert learning_rate_factor("constant", 99, 100, min_ratio=0.1) == 1.0


def test_each_epoch_draws_every_problem_once_in_another_order():
    drawn = [index for step in range(6) for index in draw(9, 7, step, 3)]
    assert sorted(drawn[:9]) == sorted(drawn[9:]) == list(range(9))
    assert drawn[:9] != drawn[9:]
    assert draw(9, 7, 4, 3) == drawn[12:15]


def test_a_step_may_span_epochs_when_problems_are_few():
    assert sorted(draw(2, 0, 0, 5)[:4]) == [0, 0, 1, 1]


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=50),
    st.integers(1, 200),
    st.integers(0, 3),
    st.integers(1, 6),
)
def test_every_epoch_puts_each_document_into_one_batch(lengths, tokens_per_batch, epoch, window):
    batches = TokenBatches(lengths, tokens_per_batch, 1, window)
    first = epoch * batches.per_epoch
    found = [batches(step) for step in range(first, first + batches.per_epoch)]
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    assert all(found)


def test_batches_hold_about_the_wanted_tokens():
    lengths = [10 + index % 7 for index in range(400)]
    batches = TokenBatches(lengths, 520, seed=1)
    sizes = [sum(lengths[index] for index in batches(step)) for step in range(batches.per_epoch)]
    assert batches.per_epoch == round(sum(lengths) / 520)
    assert max(sizes) - min(sizes) <= 2 * 16


def test_a_length_window_gives_batches_of_equal_tokens_and_similar_lengths_in_mixed_order():
    lengths = [5 + index * 37 % 100 for index in range(1000)]
    plain, sorted_ones = TokenBatches(lengths, 500, 1), TokenBatches(lengths, 500, 1, 20)

    def of_epoch(batches):
        return [[lengths[index] for index in batches(step)] for step in range(batches.per_epoch)]

    def padding(epoch):
        return 1 - sum(lengths) / sum(max(batch) * len(batch) for batch in epoch)

    assert padding(of_epoch(plain)) > 0.3
    assert padding(of_epoch(sorted_ones)) < 0.15
    sizes = [sum(batch) for batch in of_epoch(sorted_ones)]
    assert max(sizes) - min(sizes) <= 2 * max(lengths)
    longest = [max(batch) for batch in of_epoch(sorted_ones)]
    rises = sum(a < b for a, b in pairwise(longest))
    assert 0.3 < rises / len(longest) < 0.7  # neither short before long nor the other way


def test_batches_of_a_length_window_depend_on_seed_and_step_alone():
    lengths = [5 + index * 37 % 100 for index in range(300)]
    batches, again = TokenBatches(lengths, 500, 1, 8), TokenBatches(lengths, 500, 1, 8)
    in_order = [batches(step) for step in range(2 * batches.per_epoch)]
    assert [again(step) for step in reversed(range(2 * again.per_epoch))] == in_order[::-1]
    assert TokenBatches(lengths, 500, 2, 8)(0) != in_order[0]


def test_the_fingerprint_tells_data_apart_also_by_its_boundaries():
    assert fingerprint([b"ab", b"c"]) != fingerprint([b"a", b"bc"])
    assert fingerprint([b"ab"]) == fingerprint([b"ab"])


def test_tokens_of_documents_may_be_arrays():
    torch.testing.assert_close(
        make_batch([EncodedDocument(torch.tensor([1, 2]).numpy(), 1)]).tokens_BT, torch.tensor([[1, 2]])
    )


def rollout(reward, tokens, finish):
    logprobs, drawn = (-1.0,) * len(tokens), (-2.0,) * len(tokens)
    completion = Completion((7, 8), tokens, logprobs, drawn, "x", finish, 0)
    return Rollout(completion, Verdict(Outcome.WRONG, None), None if reward is None else Reward(reward, {}))


ROLLOUTS = (
    rollout(1.0, (1, 2), "stop"),
    rollout(0.0, (3, 4, 5), "length"),
    rollout(None, (6,), "stop"),
    rollout(0.5, (9,), "length"),
)


def batch_of_rollouts(**settings):
    problem = Problem("p", "countdown", (Message("user", "?"),), {}, "en")
    group = RolloutGroup(problem, Prompt((7, 8), ""), ROLLOUTS)
    credit = assign_credit([group], "dr_grpo")
    return rollout_batch([group], credit, RLSettings(**settings))


def test_rollouts_that_could_not_be_scored_are_not_trained_on():
    batch = batch_of_rollouts()
    assert batch.tokens_BT.tolist() == [[7, 8, 1, 2, 0], [7, 8, 3, 4, 5], [7, 8, 9, 0, 0]]
    assert batch.advantages_BT.tolist() == [[0, 0, 0.5, 0.5, 0], [0, 0, -0.5, -0.5, -0.5], [0] * 5]


def test_truncated_rollouts_that_are_left_out_still_count_in_their_group():
    batch = batch_of_rollouts(objective=ObjectiveSettings(truncated="leave_out"))
    assert batch.tokens_BT.tolist() == [[7, 8, 1, 2]]
    assert batch.advantages_BT.tolist() == [[0, 0, 0.5, 0.5]]  # the mean of 1, 0 and 0.5
    assert (batch.totals.num_sequences, batch.totals.num_tokens) == (1, 2)


def test_the_samplers_logprobs_are_those_of_the_distribution_drawn_from():
    cold = SamplingParams(max_new_tokens=8, temperature=0.7)
    assert batch_of_rollouts(sampling=cold).sampler_logprobs_BT.tolist()[0] == [0, 0, -2, -2, 0]
    assert batch_of_rollouts().sampler_logprobs_BT.tolist()[0] == [0, 0, -1, -1, 0]

"""Micro-batches dealt to threads: the update of one thread, repeated bit by bit."""

from __future__ import annotations

import copy
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_learning_learner import objective, ragged_batch
from test_sampler import make_model
from torch import Tensor

from r1kit.learning import shares
from r1kit.learning.batch import Batch, idle_rows, no_rows
from r1kit.learning.learner import Learner
from r1kit.learning.losses import Loss, LossOutput, supervised_loss
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings, RLSettings
from r1kit.models import threads as model_threads
from r1kit.models.reference import frozen_copy
from r1kit.models.threads import in_threads

SEVERAL = (1, 2, 3, 8)  # threads; the batch has six rows


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Tests may choose torch's threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def learner_in(count: int, model: Any, **batch: Any) -> Learner:
    torch.set_num_threads(count)
    settings = BatchSettings(**{"tokens_per_microbatch": 24, "precision": "float32", **batch})
    optimizer = OptimizerSettings(learning_rate=0.01, max_grad_norm=1e9)
    return Learner(copy.deepcopy(model), optimizer, settings, total_updates=10)


def updated(
    count: int, model: Any, batch: Batch, loss: Loss, idle: tuple[int, ...] = (), **settings: Any
) -> tuple[dict[str, float], dict[str, Tensor], dict[str, Tensor]]:
    """Statistics, gradients and weights of an update in so many threads."""
    learner = learner_in(count, model, **settings)
    gradients, step = {}, learner.optimizer.step

    def spied() -> None:
        named = learner.model.named_parameters()
        gradients.update({name: p.grad.clone() for name, p in named if p.grad is not None})
        step()

    learner.optimizer.step = spied
    stats = learner.update(batch, loss, idle=idle)
    assert torch.get_num_threads() == count
    return stats, gradients, {name: p.detach() for name, p in learner.model.named_parameters()}


BATCH = replace(
    ragged_batch(), old_logprobs_BT=torch.full((6, 12), -3.1), ref_logprobs_BT=torch.full((6, 12), -2.9)
)
CASES = [
    ("llama", {"tie_word_embeddings": True}, {}, 1e-5),
    ("llama", {"attention_bias": True, "mlp_bias": True}, {}, 1e-5),
    ("qwen2", {}, {"written_out": True}, 1e-5),
    ("qwen2", {}, {"packing": True}, 1e-5),
    ("llama", {}, {"gradient_checkpointing": True}, 1e-5),
    ("llama", {}, {"precision": "bfloat16"}, 0.03),
    ("llama", {}, {"precision": "bfloat16", "written_out": True}, 0.03),
    ("qwen3", {}, {"tokens_per_microbatch": 1000}, 1e-5),
    ("deepseek_v3", {}, {}, 1e-5),
]


@pytest.mark.parametrize(("family", "changes", "settings", "near"), CASES)
def test_an_update_is_that_of_one_thread_and_repeats_bit_for_bit(
    family: str, changes: dict[str, Any], settings: dict[str, Any], near: float
) -> None:
    model, loss = make_model(family, **changes), objective("token_mean", kl_beta=0.1, entropy_bonus=0.1)
    one_stats, one, _ = updated(1, model, BATCH, loss, **settings)
    largest = max(float(gradient.norm()) for gradient in one.values())
    assert largest > 1e-3
    for count in SEVERAL[1:]:
        stats, gradients, weights = updated(count, model, BATCH, loss, **settings)
        assert gradients.keys() == one.keys()
        for name, gradient in one.items():
            assert float((gradients[name] - gradient).norm()) < near * max(
                float(gradient.norm()), largest / 10
            ), name
        assert stats.keys() == one_stats.keys()
        for name in stats.keys() - {"padding"}:
            assert stats[name] == pytest.approx(one_stats[name], rel=10 * near, abs=near), name
        again_stats, _, again = updated(count, model, BATCH, loss, **settings)
        assert again_stats == stats
        assert all(torch.equal(again[name], weight) for name, weight in weights.items())


@pytest.mark.parametrize("count", SEVERAL)
def test_rows_without_advantage_are_measured_in_threads_and_change_no_gradient(count: int) -> None:
    model, loss = make_model("llama"), objective("sequence_mean")
    batch = ragged_batch(
        advantages_BT=torch.tensor([0, 0, 0, 2.0, -1.0, 0])[:, None] * ragged_batch().loss_mask_BT
    )
    idle = tuple(idle_rows(batch))
    assert idle == (0, 1, 2, 5)
    full_stats, full, _ = updated(1, model, batch, loss)
    less_stats, less, _ = updated(count, model, batch, loss, idle)
    for name, gradient in full.items():
        torch.testing.assert_close(less[name], gradient, rtol=1e-4, atol=1e-6)
    for name in full_stats.keys() - {"padding"}:
        assert less_stats[name] == pytest.approx(full_stats[name], rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("count", SEVERAL)
def test_nothing_but_idle_rows_moves_nothing_and_is_measured(count: int) -> None:
    model, batch = make_model("llama"), ragged_batch()
    loss = objective("token_mean")
    expected, _, _ = updated(1, model, batch, loss)
    stats, gradients, weights = updated(count, model, batch, loss, tuple(range(6)))
    assert gradients == {}
    assert (stats["grad_norm"], stats["skipped"]) == (0.0, 0.0)
    assert stats["entropy"] == pytest.approx(expected["entropy"], rel=1e-5)
    assert all(torch.equal(weights[name], p) for name, p in model.named_parameters())


@pytest.mark.parametrize("count", SEVERAL)
def test_a_batch_of_no_rows_moves_nothing(count: int) -> None:
    model = make_model("llama")
    stats, gradients, weights = updated(count, model, no_rows(), objective("token_mean"))
    assert gradients == {}
    assert (stats["loss"], stats["grad_norm"]) == (0.0, 0.0)
    assert all(torch.equal(weights[name], p) for name, p in model.named_parameters())
    assert learner_in(count, model).logprobs(no_rows()).shape == (0, 0)


@pytest.mark.parametrize("count", SEVERAL[1:])
def test_log_probabilities_are_those_of_one_thread(count: int) -> None:
    model, batch = make_model("qwen2"), ragged_batch()
    expected = learner_in(1, model).logprobs(batch)
    learner = learner_in(count, model)
    found = learner.logprobs(batch)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert torch.equal(learner.logprobs(batch), found)
    assert not found.requires_grad
    assert torch.equal(found != 0, batch.loss_mask_BT)


def test_whole_updates_with_a_reference_and_minibatches_repeat_in_threads() -> None:
    model = make_model("llama")
    settings = RLSettings(
        objective=ObjectiveSettings(kl_beta=0.05),
        batch=BatchSettings(minibatches=2, precision="float32", tokens_per_microbatch=24),
    )

    def run(count: int) -> list[dict[str, float]]:
        learner = learner_in(count, model)
        reference = frozen_copy(model)
        return [update_policy(learner, ragged_batch(), settings, reference, seed=step) for step in range(3)]

    one, two = run(1), run(2)
    assert run(2) == two
    for ours, theirs in zip(two, one, strict=True):
        assert ours == pytest.approx(theirs, rel=2e-3, abs=1e-4, nan_ok=True)


@given(st.lists(st.integers(1, 50), min_size=0, max_size=30), st.integers(1, 9), st.data())
def test_every_row_is_dealt_once_in_shares_of_like_lengths(lengths: list[int], count: int, data: Any) -> None:
    rows = data.draw(st.lists(st.sampled_from(range(len(lengths))), unique=True)) if lengths else []
    dealt = shares.deal(lengths, rows, count)
    assert sorted(row for share in dealt for row in share) == sorted(rows)
    assert len(dealt) == min(count, len(rows))
    assert all(dealt)
    sums = [sum(lengths[row] for row in share) for share in dealt]
    assert max(sums, default=0) - min(sums, default=0) <= max((lengths[row] for row in rows), default=0)


class SpoiledError(Exception):
    pass


@pytest.mark.parametrize("count", SEVERAL)
@pytest.mark.parametrize("idle", [(), (0, 1, 3, 5)])
def test_what_a_loss_raises_in_a_thread_is_raised_here_and_the_learner_goes_on(
    count: int, idle: tuple[int, ...]
) -> None:
    def spoiled(logprobs_N: Tensor, entropy_N: Tensor, part: Batch) -> LossOutput:
        if (part.lengths_B == 5).any():
            raise SpoiledError
        return supervised_loss(logprobs_N, entropy_N, part)

    model, batch = make_model("llama"), ragged_batch()
    learner = learner_in(count, model)
    with pytest.raises(SpoiledError):
        learner.update(batch, spoiled, idle=idle)
    assert torch.get_num_threads() == count
    learner.optimizer.zero_grad(set_to_none=True)
    expected, _, _ = updated(count, model, batch, supervised_loss)
    assert learner.update(batch, supervised_loss) == expected


def test_a_piece_that_fails_stops_the_others_which_end_before_it_is_raised() -> None:
    torch.set_num_threads(3)
    ended = []

    def waiting(name: str, stop: Event) -> str:
        assert torch.get_num_threads() == 1
        assert stop.wait(60)
        time.sleep(0.05)
        ended.append(name)
        return name

    def failing(stop: Event) -> str:
        raise SpoiledError

    with pytest.raises(SpoiledError):
        in_threads([partial(waiting, "a"), failing, partial(waiting, "b")])
    assert sorted(ended) == ["a", "b"]
    assert torch.get_num_threads() == 3


def test_an_interrupted_caller_stops_all_pieces() -> None:
    torch.set_num_threads(2)
    begun = threading.Barrier(2)
    stopped = []

    def waiting(stop: Event) -> None:
        if begun.wait(60) == 0:
            time.sleep(0.5)  # a signal just before the caller waits is seen when it has waited
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        stopped.append(stop.wait(60))

    with pytest.raises(KeyboardInterrupt):
        in_threads([waiting, waiting])
    assert stopped == [True, True]
    assert torch.get_num_threads() == 2


def test_results_come_in_the_order_of_their_pieces_and_one_piece_runs_in_the_caller() -> None:
    torch.set_num_threads(2)

    def slow(wait: float, name: str, stop: Event) -> tuple[str, bool]:
        time.sleep(wait)
        return name, threading.current_thread() is threading.main_thread()

    assert in_threads([partial(slow, 0.1, "a"), partial(slow, 0, "b")]) == [("a", False), ("b", False)]
    assert in_threads([partial(slow, 0, "c")]) == [("c", True)]
    assert in_threads(list[model_threads.Piece[int]]()) == []


def test_large_models_and_other_devices_keep_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(3)
    model = make_model("llama")
    assert model_threads.threads_for(model, torch.device("cpu")) == 3
    assert model_threads.threads_for(model, torch.device("cuda")) == 1
    monkeypatch.setattr(model_threads, "MOST_PARAMETERS", 1000)
    assert model_threads.threads_for(model, torch.device("cpu")) == 1


def test_a_caller_interrupted_while_it_starts_threads_leaves_none_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.set_num_threads(3)
    start, begun, worked = threading.Thread.start, [], []

    def interrupted(self: threading.Thread) -> None:
        start(self)
        begun.append(self)
        if len(begun) == 2:
            raise KeyboardInterrupt

    def working(stop: Event) -> None:
        worked.append((stop.is_set(), torch.get_num_threads()))

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        in_threads([working] * 3)
    for thread in begun:
        thread.join(60)
    assert [stopped for stopped, _ in worked] == [True, True]
    assert torch.get_num_threads() == 3

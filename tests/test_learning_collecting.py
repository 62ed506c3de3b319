"""Rollouts drawn beside the updates of the step before: of which weights, when, and after a kill."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_learning_resume import AHEAD, RL, assert_same_run, killed_run, make_model, make_tokenizer, run_rl
from test_learning_resume import StopAtLook as Stop
from test_learning_resume import one_thread as one_thread
from torch import nn

from r1kit.errors import Interrupted, ModelError
from r1kit.learning.collecting import Collector
from r1kit.learning.settings import RLSettings, RolloutSettings
from r1kit.models.reference import frozen_copy
from r1kit.models.threads import in_threads, use_threads
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.tracking.stop import StopFlag
from r1kit.types import Completion, Prompt


class Number(nn.Module):
    """A policy of one number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))


class NumberSampler:
    """Remembers the number that it has."""

    shares_weights = False

    def __init__(self) -> None:
        self.version, self.number = 0, float("nan")

    def sample(self, *_: Any) -> list[tuple[Completion, ...]]:
        return []

    def update(self, model: Any) -> None:
        self.version += 1
        self.number = model.value.item()


def numbers_drawn(start: int, steps: Sequence[int], older: Number | None, policy: Number) -> list[Any]:
    """(step, number, version) of each step's draw; a step adds 1 to the policy's number."""
    sampler, drawn = NumberSampler(), []

    def draw(step: int, timed: Any) -> list[Any]:
        drawn.append((step, sampler.number, timed.version))
        return []

    with Collector(draw, sampler, policy, older, start, StopFlag()) as collector:
        for step in steps:
            collector.take(step)
            collector.go_ahead(step, last=step == steps[-1])
            with torch.no_grad():
                policy.value += 1
            collector.learned()
    return drawn


def test_without_staleness_each_step_is_drawn_from_its_own_weights() -> None:
    assert numbers_drawn(0, [1, 2, 3], None, Number(10.0)) == [(1, 10, 0), (2, 11, 1), (3, 12, 2)]
    assert numbers_drawn(7, [8, 9], None, Number(17.0)) == [(8, 17, 7), (9, 18, 8)]


def test_with_staleness_every_step_but_the_first_is_drawn_from_the_weights_before() -> None:
    older = Number(10.0)
    assert numbers_drawn(0, [1, 2, 3, 4], older, Number(10.0)) == [
        (1, 10, 0),
        (2, 10, 0),
        (3, 11, 1),
        (4, 12, 2),
    ]
    assert older.value.item() == 13  # of which step 5 is to be drawn


def test_a_run_taken_up_again_draws_from_the_older_weights_of_its_checkpoint() -> None:
    assert numbers_drawn(2, [3, 4], Number(11.0), Number(12.0)) == [(3, 11, 1), (4, 12, 2)]


def test_the_next_step_is_drawn_while_this_one_is_learned() -> None:
    learning = threading.Event()

    def draw(step: int, timed: Any) -> list[Any]:
        assert step == 1 or learning.wait(20), "nothing was learned meanwhile"
        return []

    with Collector(draw, NumberSampler(), Number(0.0), Number(0.0), 0, StopFlag()) as collector:
        collector.take(1)
        collector.go_ahead(1, last=False)
        learning.set()
        assert collector.take(2).groups == []


def test_what_ends_a_draw_is_raised_where_its_step_is_taken() -> None:
    def draw(step: int, timed: Any) -> list[Any]:
        if step == 2:
            raise ModelError("no logits")
        return []

    with Collector(draw, NumberSampler(), Number(0.0), Number(0.0), 0, StopFlag()) as collector:
        collector.take(1)
        collector.go_ahead(1, last=False)
        with pytest.raises(ModelError, match="no logits"):
            collector.take(2)


def test_nothing_is_being_drawn_after_the_block_even_if_it_failed() -> None:
    ended = []

    def draw(step: int, timed: Any) -> list[Any]:
        if step == 2:
            time.sleep(0.3)
            ended.append(step)
        return []

    def fail() -> None:
        with Collector(draw, NumberSampler(), Number(0.0), Number(0.0), 0, StopFlag()) as collector:
            collector.take(1)
            collector.go_ahead(1, last=False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ended == [2]


def test_a_draw_has_as_many_threads_as_the_loop(one_thread: None) -> None:
    found = []

    def draw(step: int, timed: Any) -> list[Any]:
        set_another(1)
        found.append(torch.get_num_threads())
        return []

    def set_another(count: int) -> None:  # as threads of an update do
        setter = threading.Thread(target=use_threads, args=(count,))
        setter.start()
        setter.join()

    torch.set_num_threads(3)
    with Collector(draw, NumberSampler(), Number(0.0), Number(0.0), 0, StopFlag()) as collector:
        collector.take(1)
        set_another(1)
        collector.go_ahead(1, last=False)
        collector.take(2)
    assert found == [3, 3]


def test_a_sampler_that_shares_weights_is_refused() -> None:
    model, tokenizer = make_model(make_tokenizer()), make_tokenizer()
    with pytest.raises(ModelError, match="cannot sample while they change"):
        Collector(
            lambda step, timed: [], LocalSampler(model, tokenizer), model, frozen_copy(model), 0, StopFlag()
        )


def test_a_sampler_apart_keeps_its_weights_until_it_gets_others() -> None:
    model, tokenizer = make_model(make_tokenizer()).eval(), make_tokenizer()
    sampler, params = LocalSampler(model, tokenizer, apart=True), SamplingParams(max_new_tokens=8)

    def tokens() -> Any:
        return [c.tokens for c in sampler.sample([Prompt((5, 6, 7))], 4, params, [1])[0]]

    before = tokens()
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(-3.0)
    assert tokens() == before
    sampler.update(model)
    assert tokens() != before


def test_older_rollouts_without_their_correction_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rollouts\.staleness: .* need objective\.importance_cap"):
        RLSettings(rollouts=RolloutSettings(staleness=1))


def test_a_run_with_older_rollouts_that_is_killed_and_stopped_ends_bit_identically(
    tmp_path: Path, one_thread: None
) -> None:
    whole = tmp_path / "whole"
    expected = (whole, *run_rl(whole, settings=AHEAD))
    metrics = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [row["staleness/versions"] for row in metrics] == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert metrics[0]["logprob_gap/mean"] < 1e-5 < 1e-3 < min(row["logprob_gap/mean"] for row in metrics[1:])
    on_policy = run_rl(tmp_path / "on_policy", settings=RL)[0]
    assert any(not torch.equal(on_policy[name], tensor) for name, tensor in expected[1].items())

    killed = tmp_path / "killed"
    killed_run(killed, "logging", 1, "ahead")
    killed_run(killed, "saving", 4, "ahead")
    assert (killed / "checkpoints/step-000002/older.safetensors").exists()
    with pytest.raises(Interrupted, match="stopped after step 5 of 6"):
        run_rl(killed, Stop(5), settings=AHEAD)  # looked at twice a step
    assert_same_run(killed, *run_rl(killed, settings=AHEAD), expected)


def test_a_signal_while_the_loop_waits_for_rollouts_is_seen() -> None:
    waiting = threading.Event()

    def draw(step: int, timed: Any) -> list[Any]:
        if step == 2:
            waiting.wait(20)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(1.0)
        return []

    def take(collector: Collector) -> None:
        waiting.set()
        collector.take(2)

    with Collector(draw, NumberSampler(), Number(0.0), Number(0.0), 0, StopFlag()) as collector:
        collector.take(1)
        collector.go_ahead(1, last=False)
        with pytest.raises(KeyboardInterrupt):
            take(collector)
    assert "r1kit-rollouts" not in {thread.name for thread in threading.enumerate()}


def test_a_draw_that_nobody_wants_ends_after_the_step_it_is_in() -> None:
    steps: list[int] = []

    def piece(stop: threading.Event) -> None:
        while not stop.is_set() and len(steps) < 3000:
            steps.append(1)
            time.sleep(0.01)

    def draw(step: int, timed: Any) -> list[Any]:
        if step > 1:
            in_threads([piece, piece] if step == 2 else [piece])
        return []

    for first in (1, 2):
        with Collector(draw, NumberSampler(), Number(0.0), Number(0.0), first, StopFlag()) as collector:
            collector.go_ahead(first, last=False)
            time.sleep(0.1)
        assert 0 < len(steps) < 3000
        steps.clear()


def test_nothing_is_drawn_ahead_of_a_stop() -> None:
    asked, stop = list[int](), StopFlag()

    def draw(step: int, timed: Any) -> list[Any]:
        asked.append(step)
        return []

    with Collector(draw, NumberSampler(), Number(0.0), Number(0.0), 0, stop) as collector:
        collector.take(1)
        stop.request()
        collector.go_ahead(1, last=False)
    assert asked == [1]


def test_a_run_with_older_rollouts_repeats_itself_in_two_threads(tmp_path: Path, one_thread: None) -> None:
    settings = AHEAD.model_copy(update={"questions_per_step": 5, "group_size": 8})
    runs = []
    for name in ("a", "b"):
        torch.set_num_threads(2)
        runs.append((tmp_path / name, *run_rl(tmp_path / name, settings=settings)))
    assert_same_run(*runs[0], runs[1])

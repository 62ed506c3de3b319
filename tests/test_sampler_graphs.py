"""Steps on a paged cache that are captured and replayed, by recordings in the place of CUDA graphs."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from paged_samplers import decode_by_graphs, decode_on_pages, farthest
from recorded_graphs import RecordedGraphs
from test_sampler import flat, make_model, make_tokenizer, prompts

from r1kit.rollouts import local
from r1kit.rollouts.graphs import Graphs, cuda_capture
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.paged import PagedDecoder, rows_computed
from r1kit.rollouts.paged_engine import PagedEngine
from r1kit.rollouts.protocol import SamplingParams


@pytest.fixture
def on_pages(monkeypatch: pytest.MonkeyPatch) -> list[PagedEngine]:
    """Samplers decode as on a CUDA device, on small pages; the engines that they make."""
    return decode_on_pages(monkeypatch)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch, on_pages: list[PagedEngine]) -> RecordedGraphs:
    """As `on_pages`, with graphs."""
    return decode_by_graphs(monkeypatch)


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(),
        SamplingParams(temperature=0.0),
        SamplingParams(temperature=0.7),
        SamplingParams(temperature=0.7, top_p=0.9),
        SamplingParams(top_k=5, stop=("b.", "7")),
    ],
)
def test_replayed_steps_draw_what_steps_do_over_updates_and_changing_rows(
    params: SamplingParams, graphs: RecordedGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = params.model_copy(update={"max_new_tokens": 21})
    calls = [(prompts(20, 3, 9), [1, 2, 3]), (prompts(9, 17, 3, seed=4), [7, 8, 9])]

    def drawn() -> list[Any]:
        model = make_model("qwen3", initializer_range=0.15)
        sampler = LocalSampler(model, make_tokenizer(), max_batch=7)
        found = []
        for asked, seeds in calls:
            groups = sampler.sample(asked, 4, params, seeds)
            assert farthest(model, asked, groups) <= 1e-5  # by the weights of now
            found.append([(c.tokens, c.logprobs) for c in flat(groups)])
            with torch.no_grad():
                for layer in model.model.layers:
                    layer.self_attn.v_proj.weight.mul_(-0.8)
                    layer.mlp.up_proj.weight.mul_(1.1)
            sampler.update(model)
        return found

    replayed = drawn()
    assert 0 < graphs.captured <= 6  # numbers of rows up to 7: 1, 2, 3, 4, 6, 7
    assert graphs.replayed > graphs.captured
    monkeypatch.setattr(local, "PagedDecoder", PagedDecoder)
    assert replayed == drawn()


def test_graphs_know_the_temperature(graphs: RecordedGraphs) -> None:
    model, asked = make_model("llama", initializer_range=0.15), prompts(5, 9)
    sampler = LocalSampler(model, make_tokenizer())
    found = []
    for temperature in (1.0, 0.3, 0.0, 1.0):
        params = SamplingParams(max_new_tokens=12, temperature=temperature)
        alone = LocalSampler(model, make_tokenizer()).sample(asked, 2, params, [1, 2])
        found.append(sampler.sample(asked, 2, params, [1, 2]))
        assert found[-1] == alone
    assert found[0] == found[3] != found[1] != found[2]


def test_a_replay_does_what_was_done_and_reads_nothing_from_python() -> None:
    capture, number, table = RecordedGraphs(), [2.0], torch.tensor([1.0, 10.0])

    def step() -> None:
        table.add_(table * number[0])

    replay = capture(step)
    assert table.tolist() == [1.0, 10.0]  # nothing is done by a capture
    number[0] = 5.0
    replay()
    replay()
    assert table.tolist() == [9.0, 90.0]
    for waits in (lambda: table.max().item(), lambda: table.add_(torch.tensor([1.0, 2.0]))):
        with pytest.raises(RuntimeError, match="not permitted"):
            capture(waits)


def test_a_cuda_graph_is_captured_and_replayed_as_torch_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    signature = inspect.signature(torch.cuda.graph)

    class Graph:
        def replay(self) -> None:
            done.append("replay")

    @contextmanager
    def graph(*args: Any, **settings: Any) -> Iterator[None]:
        given = signature.bind(*args, **settings).arguments
        assert isinstance(given["cuda_graph"], Graph)
        done.append((given["pool"], given["capture_error_mode"]))
        yield
        done.append("captured")

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 7))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    capture, result = cuda_capture(torch.device("cuda")), torch.ones(2)

    def step() -> torch.Tensor:
        done.append("step")
        return result

    again = capture(step)
    assert again() is again() is result
    assert done == [((0, 7), "thread_local"), "step", "captured", "replay", "replay"]


def test_a_stream_has_a_decoder_of_its_own(graphs: RecordedGraphs, on_pages: list[PagedEngine]) -> None:
    model, params = make_model("qwen2", initializer_range=0.15), SamplingParams(max_new_tokens=25)
    sampler = LocalSampler(model, make_tokenizer())
    (prompt,) = prompts(13)
    ((expected, *_),) = sampler.sample([prompt], 3, params, [5])
    stream, pieces = sampler.stream(prompt, params, 5), []
    while True:
        try:
            pieces.append(next(stream))
            sampler.sample(prompts(6), 2, params, [1])  # between its tokens
        except StopIteration as end:
            completion = end.value
            break
    assert completion.tokens == expected.tokens
    assert "".join(pieces) == completion.text
    own = [engine.decoder for engine in on_pages if engine.most_steps == 1]
    kept = {id(engine.decoder) for engine in on_pages if engine.most_steps != 1}
    assert len(own) == len(kept) == 1
    assert id(own[0]) not in kept


def test_where_a_capture_fails_there_is_one_warning_and_steps_go_on() -> None:
    def fails(step: Callable[[], Any]) -> Callable[[], Any]:
        raise RuntimeError("CUDA error: operation failed due to a previous error\nduring capture")

    graphs, count = Graphs(fails), []
    with pytest.warns(RuntimeWarning, match="without CUDA graphs, slower: .* error during capture"):
        graphs.run("step", lambda: count.append(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graphs.run("step", lambda: count.append(1))
        graphs.run("other", lambda: count.append(1))
    assert (len(count), len(graphs)) == (3, 0)


def test_numbers_of_rows_are_few() -> None:
    assert [rows_computed(live, 500) for live in (1, 2, 3, 4, 5, 7, 97, 129, 385, 500)] == [
        *(1, 2, 3, 4, 6, 8, 128, 192, 500, 500)
    ]
    assert len({rows_computed(live, 1024) for live in range(1, 1025)}) == 20


def test_the_decoder_is_kept_while_there_is_room_and_its_weights_stay_where_they_are(
    graphs: RecordedGraphs, on_pages: list[PagedEngine]
) -> None:
    model, params = make_model("llama"), SamplingParams(max_new_tokens=9)
    sampler = LocalSampler(model, make_tokenizer())
    for lengths in ((5, 9), (9, 5), (3,), (30, 2), (9, 5)):
        sampler.sample(prompts(*lengths), 2, params, range(len(lengths)))
    first, second, third, longer, last = (engine.decoder for engine in on_pages)
    assert first is second is third
    assert longer is last is not third
    assert longer.room.holds(first.room)
    assert graphs.captured == len(first.graphs) + len(last.graphs)  # nothing twice
    model.lm_head.weight.data = model.lm_head.weight.data.clone()
    sampler.sample(prompts(9, 5), 2, params, [0, 1])
    assert on_pages[-1].decoder is not last
    assert on_pages[-1].decoder.room == last.room

"""The decoding step on a paged cache, against the plain forward pass of `transformers`, on tiny models.

No GPU is needed: the same step runs on a CPU with another attention, its graphs as recordings, and on tensors
without numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recorded_graphs import RecordedGraphs
from test_sampler import END, GREEDY, VOCABULARY, flat, generated, make_model, make_tokenizer, prompts
from test_sampler_compiled import DECODERS, IDS, changed
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from r1kit.kernels import FULL, GOES_ON
from r1kit.rollouts import local, paged
from r1kit.rollouts.graphs import Graphs
from r1kit.rollouts.jobs import Job
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.paged import COUNT, FATE, PagedDecoder, Room, has_paged_step, rows_computed, runs_paged
from r1kit.rollouts.paged_attention import PAGE, Paging, attend_paged, by_kernel, kernel_takes
from r1kit.rollouts.paged_engine import PagedEngine, room_for
from r1kit.rollouts.pages import PageBook, pages_needed
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Completion, Prompt

SIZE = 8  # positions of a page, here
LENGTHS = (1, 2, 7, 8, 9, 10, 16, 17, 25)  # of prompts, around the borders of pages


class Poisoned(PagedEngine):
    """Pages that nobody has, at first or any more, are full of NaN."""

    made: list[PagedEngine]

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.decoder.pages.fill_(torch.nan)
        leave = self.book.leave

        def left(rows: Any) -> list[int]:
            pages = leave(rows)
            self.decoder.pages[:, :, pages] = torch.nan
            return pages

        self.book.leave = left  # type: ignore[method-assign]
        self.made.append(self)


@pytest.fixture
def on_pages(monkeypatch: pytest.MonkeyPatch) -> list[PagedEngine]:
    """Samplers decode as on a CUDA device, on small pages; the engines that they make."""
    made: list[PagedEngine] = []
    monkeypatch.setattr(Poisoned, "made", made, raising=False)
    monkeypatch.setattr(local, "compiled_weights", lambda model: None)
    monkeypatch.setattr(local, "runs_paged", has_paged_step)
    monkeypatch.setattr(local, "PagedEngine", Poisoned)
    monkeypatch.setattr(local, "PAGE", SIZE)
    return made


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch, on_pages: list[PagedEngine]) -> RecordedGraphs:
    """As `on_pages`, with graphs."""
    found = RecordedGraphs()
    monkeypatch.setattr(local, "PagedDecoder", partial(PagedDecoder, capture=found))
    return found


def exact_logprobs(model: Any, prompt: Prompt, completion: Completion) -> Tensor:
    """Of the completion's tokens under temperature 1, by the plain forward pass."""
    tokens = torch.tensor([prompt.tokens + completion.tokens])
    with torch.inference_mode():
        logits = model(tokens[:, :-1]).logits[0, len(prompt.tokens) - 1 :]
    return logits.float().log_softmax(-1).gather(1, tokens[0, len(prompt.tokens) :, None])[:, 0]


def farthest(model: Any, asked: list[Prompt], groups: list[tuple[Completion, ...]]) -> float:
    """The largest distance of a log-probability from the plain forward pass's."""
    return max(
        float((torch.tensor(c.logprobs) - exact_logprobs(model, prompt, c)).abs().max())
        for prompt, group in zip(asked, groups, strict=True)
        for c in group
    )


# -- what is drawn -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("on_pages")
@pytest.mark.parametrize("max_batch", [5, None])
@pytest.mark.parametrize(("family", "changes"), DECODERS, ids=IDS)
def test_log_probabilities_are_those_of_the_plain_forward_pass(
    family: str, changes: dict[str, Any], max_batch: int | None
) -> None:
    model, asked = changed(family, changes), prompts(*LENGTHS)
    sampler = LocalSampler(model, make_tokenizer(), max_batch=max_batch)
    groups = sampler.sample(asked, 2, SamplingParams(max_new_tokens=20), range(len(asked)))
    assert {len(c.tokens) for c in flat(groups)} >= {20}
    assert farthest(model, asked, groups) <= 1e-5


@pytest.mark.usefixtures("on_pages")
@pytest.mark.parametrize("group_size", [1, 3, 64])
def test_groups_share_a_prompt_and_are_greedy_as_transformers_is(group_size: int) -> None:
    model, asked = make_model("qwen3"), prompts(9, 24, 1)
    expected = [generated(model, prompt, 13) for prompt in asked]
    greedy = SamplingParams(max_new_tokens=13, temperature=0.0)
    groups = LocalSampler(model, make_tokenizer(), max_batch=40).sample(asked, group_size, greedy, [0, 1, 2])
    assert [[c.tokens for c in group] for group in groups] == [[e] * group_size for e in expected]


def test_pages_come_back_and_rows_that_wait_take_them(on_pages: list[PagedEngine]) -> None:
    model, asked = make_model("llama", initializer_range=0.15), prompts(20, 3, 9, 17, 30)
    params = SamplingParams(max_new_tokens=30)
    groups = LocalSampler(model, make_tokenizer(), max_batch=4).sample(asked, 6, params, range(5))
    (engine,) = on_pages
    assert len({len(c.tokens) for c in flat(groups)}) > 3  # they leave at different times
    assert engine.book.free == engine.decoder.room.pages - 1
    # the largest four rows hold 30 + 30 - 1 positions beyond 3 shared pages, and there may be four prompts
    assert engine.decoder.room == Room(4, 1 + 4 * (8 - 3) + 3 + 2 + 2 + 1, 8, 30)
    assert farthest(model, asked, groups) <= 1e-5


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_how_often_the_host_looks_changes_nothing(steps: int) -> None:
    model, asked = make_model("qwen2", initializer_range=0.15), prompts(6, 11)
    jobs = [Job(i, asked[i % 2].tokens, seed=i, limit=17 + i) for i in range(6)]
    codes = torch.zeros(VOCABULARY, dtype=torch.uint8)
    codes[[END, 5, 9]] = 1
    with torch.inference_mode():
        found = []
        for most in (steps, None):
            decoder = PagedDecoder(model, room_for(jobs, 4, SIZE), SIZE)
            engine = PagedEngine(make_tokenizer(), SamplingParams(), jobs, codes, 4, decoder, steps=most)
            done = []
            while engine.busy:
                done += engine.step()
            found.append({r.job.index: (r.tokens, r.finish) for r in done})
    assert found[0] == found[1]
    assert {finish for _, finish in found[0].values()} == {"stop", "length"}


@pytest.mark.usefixtures("on_pages")
@pytest.mark.parametrize("params", [SamplingParams(), SamplingParams(temperature=0.7, top_p=0.9)])
def test_stop_strings_end_the_same_responses_as_in_the_plain_engine(params: SamplingParams) -> None:
    model, asked = make_model("llama", initializer_range=0.15), prompts(5, 8, 12)
    params = params.model_copy(update={"max_new_tokens": 40, "stop": ("b.", "7")})
    found = flat(LocalSampler(model, make_tokenizer()).sample(asked, 8, params, [1, 2, 3]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "runs_paged", lambda model: False)
        expected = flat(LocalSampler(model, make_tokenizer()).sample(asked, 8, params, [1, 2, 3]))
    assert [(c.text, c.finish) for c in found] == [(c.text, c.finish) for c in expected]
    assert {c.finish for c in found} == {"stop", "length"}
    assert any(c.text.endswith("b.") for c in found)


@pytest.mark.usefixtures("on_pages")
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_bfloat16_is_no_farther_from_the_exact_numbers_than_the_module_tree(family: str) -> None:
    model, asked = changed(family, {}), prompts(9, 16, 25)
    narrow, params = torch.bfloat16, SamplingParams(max_new_tokens=30)
    exact = local.converted_copy(model.bfloat16(), torch.float32)

    def distance() -> float:
        groups = LocalSampler(model, make_tokenizer(), dtype=narrow).sample(asked, 8, params, [1, 2, 3])
        pairs = [(p, c) for p, group in zip(asked, groups, strict=True) for c in group]
        away = [torch.tensor(c.logprobs) - exact_logprobs(exact, p, c) for p, c in pairs]
        return float(torch.cat(away).square().mean().sqrt())

    ours = distance()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "runs_paged", lambda model: False)
        patch.setattr(local, "lowered_forward", lambda model: None)
        theirs = distance()
    assert 1e-4 < ours <= 1.1 * theirs


# -- graphs --------------------------------------------------------------------------------------------------


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


# -- pages ---------------------------------------------------------------------------------------------------


def test_whole_pages_of_a_prompt_are_shared_and_the_rest_is_each_rows_own() -> None:
    book = PageBook(9, 4)
    prompt = tuple(range(10))  # positions 0-8 are stored when its rows enter: two pages and one position
    rows, tables, writes = book.enter([Job(0, prompt, 0, 3), Job(1, prompt, 1, 4)], [prompt])
    # 12 positions are stored in the end of the one, and 13 of the other
    assert [row.own for row in rows] == [[3], [4, 5]]
    assert tables == [[1, 2, 3], [1, 2, 4, 5]]
    targets = [4, 5, 6, 7, 8, 9, 10, 11, 12, 16]
    assert writes.joined().tolist() == [[0] * 10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 8], targets]
    assert book.leave(rows[:1]) == [3]
    assert book.free == 4
    again, tables, writes = book.enter([Job(2, prompt, 2, 1)], [prompt])
    assert tables == [[1, 2, 3]]  # what is stored of the prompt already is not written again
    assert writes.joined().tolist() == [[0], [8], [12]]
    assert sorted(book.leave([rows[1], *again])) == [1, 2, 3, 4, 5]
    assert book.free == 8


@given(
    jobs=st.lists(st.tuples(st.integers(1, 14), st.integers(1, 9)), min_size=1, max_size=20),
    rows=st.integers(1, 6),
    choices=st.randoms(use_true_random=False),
)
def test_a_pool_of_the_pages_needed_never_runs_out(
    jobs: list[tuple[int, int]], rows: int, choices: Any
) -> None:
    waiting = [Job(i, (2,) * length, i, limit) for i, (length, limit) in enumerate(jobs)]
    book = PageBook(pages_needed(waiting, rows, 4), 4)
    whole, live, held = book.free, [], set[int]()
    while waiting or live:
        if waiting and len(live) < rows:
            job = waiting.pop(choices.randrange(len(waiting)))
            (row,), (table,), _ = book.enter([job], [job.prompt])
            assert len(table) == -(-(len(job.prompt) + job.limit - 1) // 4)
            assert not held & set(row.own)
            held |= set(row.own)
            live.append(row)
        else:
            row = live.pop(choices.randrange(len(live)))
            held -= set(row.own)
            book.leave([row])
    assert book.free == whole


# -- attention -----------------------------------------------------------------------------------------------


def test_attention_over_pages_reads_the_used_positions_alone() -> None:
    torch.manual_seed(0)
    keys, values = torch.randn(2, 12, 4, 2, 8)
    query, used = torch.randn(4, 6, 8), [1, 4, 5, 12]
    table = torch.tensor([[3, 0, 0], [7, 0, 0], [2, 9, 0], [5, 1, 8]], dtype=torch.int32)
    expected = []
    for row, count in enumerate(used):
        k, v = (pool[table[row].long()].flatten(0, 1)[:count].transpose(0, 1) for pool in (keys, values))
        found = scaled_dot_product_attention(query[row, :, None], k, v, scale=0.3, enable_gqa=True)
        expected.append(found[:, 0])
        for place in range(count, 12):
            page = int(table[row, place // 4])
            if page:
                keys[page, place % 4], values[page, place % 4] = torch.nan, torch.inf
    keys[0], values[0] = torch.nan, torch.nan
    paging = Paging(table, torch.tensor(used, dtype=torch.int32), torch.arange(5), torch.arange(5) * 12)
    found = attend_paged(query, keys, values, paging, 0.3)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-6, rtol=1e-5)


# -- where it is chosen --------------------------------------------------------------------------------------


def test_on_a_cpu_no_model_decodes_on_pages() -> None:
    model = make_model("llama").bfloat16()
    assert has_paged_step(model)
    assert not runs_paged(model)
    dynamic = {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 4.0}
    assert not has_paged_step(make_model("llama", rope_parameters=dynamic))
    assert not has_paged_step(make_model("deepseek_v3"))
    windows = {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": 8}
    assert not has_paged_step(make_model("qwen2", **windows))


@pytest.mark.parametrize(
    ("device", "dtype", "width", "capability", "takes"),
    [
        ("cuda", torch.bfloat16, 64, (9, 0), True),
        ("cuda", torch.float16, 256, (8, 0), True),
        ("cuda", torch.float32, 64, (9, 0), False),
        ("cuda", torch.bfloat16, 12, (9, 0), False),
        ("cuda", torch.bfloat16, 264, (9, 0), False),
        ("cuda", torch.bfloat16, 64, (7, 5), False),
        ("mps", torch.bfloat16, 64, (9, 0), False),
    ],
)
def test_the_kernel_takes_16_bits_on_newer_devices(
    device: str, dtype: torch.dtype, width: int, capability: tuple[int, int], takes: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    layer = SimpleNamespace(self_attn=SimpleNamespace(head_dim=width))
    decoder = SimpleNamespace(layers=[layer])
    model = SimpleNamespace(device=torch.device(device), dtype=dtype, model=decoder)
    assert kernel_takes(model) is takes


def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int,
    *, scale: float, enable_gqa: bool, seqused_k: Tensor, block_table: Tensor, num_splits: int,
) -> Tensor:  # fmt: skip
    """`varlen_attn` on a CPU, with what FlashAttention's own checks ask of pages."""
    rows, (pages, size, heads, _) = len(query), key.shape
    assert query.dtype == key.dtype == value.dtype == torch.bfloat16
    assert value.shape == key.shape
    assert {t.stride(-1) for t in (query, key, value, block_table)} == {1}
    assert size % 256 == 0
    assert enable_gqa == (query.shape[1] % heads == 0)
    assert {t.dtype for t in (cu_seq_q, cu_seq_k, seqused_k, block_table)} == {torch.int32}
    assert cu_seq_q.is_contiguous()
    assert cu_seq_q.tolist() == list(range(rows + 1))
    assert cu_seq_k.is_contiguous()
    assert cu_seq_k.tolist() == list(range(0, max_k * rows + 1, max_k))
    assert (max_q, num_splits) == (1, 1)
    assert seqused_k.shape == (rows,)
    assert block_table.shape == (rows, max_k // size)
    assert 0 <= int(block_table.min()) <= int(block_table.max()) < pages
    found = []
    for row, used in enumerate(seqused_k.tolist()):
        assert 0 < used <= max_k
        k, v = (p[block_table[row].long()].flatten(0, 1)[:used].transpose(0, 1) for p in (key, value))
        mixed = scaled_dot_product_attention(query[row, :, None], k, v, scale=scale, enable_gqa=True)
        found.append(mixed[:, 0])
    return torch.stack(found)


@pytest.mark.usefixtures("on_pages")
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_the_kernel_is_asked_for_what_it_can_do(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn.attention import varlen

    model = make_model(family, max_position_embeddings=600, initializer_range=0.15).bfloat16()
    asked, params = prompts(3, 255, 257, 511), SamplingParams(max_new_tokens=4)
    monkeypatch.setattr(local, "PAGE", PAGE)
    monkeypatch.setattr(paged, "attend_paged", by_kernel)
    monkeypatch.setattr(varlen, "varlen_attn", flash_attention)
    groups = LocalSampler(model, make_tokenizer()).sample(asked, 2, params, range(4))
    assert farthest(model, asked, groups) < 0.05  # in bfloat16


def test_a_step_needs_no_number_from_the_device() -> None:
    # tensors without numbers: whatever would wait for one, or bring one from the host, is refused
    with torch.inference_mode():
        model = make_model("qwen3").bfloat16().to("meta")
        decoder = PagedDecoder(model, Room(slots=6, pages=9, width=3, tokens=100), PAGE)
        for live, params in ((5, SamplingParams()), (2, SamplingParams(temperature=0.5)), (6, GREEDY)):
            decoder.step(live, params)
        assert decoder._logits(4).shape == (4, VOCABULARY)
        with pytest.raises(NotImplementedError, match=r"nonzero|data-dependent|no data"):
            decoder.step(5, SamplingParams(top_p=0.5))  # its graph ends before the draw


def test_rows_that_ended_leave_everything_as_it_was() -> None:
    model = make_model("llama", initializer_range=0.15)
    with torch.inference_mode():
        decoder = PagedDecoder(model, Room(slots=3, pages=5, width=2, tokens=6), SIZE)
        decoder.begin(torch.zeros(VOCABULARY, dtype=torch.uint8))
        state = np.array([[5, 0, 11, 6, 0, GOES_ON], [6, 0, 12, 2, 0, GOES_ON]]).T
        decoder.place(0, state, [[1, 2], [3, 4]])
        for _ in range(2):
            decoder.step(2, SamplingParams())
        assert decoder.state_6S[FATE].tolist() == [GOES_ON, FULL, FULL]
        before, others = decoder.state_6S[:, 1:].clone(), decoder.pages[:, :, 3:].clone()
        drawn = decoder.drawn_ST[1, :2].clone()
        for _ in range(4):
            decoder.step(3, SamplingParams())
        assert torch.equal(decoder.state_6S[:, 1:], before)
        assert torch.equal(decoder.pages[:, :, 3:], others)
        assert torch.equal(decoder.drawn_ST[1, :2], drawn)
        assert decoder.state_6S[[COUNT, FATE], 0].tolist() == [6, FULL]

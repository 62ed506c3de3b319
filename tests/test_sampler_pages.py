"""Whose pages are whose, attention over them, and which models decode on them."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paged_samplers import flash_attention
from test_sampler import make_model
from torch.nn.attention import varlen
from torch.nn.functional import scaled_dot_product_attention

from r1kit.rollouts import paged_attention
from r1kit.rollouts.jobs import Job
from r1kit.rollouts.paged import Room, has_paged_step, runs_paged
from r1kit.rollouts.paged_attention import Paging, attend_paged, kernel_agrees, kernel_takes
from r1kit.rollouts.pages import PageBook, pages_needed

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
    monkeypatch.setattr(paged_attention, "kernel_agrees", lambda *what: what[2:] == (4, 2, width))
    layer = SimpleNamespace(self_attn=SimpleNamespace(head_dim=width))
    decoder = SimpleNamespace(layers=[layer])
    config = SimpleNamespace(num_attention_heads=4, num_key_value_heads=2)
    model = SimpleNamespace(device=torch.device(device), dtype=dtype, config=config, model=decoder)
    assert kernel_takes(model) is takes


def unsplit(*args: Any, **settings: Any) -> torch.Tensor:
    return flash_attention(*args, **settings)


def splits(*args: Any, **settings: Any) -> torch.Tensor:
    found = flash_attention(*args, **settings)
    found[1:] = 0.0  # as PyTorch's issue 194167 tells
    return found


def reads_on(*args: Any, **settings: Any) -> torch.Tensor:
    return flash_attention(*args, **{**settings, "seqused_k": settings["seqused_k"] + 1})


def is_not_there(*args: Any, **settings: Any) -> torch.Tensor:
    raise RuntimeError("USE_FLASH_ATTENTION was not enabled for build.\nSorry")


@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        (unsplit, ""),
        (splits, "are up to .* away from those of plain operations"),
        (reads_on, "are up to .* away from those of plain operations"),
        (is_not_there, "USE_FLASH_ATTENTION was not enabled for build. Sorry"),
    ],
)
@pytest.mark.parametrize(("heads", "kv_heads"), [(14, 2), (4, 4)])
def test_a_kernel_is_used_where_its_numbers_are_right(
    kernel: Any, told: str, heads: int, kv_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(varlen, "varlen_attn", kernel)
    what = torch.device("cpu"), torch.bfloat16, heads, kv_heads, 64
    try:
        with pytest.warns(RuntimeWarning, match=told) if told else nullcontext():
            assert kernel_agrees(*what) is (told == "")
        assert kernel_agrees(*what) is (told == "")  # without a second warning
    finally:
        kernel_agrees.cache_clear()


def test_memory_that_runs_out_says_nothing_about_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*args: Any, **settings: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("no room")

    what = torch.device("cpu"), torch.bfloat16, 4, 2, 64
    try:
        monkeypatch.setattr(varlen, "varlen_attn", exhausted)
        with pytest.raises(torch.OutOfMemoryError):
            kernel_agrees(*what)
        monkeypatch.setattr(varlen, "varlen_attn", unsplit)
        assert kernel_agrees(*what)
    finally:
        kernel_agrees.cache_clear()


def test_more_room_comes_with_some_to_spare() -> None:
    room = Room(slots=8, pages=33, width=6, tokens=9)
    assert room.extended(Room(8, 20, 6, 9)) is room
    assert room.extended(Room(4, 40, 6, 9)) == Room(8, 45, 6, 9)
    assert room.extended(Room(8, 48, 6, 9)) == Room(8, 49, 6, 9)  # no 8 rows of 6 pages need more

"""The decoding step on a paged cache, against the plain forward pass of `transformers`, on tiny models.

No GPU is needed: the same step runs on a CPU with another attention, and on tensors without numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from paged_samplers import SIZE, decode_on_pages, exact_logprobs, farthest, flash_attention
from test_sampler import END, GREEDY, VOCABULARY, flat, generated, make_model, make_tokenizer, prompts
from test_sampler_compiled import DECODERS, IDS, changed

from r1kit.kernels import FULL, GOES_ON
from r1kit.rollouts import local, paged
from r1kit.rollouts.jobs import Job
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.paged import COUNT, FATE, SEED, TOKEN, PagedDecoder, Room
from r1kit.rollouts.paged_attention import PAGE, by_kernel
from r1kit.rollouts.paged_engine import PagedEngine, room_for
from r1kit.rollouts.protocol import SamplingParams
from r1kit.rollouts.stopping import Endings

LENGTHS = (1, 2, 7, 8, 9, 10, 16, 17, 25)  # of prompts, around the borders of pages


@pytest.fixture
def on_pages(monkeypatch: pytest.MonkeyPatch) -> list[PagedEngine]:
    """Samplers decode as on a CUDA device, on small pages; the engines that they make."""
    return decode_on_pages(monkeypatch)


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
    endings = Endings(make_tokenizer(), (), codes)
    with torch.inference_mode():
        found = []
        for most in (steps, 8):
            decoder = PagedDecoder(model, room_for(jobs, 4, SIZE), SIZE)
            engine = PagedEngine(SamplingParams(), jobs, endings, 4, decoder, steps=most)
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


# -- as on a CUDA device ------------------------------------------------------------------------------------


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
        decoder.place(0, np.array([[5, 0, 1, 6, 0, GOES_ON], [6, 0, 2, 6, 0, GOES_ON]]).T, [[1, 2], [3, 4]])
        decoder.move(sources=[1], holes=[0], live=1)
        assert decoder.state_6S[[TOKEN, SEED, FATE]].tolist() == [
            [6, 6, 0],
            [2, 2, 0],
            [GOES_ON, FULL, FULL],
        ]
        assert decoder.table[0].tolist() == [3, 4]

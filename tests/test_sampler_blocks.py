"""The blocks of the compiled step's cache, while rows and prompts come and go."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from test_sampler import generated, make_model, make_tokenizer, prompts
from test_sampler_compiled import no_ends, poisoned, step_of  # noqa: F401

from r1kit.kernels import BLOCK
from r1kit.rollouts import stopping
from r1kit.rollouts.attention import decode_attention_in_use
from r1kit.rollouts.engine import Engine, Job
from r1kit.rollouts.forward import Decoder
from r1kit.rollouts.protocol import SamplingParams


@cache
def busy_jobs() -> tuple[Any, list[Job], dict[int, tuple[int, ...]]]:
    """A model, jobs whose prompts and responses have many lengths, and what `transformers` generates."""
    model = no_ends(make_model("llama", max_position_embeddings=512))
    lengths = (1, 3, 90, 31, 1, 33, 64, 12, 32, 65, 2, 20, 45, 7)
    limits = (70, 1, 5, 34, 2, 66, 1, 20, 33, 3, 64, 10, 1, 40)
    asked = prompts(*lengths)
    jobs = [Job(i, p.tokens, i, limit) for i, (p, limit) in enumerate(zip(asked, limits, strict=True))]
    return (
        model,
        jobs,
        {job.index: generated(model, p, job.limit) for job, p in zip(jobs, asked, strict=True)},
    )


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("slots", [1, 2, 3, 5, 8, 14])
def test_rows_that_leave_and_enter_while_the_cache_grows_keep_their_own_past(slots: int) -> None:
    model, jobs, expected = busy_jobs()
    codes = stopping.code_table(make_tokenizer(), 80, frozenset(), ())
    greedy = SamplingParams(temperature=0.0)
    for seed in range(4):
        order = torch.randperm(len(jobs), generator=torch.Generator().manual_seed(seed)).tolist()
        step = step_of(model)
        decoder = Decoder(step, step.cache, masked=False, rows=1, step_and_draw=step.step_and_draw)
        engine = Engine(model, make_tokenizer(), greedy, [jobs[i] for i in order], codes, slots, decoder)
        found = {}
        with torch.inference_mode(), decode_attention_in_use(model):
            while engine.busy:
                found |= {response.job.index: response.tokens for response in engine.step()}
                assert engine.cache.blocks_in_use == blocks_of(engine)
        assert found == expected


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("slots", [1, 4, 7, 30])
def test_groups_that_enter_in_handfuls_share_their_prompts_while_they_live(slots: int) -> None:
    model = no_ends(make_model("llama", max_position_embeddings=512))
    asked, limits = prompts(40, 1, 70, 33), (9, 40, 1, 33, 2, 64, 5, 34)
    expected = [generated(model, prompt, max(limits)) for prompt in asked]
    jobs = [
        Job(8 * p + i, prompt.tokens, i, limit)
        for p, prompt in enumerate(asked)
        for i, limit in enumerate(limits)
    ]
    codes = stopping.code_table(make_tokenizer(), 80, frozenset(), ())
    step = step_of(model)
    decoder = Decoder(step, step.cache, masked=False, rows=1, step_and_draw=step.step_and_draw)
    params = SamplingParams(temperature=0.0)
    engine = Engine(model, make_tokenizer(), params, jobs, codes, slots, decoder)
    with torch.inference_mode(), decode_attention_in_use(model):
        while engine.busy:
            for response in engine.step():
                prompt, sample = divmod(response.job.index, 8)
                assert response.tokens == expected[prompt][: limits[sample]]
            assert engine.cache.blocks_in_use == blocks_of(engine)
    assert engine.cache.blocks_in_use == 0
    assert len(engine.cache._pieces) == 1  # what rows and prompts leave is taken again


def blocks_of(engine: Engine) -> int:
    """The blocks that live rows need, and their prompts once."""
    own = sum(-(-int(count) // BLOCK) for count in engine.counts[: len(engine.live)])
    return own + sum(-(-(len(prompt) - 1) // BLOCK) for prompt in {job.prompt for job in engine.live})

"""The blocks of the compiled step's cache, while rows and prompts come and go."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
import pytest
import torch
from test_sampler import generated, make_model, make_tokenizer, prompts
from test_sampler_compiled import no_ends, poisoned  # noqa: F401
from torch import Tensor

from r1kit.kernels import BLOCK
from r1kit.rollouts import stopping
from r1kit.rollouts.attention import decode_attention_in_use
from r1kit.rollouts.compiled import compiled_weights
from r1kit.rollouts.compiled_engine import CompiledEngine
from r1kit.rollouts.jobs import Job
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
        engine = engine_of(model, greedy, [jobs[i] for i in order], codes, slots, steps=seed + 1)
        found = {}
        with torch.inference_mode(), decode_attention_in_use(model):
            while engine.busy:
                found |= {response.job.index: response.tokens for response in engine.step()}
                least, most = blocks_of(engine)
                assert least <= engine.compiled.cache.blocks_in_use <= most
        assert found == expected
        assert len(engine.compiled.cache._lengths) <= slots + 1  # places of prompts are taken again


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
    engine = engine_of(model, SamplingParams(temperature=0.0), jobs, codes, slots)
    with torch.inference_mode(), decode_attention_in_use(model):
        while engine.busy:
            finished = engine.step()
            prompts_of_rows = [job.prompt for job in map(engine.jobs.__getitem__, engine.live) if job]
            assert len(list(groupby(prompts_of_rows))) == len(set(prompts_of_rows))  # beside each other
            for response in finished:
                prompt, sample = divmod(response.job.index, 8)
                assert response.tokens == expected[prompt][: limits[sample]]
            least, most = blocks_of(engine)
            assert least <= engine.compiled.cache.blocks_in_use <= most
    assert engine.compiled.cache.blocks_in_use == 0
    assert len(engine.compiled.cache._pieces) == 1  # what rows and prompts leave is taken again


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("settings", [{}, {"stop": ("ab", "b.", "7")}, {"temperature": 0.6, "top_p": 0.9}])
@pytest.mark.parametrize("slots", [5, 16, 40])
def test_how_many_steps_a_call_makes_changes_no_bit(settings: dict[str, Any], slots: int) -> None:
    model, tokenizer = make_model("qwen2", initializer_range=0.15), make_tokenizer()
    params = SamplingParams(**settings)
    codes = stopping.code_table(tokenizer, 80, frozenset({1}), params.stop)
    jobs = [
        Job(8 * p + i, q.tokens, i, 50) for p, q in enumerate(prompts(1, 30, 7, 33, 12)) for i in range(8)
    ]
    found = []
    for steps in (1, 7, 64):
        engine = engine_of(model, params, jobs, codes, slots, steps=steps)
        responses: list[Any] = []
        with torch.inference_mode(), decode_attention_in_use(model):
            while engine.busy:
                responses += engine.step()
        found.append(responses)
    assert len({len(response.tokens) for response in found[0]}) > 5
    assert {response.finish for response in found[0]} == {"stop", "length"}
    assert len(found[0]) == len(jobs)
    for others in found[1:]:
        assert sorted(others, key=by_index) == sorted(found[0], key=by_index)


def by_index(response: Any) -> int:
    index: int = response.job.index
    return index


def engine_of(
    model: Any, params: SamplingParams, jobs: list[Job], codes: Tensor, slots: int, **more: Any
) -> CompiledEngine:
    weights = compiled_weights(model)
    assert weights is not None
    endings = stopping.Endings(make_tokenizer(), params.stop, codes)
    return CompiledEngine(model, params, jobs, endings, slots, weights, **more)


def blocks_of(engine: CompiledEngine) -> tuple[int, int]:
    """The least and the most blocks of live rows and of their prompts, once each: for the tokens that rows
    have, and for those that the last call might have added to them.
    """
    rows, live, steps = engine.compiled.rows, engine.live, engine.most_steps
    counts = rows.counts[live]
    shared = sum(-(-(len(prompt) - 1) // BLOCK) for prompt in {job.prompt for job in engine.jobs if job})
    later = np.minimum(counts + steps - 1, rows.limits[live])
    return shared + int((-(-counts // BLOCK)).sum()), shared + int((-(-later // BLOCK)).sum())

"""How many tokens a call of the compiled step draws, and what it takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_sampler import make_model, make_tokenizer, prompts
from test_sampler_compiled import no_ends

from r1kit.errors import ModelError
from r1kit.rollouts.compiled import compiled_weights
from r1kit.rollouts.compiled_engine import CompiledEngine
from r1kit.rollouts.jobs import Job
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.rollouts.stopping import Endings


def test_larger_models_draw_fewer_tokens_in_a_call() -> None:
    model, codes = make_model("llama"), torch.zeros(80, dtype=torch.uint8)
    weights = compiled_weights(model)
    assert weights is not None
    assert weights.parameters == sum(parameter.numel() for parameter in model.parameters())
    jobs = [Job(i, (3, 4), i, 100) for i in range(64)]

    def longest() -> int:
        endings = Endings(make_tokenizer(), (), codes)
        engine = CompiledEngine(model, SamplingParams(), jobs, endings, 64, weights)
        with torch.inference_mode():
            engine.step()
        return int(engine.compiled.rows.counts.max())

    assert longest() == 32  # 2,048 tokens of 64 rows
    weights.parameters = 20_000_000
    assert longest() == 8


def test_more_kept_tokens_than_there_are_keep_all() -> None:
    sampler = LocalSampler(make_model("llama"), make_tokenizer())
    params = SamplingParams(max_new_tokens=9)
    expected = sampler.sample(prompts(4), 3, params, [1])
    assert sampler.sample(prompts(4), 3, SamplingParams(max_new_tokens=9, top_k=2**70), [1]) == expected


@pytest.mark.parametrize("rows", [0, -1])
def test_no_rows_at_once_are_refused(rows: int) -> None:
    with pytest.raises(ModelError, match=f"max_batch {rows}: at least one row"):
        LocalSampler(make_model("llama"), make_tokenizer(), max_batch=rows)


def test_responses_are_told_soon_after_they_end() -> None:
    sampler, told = LocalSampler(no_ends(make_model("llama")), make_tokenizer()), list[int]()
    sampler.tokenizer.eos_token = None
    sampler._ends = frozenset()
    step, seen = CompiledEngine.step, list[int]()

    def counted(self: CompiledEngine) -> Any:
        found = step(self)
        seen.append(max(self.compiled.rows.counts))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompiledEngine, "step", counted)
        params = SamplingParams(max_new_tokens=40)
        sampler.sample(prompts(4), 4, params, [1], lambda place, completion: told.append(place))
    assert seen == [8, 16, 24, 32, 40]
    assert sorted(told) == [0, 1, 2, 3]

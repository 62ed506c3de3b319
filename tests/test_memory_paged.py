"""What a paged sampler takes, by arithmetic and by its own tensors."""

from __future__ import annotations

import pytest
from test_memory_arithmetic import CUDA, SMALL, NoTokenizer, model_of, variant

from r1kit.memory import estimate, rollouts
from r1kit.memory.activations import Arithmetic
from r1kit.memory.microbatch import Training
from r1kit.memory.rollouts import Draws
from r1kit.rollouts import local
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.paged import has_paged_step
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Prompt


def test_a_paged_sampler_is_counted_by_hand_and_kept_while_the_model_learns() -> None:
    draws = Draws(responses=64, prompt=600, new=425, group=16, warmed=True)
    # positions 0-598 are stored when a row enters, two pages of them once for its group; 1,024 in the end
    assert rollouts.pages(draws, 64) == 1 + 64 * 2 + 4 * 2
    assert rollouts.pages(draws, 3) == 1 + 3 * 2 + 3 * 2
    cache = (1 + 64 * 2 + 4 * 2) * 256 * (2 * 2 * 2 * 64)  # e, keys and values, layers, their width
    joined = 2 * 2 * 64 * (128 + 2 * 64 + 2 * 208)
    # logits in 16 bits, four tables of 32 and one more; one layer's activations
    step = 64 * ((2 + 16 + 4) * 256 + 2 * (4 * 64 + 3 * 208))
    training = Training(longest=1025, sequences=64, budget=2048, learned=425)
    company = estimate.Company()
    sampling, learning = estimate.reinforcement(SMALL, draws, training, CUDA, company, 80 << 30).phases
    mistral = variant("mistral")
    _, plain = estimate.reinforcement(mistral, draws, training, CUDA, company, 80 << 30).phases
    assert sampling.parts["cache"] == learning.parts["cache"] == cache
    assert sampling.parts["sampler"] == learning.parts["sampler"] == 2 * SMALL.parameters + joined
    assert sampling.parts["logits"] == 2 * step
    assert learning.parts["logits"] == plain.parts["logits"] + step
    assert "cache" not in plain.parts
    filtered = Draws(responses=64, prompt=600, new=425, group=16, filtered=True)
    alone = 64 * (2 * 256 + 2 * (4 * 64 + 3 * 208))
    assert rollouts.captured(SMALL, filtered, 64, CUDA) == alone
    assert rollouts.drawing(SMALL, filtered, 64, CUDA) == 2 * alone + 64 * (16 + 24) * 256
    assert rollouts.kept(SMALL, draws, 64, Arithmetic(4, "cuda")) == {}


def test_a_paged_decoder_is_as_large_as_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "runs_paged", has_paged_step)
    monkeypatch.setattr(local, "compiled_weights", lambda model: None)
    model = model_of(SMALL).eval().bfloat16()
    sampler, draws = LocalSampler(model, NoTokenizer()), Draws(responses=6, prompt=600, new=3, group=3)
    prompts = [Prompt((1,) * 600), Prompt((2,) * 600)]
    sampler.sample(prompts, 3, SamplingParams(max_new_tokens=3), [0, 1])
    decoder = sampler._decoder
    assert decoder is not None
    assert decoder.pages.nbytes == rollouts.cache(SMALL, draws, 6, CUDA)
    copies = [product.weight.nbytes for layer in decoder._layers for product in (layer.qkv, layer.gate_up)]
    assert sum(copies) == rollouts.joined(SMALL, CUDA)

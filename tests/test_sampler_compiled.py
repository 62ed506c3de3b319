"""The compiled decoding step against the plain forward pass of `transformers`, on tiny models."""

from __future__ import annotations

import copy
import signal
import threading
from collections.abc import Iterator
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch
from test_sampler import END, flat, generated, make_model, make_tokenizer, prompts
from torch import Tensor

from r1kit.errors import ModelError
from r1kit.kernels import products
from r1kit.rollouts import local
from r1kit.rollouts.attention import decode_attention_in_use
from r1kit.rollouts.blocks import BlockCache
from r1kit.rollouts.compiled import CompiledStep, CompiledWeights, compiled_weights
from r1kit.rollouts.compiled_engine import CompiledEngine
from r1kit.rollouts.jobs import prefill
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams

YARN = {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 128}
DECODERS: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("llama", {"num_key_value_heads": 1, "rms_norm_eps": 0.1, "head_dim": 24}),
    ("llama", {"rope_parameters": YARN, "num_key_value_heads": 4}),
    ("qwen2", {"num_hidden_layers": 3}),  # biases of queries, keys and values
    ("qwen3", {"num_attention_heads": 6}),  # heads normalised, 48 wide together where the model is 32
]
IDS = ["llama", "biases, tied", "one key head", "yarn", "qwen2", "qwen3"]
LENGTHS = (1, 2, 5, 31, 32, 33, 63, 64, 65, 130)  # of prompts, around the borders of blocks


def changed(family: str, changes: dict[str, Any]) -> Any:
    """A model whose gains and biases are not 1 and 0, with room for 1,024 positions."""
    sizes = {"max_position_embeddings": 1024, "initializer_range": 0.15, **changes}
    model = make_model(family, **sizes)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name:
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
    return model


def step_of(model: Any, slots: int) -> CompiledStep:
    weights = compiled_weights(model)
    assert weights is not None
    return CompiledStep(weights, slots)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that was not written holds NaN, and so do blocks that nobody uses any more."""
    empty, blocks, leave = torch.empty, BlockCache._empty, BlockCache.leave

    def filled(*size: Any, **settings: Any) -> Tensor:
        new = empty(*size, **settings)
        return new.fill_(torch.nan) if new.is_floating_point() else new

    def filled_blocks(self: BlockCache, count: int) -> Any:
        piece = blocks(self, count)
        numbers = piece.view(self._kind)
        numbers.fill(np.nan if numbers.dtype == np.float32 else 0x7FC0)
        return piece

    def left(self: BlockCache, slots: Any) -> None:
        leave(self, slots)
        for address in self._free.tolist():
            self._view(address)[...] = np.nan if self._kind == np.float32 else 0x7FC0

    monkeypatch.setattr(BlockCache, "leave", left)
    monkeypatch.setattr(torch, "empty", filled)
    monkeypatch.setattr(BlockCache, "_empty", filled_blocks)


@pytest.fixture
def threads() -> Iterator[None]:
    """Lets a test choose torch's threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def by_step(model: Any, sequences: list[tuple[int, ...]], steps: int) -> list[Tensor]:
    """Logits (steps, V) of the last tokens of each sequence, after a prefill of those before."""
    step, slots = step_of(model, len(sequences)), np.arange(len(sequences))
    starts = np.array([len(sequence) - steps for sequence in sequences])
    record = np.zeros((len(slots), steps), np.int64), np.zeros((len(slots), steps, 2), np.float32)
    codes, found = np.zeros(model.config.vocab_size, np.uint8), []
    with torch.inference_mode(), decode_attention_in_use(model):
        for row, (sequence, start) in enumerate(zip(sequences, starts, strict=True)):
            prompt = sequence[: start + 1]
            step.cache.enter(np.array([row]), np.array([0]), [prompt], prefill(model, [prompt]))
        for place in range(steps):
            tokens = [s[start + place] for s, start in zip(sequences, starts, strict=True)]
            step.rows.tokens[:], step.rows.lengths[:] = tokens, starts + place
            step.cache.reserve(slots, starts + place + 1)
            step.decode(slots.copy(), SamplingParams(), codes, 1, 0, *record)
            found.append(torch.from_numpy(step._buffers.logits.copy()))
    return list(torch.stack(found, 1))


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("family", "changes"), DECODERS, ids=IDS)
def test_log_probabilities_are_those_of_the_plain_forward_pass(family: str, changes: dict[str, Any]) -> None:
    model, steps = changed(family, changes), 34
    sequences = [prompt.tokens for prompt in prompts(*(length - 1 + steps for length in LENGTHS))]
    for sequence, logits in zip(sequences, by_step(model, sequences, steps), strict=True):
        with torch.inference_mode():
            exact = model(torch.tensor([sequence])).logits[0, -steps:]
        assert float(exact.std()) > 0.3
        torch.testing.assert_close(logits.log_softmax(-1), exact.log_softmax(-1), atol=1e-5, rtol=0)


def test_rows_may_pass_the_first_table_of_angles_and_the_models_context() -> None:
    model = changed("llama", {"max_position_embeddings": 300})
    weights = compiled_weights(model)
    assert weights is not None
    few = weights.angles(1)
    assert few.shape == (2, 256, 4)
    many = weights.angles(300)
    assert many.shape == (2, 512, 4)
    assert np.array_equal(many[:, :256], few)
    sequence = prompts(290)[0].tokens
    (logits,) = by_step(model, [sequence], 60)
    with torch.inference_mode():
        exact = model(torch.tensor([sequence])).logits[0, -60:]
    torch.testing.assert_close(logits.log_softmax(-1), exact.log_softmax(-1), atol=1e-5, rtol=0)


class Overtaken(CompiledWeights):
    """Another thread, which needs few positions, puts its table in the place of every longer one."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value[:, :256] if name == "_angles" else value)


def test_a_thread_has_the_angles_it_asked_for_though_another_asks_for_fewer() -> None:
    weights = compiled_weights(changed("llama", {}))
    assert weights is not None
    weights.__class__ = Overtaken
    assert weights.angles(600).shape == (2, 768, 4)


def no_ends(model: Any) -> Any:
    model.generation_config.eos_token_id = model.config.eos_token_id = None
    return model


@pytest.mark.parametrize(("family", "changes"), DECODERS, ids=IDS)
@pytest.mark.parametrize("group_size", [1, 2, 7, 16, 64])
def test_greedy_responses_are_those_of_transformers_whatever_the_groups_size(
    family: str, changes: dict[str, Any], group_size: int
) -> None:
    model = make_model(family, **changes)
    asked = prompts(1, 9, 31, 4)
    expected = [generated(model, prompt, 20) for prompt in asked]
    model.generation_config.eos_token_id = [END, expected[1][6]]
    expected = [generated(model, prompt, 20) for prompt in asked]
    greedy = SamplingParams(max_new_tokens=20, temperature=0.0)
    groups = LocalSampler(model, make_tokenizer(), max_batch=90).sample(asked, group_size, greedy, range(4))
    assert [[c.tokens for c in group] for group in groups] == [[e] * group_size for e in expected]


def module_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "compiled_weights", lambda model: None)
    monkeypatch.setattr(local, "lowered_forward", lambda model: None)


@pytest.mark.parametrize(("family", "changes"), DECODERS, ids=IDS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.6},
        {"stop": ("ab", "b.", "7")},
        {"top_k": 9},
        {"top_p": 0.8},
        {"temperature": 0.7, "top_k": 20, "top_p": 0.9},
    ],
)
def test_drawn_responses_are_those_of_the_module_tree(
    family: str, changes: dict[str, Any], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, asked = make_model(family, initializer_range=0.15, **changes), prompts(1, 9, 33)
    params = SamplingParams(max_new_tokens=40, **settings)
    sampler = LocalSampler(model, make_tokenizer(), max_batch=7)
    ours = flat(sampler.sample(asked, 5, params, [3, 4, 5]))
    module_path(monkeypatch)
    theirs = flat(sampler.sample(asked, 5, params, [3, 4, 5]))
    assert [(c.tokens, c.text, c.finish) for c in ours] == [(c.tokens, c.text, c.finish) for c in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-5)
        np.testing.assert_allclose(one.sampling_logprobs, other.sampling_logprobs, atol=1e-5)
    if "stop" in settings:
        ends = [c.text for c in ours if c.finish == "stop" and c.tokens[-1] != END]
        assert len(ends) > 2
        assert all(text.endswith(settings["stop"]) for text in ends)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("family", "changes"), [DECODERS[1], DECODERS[5]])
@pytest.mark.parametrize("max_batch", [5, None])
def test_tokens_are_the_same_in_one_two_and_three_threads(
    family: str, changes: dict[str, Any], max_batch: int | None
) -> None:
    model, asked = make_model(family, initializer_range=0.15, **changes), prompts(1, 9, 33, 5)
    params = SamplingParams(max_new_tokens=30)
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        sampler = LocalSampler(model, make_tokenizer(), max_batch=max_batch)
        found.append(flat(sampler.sample(asked, 13, params, range(4))))
        assert torch.get_num_threads() == count
    for other in found[1:]:
        assert [c.tokens for c in other] == [c.tokens for c in found[0]]
        for one, two in zip(other, found[0], strict=True):
            np.testing.assert_allclose(one.logprobs, two.logprobs, atol=1e-5)


@pytest.mark.usefixtures("threads")
def test_a_call_in_threads_repeats_bit_for_bit() -> None:
    torch.set_num_threads(3)
    sampler = LocalSampler(make_model("llama"), make_tokenizer(), dtype=torch.bfloat16)
    params = SamplingParams(max_new_tokens=25, stop=("ab",))
    first = sampler.sample(prompts(4, 11, 6), 17, params, [1, 2, 3])
    for _ in range(3):
        assert sampler.sample(prompts(4, 11, 6), 17, params, [1, 2, 3]) == first


@pytest.mark.parametrize("stop", [(), ("b.", "7")])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stream_is_the_first_sample(stop: tuple[str, ...], seed: int) -> None:
    sampler = LocalSampler(make_model("qwen2", initializer_range=0.15), make_tokenizer())
    (prompt,), params = prompts(31), SamplingParams(max_new_tokens=40, stop=stop)
    pieces, stream = [], sampler.stream(prompt, params, seed)
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            completion = end.value
            break
    ((expected, *_),) = sampler.sample([prompt], 3, params, [seed])
    assert completion.tokens == expected.tokens
    assert "".join(pieces) == completion.text == expected.text
    np.testing.assert_allclose(completion.logprobs, expected.logprobs, atol=1e-5)


def test_models_without_a_compiled_step_are_left_to_the_others() -> None:
    uneven, mixed, of_heads = make_model("llama"), make_model("llama"), make_model("qwen3")
    uneven.model.layers[1].input_layernorm.variance_epsilon = 0.5
    mixed.lm_head.bfloat16()
    of_heads.model.layers[1].self_attn.k_norm.variance_epsilon = 0.5
    dynamic = {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 4.0}
    others = [
        make_model("deepseek_v3"),
        make_model("llama", head_dim=4),  # not a multiple of 8
        make_model("llama", rope_parameters=dynamic),  # angles change with the length
        make_model("llama").double(),
        make_model("llama").half(),
        *(uneven, mixed, of_heads),
    ]
    assert [compiled_weights(model) for model in others] == [None] * len(others)
    assert isinstance(compiled_weights(make_model("llama")), CompiledWeights)


def test_without_pytorchs_products_the_lowered_step_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = make_model("qwen3"), prompts(1, 12)
    params = SamplingParams(max_new_tokens=20)
    expected = flat(LocalSampler(model, make_tokenizer()).sample(asked, 3, params, [1, 2]))
    monkeypatch.setattr(products, "product_address", lambda dtype: None)
    assert compiled_weights(model) is None
    found = flat(LocalSampler(model, make_tokenizer()).sample(asked, 3, params, [1, 2]))
    assert [c.tokens for c in found] == [c.tokens for c in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-5)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("where", ["model.embed_tokens", "model.layers.1.self_attn.v_proj", "model.norm"])
@pytest.mark.parametrize("count", [1, 2])
def test_weights_that_are_not_numbers_are_one_line(
    where: str, temperature: float, dtype: torch.dtype, count: int
) -> None:
    torch.set_num_threads(count)
    model = make_model("llama").to(dtype)
    model.get_submodule(where).weight.data.fill_(torch.nan)
    params = SamplingParams(max_new_tokens=4, temperature=temperature)
    with pytest.raises(ModelError, match="logits are not finite numbers"):
        LocalSampler(model, make_tokenizer()).sample([prompts(6)[0]], 32, params, [0])
    assert torch.get_num_threads() == count


@pytest.mark.parametrize(("family", "changes"), DECODERS, ids=IDS)
def test_16_bit_log_probabilities_are_no_farther_from_the_exact_ones_than_the_module_trees(
    family: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = changed(family, changes).bfloat16()
    exact_model = copy.deepcopy(model).double()
    params = SamplingParams(max_new_tokens=30)
    errors = []
    for others in (False, True):
        if others:
            module_path(monkeypatch)
        found = flat(LocalSampler(model, make_tokenizer()).sample(prompts(1, 12, 33), 8, params, [1, 2, 3]))
        apart = []
        for c in found:
            tokens = torch.tensor([c.prompt_tokens + c.tokens])
            with torch.inference_mode():
                logits = exact_model(tokens).logits[0, len(c.prompt_tokens) - 1 : -1]
            exact = logits.log_softmax(-1).gather(1, tokens[0, len(c.prompt_tokens) :, None])[:, 0]
            apart.append(float((torch.tensor(c.logprobs) - exact).abs().mean()))
        errors.append(fmean(apart))
    assert 0 < errors[0] < 1.05 * errors[1] < 0.2


@pytest.mark.parametrize("token", [80, -1, 10**12])
def test_a_prompt_with_a_token_that_the_model_does_not_know_is_refused(token: int) -> None:
    from r1kit.types import Prompt

    sampler = LocalSampler(make_model("llama"), make_tokenizer())
    with pytest.raises(ModelError, match="the model knows tokens 0 to 79"):
        sampler.sample([Prompt((3, token))], 1, SamplingParams(max_new_tokens=2), [0])


@pytest.mark.usefixtures("threads")
def test_an_interrupted_call_ends_after_the_steps_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(3)
    model = no_ends(make_model("llama", max_position_embeddings=100_000))
    tokenizer = make_tokenizer()
    tokenizer.eos_token = None
    step, steps = CompiledEngine.step, []

    def counted(self: CompiledEngine) -> Any:
        steps.append(threading.current_thread().name)
        if steps[-1] == "r1kit_2" and steps.count("r1kit_2") == 5:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return step(self)

    monkeypatch.setattr(CompiledEngine, "step", counted)
    params = SamplingParams(max_new_tokens=50_000)
    with pytest.raises(KeyboardInterrupt):
        LocalSampler(model, tokenizer, max_batch=48).sample(prompts(5), 48, params, [0])
    assert len(set(steps)) == 3
    assert len(steps) < 1_000
    assert torch.get_num_threads() == 3
    assert not [t for t in threading.enumerate() if t.name.startswith("r1kit")]

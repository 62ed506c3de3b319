"""The local sampler against `transformers` itself, on tiny random models in float32."""

from __future__ import annotations

import string
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from r1kit.errors import ModelError
from r1kit.rollouts import local, stopping
from r1kit.rollouts.attention import decode_attention_in_use
from r1kit.rollouts.engine import Engine
from r1kit.rollouts.jobs import Job
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.paged import has_paged_step
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Completion, Prompt

VOCABULARY = 80
END = 1
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.4,  # random logits far enough apart that greedy choices have no ties
    "bos_token_id": None,
    "eos_token_id": END,
    "pad_token_id": 0,
}
FAMILIES = ("llama", "qwen2", "qwen3", "deepseek_v3", "llama_eager")


@pytest.fixture(params=["compiled", "lowered", "module_tree", "paged"])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How small models decode: by `rollouts/compiled.py`, `rollouts/lowered.py`, as all others do, or by
    `rollouts/paged.py` as on a CUDA device, on small pages.
    """
    if request.param != "compiled":
        monkeypatch.setattr(local, "compiled_weights", lambda model: None)
    if request.param == "module_tree":
        monkeypatch.setattr(local, "lowered_forward", lambda model: None)
    if request.param == "paged":
        monkeypatch.setattr(local, "runs_paged", has_paged_step)
        monkeypatch.setattr(local, "PAGE", 8)


def make_model(family: str, **changes: Any) -> Any:
    torch.manual_seed(7)
    sizes = SIZES | changes
    if family == "llama_eager":
        return LlamaForCausalLM(LlamaConfig(**sizes, attn_implementation="eager")).eval()
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**sizes)).eval()
    if family == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**sizes)).eval()
    if family == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**sizes, head_dim=8)).eval()
    mla = {"q_lora_rank": 16, "kv_lora_rank": 16, "num_key_value_heads": 4}
    heads = {"qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8}
    moe = {"n_routed_experts": 8, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1}
    experts = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
    config = DeepseekV3Config(**(sizes | mla | heads | moe | experts))
    return DeepseekV3ForCausalLM(config).eval()


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token per character, plus two-letter tokens, <pad> and <end>."""
    pieces = [
        "<pad>",
        "<end>",
        *string.ascii_letters,
        *string.digits,
        " ",
        ".",
        "!",
        "?",
        "ab",
        "b.",
        "c!",
        "def",
    ]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    core = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>", pad_token="<pad>")


def prompts(*lengths: int, seed: int = 3) -> list[Prompt]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Prompt(tuple(torch.randint(2, 70, (length,), generator=generator).tolist())) for length in lengths
    ]


def generated(model: Any, prompt: Prompt, new_tokens: int) -> tuple[int, ...]:
    """What `transformers` itself generates, alone in its batch."""
    tokens = torch.tensor([prompt.tokens])
    out = model.generate(
        tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=new_tokens, do_sample=False
    )
    return tuple(out[0, len(prompt.tokens) :].tolist())


def flat(groups: list[tuple[Completion, ...]]) -> list[Completion]:
    return [completion for group in groups for completion in group]


GREEDY = SamplingParams(max_new_tokens=24, temperature=0.0)


@pytest.mark.usefixtures("step")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("max_batch", [3, 64, None])
def test_greedy_equals_transformers_generate_with_ragged_prompts_groups_and_early_ends(
    family: str, max_batch: int | None
) -> None:
    model, asked = make_model(family), prompts(1, 9, 4, 17, 4)
    expected = [generated(model, prompt, 24) for prompt in asked]
    # an end token in the middle of one response makes rows leave while others go on
    model.generation_config.eos_token_id = [END, expected[1][6]]
    expected = [generated(model, prompt, 24) for prompt in asked]
    assert len({len(e) for e in expected}) > 1
    groups = LocalSampler(model, make_tokenizer(), max_batch=max_batch).sample(asked, 2, GREEDY, range(5))
    assert [[c.tokens for c in group] for group in groups] == [[e, e] for e in expected]
    for completion in flat(groups):
        ended = completion.tokens[-1] in model.generation_config.eos_token_id
        assert completion.finish == ("stop" if ended else "length")


@pytest.mark.usefixtures("step")
@pytest.mark.parametrize("family", FAMILIES)
def test_logprobs_agree_with_a_plain_full_forward(family: str) -> None:
    model, asked = make_model(family), prompts(3, 12, 7)
    params = SamplingParams(max_new_tokens=20, temperature=0.7, top_k=30, top_p=0.9)
    for completion in flat(
        LocalSampler(model, make_tokenizer(), max_batch=4).sample(asked, 3, params, [5, 6, 7])
    ):
        sequence = torch.tensor([completion.prompt_tokens + completion.tokens])
        with torch.no_grad():
            logits = model(sequence).logits[0, len(completion.prompt_tokens) - 1 : -1]
        drawn = torch.tensor(completion.tokens)[:, None]
        plain = logits.log_softmax(-1).gather(1, drawn)[:, 0]
        torch.testing.assert_close(torch.tensor(completion.logprobs), plain, atol=2e-5, rtol=0)
        scaled = logits / 0.7
        ranked = scaled.sort(-1, descending=True)
        kept = torch.arange(VOCABULARY) < 30
        mass = ranked.values.masked_fill(~kept, -torch.inf).softmax(-1)
        kept = kept & (mass.cumsum(-1) - mass < 0.9)
        narrowed = torch.full_like(scaled, -torch.inf).scatter(
            1, ranked.indices, ranked.values.masked_fill(~kept, -torch.inf)
        )
        sampled = narrowed.log_softmax(-1).gather(1, drawn)[:, 0]
        torch.testing.assert_close(torch.tensor(completion.sampling_logprobs), sampled, atol=2e-5, rtol=0)


@pytest.mark.parametrize("family", ["llama", "deepseek_v3"])
def test_tokens_of_a_sample_do_not_depend_on_its_companions(family: str) -> None:
    sampler = LocalSampler(make_model(family), make_tokenizer())
    asked, params = prompts(5, 11, 8, 2), SamplingParams(max_new_tokens=30)
    together = sampler.sample(asked, 4, params, [10, 11, 12, 13])
    for place, prompt in enumerate(asked):
        alone = sampler.sample([prompt], 2, params, [10 + place])
        assert [c.tokens for c in alone[0]] == [c.tokens for c in together[place][:2]]
    assert len({c.tokens for c in flat(together)}) == 16
    waiting = LocalSampler(make_model(family), make_tokenizer(), max_batch=3).sample(
        asked, 4, params, [10, 11, 12, 13]
    )
    assert [c.tokens for c in flat(waiting)] == [c.tokens for c in flat(together)]


def test_each_distinct_prompt_is_prefilled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from r1kit.rollouts import jobs

    seen: list[tuple[int, ...]] = []
    original = jobs.prefill

    def counting(model: Any, batch: list[tuple[int, ...]]) -> Any:
        seen.extend(batch)
        return original(model, batch)

    monkeypatch.setattr(jobs, "prefill", counting)
    one, two = prompts(6, 9)
    params = SamplingParams(max_new_tokens=6)
    groups = LocalSampler(make_model("llama"), make_tokenizer(), max_batch=3).sample(
        [one, two, one], 5, params, [1, 2, 3]
    )
    assert sorted(seen) == sorted([one.tokens, two.tokens])
    assert [group[0].prompt_tokens for group in groups] == [one.tokens, two.tokens, one.tokens]


@pytest.mark.usefixtures("step")
def test_what_ends_a_response_at_its_limit_is_told() -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    model.generation_config.eos_token_id = model.config.eos_token_id = tokenizer.eos_token = None
    (prompt,) = prompts(9)
    drawn = generated(model, prompt, 20)
    letters = [tokenizer.decode([token]) for token in drawn]
    place = next(i for i in range(3, 20) if letters[i].isalnum() and letters[i] not in "".join(letters[:i]))
    letter = letters[place]

    def finish(limit: int, *stop: str) -> tuple[int, str]:
        params = SamplingParams(max_new_tokens=limit, temperature=0.0, stop=stop)
        ((completion,),) = LocalSampler(model, tokenizer).sample([prompt], 1, params, [0])
        return len(completion.tokens), completion.finish

    assert finish(place + 1) == (place + 1, "length")
    assert finish(place + 1, letter) == (place + 1, "stop")
    assert finish(place + 1, "\N{SNOWMAN}" + letter) == (place + 1, "length")  # it looked like one
    assert finish(place, letter) == (place, "length")
    model.generation_config.eos_token_id = drawn[place]
    assert finish(place + 1) == (place + 1, "stop")
    assert finish(place + 5) == (place + 1, "stop")


def test_growing_cache_keeps_what_it_holds() -> None:
    model, asked = make_model("llama"), prompts(3, 20)
    params = SamplingParams(max_new_tokens=100, temperature=0.0)
    model.generation_config.eos_token_id = None
    model.config.eos_token_id = None
    tokenizer = make_tokenizer()
    tokenizer.eos_token = None
    for prompt, group in zip(
        asked, LocalSampler(model, tokenizer).sample(asked, 1, params, [0, 0]), strict=True
    ):
        assert group[0].tokens == generated(model, prompt, 100)
        assert group[0].finish == "length"


def test_responses_end_at_the_models_context() -> None:
    model = make_model("llama", max_position_embeddings=16)
    model.generation_config.eos_token_id = 79
    (group,) = LocalSampler(model, make_tokenizer()).sample(prompts(10), 1, GREEDY, [0])
    assert len(group[0].tokens) <= 6
    with pytest.raises(ModelError, match="prompt of 16 tokens"):
        LocalSampler(model, make_tokenizer()).sample(prompts(16), 1, GREEDY, [0])


def test_sliding_window_is_exact_within_the_window_and_refused_beyond_it() -> None:
    model = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=20)).eval()
    sampler = LocalSampler(model, make_tokenizer())
    (prompt,) = prompts(8)
    (group,) = sampler.sample([prompt], 1, GREEDY, [0])
    assert group[0].tokens == generated(model, prompt, 12)[: len(group[0].tokens)]
    assert len(prompt.tokens) + len(group[0].tokens) <= 20
    with pytest.raises(ModelError, match="at least 1 and at most 19"):
        sampler.sample(prompts(25), 1, GREEDY, [0])


def test_recurrent_cache_is_refused_in_one_line() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, state_size=4)
    with pytest.raises(ModelError, match="local sampler"):
        LocalSampler(MambaForCausalLM(config), make_tokenizer())


def test_update_copies_weights_into_a_converted_copy_and_counts_versions() -> None:
    model, other = make_model("llama"), make_model("llama", initializer_range=0.3)
    sampler = LocalSampler(model, make_tokenizer(), dtype=torch.bfloat16)
    asked = prompts(6)
    before = flat(sampler.sample(asked, 2, GREEDY, [0]))
    sampler.update(other)
    after = flat(sampler.sample(asked, 2, GREEDY, [0]))
    fresh = flat(LocalSampler(other, make_tokenizer(), dtype=torch.bfloat16).sample(asked, 2, GREEDY, [0]))
    assert [c.policy_version for c in before + after] == [0, 0, 1, 1]
    assert [c.tokens for c in after] == [c.tokens for c in fresh]
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    with pytest.raises(ModelError, match="other weights"):
        sampler.update(make_model("qwen3"))


def test_converted_copy_keeps_ties_and_float32_buffers() -> None:
    from r1kit.rollouts.local import converted_copy

    model = make_model("llama", tie_word_embeddings=True)
    copied: Any = converted_copy(model, torch.bfloat16)
    assert copied.lm_head.weight is copied.model.embed_tokens.weight
    assert copied.lm_head.weight.dtype == torch.bfloat16
    assert copied.model.rotary_emb.inv_freq.dtype == torch.float32
    assert copied.model.embed_tokens.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()


def test_sampling_leaves_the_model_in_its_mode_and_grads_possible() -> None:
    model = make_model("llama").train()
    LocalSampler(model, make_tokenizer()).sample(prompts(4), 1, GREEDY, [0])
    assert model.training
    model(torch.tensor([[3, 4, 5]])).logits.sum().backward()
    assert model.lm_head.weight.grad is not None


def test_stream_yields_the_text_of_sample_zero() -> None:
    sampler = LocalSampler(make_model("qwen3"), make_tokenizer())
    prompt = Prompt(prompts(5)[0].tokens, prefill="<think>")
    params = SamplingParams(max_new_tokens=15)
    pieces: list[str] = []
    stream = sampler.stream(prompt, params, seed=4)
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            completion = end.value
            break
    ((expected,),) = sampler.sample([prompt], 1, params, [4])
    assert "".join(pieces) == expected.text == completion.text
    assert completion.tokens == expected.tokens
    assert pieces[0] == "<think>"
    assert len(pieces) > 3


def test_temperatures_too_small_to_divide_by_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"1e-39: use 0 \(greedy\) or at least 1e-06"):
        SamplingParams(temperature=1e-39)
    model = make_model("llama")
    coldest, greedy = (
        LocalSampler(model, make_tokenizer()).sample([prompts(6)[0]], 2, params, [0])[0]
        for params in (SamplingParams(max_new_tokens=9, temperature=t) for t in (1e-6, 0.0))
    )
    assert [completion.tokens for completion in coldest] == [completion.tokens for completion in greedy]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_finite_are_one_line(temperature: float) -> None:
    model = make_model("llama")
    model.lm_head.weight.data[5] = float("nan")
    params = SamplingParams(max_new_tokens=4, temperature=temperature)
    with pytest.raises(ModelError, match="logits are not finite numbers"):
        LocalSampler(model, make_tokenizer()).sample([prompts(6)[0]], 2, params, [0])


@pytest.mark.parametrize("slots", [1, 2, 3, 16])
def test_what_finished_rows_leave_behind_disturbs_no_live_row(slots: int) -> None:
    """The last row leaves at the end of the cache's room, shorter ones go on (rows come in sixteens)."""
    model = make_model("llama")
    tokenizer = make_tokenizer()
    codes = stopping.code_table(tokenizer, VOCABULARY, frozenset(), ())
    endings = stopping.Endings(tokenizer, (), codes)
    greedy = SamplingParams(max_new_tokens=40, temperature=0.0, top_p=1.0, top_k=0)
    jobs = [Job(0, tuple(range(2, 7)), 1, 40), Job(1, (9, 8, 7), 2, 30), Job(2, tuple(range(3, 63)), 3, 5)]

    def drawn(some: list[Job], room: int) -> dict[int, tuple[int, ...]]:
        engine = Engine(model, greedy, some, endings, room)
        found = {}
        with torch.inference_mode(), decode_attention_in_use(model):
            while engine.busy:
                found |= {response.job.index: response.tokens for response in engine.step()}
        return found

    alone = {index: tokens for job in jobs for index, tokens in drawn([job], 1).items()}
    assert {index: len(tokens) for index, tokens in alone.items()} == {0: 40, 1: 30, 2: 5}
    assert drawn(jobs, slots) == alone

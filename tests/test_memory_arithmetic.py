"""The arithmetic of memory: worked by hand, and against what the libraries really hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from r1kit.errors import ModelError
from r1kit.learning.learner import prepare_for_training
from r1kit.learning.microbatches import one_packed_row, padded_for_written, padded_in_few_shapes
from r1kit.memory import activations, estimate, rollouts, written
from r1kit.memory.activations import Arithmetic
from r1kit.memory.microbatch import Micro, Training, cost, largest
from r1kit.memory.rollouts import Draws
from r1kit.memory.shapes import ModelShape, config_for, shape_of
from r1kit.models.attention import training_attention_in_use
from r1kit.models.logprobs import decoder_of
from r1kit.models.packaged import packaged_folder
from r1kit.models.written_decoder import written_decoder
from r1kit.rollouts.compiled import compiled_weights
from r1kit.rollouts.jobs import prefill
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.memory import position_bytes
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Prompt

# width 64, inner 208, 2 layers, 4 query and 2 key heads of width 32, vocabulary 256
SMALL = ModelShape("llama", 256, 64, 208, 2, 4, 2, 32, 4096, True)
NARROW, WIDE, CUDA = Arithmetic(2), Arithmetic(4), Arithmetic(2, "cuda")


def model_of(shape: ModelShape) -> Any:
    config = config_for(shape)
    family = config.pop("model_type")
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **config), dtype=torch.float32)


def variant(family: str, **changes: Any) -> ModelShape:
    fields = {name: getattr(SMALL, name) for name in ModelShape.__slots__}
    return ModelShape(**{**fields, "family": family, **changes})


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_those_of_the_library(family: str, tied: bool) -> None:
    shape = variant(family, tied=tied)
    assert shape.parameters == sum(p.numel() for p in model_of(shape).parameters())


def test_parameters_with_biases_are_those_of_the_library() -> None:
    shape = variant("llama", attention_bias=True)
    assert shape.parameters == sum(p.numel() for p in model_of(shape).parameters())


def test_packaged_base_has_the_parameters_that_its_log_states() -> None:
    folder = packaged_folder("micro")
    assert folder is not None
    assert shape_of(json.loads((folder / "config.json").read_bytes()), "micro").parameters == 1_869_504


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "gpt2"}, "memory of model_type 'gpt2' cannot be estimated; known: llama"),
        (
            config_for(SMALL) | {"hidden_size": "64"},
            "hidden_size: needs a whole number of at least 1, found '64'",
        ),
        (config_for(SMALL) | {"vocab_size": True}, "vocab_size: needs a whole number"),
        (config_for(SMALL) | {"head_dim": 0}, "head_dim: needs a whole number"),
    ],
)
def test_config_that_tells_no_shape_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        shape_of(config, "here")


def test_null_in_a_config_means_the_librarys_default() -> None:
    config = config_for(SMALL) | {"head_dim": None, "num_key_value_heads": None}
    assert shape_of(config, "here").head_width == 64 // 4
    assert shape_of(config, "here").kv_heads == 4


def test_activations_of_a_layer_are_those_worked_out_by_hand() -> None:
    # norms 2 (64 * 4 + 64 * 4 + 4), inputs 5 * 2 * 64, queries and output 2 * 2 * 128, keys and values 2 * 2
    # * 64, feed-forward 4 * 2 * 208; scores of 128 positions: 2 bytes * 4 heads * (64 * 64 + 64 * 128) / 128
    by_hand = 2 * 516 + 640 + 512 + 256 + 1664 + 768
    assert sum(activations.kept_by_layer(SMALL, 128, NARROW)) == by_hand
    # a long row keeps one float32 for each head in the scores' place
    assert sum(activations.kept_by_layer(SMALL, 1024, NARROW)) == by_hand - 768 + 16


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("arithmetic", [NARROW, WIDE], ids=["bfloat16", "float32"])
@pytest.mark.parametrize(("rows", "length"), [(3, 128), (2, 100), (1, 704)])
def test_activations_are_what_autograd_keeps(
    family: str, arithmetic: Arithmetic, rows: int, length: int
) -> None:
    one, two = (kept_by_autograd(variant(family, layers=n), rows, length, arithmetic) for n in (1, 2))
    shape = variant(family)
    expected = rows * length * sum(activations.kept_by_layer(shape, length, arithmetic))
    weights = 2 * shape.layer_matrices if arithmetic.narrow else 0
    assert two - one == pytest.approx(expected + weights, rel=0.002)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("arithmetic", [NARROW, WIDE], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("length", [129, 65])
def test_activations_of_written_layers_are_what_is_kept(
    family: str, arithmetic: Arithmetic, length: int
) -> None:
    one, two = (kept_by_autograd(variant(family, layers=n), 4, length, arithmetic, real=3) for n in (1, 2))
    # four rows, one of them empty, and of the others all tokens but the last
    kept = written.kept_by_layer(variant(family), 3 * (length - 1), arithmetic)
    weights = written.layer_weights(variant(family), arithmetic)
    assert two - one == pytest.approx(sum(kept) + weights, rel=0.003)
    again = [
        kept_by_autograd(variant(family, layers=n), 4, length, arithmetic, real=3, checkpointing=True)
        for n in (1, 2)
    ]
    assert again[0] == one
    assert again[1] - again[0] == pytest.approx(kept[0] + weights, abs=2048)  # and biases


@pytest.mark.parametrize("checkpointing", [False, True])
def test_written_layers_keep_all_or_their_inputs_and_one_layer(checkpointing: bool) -> None:
    tokens, layers = 1000, 4
    shape = variant("llama", layers=layers)
    first, *others = written.kept_by_layer(shape, tokens, WIDE)
    assert first == 4 * tokens * shape.width
    last = layers * written.layer_weights(shape, WIDE) + tokens * (4 * shape.width + 4)
    found = written.kept(shape, tokens, WIDE, checkpointing=checkpointing)
    block = written.in_block(shape, tokens, WIDE, checkpointing=checkpointing)
    if checkpointing:
        assert block == 4 * first + sum(others)
        assert found == (block + last, block + last + first)
    else:
        assert block == 4 * (first + sum(others))
        assert found == (block + last,) * 2


@pytest.mark.parametrize(
    "changes",
    [
        *({}, {"family": "qwen2"}, {"family": "qwen3"}, {"family": "mistral"}, {"attention_bias": True}),
        {"family": "qwen3", "attention_bias": True},
    ],
)
def test_shape_tells_whether_layers_are_written_out_and_steps_compiled(changes: dict[str, Any]) -> None:
    shape = variant(**{"family": "llama", **changes})
    assert written.is_written(shape, WIDE) == (written_decoder(model_of(shape)) is not None)
    assert rollouts.is_compiled(shape, WIDE) == (compiled_weights(model_of(shape).eval()) is not None)


def test_large_models_have_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations, "MOST_PARAMETERS", SMALL.parameters)
    assert written.is_written(SMALL, WIDE)
    assert rollouts.is_compiled(SMALL, WIDE)
    larger = variant("llama", vocabulary=257)
    assert not written.is_written(larger, WIDE)
    assert not rollouts.is_compiled(larger, WIDE)


def kept_by_autograd(
    shape: ModelShape,
    rows: int,
    length: int,
    arithmetic: Arithmetic,
    real: int = 0,
    checkpointing: bool = False,
) -> int:
    """Bytes of the distinct tensors that the forward pass saves, the model's own left out; written out where
    there are `real` sequences among the rows."""
    model: Any = prepare_for_training(model_of(shape).train(), checkpointing)
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    found: dict[int, int] = {}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    tokens = torch.zeros(rows, length, dtype=torch.long)
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    if real:
        decode = written_decoder(model)
        assert decode is not None
        lengths = torch.tensor([length - 1] * real + [0] * (rows - real))
        dtype = torch.bfloat16 if arithmetic.narrow else torch.float32
        with hooks:
            decode(tokens, lengths, torch.arange(length - 1), dtype)
        return sum(found.values())
    with (
        training_attention_in_use(model),
        hooks,
        torch.autocast("cpu", torch.bfloat16, enabled=arithmetic.narrow),
    ):
        decoder_of(model)(input_ids=tokens, use_cache=False)
    return sum(found.values())


def test_checkpointing_keeps_the_layers_inputs_and_one_layer() -> None:
    layer = 1000 * sum(activations.kept_by_layer(SMALL, 1000, WIDE))
    ended, passing = activations.kept(SMALL, 1000, 1000, WIDE, checkpointing=True)
    assert ended == 1000 * (2 * 256 + 516)
    assert passing == 1000 * 2 * 256 + layer
    assert activations.kept(SMALL, 1000, 1000, WIDE, checkpointing=False) == (
        2 * layer + 1000 * 516,
        2 * layer,
    )


def test_head_takes_four_tables_of_a_chunk() -> None:
    # 16 bytes * 512 tokens * 256 tokens of vocabulary, the head in bfloat16, hidden states in bfloat16
    by_hand = 16 * 512 * 256 + 2 * 256 * 64 + 2000 * 2 * 64
    assert activations.head_forward(SMALL, 2000, 512, NARROW, loops=False) == by_hand
    # compiled loops need no float32 table
    loops = activations.head_forward(SMALL, 2000, 512, NARROW, loops=True)
    assert by_hand - loops == 14 * 512 * 256
    # fewer tokens than a chunk make a smaller table
    assert activations.head_forward(SMALL, 10, 512, WIDE, loops=False) == 16 * 10 * 256 + 10 * 4 * 64


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize(("budget", "longest"), [(4096, 528), (1000, 528), (300, 700), (16384, 64)])
def test_no_micro_batch_of_the_learner_costs_more(budget: int, longest: int, written: bool) -> None:
    training = Training(longest=longest, sequences=64, budget=budget, written=written, few_parts=written)
    layout = padded_for_written if written else padded_in_few_shapes
    _, most = largest(SMALL, training, NARROW)
    random = torch.Generator().manual_seed(budget)
    for _ in range(20):
        lengths = torch.randint(2, longest + 1, (64,), generator=random).tolist()
        for part in layout(lengths, budget):
            width = -(-max(lengths[row] for (row,) in part) // 16) * 16
            rows = 1 << (len(part) - 1).bit_length()
            micro = Micro(rows, width, len(part), len(part) * (width - 1))
            assert cost(SMALL, micro, training, NARROW).total <= most.total


def test_threads_divide_the_budget_of_a_small_model_among_them() -> None:
    training = Training(longest=512, sequences=64, budget=16384, written=True)
    alone, one = largest(SMALL, training, NARROW)
    dealt, two = largest(SMALL, training, Arithmetic(2, threads=2))
    assert (alone.rows, alone.length, alone.shares) == (32, 512, 1)
    assert (dealt.rows, dealt.length, dealt.shares) == (16, 512, 2)
    # each has weights, gradients of them and logits of its own
    assert one.total < two.total < 1.2 * one.total
    parts = estimate.supervised(SMALL, training, Arithmetic(2, threads=2), estimate.Company()).peak.parts
    assert parts["gradients"] == 2 * 2 * 4 * SMALL.parameters
    assert parts["process"] == (380 + 90 + 45) << 20
    single, _ = largest(SMALL, Training(longest=512, sequences=1, budget=16384), Arithmetic(2, threads=2))
    assert single.shares == 1
    large = variant("llama", vocabulary=500_000)
    assert largest(large, training, Arithmetic(2, threads=2))[0].shares == 1


def test_packed_row_is_as_long_as_the_budget() -> None:
    training = Training(longest=100, sequences=64, budget=1000, packing=True)
    micro, _ = largest(SMALL, training, NARROW)
    packed = max(
        sum(row_lengths) for row_lengths in ([100] * len(p[0]) for p in one_packed_row([100] * 64, 1000))
    )
    assert micro.tokens >= packed * 0.95


def test_updates_of_whole_sequences_up_to_a_number_of_tokens_are_no_larger() -> None:
    micro, _ = largest(SMALL, Training(longest=512, sequences=4096, budget=16384, tokens=4096), NARROW)
    assert micro.tokens == 4096


@pytest.mark.parametrize(("prompt", "new"), [(20, 200), (1, 16), (65, 100), (16, 1)])
def test_cache_is_as_large_as_the_samplers(prompt: int, new: int) -> None:
    model = model_of(SMALL).eval()
    model.config.eos_token_id = model.generation_config.eos_token_id = None
    weights, found = compiled_weights(model), list[int]()
    assert weights is not None
    sampler = LocalSampler(model, NoTokenizer())
    draws = Draws(responses=4, prompt=prompt, new=new, group=4)
    with torch.inference_mode():
        params = SamplingParams(max_new_tokens=new)
        jobs = [sampler._job(i, Prompt((1,) * prompt), params, i) for i in range(4)]
        sampler._prepare(jobs, params)
        engine = sampler._engine(jobs, params, weights, 4)
        cache = engine.compiled.cache
        leave = cache.leave

        def counted(slots: Any) -> None:
            found.append(cache.blocks_in_use)
            leave(slots)

        cache.leave = counted  # type: ignore[method-assign]
        while engine.busy:
            engine.step()
        assert cache.block_bytes == rollouts.block(SMALL, WIDE)
        assert max(found) == rollouts.blocks(draws, 4)
        assert max(found) * cache.block_bytes == rollouts.cache(SMALL, draws, 4, WIDE)
        assert rollouts.position(SMALL, WIDE) == position_bytes(model)
        assert prefill(model, [(1, 2)])[0][0].shape[-1] == SMALL.head_width


def test_prompts_of_responses_that_wait_count_too() -> None:
    # eight rows may hold the last responses of eight groups: 2 blocks of 48 tokens each, 2 of 33 a prompt
    assert rollouts.blocks(Draws(responses=64, prompt=34, new=48, group=4), 8) == 8 * 2 + 8 * 2


class NoTokenizer:
    eos_token_id = None

    def batch_decode(self, batch: list[list[int]], **_: Any) -> list[str]:
        return [""] * len(batch)


def test_decoding_of_small_models_lays_out_weights_of_this_size() -> None:
    weights = compiled_weights(model_of(SMALL).eval())
    assert weights is not None
    of = weights.arrays
    copies = sum(part.nbytes for part in (of.qkv, of.output, of.gate_up, of.down, of.head))
    assert rollouts.joined(SMALL, WIDE) == copies


def test_stage_of_reinforcement_learning_by_hand() -> None:
    count = SMALL.parameters
    draws = Draws(responses=8, prompt=16, new=48)
    training = Training(longest=64, sequences=8, budget=512, learned=48)
    company = estimate.Company(reference=True, critic=True, others=(SMALL,))
    found = estimate.reinforcement(SMALL, draws, training, NARROW, company, None)
    sampling, learning = found.phases
    parts = learning.parts
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (4 * count, 4 * count, 8 * count)
    assert (parts["reference"], parts["critic"], parts["other models"]) == (4 * count, 12 * count, 2 * count)
    assert parts["sampler"] == 2 * count
    # a critic's learner has a block of its own, 8 rows of 63 tokens that predict something in two threads
    both, kept = replace(NARROW, threads=2), replace(training, written=True)
    blocks = 2 * written.in_block(SMALL, 4 * 63, both, checkpointing=False)
    in_two = estimate.reinforcement(SMALL, draws, kept, both, company, None)
    assert in_two.phases[1].parts["critic"] == 12 * count + blocks
    assert parts["rollouts"] == 104 * 8 * 48 + 25 * 8 * 64
    assert "gradients" not in sampling.parts
    # 8 rows: each has two blocks of 32 positions for its own 48, and one for its prompt
    block = 2 * 2 * 2 * 64 * 32
    assert sampling.parts["cache"] == 8 * 3 * block
    # a group of 4 has its prompt once
    grouped = Draws(responses=8, prompt=34, new=48, group=4)
    assert rollouts.cache(SMALL, grouped, 8, NARROW) == (8 * 2 + 2 * 2) * block
    # values are stored in vectors of 16
    assert rollouts.block(variant("llama", head_width=24, kv_heads=1), NARROW) == 2 * 2 * 1 * 32 * (24 + 32)
    # without a compiled step 64 positions are reserved at first; a sequence of 81 tokens grows to 128, one
    # layer's keys being there twice for a moment
    assert rollouts.capacities(draws) == (64, 0)
    longer = Draws(responses=1, prompt=16, new=65)
    assert rollouts.capacities(longer) == (128, 64)
    assert rollouts.cache(variant("mistral"), longer, 1, NARROW) == 2 * 2 * 2 * 64 * 128 + 2 * 64 * 64
    assert rollouts.capacities(Draws(responses=1, prompt=100, new=100)) == (227, 163)
    assert found.peak.total == max(sampling.total, learning.total)


def test_sampling_beside_learning_takes_what_both_do() -> None:
    count = SMALL.parameters
    draws = Draws(responses=8, prompt=16, new=48)
    training = Training(longest=64, sequences=8, budget=512, learned=48)
    sampling, learning = estimate.reinforcement(SMALL, draws, training, WIDE, estimate.Company(), None).phases
    found = estimate.reinforcement(SMALL, draws, training, WIDE, estimate.Company(older=True), None)
    (both,) = found.phases
    assert both.name == estimate.BESIDE
    # the weights of the step before, and a copy to sample from
    assert both.parts["older"] == 4 * count
    assert both.parts["sampler"] == sampling.parts["sampler"] + 4 * count
    for name in ("logits", "rollouts"):
        assert both.parts[name] == sampling.parts[name] + learning.parts[name]
    assert both.parts["cache"] == sampling.parts["cache"]
    for name in ("weights", "gradients", "optimizer", "activations"):
        assert both.parts[name] == learning.parts[name]


def test_rows_stay_within_the_samplers_memory() -> None:
    huge = variant("llama", layers=32, kv_heads=8, heads=32, head_width=128)
    draws = Draws(responses=512, prompt=1000, new=31000)
    rows = rollouts.rows_at_once(huge, draws, NARROW, None)
    assert rows == 1
    # 31,999 positions are stored, on 125 pages of 256; or in slots that grow by a quarter at a time
    for family, capacity in (("llama", 125 * 256), ("mistral", 32000 + 8000)):
        shape = variant(family, layers=32, kv_heads=8, heads=32, head_width=128)
        assert rollouts.rows_at_once(shape, draws, CUDA, 80 << 30) == (80 << 30) // 4 // (
            rollouts.position(huge, NARROW) * capacity + 32 * 256
        )


def test_shape_survives_its_own_config(tmp_path: Path) -> None:
    for family in ("llama", "mistral", "qwen2", "qwen3"):
        shape = variant(family, attention_bias=family == "llama")
        assert shape_of(json.loads(json.dumps(config_for(shape))), "here") == shape

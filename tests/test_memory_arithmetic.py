"""The arithmetic of memory: worked by hand, and against what the libraries really hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from r1kit.errors import ModelError
from r1kit.learning.microbatches import one_packed_row, padded_in_few_shapes
from r1kit.memory import activations, estimate, rollouts
from r1kit.memory.activations import Arithmetic
from r1kit.memory.microbatch import Micro, Training, cost, largest
from r1kit.memory.rollouts import Draws
from r1kit.memory.shapes import ModelShape, config_for, shape_of
from r1kit.models.attention import training_attention_in_use
from r1kit.models.logprobs import decoder_of
from r1kit.models.packaged import packaged_folder
from r1kit.models.written_decoder import written_decoder
from r1kit.rollouts.engine import prefill
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.lowered import lowered_forward
from r1kit.rollouts.memory import position_bytes
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Prompt

# width 64, inner 208, 2 layers, 4 query and 2 key heads of width 32, vocabulary 256
SMALL = ModelShape("llama", 256, 64, 208, 2, 4, 2, 32, 4096, True)
NARROW, WIDE = Arithmetic(2), Arithmetic(4)


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


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("arithmetic", [NARROW, WIDE], ids=["bfloat16", "float32"])
@pytest.mark.parametrize(("rows", "length"), [(3, 128), (2, 100)])
def test_activations_of_written_layers_are_what_is_kept(
    family: str, arithmetic: Arithmetic, rows: int, length: int
) -> None:
    one, two = (
        kept_by_autograd(variant(family, layers=n), rows, length, arithmetic, written=True) for n in (1, 2)
    )
    shape, tokens = variant(family), rows * length
    ended, _ = activations.kept(shape, tokens, length, arithmetic, checkpointing=False, written=True)
    last = tokens * (8 * shape.width + 4)
    assert two - one == pytest.approx((ended - last) / shape.layers, rel=0.003)
    by_modules, _ = activations.kept(shape, tokens, length, arithmetic, checkpointing=False)
    assert ended < by_modules or not arithmetic.narrow


def kept_by_autograd(
    shape: ModelShape, rows: int, length: int, arithmetic: Arithmetic, written: bool = False
) -> int:
    """Bytes of the distinct tensors that the forward pass saves, the model's own left out."""
    model = model_of(shape).train()
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
    if written:
        decode = written_decoder(model)
        assert decode is not None
        with hooks:
            decode(tokens, torch.bfloat16 if arithmetic.narrow else torch.float32)
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
    assert activations.head_forward(SMALL, 2000, 512, NARROW) == by_hand
    # fewer tokens than a chunk make a smaller table
    assert activations.head_forward(SMALL, 10, 512, WIDE) == 16 * 10 * 256 + 10 * 4 * 64


@pytest.mark.parametrize(("budget", "longest"), [(4096, 528), (1000, 528), (300, 700), (16384, 64)])
def test_no_micro_batch_of_the_learner_costs_more(budget: int, longest: int) -> None:
    training = Training(longest=longest, sequences=64, budget=budget)
    _, most = largest(SMALL, training, NARROW)
    random = torch.Generator().manual_seed(budget)
    for _ in range(20):
        lengths = torch.randint(2, longest + 1, (64,), generator=random).tolist()
        for part in padded_in_few_shapes(lengths, budget):
            width = -(-max(lengths[row] for (row,) in part) // 16) * 16
            rows = 1 << (len(part) - 1).bit_length()
            micro = Micro(rows, width, rows * width, len(part) * (width - 1))
            assert cost(SMALL, micro, training, NARROW).total <= most.total


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
    found: list[int] = []
    sampler = LocalSampler(model, NoTokenizer())
    draws = Draws(responses=4, prompt=prompt, new=new)
    with torch.inference_mode():
        params = SamplingParams(max_new_tokens=new)
        engine = sampler._engine(
            [sampler._job(i, Prompt((1,) * prompt), params, i) for i in range(4)], params
        )
        while engine.busy:
            engine.step()
            layers = engine.cache.layers
            found.append(sum(layer.keys.nbytes + layer.values.nbytes for layer in layers))
        last, _ = rollouts.capacities(draws)
        assert max(found) == 4 * rollouts.position(SMALL, WIDE) * last
        assert rollouts.position(SMALL, WIDE) == position_bytes(model)
        assert prefill(model, [(1, 2)])[0][0].shape[-1] == SMALL.head_width


class NoTokenizer:
    eos_token_id = None

    def batch_decode(self, batch: list[list[int]], **_: Any) -> list[str]:
        return [""] * len(batch)


def test_decoding_of_small_models_joins_weights_of_this_size() -> None:
    model = model_of(SMALL).eval()
    forward = lowered_forward(model)
    assert forward is not None
    layers = next(c.cell_contents for c in forward.__closure__ if isinstance(c.cell_contents, list))  # type: ignore
    copies = sum(part.weight.nbytes for layer in layers for part in (layer.qkv, layer.gate_up))
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
    assert parts["rollouts"] == 104 * 8 * 48 + 25 * 8 * 64
    assert "gradients" not in sampling.parts
    # 8 rows; 64 positions are reserved at first, which is enough for all 64
    assert rollouts.capacities(draws) == (64, 0)
    assert sampling.parts["cache"] == 8 * 2 * 2 * 2 * 64 * 64
    # a sequence of 81 tokens grows to 128 positions, one layer's keys being there twice for a moment
    longer = Draws(responses=1, prompt=16, new=65)
    assert rollouts.capacities(longer) == (128, 64)
    assert rollouts.cache(SMALL, longer, 1, NARROW) == 2 * 2 * 2 * 64 * 128 + 2 * 64 * 64
    assert found.peak.total == max(sampling.total, learning.total)


def test_rows_stay_within_the_samplers_memory() -> None:
    huge = variant("llama", layers=32, kv_heads=8, heads=32, head_width=128)
    draws = Draws(responses=512, prompt=1000, new=31000)
    rows = rollouts.rows_at_once(huge, draws, NARROW, None)
    assert rows == 1
    assert rollouts.rows_at_once(huge, draws, Arithmetic(2, "cuda"), 80 << 30) == (80 << 30) // 4 // (
        rollouts.position(huge, NARROW) * (32000 + 8000) + 32 * 256
    )


def test_shape_survives_its_own_config(tmp_path: Path) -> None:
    for family in ("llama", "mistral", "qwen2", "qwen3"):
        shape = variant(family, attention_bias=family == "llama")
        assert shape_of(json.loads(json.dumps(config_for(shape))), "here") == shape

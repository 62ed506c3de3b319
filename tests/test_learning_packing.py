"""Packed rows: no sequence sees another, and the update is that of the padded batch."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, modeling_flash_attention_utils

from r1kit.errors import ModelError
from r1kit.learning.batch import EncodedDocument, make_batch
from r1kit.learning.learner import Learner
from r1kit.learning.losses import policy_loss, supervised_loss
from r1kit.learning.microbatches import (
    first_fit_decreasing,
    microbatches,
    one_packed_row,
    packed_rows,
    padding_tokens,
)
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings, RLSettings
from r1kit.models.packable import require_packable
from r1kit.models.packing import arrange
from r1kit.models.reference import frozen_copy
from r1kit.objectives.aggregation import AGGREGATIONS
from tests.tiny_models import SHAPES

VOCABULARY = 23
LENGTHS = (3, 9, 5, 12, 4, 7, 1)
DENSE = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}  # fmt: skip
KINDS = {
    "llama": DENSE,
    "qwen2": DENSE | {"tie_word_embeddings": True},
    "qwen3": DENSE,
    "deepseek_v3": SHAPES["deepseek_v3"] | {"vocab_size": VOCABULARY},
    "mistral": DENSE | {"sliding_window": 4},
}


def model_of(kind="llama", attention="sdpa", dtype=torch.float32, **changes):
    torch.manual_seed(0)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **KINDS.get(kind, DENSE) | ids | changes)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=dtype)
    for parameter in model.parameters():  # larger than a fresh model's: what a neighbour would add is seen
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def batch_of(changed=None):
    """Seven sequences; `changed` gets other tokens."""
    documents = []
    for row, length in enumerate(LENGTHS):
        generator = torch.Generator().manual_seed(100 + row if row == changed else row)
        tokens = torch.randint(0, VOCABULARY, (length,), generator=generator).numpy()
        documents.append(EncodedDocument(tokens, min(2, length)))
    return make_batch(
        documents,
        advantages=[1.0, -0.5, 0.0, 2.0, -1.0, 0.25, 0.5],
        sampler_logprobs=[[-3.0] * max(0, length - 2) for length in LENGTHS],
    )


def learner_of(model, packing, budget=20, **batch):
    settings = BatchSettings(
        packing=packing, tokens_per_microbatch=budget, precision=batch.pop("precision", "float32"), **batch
    )
    return Learner(model, OptimizerSettings(learning_rate=0.01, max_grad_norm=1e9), settings, total_updates=9)


def gradients(model, packing, batch, loss=supervised_loss, idle=(), **settings):
    """The gradients that `update` leaves to the optimizer, and its statistics."""
    learner, found = learner_of(model, packing, **settings), {}
    learner.optimizer.step = lambda: found.update({n: p.grad.clone() for n, p in model.named_parameters()})
    stats = learner.update(batch, loss, idle=idle)
    return found, stats


def assert_same_update(got, expected, tolerance):
    (gradient, stats), (plain, plain_stats) = got, expected
    assert max(float(value.abs().max()) for value in plain.values()) > 1e-3
    for name, value in plain.items():
        torch.testing.assert_close(gradient[name], value, rtol=tolerance, atol=tolerance)
    for key in plain_stats.keys() - {"padding"}:
        assert stats[key] == pytest.approx(plain_stats[key], rel=1e-5, abs=1e-6), key


def test_the_longest_sequence_goes_first_into_the_first_row_with_room():
    assert first_fit_decreasing([2, 5, 4, 7, 1, 3], 10) == [[3, 5], [1, 2, 4], [0]]
    assert first_fit_decreasing([4, 30, 6], 10) == [[1], [2, 0]]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(10, 400))
def test_packed_parts_hold_each_sequence_once_within_the_budget(lengths, budget):
    for layout in (one_packed_row, packed_rows):
        parts = layout(lengths, budget)
        assert sorted(i for part in parts for row in part for i in row) == list(range(len(lengths)))
        for part in parts:
            width = max(sum(lengths[index] for index in row) for row in part)
            assert len(part) * width <= budget or [len(row) for row in part] == [1]
        assert layout is packed_rows or all(len(part) == 1 for part in parts)


def test_a_row_is_as_long_as_the_longest_sequence_where_attention_is_over_whole_rows():
    lengths = [10, 4, 6, 9, 3, 3]
    assert packed_rows(lengths, 25) == [[[0], [3]], [[2, 1], [4, 5]]]
    assert one_packed_row(lengths, 25) == [[[0, 3, 2]], [[1, 4, 5]]]


def test_sequences_are_laid_one_after_the_other_and_padding_is_a_segment_of_its_own():
    tokens = torch.tensor([[5, 6, 0], [7, 0, 0], [8, 9, 4], [3, 0, 0]])
    laid = arrange(tokens, [2, 1, 3, 1], [2, 1, 1])
    assert laid.input_ids_RW.tolist() == [[5, 6, 7], [8, 9, 4], [3, 0, 0]]
    assert laid.position_ids_RW.tolist() == [[0, 1, 0], [0, 1, 2], [0, 0, 1]]
    assert laid.starts_B.tolist() == [0, 2, 3, 6]
    assert laid.boundaries_S.tolist() == [0, 2, 3, 6, 7, 9]
    assert laid.packed
    alone = arrange(tokens, [2, 1, 3, 1], [1, 1, 1, 1])
    assert torch.equal(alone.input_ids_RW, tokens)
    assert list(alone.decoder_inputs("sdpa")) == ["input_ids"]


def test_a_single_packed_row_has_no_padding_and_packed_rows_have_little():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(12, 320, (200,), generator=generator).tolist()
    batch = make_batch([EncodedDocument(range(length), 0) for length in lengths])
    assert padding_tokens(microbatches(batch, range(200), 4096, one_packed_row)) == (0, sum(lengths))
    padding, computed = padding_tokens(microbatches(batch, range(200), 4096, packed_rows))
    assert padding / computed < 0.05


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_logprobs_and_gradients_are_those_of_the_padded_batch(kind, attention):
    batch = batch_of()
    padded_ones = learner_of(model_of(kind, attention), False).logprobs(batch)
    packed_ones = learner_of(model_of(kind, attention), True).logprobs(batch)
    torch.testing.assert_close(packed_ones, padded_ones, rtol=2e-6, atol=5e-6)
    assert_same_update(
        gradients(model_of(kind, attention), True, batch),
        gradients(model_of(kind, attention), False, batch),
        2e-5,
    )


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changed", [3, 1])
def test_other_tokens_in_one_sequence_change_no_bit_of_the_others(kind, attention, changed):
    learner = learner_of(model_of(kind, attention), True, budget=100)
    before, after = learner.logprobs(batch_of()), learner.logprobs(batch_of(changed))
    others = [row for row in range(len(LENGTHS)) if row != changed]
    assert torch.equal(before[others], after[others])
    assert not torch.equal(before[changed], after[changed])


AGGREGATED = {
    f"{name}{' off-policy with KL' if off else ''}": (
        policy_loss(ObjectiveSettings(aggregation=name, constant_length=20, kl_beta=0.1 if off else 0.0)),
        {"old_logprobs_BT": torch.full((7, 12), -3.1), "ref_logprobs_BT": torch.full((7, 12), -2.9)}
        if off
        else {},
    )
    for name in AGGREGATIONS
    for off in (False, True)
}


@pytest.mark.parametrize("name", ["supervised", *AGGREGATED])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_every_loss_gives_the_padded_batchs_gradient_to_the_attentions_precision(name, attention):
    loss, extra = {"supervised": (supervised_loss, {}), **AGGREGATED}[name]
    batch = replace(batch_of(), **extra)
    got = gradients(model_of(attention=attention, dtype=torch.float64), True, batch, loss)
    expected = gradients(model_of(attention=attention, dtype=torch.float64), False, batch, loss)
    # transformers' eager attention takes its softmax in float32, whatever the model's precision
    assert_same_update(got, expected, 1e-12 if attention == "sdpa" else 1e-6)


@pytest.mark.parametrize("kind", ["llama", "deepseek_v3"])
def test_gradient_checkpointing_changes_no_packed_gradient(kind):
    batch = batch_of()
    plain = gradients(model_of(kind), True, batch)
    assert_same_update(gradients(model_of(kind), True, batch, gradient_checkpointing=True), plain, 1e-6)


def test_idle_rows_change_no_packed_gradient():
    batch, loss = batch_of(), policy_loss(ObjectiveSettings())
    full = gradients(model_of(dtype=torch.float64), True, batch, loss)
    assert_same_update(gradients(model_of(dtype=torch.float64), True, batch, loss, idle=[2]), full, 1e-12)


def test_minibatches_with_a_reference_train_to_the_same_weights():
    trained = []
    for packing in (False, True):
        model = model_of(dtype=torch.float64)
        settings = RLSettings(
            objective=ObjectiveSettings(kl_beta=0.1),
            batch=BatchSettings(
                packing=packing, minibatches=3, tokens_per_microbatch=20, precision="float32"
            ),
        )
        learner = Learner(model, OptimizerSettings(learning_rate=0.01), settings.batch, total_updates=9)
        reference = frozen_copy(model)
        stats = [update_policy(learner, batch_of(), settings, reference, seed) for seed in (0, 1)]
        trained.append((model.state_dict(), stats))
    (padded_weights, padded_stats), (weights, stats) = trained
    for name, value in padded_weights.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-8, atol=1e-9)
    assert stats[1]["kl"] == pytest.approx(padded_stats[1]["kl"], rel=1e-6)
    assert stats[1]["kl"] > 1e-4


def test_packed_bfloat16_stays_near_float32():
    exact = learner_of(model_of(), True).logprobs(batch_of())
    narrow = learner_of(model_of(), True, precision="bfloat16").logprobs(batch_of())
    torch.testing.assert_close(narrow, exact, rtol=0, atol=0.15)


def test_flash_attention_is_told_where_sequences_end(monkeypatch):
    told = []

    def by_boundaries(q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, **rest):
        """What the kernel computes, as its documentation says: (tokens, heads, width) in and out."""
        assert rest["causal"]
        assert torch.equal(cu_seqlens_q, cu_seqlens_k)
        lengths = cu_seqlens_q.diff().tolist()
        told.append((lengths, max_seqlen_q, max_seqlen_k))
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        triples = zip(*(x.transpose(0, 1).split(lengths, 1) for x in (q, k, v)), strict=True)
        attend = torch.nn.functional.scaled_dot_product_attention
        return torch.cat([attend(*triple, is_causal=True) for triple in triples], 1).transpose(0, 1)

    def whole_rows(q, k, v, **rest):
        k, v = (x.repeat_interleave(q.shape[2] // x.shape[2], 2) for x in (k, v))
        attend = torch.nn.functional.scaled_dot_product_attention
        return attend(*(x.transpose(1, 2) for x in (q, k, v)), is_causal=True).transpose(1, 2)

    fakes = (whole_rows, by_boundaries, None, None, None)
    monkeypatch.setattr(modeling_flash_attention_utils, "_lazy_imports", lambda *args, **kwargs: fakes)
    monkeypatch.setattr(modeling_flash_attention_utils, "_loaded_implementation", None)
    expected = gradients(model_of(), False, batch_of())
    model = model_of()
    model.config._attn_implementation = "flash_attention_2"
    got = gradients(model, True, batch_of())
    assert_same_update(got, expected, 2e-5)
    assert ([12, 7, 1], 12, 12) in told


@pytest.mark.parametrize(
    ("kind", "attention", "changes", "message"),
    [
        ("opt", "eager", {"ffn_dim": 48, "word_embed_proj_dim": 32}, "change each other"),
        ("bloom", "eager", {}, "change each other"),
        ("recurrent_gemma", "sdpa", {"lru_width": 32}, "change each other"),
        (
            "qwen2",
            "sdpa",
            {"layer_types": ["full_attention", "chunked_attention"]},
            "chunked_attention layers",
        ),
        ("llama", "flex_attention", {}, "not with flex_attention"),
    ],
)
def test_a_model_that_would_mix_packed_sequences_is_refused(kind, attention, changes, message):
    with pytest.raises(ModelError, match=rf"{message}.*; set batch\.packing to false"):
        require_packable(model_of(kind, attention, **changes))


def test_packing_and_compiling_are_refused_together():
    with pytest.raises(ValueError, match=r"packing and compile: .* set one of them to false"):
        BatchSettings(packing=True, compile=True)

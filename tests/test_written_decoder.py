"""The training pass written out, against the module tree of `transformers`."""

from __future__ import annotations

import copy
from statistics import fmean
from typing import Any

import pytest
import torch
from test_sampler import make_model
from torch import Tensor, nn

from r1kit.learning import learner as learning
from r1kit.learning.batch import EncodedDocument, make_batch
from r1kit.learning.learner import Learner, prepare_for_training
from r1kit.learning.losses import policy_loss
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings
from r1kit.models.attention import training_attention_in_use
from r1kit.models.blocks import Blocks
from r1kit.models.written_decoder import written_decoder
from r1kit.rollouts.lowered import lowered_forward

DECODERS: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"tie_word_embeddings": True, "head_dim": 4}),
    ("llama", {"num_key_value_heads": 1, "rms_norm_eps": 0.1}),
    ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0}}),
    ("qwen2", {}),  # biases of queries, keys and values
    ("qwen3", {"num_attention_heads": 6, "rms_norm_eps": 0.1}),  # heads normalised, 48 wide together
]


def changed(family: str, changes: dict[str, Any]) -> Any:
    """A model whose gains and biases are not 1 and 0, and no two alike."""
    model = make_model(family, **changes).train()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


def by_modules(model: Any, tokens: Tensor, narrow: bool = False) -> Tensor:
    with training_attention_in_use(model), torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        states: Tensor = model.model(input_ids=tokens, use_cache=False).last_hidden_state
    return states


def every_state(written: Any, tokens: Tensor, dtype: torch.dtype) -> Tensor:
    """All last hidden states of full rows, (R, T, D)."""
    lengths, places = torch.full((len(tokens),), tokens.shape[1]), torch.arange(tokens.numel())
    states: Tensor = written(tokens, lengths, places, dtype)
    return states.view(*tokens.shape, -1)


def with_gradients(model: Any, states: Tensor) -> dict[str, Tensor]:
    """The states and, of a fixed direction, the gradients of all weights below the head."""
    direction = torch.randn(states.shape, generator=torch.Generator().manual_seed(3))
    model.zero_grad()
    (states * direction.to(states.dtype)).sum().backward()
    return {"states": states.detach()} | {
        name: parameter.grad.double()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize(("family", "changes"), DECODERS)
@pytest.mark.parametrize("length", [1, 67])
def test_states_and_gradients_are_those_of_the_module_tree(
    family: str, changes: dict[str, Any], length: int
) -> None:
    model = changed(family, changes)
    tokens = torch.randint(2, 70, (3, length), generator=torch.Generator().manual_seed(1))
    written = written_decoder(model)
    assert written is not None
    ours = with_gradients(model, every_state(written, tokens, torch.float32))
    exact_model = copy.deepcopy(model).double()
    exact = with_gradients(exact_model, by_modules(exact_model, tokens))
    assert ours.keys() == exact.keys()
    for name, expected in exact.items():
        torch.testing.assert_close(
            ours[name].double(), expected, rtol=0, atol=4e-5 * float(expected.abs().max()), msg=name
        )


LENGTHS = [3, 700, 64, 1, 129, 65, 260, 7]  # several handfuls, blocks of queries begun and filled


@pytest.mark.parametrize(("family", "changes"), [DECODERS[0], *DECODERS[4:]])
def test_sequences_of_many_lengths_are_each_as_if_alone(family: str, changes: dict[str, Any]) -> None:
    model = changed(family, {"max_position_embeddings": 1024, **changes})
    tokens = torch.randint(2, 70, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(1))
    written = written_decoder(model)
    assert written is not None
    places = torch.cat([row * tokens.shape[1] + torch.arange(n) for row, n in enumerate(LENGTHS)])
    ours = with_gradients(model, written(tokens, torch.tensor(LENGTHS), places, torch.float32))
    exact_model = copy.deepcopy(model).double()
    alone = [by_modules(exact_model, tokens[row : row + 1, :n])[0] for row, n in enumerate(LENGTHS)]
    for name, expected in with_gradients(exact_model, torch.cat(alone)).items():
        torch.testing.assert_close(
            ours[name].double(), expected, rtol=0, atol=4e-5 * float(expected.abs().max()), msg=name
        )


# (tokens of a row, how many of them are those of the last row that shares none): groups of one, of blocks of
# queries begun and filled, larger than a handful; nothing of its own, and different parts shared
SHARED = [
    *[(5, 0), (300, 0), (400, 260), (261, 260), (260, 260), (3, 0)],
    *[(64, 0), (40, 30), (129, 64), (64, 1), (700, 0)],
]


@pytest.mark.parametrize(("family", "changes"), [DECODERS[0], *DECODERS[2:]])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_rows_that_share_their_first_tokens_are_each_as_if_alone(
    family: str, changes: dict[str, Any], checkpointing: bool
) -> None:
    model = changed(family, {"max_position_embeddings": 1024, **changes})
    exact_model = copy.deepcopy(model).double()
    prepare_for_training(model, checkpointing).train()
    lengths, shared = (torch.tensor(numbers) for numbers in zip(*SHARED, strict=True))
    tokens = torch.randint(2, 70, (len(SHARED), 700), generator=torch.Generator().manual_seed(1))
    first = 0
    for row, count in enumerate(shared.tolist()):
        first = first if count else row
        tokens[row, :count] = tokens[first, :count]
    # states of what is shared are wanted of every row, as of the last token of a prompt
    places = torch.cat([row * 700 + torch.arange(max(0, n - 90), n) for row, (n, _) in enumerate(SHARED)])
    written = written_decoder(model)
    assert written is not None
    ours = with_gradients(model, written(tokens, lengths, places, torch.float32, shared))
    alone = [by_modules(exact_model, tokens[row : row + 1, :n])[0, -90:] for row, (n, _) in enumerate(SHARED)]
    for name, expected in with_gradients(exact_model, torch.cat(alone)).items():
        torch.testing.assert_close(
            ours[name].double(), expected, rtol=0, atol=4e-5 * float(expected.abs().max()), msg=name
        )


def test_a_damaged_weight_shows_in_all_that_follows_from_it_and_in_no_other_sequence() -> None:
    model = changed("llama", {})
    tokens = torch.randint(3, 70, (2, 40), generator=torch.Generator().manual_seed(1))
    tokens[0, 20] = 2
    with torch.no_grad():
        model.model.embed_tokens.weight[2] = torch.nan
    written = written_decoder(model)
    assert written is not None
    for dtype in (torch.float32, torch.bfloat16):
        found = with_gradients(model, every_state(written, tokens, dtype))
        finite = found["states"].isfinite().all(-1)
        assert finite[1].all()
        assert not finite[0, 20:].any()
        weights = [gradient for name, gradient in found.items() if "proj" in name]
        assert not any(gradient.isfinite().all() for gradient in weights)
        of_tokens = found["model.embed_tokens.weight"].isfinite().all(-1)
        assert of_tokens[[token for token in tokens[1].tolist() if token not in tokens[0]]].all()


def test_in_16_bits_it_is_as_close_to_the_exact_results_as_autocast() -> None:
    ours, theirs = [], []
    for family, changes in DECODERS:
        model = changed(family, changes)
        written = written_decoder(model)
        assert written is not None
        for seed in range(3):
            tokens = torch.randint(2, 70, (16, 40), generator=torch.Generator().manual_seed(seed))
            exact = with_gradients(model, by_modules(model, tokens))
            ours += errors(with_gradients(model, every_state(written, tokens, torch.bfloat16)), exact)
            theirs += errors(with_gradients(model, by_modules(model, tokens, narrow=True)), exact)
    assert 0 < fmean(ours) < 1.15 * fmean(theirs) < 0.15


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_an_earlier_pass_left_in_memory_changes_nothing(dtype: torch.dtype, family: str) -> None:
    model = changed(family, {})
    tokens = torch.randint(2, 70, (3, 67), generator=torch.Generator().manual_seed(1))
    fresh = written_decoder(model)
    assert fresh is not None
    expected = with_gradients(model, every_state(fresh, tokens, dtype))
    blocks = Blocks()
    blocks.take([((1 << 22,), torch.float32)])[0].fill_(torch.nan)
    held = written_decoder(model, blocks)
    assert held is not None
    for _ in range(2):
        found = with_gradients(model, every_state(held, tokens, dtype))
        assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())
        with torch.no_grad():
            assert torch.equal(every_state(held, tokens, dtype).double(), expected["states"])
    assert blocks.held() == 4 << 22


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("family", "layers"), [("qwen2", 1), ("qwen2", 3), ("qwen3", 3)])
def test_layers_computed_again_give_the_same_bits_as_those_kept(
    family: str, layers: int, dtype: torch.dtype
) -> None:
    model = changed(family, {"num_hidden_layers": layers, "max_position_embeddings": 1024})
    tokens = torch.randint(2, 70, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(1))
    lengths, places = torch.tensor(LENGTHS), torch.tensor([2, 703, 1500])
    held, found = list[int](), []
    for again in (False, True):
        model = prepare_for_training(model, gradient_checkpointing=again)
        blocks = Blocks()
        written = written_decoder(model, blocks)
        assert written is not None
        found.append(with_gradients(model, written(tokens, lengths, places, dtype)))
        held.append(blocks.held())
    kept, recomputed = found
    assert all(torch.equal(kept[name], tensor) for name, tensor in recomputed.items())
    assert len(kept) == len(recomputed) == 3 + len(list(model.model.layers.parameters()))
    out = sum(LENGTHS) * 4 * model.config.hidden_size
    assert held[1] == pytest.approx(held[0] / layers + (layers - 1) * out, rel=0.01)


def test_a_model_prepared_for_recomputing_is_still_sampled_by_compiled_steps() -> None:
    model = make_model("qwen3")
    assert lowered_forward(model) is not None
    assert lowered_forward(prepare_for_training(model, gradient_checkpointing=True)) is not None
    assert model.is_gradient_checkpointing


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_second_derivative_pass_computes_layers_again(family: str) -> None:
    model, tokens = prepare_for_training(changed(family, {}), True), torch.randint(2, 70, (3, 67))
    written = written_decoder(model)
    assert written is not None
    states = every_state(written, tokens, torch.float32)
    weights, direction = list(model.model.parameters()), torch.randn(states.shape)
    once, again = (torch.autograd.grad(states, weights, direction, retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def errors(found: dict[str, Tensor], exact: dict[str, Tensor]) -> list[float]:
    """How far each is from the exact one, as a share of it."""
    return [float((found[name] - exact[name]).norm() / exact[name].norm()) for name in exact]


def test_weights_may_lie_in_memory_as_they_like() -> None:
    model, tokens = changed("llama", {}), torch.randint(2, 70, (2, 9))
    written = written_decoder(model)
    assert written is not None
    expected = with_gradients(model, every_state(written, tokens, torch.float32))
    for layer in model.model.layers:
        for product in (layer.self_attn.o_proj, layer.mlp.down_proj, layer.self_attn.q_proj):
            product.weight.data = product.weight.detach().t().contiguous().t()
    found = with_gradients(model, every_state(written, tokens, torch.float32))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def some_biases(model: Any) -> Any:
    model.model.layers[0].self_attn.k_proj.bias = None
    return model


def first_biases(model: Any) -> Any:
    for layer in model.model.layers:
        layer.self_attn.o_proj.bias = None
    return model


def other_epsilon(model: Any) -> Any:
    model.model.layers[1].self_attn.k_norm.variance_epsilon = 0.2
    return model


def hooked(model: Any) -> Any:
    model.model.layers[0].mlp.register_forward_hook(lambda *_: None)
    return model


OTHERS = [
    make_model("llama", attention_bias=True),
    make_model("llama", mlp_bias=True),
    make_model("deepseek_v3"),
    hooked(make_model("llama")),
    make_model("llama").double(),
    some_biases(make_model("qwen2")),
    make_model("llama", head_dim=3),
    other_epsilon(make_model("qwen3")),
    first_biases(make_model("qwen3", attention_bias=True)),
]


@pytest.mark.parametrize(
    "model",
    OTHERS,
    ids=["bias", "mlp bias", "deepseek", "hooked", "double", "some", "odd", "epsilon", "bias of normed"],
)
def test_other_models_are_left_to_their_modules(model: Any) -> None:
    assert written_decoder(model) is None


def updated(
    model: nn.Module, length: int, monkeypatch: pytest.MonkeyPatch, written: Any, **batch: Any
) -> tuple[dict[str, float], list[Tensor], int]:
    """Statistics, weights and the number of passes written out, of one update."""
    calls = 0

    def spied(model: Any, *blocks: Any) -> Any:
        decode = written(model, *blocks)

        def counted(*given: Any) -> Tensor:
            nonlocal calls
            calls += 1
            states: Tensor = decode(*given)
            return states

        return None if decode is None else counted

    monkeypatch.setattr(learning, "written_decoder", spied)
    generator = torch.Generator().manual_seed(5)
    documents = [
        EncodedDocument(tuple(torch.randint(2, 70, (n,), generator=generator).tolist()), 3)
        for n in (length, 9, 14, 5)
    ]
    logprobs = [[-1.0] * (len(document.tokens) - 3) for document in documents]
    cut = make_batch(documents, advantages=[1.0, -1.0, 0.5, 2.0], sampler_logprobs=logprobs)
    settings = BatchSettings(
        **{"precision": "float32", "tokens_per_microbatch": 2048, "written_out": True, **batch}
    )
    learner = Learner(copy.deepcopy(model), OptimizerSettings(), settings, total_updates=1)
    stats = learner.update(cut, policy_loss(ObjectiveSettings(kl_beta=0.0)))
    return stats, [parameter.detach() for parameter in learner.model.parameters()], calls


def test_an_update_is_the_same_by_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    model = changed("llama", {})
    stats, weights, calls = updated(model, 20, monkeypatch, written_decoder)
    expected, expected_weights, none = updated(model, 20, monkeypatch, lambda *_: None)
    assert calls >= 1
    assert none == 0
    assert stats == pytest.approx({**expected, "padding": 0.0}, rel=1e-5, abs=1e-7)
    moved = [(a - b).norm() for a, b in zip(expected_weights, model.parameters(), strict=True)]
    apart = [(a - b).norm() for a, b in zip(weights, expected_weights, strict=True)]
    assert sum(apart) < 1e-3 * sum(moved)
    *recomputed, calls_again = updated(model, 20, monkeypatch, written_decoder, gradient_checkpointing=True)
    assert calls_again == calls
    assert recomputed[0] == stats
    assert all(torch.equal(a, b) for a, b in zip(recomputed[1], weights, strict=True))


def test_layers_are_written_out_for_rows_of_any_length_unless_a_recipe_says_no(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = changed("llama", {"max_position_embeddings": 1024})
    stats, _, calls = updated(model, 700, monkeypatch, written_decoder)
    expected, _, none = updated(model, 700, monkeypatch, written_decoder, written_out=False)
    assert calls >= 1
    assert none == 0
    assert stats == pytest.approx({**expected, "padding": 0.0}, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("other", ["packing", "compile"])
def test_what_written_layers_cannot_do_is_left_to_the_modules(other: str) -> None:
    assert BatchSettings().writes_layers_out
    assert not BatchSettings(**{other: True}).writes_layers_out

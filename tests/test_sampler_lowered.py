"""The decoding step written out, against the module tree of `transformers`, on tiny models in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_sampler import make_model, make_tokenizer, prompts
from torch import Tensor, nn

from r1kit.errors import ModelError
from r1kit.models import llama_like
from r1kit.rollouts.cache import SlotCache
from r1kit.rollouts.forward import Forward, model_forward
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.lowered import lowered_forward
from r1kit.rollouts.memory import position_bytes, rows_within_memory
from r1kit.rollouts.protocol import SamplingParams

DECODERS: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("llama", {"num_key_value_heads": 1, "rms_norm_eps": 0.1}),
    ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0}}),
    ("qwen2", {}),  # biases of queries, keys and values
    ("qwen3", {}),  # heads wider than width / heads, and normalised
]


def logits_of(forward: Forward, steps: int, rows: int, layers: int) -> list[Tensor]:
    """Logits of some steps from an empty cache; row b begins b steps early, so that lengths differ."""
    cache = SlotCache(layers, rows, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    found = []
    for step in range(steps):
        lengths = (torch.arange(rows) + step).clamp(max=step + rows - 1)
        tokens = torch.randint(2, 70, (rows,), generator=generator)
        width = int(lengths.max()) + 1
        mask = torch.zeros(rows, 1, 1, width).masked_fill_(
            (torch.arange(width) > lengths[:, None])[:, None, None], torch.finfo(torch.float32).min
        )
        cache.begin_step(width, lengths, rows)
        with torch.inference_mode():
            found.append(forward(tokens, lengths, mask, cache))
    return found


@pytest.mark.parametrize(("family", "changes"), DECODERS)
def test_the_lowered_step_gives_the_logits_of_the_module_tree(family: str, changes: dict[str, Any]) -> None:
    model = make_model(family, **changes)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name:  # are all 1 or 0 at first
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
        for module in model.modules():
            if hasattr(module, "variance_epsilon"):
                module.variance_epsilon = 0.05
            if hasattr(module, "scaling"):
                module.scaling *= 1.5
    forward = lowered_forward(model)
    assert forward is not None
    ours, theirs = (logits_of(each, 6, 5, 2) for each in (forward, model_forward(model)))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=3e-5, rtol=1e-5)


def hooked(model: Any) -> None:
    model.model.layers[1].mlp.register_forward_hook(lambda module, inputs, output: output * 2)


def adapted(model: Any) -> None:
    class Adapter(nn.Linear):
        pass

    model.model.layers[1].mlp.down_proj = Adapter(48, 32, bias=False)


def wrapped(model: Any) -> None:
    class Wrapper(nn.Module):
        def __init__(self, base: nn.Linear) -> None:
            super().__init__()
            self.base, self.weight, self.bias = base, base.weight, base.bias

    model.lm_head = Wrapper(model.lm_head)


def other_activation(model: Any) -> None:
    model.model.layers[0].mlp.act_fn = nn.GELU()


def biased_head(model: Any) -> None:
    model.lm_head = nn.Linear(32, 80)


def replaced_forward(model: Any) -> None:
    model.model.norm.forward = lambda x: x


def fewer_layers(model: Any) -> None:
    model.config.num_hidden_layers = 1


@pytest.mark.parametrize(
    "change", [hooked, adapted, wrapped, other_activation, biased_head, replaced_forward, fewer_layers]
)
def test_a_changed_model_keeps_its_module_tree(change: Callable[[Any], None]) -> None:
    model = make_model("llama")
    assert lowered_forward(model) is not None
    change(model)
    assert lowered_forward(model) is None


def test_other_models_keep_their_module_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lowered_forward(make_model("deepseek_v3")) is None
    assert lowered_forward(make_model("llama", hidden_act="gelu")) is None
    windows = {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": 8}
    assert lowered_forward(make_model("qwen2", **windows)) is None
    monkeypatch.setattr(llama_like, "MOST_PARAMETERS", 10_000)
    assert lowered_forward(make_model("llama")) is None


def test_a_sampler_uses_new_weights_after_an_update() -> None:
    model, tokenizer, greedy = make_model("llama"), make_tokenizer(), SamplingParams(temperature=0.0)
    sampler = LocalSampler(model, tokenizer, dtype=torch.bfloat16)
    (before,) = sampler.sample(prompts(5), 1, greedy.model_copy(update={"max_new_tokens": 9}), [0])
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.v_proj.weight.neg_()
    sampler.update(model)
    (after,) = sampler.sample(prompts(5), 1, greedy.model_copy(update={"max_new_tokens": 9}), [0])
    assert before[0].tokens != after[0].tokens


def test_weights_that_change_within_a_stream_are_refused() -> None:
    model = make_model("llama")
    sampler = LocalSampler(model, make_tokenizer())
    params = SamplingParams(max_new_tokens=40, temperature=0.0)
    stream = sampler.stream(prompts(5)[0], params, 0)
    next(stream)
    sampler.update(model)
    with pytest.raises(ModelError, match="changed while a response was being streamed"):
        list(stream)


def test_rows_decoded_at_once_fit_into_four_gibibytes() -> None:
    model = make_model("llama")
    with torch.inference_mode():
        # 2 layers, 2 key-value heads of width 8, keys and values, 4 bytes
        assert position_bytes(model) == 2 * 2 * 8 * 2 * 4
        # DeepSeek keeps what keys and values are computed from: 16 numbers, and 4 that turn
        assert position_bytes(make_model("deepseek_v3")) == 2 * (16 + 4) * 4
    assert rows_within_memory(model, 256, 100) == 1024
    # 80 tokens have drawing tables of 32 bytes each
    assert rows_within_memory(model, 256, 125_000) == (4 << 30) // (256 * 125_000 + 32 * 80)
    assert rows_within_memory(model, 256, 1 << 40) == 1

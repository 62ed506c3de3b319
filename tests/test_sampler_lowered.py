"""The decoding step written out, against the module tree of `transformers`, on tiny models in float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_sampler import make_model, make_tokenizer, prompts
from torch import Tensor, nn

from r1kit.rollouts import lowered
from r1kit.rollouts.cache import SlotCache, position_bytes, rows_within_memory
from r1kit.rollouts.forward import Forward, model_forward
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.lowered import lowered_forward
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
    lowered = lowered_forward(model)
    assert lowered is not None
    for one, other in zip(logits_of(lowered, 6, 5, 2), logits_of(model_forward(model), 6, 5, 2), strict=True):
        torch.testing.assert_close(one, other, atol=3e-5, rtol=1e-5)


def test_other_models_keep_their_module_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    class Changed(nn.Linear):
        pass

    assert lowered_forward(make_model("deepseek_v3")) is None
    assert lowered_forward(make_model("llama", hidden_act="gelu")) is None
    windows = {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": 8}
    assert lowered_forward(make_model("qwen2", **windows)) is None
    adapted = make_model("llama")
    adapted.model.layers[1].mlp.down_proj = Changed(48, 32, bias=False)
    assert lowered_forward(adapted) is None
    assert lowered_forward(make_model("llama")) is not None
    monkeypatch.setattr(lowered, "_MOST_PARAMETERS", 10_000)
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


def test_rows_decoded_at_once_fit_into_four_gibibytes_of_keys_and_values() -> None:
    model = make_model("llama")
    # 2 layers, 2 key-value heads of width 8, keys and values, 4 bytes
    assert position_bytes(model) == 2 * 2 * 8 * 2 * 4
    assert rows_within_memory(model, 100) == 1024
    assert rows_within_memory(model, 100_000) == (4 << 30) // (256 * 100_000)
    assert rows_within_memory(model, 1 << 40) == 1
    # DeepSeek's keys, 8 + 4 wide, and values, 8 wide, of all 4 heads
    assert position_bytes(make_model("deepseek_v3")) == 2 * 4 * (12 + 8) * 4

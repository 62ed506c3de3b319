"""The decoding step of Llama-like decoders written out as few, large operations, for small models on a CPU.

At the laptop's size most of a step's time is not arithmetic, it is the number of operations. Here projections
of the same input are one matrix product, a rotation is three operations, and residuals are added inside the
products. The module tree of `transformers` is the path of all other models, and the oracle of this one's
tests.

Shapes: B rows, D width, H query heads, K key-value heads, W head width, F width of the feed-forward layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, rms_norm, silu

from r1kit.models.llama_like import is_small_llama_like
from r1kit.rollouts.attention import attend
from r1kit.rollouts.cache import SlotCache
from r1kit.rollouts.forward import Forward


@dataclass(frozen=True, slots=True)
class Product:
    """Linear maps of one input, joined: the transposed weight (in, out) and the bias (out,) or None."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """(B, in) -> (B, out)."""
        return x @ self.weight if self.bias is None else torch.addmm(self.bias, x, self.weight)

    def added_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """`residual` plus the product."""
        sum_BD = torch.addmm(residual, x, self.weight)
        return sum_BD if self.bias is None else sum_BD + self.bias


@dataclass(frozen=True, slots=True)
class Norm:
    """A division by the root of the mean square of the last dimension."""

    weight: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        """The same shape."""
        return rms_norm(x, self.weight.shape, self.weight, self.epsilon)


@dataclass(frozen=True, slots=True)
class LoweredLayer:
    """The weights of one decoder layer."""

    attention_norm: Norm
    qkv: Product
    head_norms: tuple[Norm, Norm] | None  # Qwen3 normalises each head of the queries and of the keys
    scaling: float  # of the attention's scores
    output: Product
    feed_forward_norm: Norm
    gate_up: Product
    down: Product


def lowered_forward(model: Any) -> Forward | None:
    """The step of `model` with its weights of now, or None where the module tree has to compute it.

    That is any model but a small Llama, Qwen2 or Qwen3 on a CPU, see `is_small_llama_like`.
    """
    layers = lowered_layers(model)
    if layers is None:
        return None

    def forward(tokens_B: Tensor, positions_B: Tensor, mask: Tensor | None, cache: SlotCache) -> Tensor:
        return _step(model, layers, tokens_B, positions_B, mask, cache)

    return forward


def lowered_layers(model: Any) -> list[LoweredLayer] | None:
    """The weights of now of each layer, or None, as for `lowered_forward`."""
    if not is_small_llama_like(model):
        return None
    return [_lowered(layer) for layer in model.model.layers]


def _lowered(layer: Any) -> LoweredLayer:
    attention, feed_forward = layer.self_attn, layer.mlp
    norms = (_norm(attention.q_norm), _norm(attention.k_norm)) if hasattr(attention, "q_norm") else None
    return LoweredLayer(
        attention_norm=_norm(layer.input_layernorm),
        qkv=_joined(attention.q_proj, attention.k_proj, attention.v_proj),
        head_norms=norms,
        scaling=attention.scaling,
        output=_joined(attention.o_proj),
        feed_forward_norm=_norm(layer.post_attention_layernorm),
        gate_up=_joined(feed_forward.gate_proj, feed_forward.up_proj),
        down=_joined(feed_forward.down_proj),
    )


def _norm(module: Any) -> Norm:
    return Norm(module.weight, module.variance_epsilon)


def _joined(*maps: nn.Linear) -> Product:
    weight = torch.cat(tuple(m.weight for m in maps)) if len(maps) > 1 else maps[0].weight
    biases = tuple(m.bias for m in maps if m.bias is not None)
    return Product(weight.detach().t(), torch.cat(biases).detach() if biases else None)


def _step(
    model: Any,
    layers: Sequence[LoweredLayer],
    tokens_B: Tensor,
    positions_B: Tensor,
    mask: Tensor | None,
    cache: SlotCache,
) -> Tensor:
    """Logits of one new token per row, (B, V); the cache takes its keys and values."""
    config, decoder = model.config, model.model
    queries, keys = config.num_attention_heads, config.num_key_value_heads
    width = layers[0].qkv.weight.shape[1] // (queries + 2 * keys)
    rows = len(tokens_B)
    x_BD = embedding(tokens_B, decoder.embed_tokens.weight)
    cos_B1W, sin_B1W = (part[:, 0, None] for part in decoder.rotary_emb(x_BD[:, None], positions_B[:, None]))
    # rotate_half(x) * sin = roll(x) * (sin with its first half negated)
    sin_B1W = torch.cat((-sin_B1W[..., : width // 2], sin_B1W[..., width // 2 :]), -1)
    for place, layer in enumerate(layers):
        heads = layer.qkv(layer.attention_norm(x_BD)).view(rows, queries + 2 * keys, width)
        turning, values = heads[:, : queries + keys], heads[:, queries + keys :]
        if layer.head_norms is not None:
            norm_queries, norm_keys = layer.head_norms
            turning = torch.cat((norm_queries(turning[:, :queries]), norm_keys(turning[:, queries:])), 1)
        turned = torch.addcmul(turning * cos_B1W, turning.roll(width // 2, -1), sin_B1W)
        stored_keys, stored_values = cache.update(turned[:, queries:, None], values[:, :, None], place)
        mixed = attend(turned[:, :queries, None], stored_keys, stored_values, mask, layer.scaling)
        x_BD = layer.output.added_to(x_BD, mixed.view(rows, -1))
        gate_BF, up_BF = layer.gate_up(layer.feed_forward_norm(x_BD)).chunk(2, -1)
        x_BD = layer.down.added_to(x_BD, silu(gate_BF) * up_BF)
    return linear(_norm(decoder.norm)(x_BD), model.lm_head.weight)

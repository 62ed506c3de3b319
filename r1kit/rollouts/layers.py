"""The weights and one step of Llama-like decoders, written out as few, large operations.

Projections of the same input are one matrix product, a rotation is three operations, and residuals are added
inside the products. Where keys and values are stored, and how they are attended to, is the caller's.

Shapes: B rows, D width, H query heads, K key-value heads, W head width, F width of the feed-forward layer,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, rms_norm, silu

Attention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer's place, queries (B, H, W), keys (B, K, W), values (B, K, W)) -> what the queries find, any shape
of B H W numbers; the keys and values are those of the new token, to be stored first
"""


@dataclass(frozen=True, slots=True)
class Product:
    """Linear maps of one input, joined: the transposed weight (in, out) and the bias (out,) or None."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """The product of x (B, in)."""
        return x @ self.weight if self.bias is None else torch.addmm(self.bias, x, self.weight)

    def added_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """`residual` plus the product."""
        sum_BD = torch.addmm(residual, x, self.weight)
        return sum_BD if self.bias is None else sum_BD + self.bias

    def take(self, *maps: nn.Linear) -> None:
        """Copy the weights of now of several maps to where they were joined."""
        torch.cat([m.weight.detach() for m in maps], out=self.weight.t())
        if self.bias is not None:
            torch.cat([m.bias.detach() for m in maps], out=self.bias)


@dataclass(frozen=True, slots=True)
class Norm:
    """A division by the root of the mean square of the last dimension."""

    weight: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        """x (…, D) normalised, times the gain."""
        return rms_norm(x, self.weight.shape, self.weight, self.epsilon)


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """The weights of one decoder layer; those that are not joined are the model's own."""

    attention_norm: Norm
    qkv: Product
    head_norms: tuple[Norm, Norm] | None  # Qwen3 normalises each head of the queries and of the keys
    scaling: float  # of the attention's scores
    output: Product
    feed_forward_norm: Norm
    gate_up: Product
    down: Product

    def take(self, layer: Any) -> None:
        """Copy the weights of now of the layer that this one was made from to where they were joined."""
        attention, feed_forward = layer.self_attn, layer.mlp
        self.qkv.take(attention.q_proj, attention.k_proj, attention.v_proj)
        self.gate_up.take(feed_forward.gate_proj, feed_forward.up_proj)


def written_layers(model: Any) -> list[WrittenLayer]:
    """The weights of now of each layer of a model that `is_llama_like`."""
    return [_written(layer) for layer in model.model.layers]


def _written(layer: Any) -> WrittenLayer:
    attention, feed_forward = layer.self_attn, layer.mlp
    norms = (_norm(attention.q_norm), _norm(attention.k_norm)) if hasattr(attention, "q_norm") else None
    return WrittenLayer(
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
    return Norm(module.weight.detach(), module.variance_epsilon)


def _joined(*maps: nn.Linear) -> Product:
    if len(maps) == 1:
        bias = None if maps[0].bias is None else maps[0].bias.detach()
        return Product(maps[0].weight.detach().t(), bias)
    weight = torch.cat([m.weight.detach() for m in maps])
    biases = [m.bias.detach() for m in maps if m.bias is not None]
    return Product(weight.t(), torch.cat(biases) if biases else None)


def rotations(model: Any, positions_B: Tensor) -> tuple[Tensor, Tensor]:
    """What turns heads at these positions, both (B, W) in the model's number format: the cosines, and the
    sines with their first half negated, since rotate_half(x) * sin = roll(x) * (sin with its first half
    negated).
    """
    decoder = model.model
    like = decoder.embed_tokens.weight[:1, None]
    cos_BW, sin_BW = (part[0] for part in decoder.rotary_emb(like, positions_B[None]))
    half = sin_BW.shape[1] // 2
    return cos_BW, torch.cat((-sin_BW[:, :half], sin_BW[:, half:]), -1)


def written_step(
    model: Any,
    layers: Sequence[WrittenLayer],
    tokens_B: Tensor,
    rotations_BW: tuple[Tensor, Tensor],
    attention: Attention,
) -> Tensor:
    """Logits of one new token per row, (B, V); `rotations_BW` as from `rotations`."""
    config, decoder, rows = model.config, model.model, len(tokens_B)
    queries, keys = config.num_attention_heads, config.num_key_value_heads
    width = layers[0].qkv.weight.shape[1] // (queries + 2 * keys)
    cos_B1W, sin_B1W = (part[:, None] for part in rotations_BW)
    x_BD = embedding(tokens_B, decoder.embed_tokens.weight)
    for place, layer in enumerate(layers):
        heads = layer.qkv(layer.attention_norm(x_BD)).view(rows, queries + 2 * keys, width)
        turning, values = heads[:, : queries + keys], heads[:, queries + keys :]
        if layer.head_norms is not None:
            norm_queries, norm_keys = layer.head_norms
            turning = torch.cat((norm_queries(turning[:, :queries]), norm_keys(turning[:, queries:])), 1)
        turned = torch.addcmul(turning * cos_B1W, turning.roll(width // 2, -1), sin_B1W)
        mixed = attention(place, turned[:, :queries], turned[:, queries:], values)
        x_BD = layer.output.added_to(x_BD, mixed.reshape(rows, -1))
        gate_BF, up_BF = layer.gate_up(layer.feed_forward_norm(x_BD)).chunk(2, -1)
        x_BD = layer.down.added_to(x_BD, silu(gate_BF) * up_BF)
    return linear(_norm(decoder.norm)(x_BD), model.lm_head.weight)

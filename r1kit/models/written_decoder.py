"""The training pass through small decoders of the Llama family, layer by layer as `written` has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from r1kit.models.attention import LONGEST
from r1kit.models.llama_like import is_small_llama_like
from r1kit.models.written import LayerShape, LayerWeights, Rotation, WrittenLayer

Decode = Callable[[Tensor, torch.dtype], Tensor]
"""(tokens (R, T), each row one sequence, the number format of products) -> last hidden states (R, T, D)"""


def written_decoder(model: Any) -> Decode | None:
    """The decoder of `model` written out, or None where the module tree has to compute it.

    That is any model but a small Llama or Qwen2 on a CPU (`is_small_llama_like`) with float32 weights, and
    one that shall recompute its activations. The module tree under autocast is the oracle of its tests: the
    same numbers are rounded, but for the norms' gains, which are multiplied into the weights.
    """
    if not is_small_llama_like(model) or model.is_gradient_checkpointing:
        return None
    if model.dtype != torch.float32:  # the library's norms are in float32 even where the weights are wider
        return None
    if not all(_is_written(layer) for layer in model.model.layers):
        return None

    def decode(tokens_RT: Tensor, dtype: torch.dtype) -> Tensor:
        return _decode(model, tokens_RT, dtype)

    return decode


def _is_written(layer: Any) -> bool:
    """Not with a norm for each head (Qwen3), nor with biases in other products than the first."""
    attention, feed_forward = layer.self_attn, layer.mlp
    others = (attention.o_proj, feed_forward.gate_proj, feed_forward.up_proj, feed_forward.down_proj)
    return not hasattr(attention, "q_norm") and all(product.bias is None for product in others)


def takes(tokens_RT: Tensor) -> bool:
    """Whether rows are short enough for attention that stores its probabilities."""
    return tokens_RT.shape[1] <= LONGEST


def _decode(model: Any, tokens_RT: Tensor, dtype: torch.dtype) -> Tensor:
    config, decoder = model.config, model.model
    x_RTD = decoder.embed_tokens(tokens_RT)
    cosine, sine = (part[0] for part in decoder.rotary_emb(x_RTD, torch.arange(tokens_RT.shape[1])[None]))
    width = cosine.shape[1]
    rotation = Rotation(cosine, torch.cat((-sine[:, : width // 2], sine[:, width // 2 :]), -1))
    for layer in decoder.layers:
        shape = LayerShape(
            config.num_attention_heads,
            config.num_key_value_heads,
            layer.input_layernorm.variance_epsilon,
            layer.self_attn.scaling,
        )
        x_RTD = WrittenLayer.apply(x_RTD, shape, rotation, *_weights(layer, width, dtype))  # type: ignore[no-untyped-call]
    normed: Tensor = decoder.norm(x_RTD)
    return normed


def _weights(layer: Any, width: int, dtype: torch.dtype) -> LayerWeights:
    attention, feed_forward = layer.self_attn, layer.mlp
    maps = (attention.q_proj, attention.k_proj, attention.v_proj)
    turning = len(attention.q_proj.weight) + len(attention.k_proj.weight)
    heads = torch.cat([m.weight for m in maps]) * layer.input_layernorm.weight
    biases = [m.bias for m in maps if m.bias is not None]
    gain = layer.post_attention_layernorm.weight
    return LayerWeights(
        heads=_with_swapped(heads, turning, width).to(dtype),
        heads_bias=_with_swapped(torch.cat(biases), turning, width).to(dtype) if biases else None,
        output=attention.o_proj.weight.to(dtype),
        gate=(feed_forward.gate_proj.weight * gain).to(dtype),
        up=(feed_forward.up_proj.weight * gain).to(dtype),
        down=feed_forward.down_proj.weight.to(dtype),
    )


def _with_swapped(heads: Tensor, turning: int, width: int) -> Tensor:
    """Queries and keys (the first `turning` rows), both with the halves of every head swapped, values."""
    swapped = heads[:turning].view(-1, width, *heads.shape[1:]).roll(width // 2, 1)
    return torch.cat((heads[:turning], swapped.flatten(0, 1), heads[turning:]))

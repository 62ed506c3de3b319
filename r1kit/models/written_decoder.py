"""The training pass through small decoders of the Llama family, layer by layer as `written` has them.

Shapes: R rows of up to T positions, N tokens of all rows, without padding, P states that are wanted, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from r1kit.models.blocks import Blocks
from r1kit.models.llama_like import has_small_decoder
from r1kit.models.written import DecoderShape, LayerWeights, WrittenDecoder


@dataclass(frozen=True, slots=True)
class Decode:
    """The layers and the last norm of a model that `written_decoder` takes."""

    model: Any
    blocks: Blocks | None

    def __call__(
        self,
        tokens_RT: Tensor,
        lengths_R: Tensor,
        wanted_P: Tensor,
        dtype: torch.dtype,
        shared_R: Tensor | None = None,
    ) -> Tensor:
        """Last hidden states (P, D).

        Args:
            tokens_RT: each row one sequence.
            lengths_R: tokens of each, as far as states of them are wanted.
            wanted_P: which of the R T states are wanted.
            dtype: the number format of products.
            shared_R: how many of a row's first tokens are those of the last row before it that shares none;
                they are computed there alone.
        """
        shared_R = torch.zeros_like(lengths_R) if shared_R is None else shared_R
        places_P = _unpadded(wanted_P, tokens_RT, lengths_R, shared_R)
        states_ND = _decode(self.model, tokens_RT, lengths_R, shared_R, dtype, self.blocks or Blocks())
        return states_ND.index_select(0, places_P)


def written_decoder(model: Any, blocks: Blocks | None = None) -> Decode | None:
    """The decoder of `model` written out, or None where the module tree has to compute it; what its layers
    keep lies in `blocks`, if given.

    That is any model but a small Llama, Qwen2 or Qwen3 on a CPU (`has_small_decoder`) where PyTorch has MKL,
    with float32 weights. Where gradient checkpointing is on, a layer keeps what came into it alone and is
    computed again for its derivative. The module tree under autocast is the oracle of its tests.
    """
    from r1kit.kernels.products import product_address

    if not has_small_decoder(model):
        return None
    if model.dtype != torch.float32:  # the library's norms are in float32 even where the weights are wider
        return None
    if not all(_is_written(layer) for layer in model.model.layers) or not _alike(model.model):
        return None
    if any(product_address(dtype) is None for dtype in (torch.float32, torch.bfloat16)):
        return None

    return Decode(model, blocks)


def _is_written(layer: Any) -> bool:
    """Not with biases in other products than the first three, nor in these where heads are normalised."""
    attention, feed_forward = layer.self_attn, layer.mlp
    maps = (attention.q_proj, attention.k_proj, attention.v_proj)
    others = (attention.o_proj, feed_forward.gate_proj, feed_forward.up_proj, feed_forward.down_proj)
    biased = len({product.bias is None for product in maps}) == 1 and all(p.bias is None for p in others)
    unbiased = maps[0].bias is None or not _head_norms(layer)
    return biased and unbiased and attention.head_dim % 2 == 0


def _head_norms(layer: Any) -> tuple[Any, ...]:
    """Of queries and of keys, where the family has them (Qwen3)."""
    attention = layer.self_attn
    return (attention.q_norm, attention.k_norm) if hasattr(attention, "q_norm") else ()


def _alike(decoder: Any) -> bool:
    """Whether all layers have the same constants."""
    norms = [
        norm
        for layer in decoder.layers
        for norm in (layer.input_layernorm, layer.post_attention_layernorm, *_head_norms(layer))
    ]
    epsilons = {norm.variance_epsilon for norm in (*norms, decoder.norm)}
    return len(epsilons) == 1 and len({layer.self_attn.scaling for layer in decoder.layers}) == 1


def _unpadded(places_P: Tensor, tokens_RT: Tensor, lengths_R: Tensor, shared_R: Tensor) -> Tensor:
    """Places in the flattened rows as places in what the rows have of their own, one after the other."""
    rows, positions = places_P // tokens_RT.shape[1], places_P % tokens_RT.shape[1]
    numbers_R = torch.arange(len(lengths_R))
    own_R = lengths_R - shared_R
    first_R = own_R.cumsum(0) - lengths_R  # where position 0 would be, if it were the row's own
    theirs_R = torch.where(shared_R == 0, numbers_R, 0).cummax(0).values
    # the loops do not check what they read
    assert not shared_R[:1].any()
    assert bool((shared_R <= own_R[theirs_R]).all())
    return torch.where(positions < shared_R[rows], first_R[theirs_R[rows]], first_R[rows]) + positions


def _decode(
    model: Any, tokens_RT: Tensor, lengths_R: Tensor, shared_R: Tensor, dtype: torch.dtype, blocks: Blocks
) -> Tensor:
    """Last hidden states of what the rows have of their own, one after the other, (N, D)."""
    from r1kit.kernels.products import product_address

    config, decoder = model.config, model.model
    length = tokens_RT.shape[1]
    places_T = torch.arange(length)
    own_RT = (shared_R[:, None] <= places_T) & (places_T < lengths_R[:, None])
    x_ND = decoder.embed_tokens(tokens_RT[own_RT])
    cosine, sine = (part[0] for part in decoder.rotary_emb(x_ND, torch.arange(length)[None]))
    half = cosine.shape[1] // 2
    shape = DecoderShape(
        config.num_attention_heads,
        decoder.norm.variance_epsilon,
        decoder.layers[0].self_attn.scaling,
        cosine[:, :half].contiguous(),
        sine[:, :half].contiguous(),
        lengths_R - shared_R,
        shared_R,
        dtype,
        product_address(dtype) or 0,
        torch.is_grad_enabled(),
        model.is_gradient_checkpointing,
        blocks,
    )
    weights = [tensor for layer in decoder.layers for tensor in _weights(layer)]
    normed: Tensor = WrittenDecoder.apply(x_ND, shape, decoder.norm.weight, *weights)  # type: ignore[no-untyped-call]
    return normed


def _weights(layer: Any) -> LayerWeights:
    attention, feed_forward = layer.self_attn, layer.mlp
    maps = (attention.q_proj, attention.k_proj, attention.v_proj)
    biases = [m.bias for m in maps if m.bias is not None]
    gains = [norm.weight for norm in _head_norms(layer)]
    return LayerWeights(
        gain=layer.input_layernorm.weight,
        heads=torch.cat([m.weight for m in maps]),
        heads_bias=torch.cat(biases) if biases else torch.zeros(0, dtype=torch.float32),
        head_gains=torch.cat(gains) if gains else torch.zeros(0, dtype=torch.float32),
        output=attention.o_proj.weight,
        feed_forward_gain=layer.post_attention_layernorm.weight,
        gate_up=torch.cat([m.weight for m in (feed_forward.gate_proj, feed_forward.up_proj)]),
        down=feed_forward.down_proj.weight,
    )

"""A Llama-like decoder with its derivative written out, for small models on a CPU.

At the laptop's size most of an update are not matrix products but what lies between them, operation by
operation over whole activations. Written out, a layer needs four products, the attention's, and between them
loops of one pass each (`kernels/training.py`). Products are computed in the number format of the weights
given, the residual stream and everything else in float32; what is rounded is what autocast rounds, or less.

Shapes: R rows of up to T positions, N tokens of all rows, without padding, then perhaps some that count for
nothing, D width, H query heads, K key-value heads, W head width, F width of the feed-forward layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from r1kit.kernels.arrays import call
from r1kit.models.causal import attend_causally, attend_causally_backward


class LayerWeights(NamedTuple):
    """What a layer multiplies by: matrices (out, in) in the format of products, gains in float32."""

    gain: Tensor  # (D,), before attention
    heads: Tensor  # ((H + 2 K) W, D): queries, keys, values
    heads_bias: Tensor | None  # ((H + 2 K) W,)
    output: Tensor  # (D, H W)
    feed_forward_gain: Tensor  # (D,)
    gate_up: Tensor  # (2 F, D)
    down: Tensor  # (D, F)


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """What else a decoder needs to know, with the angles that turn its heads."""

    query_heads: int
    key_heads: int
    epsilon: float  # of its norms
    scaling: float  # of the attention's scores
    cosine: Tensor  # (T, W / 2)
    sine: Tensor
    lengths: Tensor  # (R,) int64, tokens of each row
    masks: Sequence[Tensor]  # of `causal_masks`, in the format of products
    learned: bool  # whether a derivative will be asked for


class _Kept(NamedTuple):
    """What a layer's derivative reads of its forward pass, besides attention's probabilities."""

    x: Tensor  # (N, D) float32
    scale: Tensor  # (N,)
    normed: Tensor  # (N, D)
    query: Tensor  # (R, H, T, W)
    key: Tensor  # (R, K, T, W)
    value: Tensor  # (R, K, T, W)
    mixed: Tensor  # (N, H W)
    middle: Tensor  # (N, D) float32
    scale_again: Tensor  # (N,)
    normed_again: Tensor  # (N, D)
    gate_up: Tensor  # (N, 2 F)


class WrittenDecoder(torch.autograd.Function):
    """All layers and the last norm; first derivatives only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: DecoderShape, final_gain: Tensor, *weights: Any) -> Tensor:
        """x (N, D) float32 -> (N, D) in the format of products.

        `weights`: those of each layer, one layer after the other.
        """
        from r1kit.kernels import training as kernels

        layers = _by_layer(weights)
        tokens, dtype = x, layers[0].heads.dtype
        normed, scale = _like(tokens, dtype), _scales(tokens)
        call(kernels.normalise, tokens, layers[0].gain, shape.epsilon, normed, scale)
        gains = [layer.gain for layer in layers[1:]] + [final_gain]
        saved, blocks = list[Tensor](), list[int]()
        for layer, next_gain in zip(layers, gains, strict=True):
            kept, probabilities, delta = _layer(tokens, normed, scale, shape, layer)
            tokens, normed, scale = torch.empty_like(tokens), _like(tokens, dtype), _scales(tokens)
            call(
                kernels.add_and_normalise, kept.middle, delta, next_gain, shape.epsilon, tokens, normed, scale
            )
            if shape.learned:
                saved += [*kept, *probabilities]
                blocks.append(len(probabilities))
        ctx.save_for_backward(final_gain, tokens, scale, *saved, *weights)
        ctx.shape, ctx.blocks = shape, blocks
        return normed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
        """(N, D) -> the gradients of x and of the weights."""
        from r1kit.kernels import training as kernels

        final_gain, tokens, scale, *saved = ctx.saved_tensors
        kept_size = len(_Kept._fields)
        layers = _by_layer(saved[sum(ctx.blocks) + kept_size * len(ctx.blocks) :])
        grad, of_final_gain = torch.zeros_like(tokens), _gain_sums(final_gain)
        back = _like(tokens, of_out.dtype)
        call(
            kernels.normalise_back, grad, of_out.contiguous(), tokens, scale, final_gain, of_final_gain, back
        )
        of_weights: list[Tensor | None] = []
        end = sum(ctx.blocks) + kept_size * len(ctx.blocks)
        for layer, blocks in zip(layers[::-1], ctx.blocks[::-1], strict=True):
            begin = end - blocks - kept_size
            kept = _Kept(*saved[begin : begin + kept_size])
            probabilities = saved[begin + kept_size : end]
            of_layer = _layer_back(grad, back, kept, probabilities, ctx.shape, layer)
            of_weights = [*of_layer, *of_weights]
            end = begin
        return grad, None, of_final_gain.float(), *of_weights


def _by_layer(weights: Sequence[Any]) -> list[LayerWeights]:
    size = len(LayerWeights._fields)
    return [LayerWeights(*weights[begin : begin + size]) for begin in range(0, len(weights), size)]


def _like(tokens: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.empty(tokens.shape, dtype=dtype)


def _scales(tokens: Tensor) -> Tensor:
    return torch.empty(len(tokens))


def _gain_sums(gain: Tensor) -> Tensor:
    return torch.zeros(gain.shape, dtype=torch.float64)


def _layer(
    x: Tensor, normed: Tensor, scale: Tensor, shape: DecoderShape, w: LayerWeights
) -> tuple[_Kept, list[Tensor], Tensor]:
    """One layer up to what its feed-forward part adds to the residual stream, (N, D)."""
    from r1kit.kernels import training as kernels

    dtype, rows = normed.dtype, len(shape.lengths)
    joined = normed @ w.heads.t() if w.heads_bias is None else torch.addmm(w.heads_bias, normed, w.heads.t())
    width = 2 * shape.cosine.shape[1]
    query = torch.empty(rows, shape.query_heads, len(shape.cosine), width, dtype=dtype)
    key = torch.empty(rows, shape.key_heads, len(shape.cosine), width, dtype=dtype)
    value = torch.empty_like(key)
    call(
        kernels.turn,
        joined,
        shape.cosine,
        shape.sine,
        _float(shape.scaling),
        shape.lengths,
        query,
        key,
        value,
    )
    found, probabilities = attend_causally(
        _grouped(query, shape), key.flatten(0, 1), value.flatten(0, 1), shape.masks
    )
    mixed = torch.empty(len(x), shape.query_heads * width, dtype=dtype)
    call(kernels.heads_to_tokens, found.view(query.shape), shape.lengths, mixed)
    middle, normed_again, scale_again = torch.empty_like(x), _like(x, dtype), _scales(x)
    delta = mixed @ w.output.t()
    call(
        kernels.add_and_normalise,
        x, delta, w.feed_forward_gain, shape.epsilon, middle, normed_again, scale_again,
    )  # fmt: skip
    gate_up = normed_again @ w.gate_up.t()
    active = torch.empty(len(x), w.down.shape[1], dtype=dtype)
    call(kernels.gate, gate_up, active)
    kept = _Kept(x, scale, normed, query, key, value, mixed, middle, scale_again, normed_again, gate_up)
    return kept, probabilities, active @ w.down.t()


def _layer_back(
    grad: Tensor,
    back: Tensor,
    kept: _Kept,
    probabilities: Sequence[Tensor],
    shape: DecoderShape,
    w: LayerWeights,
) -> list[Tensor | None]:
    """The gradients of a layer's weights; `grad` (N, D) and `back`, the same in the format of products,
    become those of its input.
    """
    from r1kit.kernels import training as kernels

    active, of_gate_up = (
        torch.empty(len(grad), w.down.shape[1], dtype=back.dtype),
        torch.empty_like(kept.gate_up),
    )
    call(kernels.gate_back, back @ w.down, kept.gate_up, active, of_gate_up)
    of_down = back.t() @ active
    of_w_gate_up = of_gate_up.t() @ kept.normed_again
    of_again = _gain_sums(w.feed_forward_gain)
    call(
        kernels.normalise_back, grad, of_gate_up @ w.gate_up, kept.middle, kept.scale_again,
        w.feed_forward_gain, of_again, back,
    )  # fmt: skip
    of_output = back.t() @ kept.mixed
    of_found = torch.empty_like(kept.query)
    call(kernels.tokens_to_heads, back @ w.output, shape.lengths, of_found)
    of_query, of_key, of_value = attend_causally_backward(
        _grouped(of_found, shape), _grouped(kept.query, shape),
        kept.key.flatten(0, 1), kept.value.flatten(0, 1), probabilities,
    )  # fmt: skip
    of_joined = torch.empty(len(grad), len(w.heads), dtype=back.dtype)
    call(
        kernels.turn_back, of_query.view(kept.query.shape), of_key.view(kept.key.shape),
        of_value.view(kept.value.shape), shape.cosine, shape.sine, _float(shape.scaling), shape.lengths,
        of_joined,
    )  # fmt: skip
    of_heads = of_joined.t() @ kept.normed
    of_bias = of_joined.sum(0) if w.heads_bias is not None else None
    of_gain = _gain_sums(w.gain)
    call(kernels.normalise_back, grad, of_joined @ w.heads, kept.x, kept.scale, w.gain, of_gain, back)
    return [of_gain.float(), of_heads, of_bias, of_output, of_again.float(), of_w_gate_up, of_down]


def _grouped(heads: Tensor, shape: DecoderShape) -> Tensor:
    """(R, H, T, W) -> (R K, H / K, T, W)."""
    return heads.view(-1, shape.query_heads // shape.key_heads, *heads.shape[2:])


def _float(number: float) -> Any:
    import numpy as np

    return np.float32(number)

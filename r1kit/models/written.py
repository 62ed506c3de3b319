"""A Llama-like decoder with its derivative written out, for small models on a CPU.

At the laptop's size most of an update are not matrix products but what lies between them, operation by
operation over whole activations, and the calls from Python. Written out, a layer and its derivative are one
compiled function each (`kernels/layers.py`). Products are computed in the number format given, the residual
stream and everything else in float32; what is rounded is what autocast rounds, or less.

Shapes: R rows of up to T positions, N tokens of all rows, one row after the other without padding, D width,
H query heads, K key-value heads, W head width, F width of the feed-forward layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from r1kit.kernels.arrays import as_array, call
from r1kit.models.blocks import Blocks


class LayerWeights(NamedTuple):
    """What a layer multiplies by, float32."""

    gain: Tensor  # (D,), before attention
    heads: Tensor  # ((H + 2 K) W, D): queries, keys, values
    heads_bias: Tensor  # ((H + 2 K) W,), or (0,) without
    head_gains: Tensor  # (2 W,), of each head of queries, and of keys; or (0,) without
    output: Tensor  # (D, H W)
    feed_forward_gain: Tensor  # (D,)
    gate_up: Tensor  # (2 F, D)
    down: Tensor  # (D, F)


@dataclass(frozen=True, slots=True)
class DecoderShape:
    """What else a decoder needs to know, with the angles that turn its heads."""

    query_heads: int
    epsilon: float  # of its norms
    scaling: float  # of the attention's scores
    cosine: Tensor  # (T, W / 2)
    sine: Tensor
    lengths: Tensor  # (R,) int64, tokens of each row
    shared: Tensor  # (R,) int64, tokens before them that an earlier row has, see `kernels.causal`
    dtype: torch.dtype  # of products, float32 or bfloat16
    product: int  # address, see `kernels.products.multiply`
    learned: bool  # whether a derivative will be asked for
    recomputed: bool  # whether layers are computed again for it, each from what came into it
    blocks: Blocks  # memory for what the derivative reads


class WrittenDecoder(torch.autograd.Function):
    """All layers and the last norm; first derivatives only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: DecoderShape, final_gain: Tensor, *weights: Any) -> Tensor:
        """x (N, D) float32 -> (N, D) in the format of products.

        `weights`: those of each layer, one layer after the other.
        """
        from r1kit.kernels.training import normalise

        assert int(shape.lengths.sum()) == len(x)  # the loops do not check where they write
        layers = [_narrowed(layer, shape.dtype) for layer in _by_layer(weights)]
        rooms, positions = _rooms(x, layers, shape), _positions(shape)
        saved = list[Tensor]()
        for layer, (out, *room) in zip(layers, rooms, strict=True):
            _forward(layer, shape, positions, [x, *room], out)
            saved += [x, *room] if shape.learned else []
            x = out
        normed, scales = torch.empty(x.shape, dtype=shape.dtype), torch.empty(len(x), dtype=torch.float32)
        call(normalise, x, final_gain, shape.epsilon, normed, scales)
        ctx.save_for_backward(final_gain, x, scales, *(t for layer in layers for t in layer), *saved)
        ctx.shape, ctx.layers, ctx.in_room = shape, len(layers), len(layers) - 1
        return normed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
        """(N, D) -> the gradients of x and of the weights."""
        from r1kit.kernels import layers as kernels
        from r1kit.kernels.training import normalise_back

        shape: DecoderShape = ctx.shape
        final_gain, x, scales, *saved = ctx.saved_tensors
        layers = _by_layer(saved[: ctx.layers * len(LayerWeights._fields)])
        kept = saved[ctx.layers * len(LayerWeights._fields) :]
        size = len(kept) // ctx.layers
        grad, of_final_gain = torch.zeros_like(x), torch.zeros(len(final_gain), dtype=torch.float64)
        of_out = of_out.contiguous()
        back = torch.empty_like(of_out)
        call(normalise_back, grad, of_out, x, scales, final_gain, of_final_gain, back)
        numbers, positions = _numbers(shape), _positions(shape)
        rows = as_array(shape.lengths), as_array(shape.shared), positions
        angles = as_array(shape.cosine), as_array(shape.sine)
        of_weights: list[Tensor] = []
        for place in reversed(range(ctx.layers)):
            of_layer = [torch.zeros(t.shape, dtype=_sums_in(t)) for t in layers[place]]
            read = kept[place * size : (place + 1) * size]
            if shape.recomputed and ctx.in_room != place:
                _forward(layers[place], shape, positions, read, torch.empty_like(x))
                ctx.in_room = place
            kernels.layer_back(
                numbers, _arrays(layers[place], kernels.Weights), *rows, *angles,
                _arrays(read, kernels.Kept), as_array(grad), _arrays(of_layer, kernels.Weights),
            )  # fmt: skip
            of_weights = [*(of.float() for of in of_layer), *of_weights]
        return grad, None, of_final_gain.float(), *of_weights


def _forward(
    layer: LayerWeights, shape: DecoderShape, positions: Any, kept: Sequence[Tensor], out: Tensor
) -> None:
    """What comes out of a layer, and what its derivative reads, from what goes in, the first of `kept`."""
    from r1kit.kernels import layers as kernels

    kernels.layer(
        _numbers(shape), _arrays(layer, kernels.Weights), as_array(shape.lengths), as_array(shape.shared),
        positions, as_array(shape.cosine), as_array(shape.sine), _arrays(kept, kernels.Kept), as_array(out),
    )  # fmt: skip


def _by_layer(weights: Sequence[Any]) -> list[LayerWeights]:
    size = len(LayerWeights._fields)
    return [LayerWeights(*weights[begin : begin + size]) for begin in range(0, len(weights), size)]


def _narrowed(layer: LayerWeights, dtype: torch.dtype) -> LayerWeights:
    """With matrices in the format of products, row by row in memory."""
    return LayerWeights(
        *((tensor.to(dtype) if tensor.dim() == 2 else tensor).contiguous() for tensor in layer)
    )


def _sums_in(weight: Tensor) -> torch.dtype:
    """Gains' gradients are summed token by token, matrices' by products."""
    return torch.float32 if weight.dim() == 2 else torch.float64


def _arrays(tensors: Sequence[Tensor], kind: Any) -> Any:
    return kind(*(as_array(tensor) for tensor in tensors))


def _numbers(shape: DecoderShape) -> Any:
    import numpy as np

    from r1kit.kernels.layers import Numbers

    return Numbers(shape.product, shape.query_heads, shape.epsilon, np.float32(shape.scaling))


def _positions(shape: DecoderShape) -> Any:
    """Of each token in its row, after those that it shares."""
    lengths_R = shape.lengths
    before = (lengths_R.cumsum(0) - lengths_R - shape.shared).repeat_interleave(lengths_R)
    return as_array(torch.arange(len(before)) - before)


def _rooms(x: Tensor, layers: Sequence[LayerWeights], shape: DecoderShape) -> list[list[Tensor]]:
    """For each layer memory for what comes out of it, and what its derivative reads, `kernels.layers.Kept`
    without its first. Where no derivative will be asked for, layers take turns; where they are computed again
    for it, they share what is read.
    """
    layer, (tokens, width) = layers[0], x.shape
    out = ((tokens, width), torch.float32)
    kept = [
        *(((tokens, len(layer.heads)), shape.dtype), ((tokens, shape.query_heads), torch.float32)),
        *(((tokens, layer.output.shape[1]), shape.dtype), out, ((tokens, len(layer.gate_up)), shape.dtype)),
    ]
    if not shape.learned:
        even, odd, *room = shape.blocks.take([out, out, *kept])
        return [[odd if place % 2 else even, *room] for place in range(len(layers))]
    if shape.recomputed:
        *outs, heads, logs, mixed, middle, gate_up = shape.blocks.take([out] * len(layers) + kept)
        return [[of, heads, logs, mixed, middle, gate_up] for of in outs]
    taken = shape.blocks.take([out, *kept] * len(layers))
    size = 1 + len(kept)
    return [taken[begin : begin + size] for begin in range(0, len(taken), size)]

"""One layer of a Llama-like decoder with its derivative written out, for small models on a CPU.

At the laptop's size most of an update are not matrix products but what lies between them, operation by
operation over whole activations. Written out, a layer needs few of these: projections of one input are one
product, the gain of a norm is part of the product behind it, and a rotation is two operations, because the
product also gives the halves of queries and keys in the other order. Products are computed in the number
format of the weights given, the residual stream in its own.

Shapes: R rows, T positions, N = R * T, D width, H query heads, K key-value heads, W head width, F width of
the feed-forward layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import silu

from r1kit.models.causal import attend_causally, attend_causally_backward


class LayerWeights(NamedTuple):
    """What a layer multiplies by, in the format of its products; gains of the norms are part of them."""

    heads: Tensor  # (2 H + 3 K) * W rows of D: queries, keys, both with their halves swapped, values
    heads_bias: Tensor | None  # (2 H + 3 K) * W
    output: Tensor  # (D, H * W)
    gate: Tensor  # (F, D)
    up: Tensor  # (F, D)
    down: Tensor  # (D, F)


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What else a layer needs to know."""

    query_heads: int
    key_heads: int
    epsilon: float  # of its norms
    scaling: float  # of the attention's scores


class Rotation(NamedTuple):
    """What rotates heads by their position, each (T, W), in the format of the residual stream."""

    cosine: Tensor
    sine: Tensor  # negative in the first half, for heads with their halves swapped


class WrittenLayer(torch.autograd.Function):
    """A decoder layer; first derivatives only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: LayerShape, rotation: Rotation, *weights: Any) -> Tensor:
        """(R, T, D) -> (R, T, D): x plus what attention finds, plus the feed-forward layer of both."""
        w = LayerWeights(*weights)
        dtype, rows, length = w.heads.dtype, x.shape[0], x.shape[1]
        x_ND = x.reshape(-1, x.shape[2])
        normed, scale = normalised(x_ND, shape.epsilon, dtype)
        heads = _product(normed, w.heads, w.heads_bias)
        query, key, value = _turned(heads.view(rows, length, -1), shape, rotation)
        found, probabilities = attend_causally(query, key, value)
        mixed = found.view(rows, shape.query_heads, length, -1).transpose(1, 2).reshape(len(x_ND), -1)
        middle = (mixed @ w.output.t()).to(x.dtype).add_(x_ND)
        normed_again, scale_again = normalised(middle, shape.epsilon, dtype)
        gate, up = normed_again @ w.gate.t(), normed_again @ w.up.t()
        risen = silu(gate)
        product = risen * up
        out = (product @ w.down.t()).to(x.dtype).add_(middle)
        ctx.save_for_backward(
            normed, scale, query, key, value, mixed, normed_again, scale_again, gate, up, risen,
            product, *rotation, w.heads, w.output, w.gate, w.up, w.down, *probabilities,
        )  # fmt: skip
        ctx.shape, ctx.biased = shape, w.heads_bias is not None
        return out.view(x.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """(R, T, D) -> the gradients of x and of the weights."""
        (
            normed, scale, query, key, value, mixed, normed_again, scale_again, gate, up, risen,
            product, cosine, sine, w_heads, w_output, w_gate, w_up, w_down, *probabilities,
        ) = ctx.saved_tensors  # fmt: skip
        rows, length, _ = grad.shape
        grad_out = grad.reshape(len(normed), -1)

        back = grad_out.to(w_down.dtype)
        of_down = back.t() @ product
        of_product = back @ w_down
        of_up = of_product * risen
        of_gate = torch.ops.aten.silu_backward(of_product.mul_(up), gate)
        of_w_gate, of_w_up = of_gate.t() @ normed_again, of_up.t() @ normed_again
        of_normed = torch.addmm(of_gate @ w_gate, of_up, w_up)
        grad_middle = with_norm_gradient(grad_out, of_normed, normed_again, scale_again)

        back = grad_middle.to(w_down.dtype)
        of_output = back.t() @ mixed
        of_found = (back @ w_output).view(rows, length, ctx.shape.query_heads, -1).transpose(1, 2)
        of_query, of_key, of_value = attend_causally_backward(
            of_found.reshape(*query.shape[:3], -1), query, key, value, probabilities
        )
        of_heads = _turned_back(of_query, of_key, of_value, ctx.shape, Rotation(cosine, sine), rows)
        of_w_heads = of_heads.t() @ normed
        of_bias = of_heads.sum(0) if ctx.biased else None
        grad_x = with_norm_gradient(grad_middle, of_heads @ w_heads, normed, scale)
        return (
            grad_x.view(grad.shape),
            None,
            None,
            of_w_heads,
            of_bias,
            of_output,
            of_w_gate,
            of_w_up,
            of_down,
        )


def normalised(x_ND: Tensor, epsilon: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """x over the root of the mean of its squares, in `dtype`, and the factor that makes it so, (N, 1)."""
    squares_N1 = torch.linalg.vector_norm(x_ND, dim=-1, keepdim=True).square_()
    scale_N1 = squares_N1.div_(x_ND.shape[1]).add_(epsilon).rsqrt_()
    return (x_ND * scale_N1).to(dtype), scale_N1


def with_norm_gradient(grad_ND: Tensor, of_normed: Tensor, normed: Tensor, scale_N1: Tensor) -> Tensor:
    """`grad_ND` and the gradient that reaches x through `normed`.

    For n = x s with s = (mean(x²) + ε)^-1/2: s (g - n mean(g n)).
    """
    # several passes of one operation: the library's fused ones are slower where a column is spread out
    of_normed, normed = of_normed.to(grad_ND.dtype), normed.to(grad_ND.dtype, copy=True)
    along_N1 = (of_normed * normed).sum(-1, keepdim=True).div_(-normed.shape[1])
    return normed.mul_(along_N1).add_(of_normed).mul_(scale_N1).add_(grad_ND)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x @ weight.t() if bias is None else torch.addmm(bias, x, weight.t())


def _turned(heads: Tensor, shape: LayerShape, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
    """(R, T, (2 H + 3 K) W) -> scaled queries (R K, H / K, T, W), keys and values (R K, T, W)."""
    rows, length, _ = heads.shape
    width, (queries, keys) = rotation.cosine.shape[1], (shape.query_heads, shape.key_heads)
    split = heads.view(rows, length, -1, width).transpose(1, 2)
    query, key, swapped_query, swapped_key, value = torch.split(
        split, [queries, keys, queries, keys, keys], 1
    )
    cosine, sine = rotation
    turned = _rotated(query, swapped_query, cosine * shape.scaling, sine * shape.scaling)
    of_key = (rows * keys, length, width)
    turned_key = _rotated(key, swapped_key, cosine, sine).view(of_key)
    return turned.view(rows * keys, queries // keys, length, width), turned_key, value.reshape(of_key)


def _rotated(heads: Tensor, swapped: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Heads (R, H, T, W) by their positions' angles, contiguous; rounded once."""
    turned = torch.empty(heads.shape, dtype=cosine.dtype).copy_(heads).mul_(cosine)
    return turned.add_(torch.empty_like(turned).copy_(swapped).mul_(sine)).to(heads.dtype)


def _turned_back(
    of_query: Tensor, of_key: Tensor, of_value: Tensor, shape: LayerShape, rotation: Rotation, rows: int
) -> Tensor:
    """The gradient of the heads, (N, (2 H + 3 K) W), from those of what `_turned` gives."""
    length, width = rotation.cosine.shape
    queries, keys = shape.query_heads, shape.key_heads
    cosine, sine = rotation
    of_heads = torch.empty(rows, length, 2 * queries + 3 * keys, width, dtype=of_query.dtype)
    parts = torch.split(of_heads.transpose(1, 2), [queries, keys, queries, keys, keys], 1)
    of_query = of_query.view(rows, queries, length, width).to(cosine.dtype)
    of_key = of_key.view(rows, keys, length, width).to(cosine.dtype)
    parts[0].copy_(of_query * (cosine * shape.scaling))
    parts[1].copy_(of_key * cosine)
    parts[2].copy_(of_query * (sine * shape.scaling))
    parts[3].copy_(of_key * sine)
    parts[4].copy_(of_value.view(rows, keys, length, width))
    return of_heads.view(rows * length, -1)

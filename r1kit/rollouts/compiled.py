"""The decoding step of small Llama-like decoders with everything between matrix products compiled.

Products are the library's; between them lie four compiled loops a layer (`kernels/decoding.py`), each of one
pass, and the residual stream stays in float32. `lowered` is the path where Numba or a model's shape does not
allow this, and the module tree of `transformers` the oracle of both in the tests.

Shapes: B rows, R rows that buffers hold, D width, V vocabulary; the rest as in `kernels/decoding.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r1kit.kernels.arrays import as_array
from r1kit.rollouts.blocks import BlockCache
from r1kit.rollouts.lowered import LoweredLayer, Product, lowered_layers

_HEAD_MULTIPLE = 8  # head widths that the kernels take
_FIXED_ROTATIONS = ("default", "linear", "llama3", "yarn")  # the angle of a position never changes
_DTYPES = (torch.float32, torch.bfloat16)
_POSITIONS = 256  # by which the table of angles grows


@dataclass(frozen=True, slots=True)
class _Layer:
    attention_norm: NDArray[np.float32]
    qkv: Product
    head_norms: NDArray[np.float32]  # (2, W), or (2, 0) without
    head_epsilon: float
    output: Product
    feed_forward_norm: NDArray[np.float32]
    gate_up: Product
    down: Product


@dataclass(frozen=True, slots=True)
class _Buffer:
    """A tensor and the same memory as an array."""

    tensor: Tensor
    array: NDArray[Any]


class CompiledWeights:
    """The weights of now of a model that `takes_compiled` accepts, in the form in which steps read them."""

    def __init__(self, model: Any, layers: list[LoweredLayer]) -> None:
        decoder, config = model.model, model.config
        self.dtype: torch.dtype = model.dtype
        self.layers = [_layer(layer) for layer in layers]
        self.table = as_array(decoder.embed_tokens.weight)
        self.norm, self.epsilon = _gain(decoder.norm.weight), float(decoder.norm.variance_epsilon)
        self.head = model.lm_head.weight.detach().t().contiguous()
        self.key_heads: int = config.num_key_value_heads
        self.query_heads: int = config.num_attention_heads
        self.width = self.layers[0].qkv.weight.shape[1] // (self.query_heads + 2 * self.key_heads)
        self.feed_forward = self.layers[0].down.weight.shape[0]
        self.scaling = np.float32(layers[0].scaling)
        self._rotary = decoder.rotary_emb
        self._angles = np.zeros((2, 0, self.width // 2), np.float32)

    def angles(self, positions: int) -> NDArray[np.float32]:
        """Cosines and sines of at least `positions` positions, (2, T, W / 2)."""
        if self._angles.shape[1] < positions:
            places = torch.arange(-(-positions // _POSITIONS) * _POSITIONS)[None]
            parts = self._rotary(torch.zeros(1, dtype=torch.float32), places)
            self._angles = np.stack([part[0, :, : self.width // 2].float().numpy() for part in parts])
        return self._angles


def compiled_weights(model: Any) -> CompiledWeights | None:
    """What the compiled step of `model` needs, or None where it does not exist: then see `lowered_forward`."""
    layers = lowered_layers(model)
    if layers is None or model.dtype not in _DTYPES:
        return None
    decoder = model.model
    heads = model.config.num_attention_heads + 2 * model.config.num_key_value_heads
    width = layers[0].qkv.weight.shape[1] // heads
    fixed = decoder.rotary_emb.rope_type in _FIXED_ROTATIONS
    epsilons = {norm.epsilon for layer in layers for norm in (layer.attention_norm, layer.feed_forward_norm)}
    alike = epsilons == {float(decoder.norm.variance_epsilon)} and len({layer.scaling for layer in layers}) == 1
    if not fixed or not alike or width % _HEAD_MULTIPLE:
        return None
    return CompiledWeights(model, layers)


def _layer(layer: LoweredLayer) -> _Layer:
    norms = layer.head_norms
    gains = np.zeros((2, 0), np.float32) if norms is None else np.stack([_gain(n.weight) for n in norms])
    return _Layer(
        attention_norm=_gain(layer.attention_norm.weight),
        qkv=_contiguous(layer.qkv),
        head_norms=gains,
        head_epsilon=0.0 if norms is None else norms[0].epsilon,
        output=_contiguous(layer.output),
        feed_forward_norm=_gain(layer.feed_forward_norm.weight),
        gate_up=_contiguous(layer.gate_up),
        down=_contiguous(layer.down),
    )


def _gain(weight: Tensor) -> NDArray[np.float32]:
    return weight.detach().float().numpy()


def _contiguous(product: Product) -> Product:
    return Product(product.weight.contiguous(), product.bias)


class CompiledStep:
    """A `Forward` with buffers of its own; several may share weights, one for each thread.

    Not bound to the mask that it is given: a row sees its own positions, whatever the widest row has.
    """

    def __init__(self, weights: CompiledWeights) -> None:
        from r1kit.kernels import decoding, drawing  # Numba takes a third of a second to import

        self._kernels, self._weights, self._draw_kernel = decoding, weights, drawing.draw
        self._attend = decoding.attention(weights.width)
        self._rows = -1
        self._capacity = 0

    def cache(self, layers: int, slots: int, device: torch.device) -> BlockCache:
        """The cache whose layout this step reads."""
        weights = self._weights
        return BlockCache(layers, slots, weights.key_heads, weights.width, weights.dtype)

    def draw(
        self, logits_BV: Tensor, seeds_B: Tensor, counts_B: Tensor, temperature: float, *out: Tensor
    ) -> None:
        """See `forward.Draw`."""
        given = (as_array(part) for part in (logits_BV, seeds_B, counts_B))
        self._draw_kernel(*given, np.float32(temperature), *(as_array(part) for part in out))

    def __call__(self, tokens_B: Tensor, positions_B: Tensor, mask: Tensor | None, cache: BlockCache) -> Tensor:
        """Logits of one new token per row, (B, V), valid until the next call."""
        self._prepare(len(tokens_B))
        kernels, weights = self._kernels, self._weights
        positions = positions_B.numpy()
        cosine, sine = weights.angles(cache.capacity)
        x, narrow, epsilon = self._x.array, self._narrow, weights.epsilon
        kernels.take_rows(weights.table, tokens_B.numpy(), x)
        kernels.normalise(x, weights.layers[0].attention_norm, epsilon, narrow.array)
        last = len(weights.layers) - 1
        for place, layer in enumerate(weights.layers):
            layer.qkv.into(narrow.tensor, self._joined.tensor)
            stored = cache.layers[place]
            self._attend(
                self._joined.array, cosine, sine, layer.head_norms, layer.head_epsilon, weights.scaling,
                positions, cache.slots, stored.keys, stored.values, self._mixed.array,
            )  # fmt: skip
            layer.output.into(self._mixed.tensor, self._delta.tensor)
            kernels.add_and_normalise(x, self._delta.array, layer.feed_forward_norm, epsilon, narrow.array)
            layer.gate_up.into(narrow.tensor, self._gate_up.tensor)
            kernels.gate(self._gate_up.array, self._active.array)
            layer.down.into(self._active.tensor, self._delta.tensor)
            after = weights.norm if place == last else weights.layers[place + 1].attention_norm
            kernels.add_and_normalise(x, self._delta.array, after, epsilon, narrow.array)
        return torch.mm(narrow.tensor, weights.head, out=self._logits)

    def _prepare(self, rows: int) -> None:
        """Let the buffers have `rows` rows."""
        if rows == self._rows:
            return
        weights = self._weights
        width = weights.head.shape[0]
        query_width, key_width = weights.query_heads * weights.width, weights.key_heads * weights.width
        sizes = (width, query_width + 2 * key_width, query_width, width, 2 * weights.feed_forward)
        sizes += (weights.feed_forward, weights.head.shape[1])
        if rows > self._capacity:
            self._capacity = rows
            self._all_x = torch.empty(rows, width)
            self._all = [torch.empty(rows, size, dtype=weights.dtype) for size in sizes]
        cut = [_Buffer(whole[:rows], as_array(whole[:rows])) for whole in (self._all_x, *self._all)]
        self._x, self._narrow, self._joined, self._mixed, self._delta, self._gate_up, self._active = cut[:-1]
        self._logits = cut[-1].tensor
        self._rows = rows

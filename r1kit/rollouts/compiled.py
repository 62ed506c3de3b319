"""The decoding step of small Llama-like decoders as one compiled function, for a CPU with PyTorch's MKL.

What lies between matrix products are loops of one pass each, products are called from them, and the residual
stream stays in float32 (`kernels/decoding.py`). `lowered` is the path where this one does not exist, and the
module tree of `transformers` the oracle of both in the tests.

Shapes: B rows, L layers, D width, V vocabulary; the rest as in `kernels/decoding.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r1kit.kernels.arrays import as_array
from r1kit.models.llama_like import FIXED_ROTATIONS
from r1kit.rollouts.blocks import BlockCache
from r1kit.rollouts.layers import Product, WrittenLayer
from r1kit.rollouts.lowered import lowered_layers
from r1kit.rollouts.protocol import SamplingParams

_HEAD_MULTIPLE = 8  # head widths that the kernels take
_DTYPES = (torch.float32, torch.bfloat16)
_POSITIONS = 256  # by which the table of angles grows


class CompiledWeights:
    """The weights of now of a model, in the form in which steps read them: see `compiled_weights`."""

    def __init__(self, model: Any, layers: Sequence[WrittenLayer], product: int) -> None:
        from r1kit.kernels import decoding  # Numba takes a third of a second to import

        decoder, config = model.model, model.config
        self.dtype: torch.dtype = model.dtype
        self.layers = len(layers)
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        self.key_heads: int = config.num_key_value_heads
        self.query_heads: int = config.num_attention_heads
        self.width = _head_width(model, layers)
        norms = [n.weight for layer in layers for n in (layer.attention_norm, layer.feed_forward_norm)]
        head_norms = [layer.head_norms for layer in layers]
        gains = [torch.stack([n.weight for n in pair]) if pair else torch.zeros(2, 0) for pair in head_norms]
        arrays = decoding.Weights(
            as_array(decoder.embed_tokens.weight),
            _gains([*norms, decoder.norm.weight]),
            *_stacked([layer.qkv for layer in layers]),
            _gains(gains),
            *_stacked([layer.output for layer in layers]),
            *_stacked([layer.gate_up for layer in layers]),
            *_stacked([layer.down for layer in layers]),
            as_array(model.lm_head.weight.detach().t().contiguous()),
        )
        head_epsilon = head_norms[0][0].epsilon if head_norms[0] else 0.0
        scaling, epsilon = np.float32(layers[0].scaling), float(decoder.norm.variance_epsilon)
        self.arrays, self.numbers = arrays, decoding.Numbers(product, epsilon, head_epsilon, scaling)
        self._rotary = decoder.rotary_emb
        self._angles = np.zeros((2, 0, self.width // 2), np.float32)

    def angles(self, positions: int) -> NDArray[np.float32]:
        """Cosines and sines of at least `positions` positions, (2, T, W / 2)."""
        angles = self._angles  # other threads may set another table meanwhile
        if angles.shape[1] < positions:
            places = torch.arange(-(-positions // _POSITIONS) * _POSITIONS)[None]
            parts = self._rotary(torch.zeros(1, dtype=torch.float32), places)
            angles = np.stack([part[0, :, : self.width // 2].float().numpy() for part in parts])
            self._angles = angles
        return angles


def compiled_weights(model: Any) -> CompiledWeights | None:
    """What the compiled step of `model` needs; None where it does not exist, then see `lowered_forward`."""
    from r1kit.kernels.products import product_address

    layers = lowered_layers(model)
    if layers is None or model.dtype not in _DTYPES:
        return None
    product = product_address(model.dtype)
    fixed = model.model.rotary_emb.rope_type in FIXED_ROTATIONS
    if (
        product is None
        or not fixed
        or not _alike(model, layers)
        or _head_width(model, layers) % _HEAD_MULTIPLE
    ):
        return None
    return CompiledWeights(model, layers, product)


def _alike(model: Any, layers: Sequence[WrittenLayer]) -> bool:
    """Whether all layers have the same constants, and the head draws tokens that the table knows."""
    epsilons = {norm.epsilon for layer in layers for norm in (layer.attention_norm, layer.feed_forward_norm)}
    scalings = {layer.scaling for layer in layers}
    of_heads = {norm.epsilon for layer in layers for norm in layer.head_norms or ()}
    known = model.lm_head.weight.shape == model.model.embed_tokens.weight.shape
    one = known and len(scalings) == 1 and len(of_heads) <= 1
    return one and epsilons == {model.model.norm.variance_epsilon}


def _head_width(model: Any, layers: Sequence[WrittenLayer]) -> int:
    heads = model.config.num_attention_heads + 2 * model.config.num_key_value_heads
    width: int = layers[0].qkv.weight.shape[1] // heads
    return width


def _gains(weights: Sequence[Tensor]) -> NDArray[np.float32]:
    return torch.stack([weight.detach().float() for weight in weights]).numpy()


def _stacked(products: Sequence[Product]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Matrices (L, in, out) and biases (L, out), or (L, 0) without."""
    biases = [torch.zeros(0) if product.bias is None else product.bias for product in products]
    return as_array(torch.stack([product.weight for product in products])), _gains(biases)


class CompiledStep:
    """Steps of up to `slots` rows, with buffers of its own; several may share weights, each in a thread."""

    def __init__(self, weights: CompiledWeights, slots: int) -> None:
        from r1kit.kernels import decoding

        self._weights = weights
        self._decode = decoding.decode
        self._lanes = (0,) * weights.width
        of, wide = weights.arrays, torch.float32
        query_width, feed_forward = of.output.shape[1], of.down.shape[1]
        sizes = (
            *((of.table.shape[1], wide), (of.table.shape[1], weights.dtype), (of.qkv.shape[2], wide)),
            *((query_width, weights.dtype), (2 * feed_forward, wide), (feed_forward, weights.dtype)),
            (of.head.shape[1], wide),
        )
        memory = [torch.empty(slots, size, dtype=kind) for size, kind in sizes]
        self._buffers = decoding.Buffers(*map(as_array, memory))
        numbers = np.zeros((5, slots), np.int64)
        self.rows = decoding.Rows(*(*numbers, np.zeros(slots, np.uint8)))
        self.cache = BlockCache(weights.layers, slots, weights.key_heads, weights.width, weights.dtype)

    def decode(
        self,
        slots: NDArray[np.int64],
        params: SamplingParams,
        codes_V: NDArray[np.uint8],
        steps: int,
        fewest: int,
        drawn_BT: NDArray[np.int64],
        logprobs_BT2: NDArray[np.float32],
    ) -> int:
        """See `decoding.decode`."""
        weights = self._weights
        cosine, sine = weights.angles(int(self.rows.lengths[slots].max()) + steps)
        how = float(params.temperature), min(params.top_k, len(codes_V)), float(params.top_p)
        live: int = self._decode(
            weights.arrays, weights.numbers, self._buffers, self._lanes, self.rows, self.cache.past(slots),
            cosine, sine, how, codes_V, steps, fewest, drawn_BT, logprobs_BT2,
        )  # fmt: skip
        return live

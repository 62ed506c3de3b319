"""The decoding step of small Llama-like decoders on a CPU, written out on a cache of slots.

At the laptop's size most of a step's time is not arithmetic, it is the number of operations. The module tree
of `transformers` is the path of all other models, and the oracle of this one's tests.

Shapes: B rows, T positions, V vocabulary.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from r1kit.models.llama_like import is_small_llama_like
from r1kit.rollouts.attention import attend
from r1kit.rollouts.cache import SlotCache
from r1kit.rollouts.forward import Forward
from r1kit.rollouts.layers import WrittenLayer, rotations, written_layers, written_step


def lowered_forward(model: Any) -> Forward | None:
    """The step of `model` with its weights of now, or None where the module tree has to compute it.

    That is any model but a small Llama, Qwen2 or Qwen3 on a CPU, see `is_small_llama_like`.
    """
    layers = lowered_layers(model)
    if layers is None:
        return None

    def forward(tokens_B: Tensor, positions_B: Tensor, mask: Tensor | None, cache: SlotCache) -> Tensor:
        def attention(place: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            stored_keys, stored_values = cache.update(keys[:, :, None], values[:, :, None], place)
            return attend(queries[:, :, None], stored_keys, stored_values, mask, layers[place].scaling)

        return written_step(model, layers, tokens_B, rotations(model, positions_B), attention)

    return forward


def lowered_layers(model: Any) -> list[WrittenLayer] | None:
    """The weights of now of each layer, or None, as for `lowered_forward`."""
    return written_layers(model) if is_small_llama_like(model) else None

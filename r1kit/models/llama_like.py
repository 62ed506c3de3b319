"""Which models are decoders of the Llama family, made of the library's own modules and no others.

What such a model computes may be written out as few, large operations: at the laptop's size, and in a
decoding step on a GPU, most time is not arithmetic, it is what lies between the products.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import (
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
)
from transformers.activations import SiLUActivation

_FAMILIES = (LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)
_CLASSIFIERS = (
    LlamaForSequenceClassification,
    Qwen2ForSequenceClassification,
    Qwen3ForSequenceClassification,
)
_PARTS = (nn.Linear, nn.Embedding, nn.ModuleList, SiLUActivation)  # besides the family's own modules
FIXED_ROTATIONS = frozenset({"default", "linear", "llama3", "yarn"})  # a position's angle never changes
MOST_PARAMETERS = 30_000_000  # joined weights are copies, and in larger models arithmetic rules anyway


def is_llama_like(model: Any) -> bool:
    """Whether this is a Llama, Qwen2 or Qwen3 of any size on any device, with full attention, and nothing of
    it hooked, replaced or wrapped.
    """
    return type(model) in _FAMILIES and model.lm_head.bias is None and _is_plain_decoder(model)


def is_small_llama_like(model: Any) -> bool:
    """Whether this is such a model, small and on a CPU."""
    return is_llama_like(model) and _is_small(model)


def has_small_decoder(model: Any) -> bool:
    """Whether this is such a model, or a sequence classifier with such a model's decoder."""
    return type(model) in (*_FAMILIES, *_CLASSIFIERS) and _is_small(model) and _is_plain_decoder(model)


def _is_small(model: Any) -> bool:
    parameters = sum(p.numel() for p in model.parameters())
    return bool(model.device.type == "cpu" and parameters <= MOST_PARAMETERS)


def _is_plain_decoder(model: Any) -> bool:
    """Whether full attention in the library's own modules is all that a model of these families has."""
    config, parameters = model.config, list(model.parameters())
    full = all(kind == "full_attention" for kind in getattr(config, "layer_types", None) or ())
    plain = all(_plain(module, type(model).__module__) for module in model.modules())
    dense = all(type(p) is nn.Parameter for p in parameters)
    alike = len({(parameter.dtype, parameter.device) for parameter in parameters}) == 1
    return full and plain and dense and alike and len(model.model.layers) == config.num_hidden_layers


def _plain(module: Any, family: str) -> bool:
    """Whether a module of a model of this family computes what it did when the library made it."""
    known = type(module) in _PARTS or type(module).__module__ == family
    return known and not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))

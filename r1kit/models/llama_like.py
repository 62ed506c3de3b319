"""Which models are small decoders of the Llama family, made of the library's own modules and no others.

What such a model computes may be written out as few, large operations: at the laptop's size most time is not
arithmetic, it is what lies between the products.
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


def is_small_llama_like(model: Any) -> bool:
    """Whether this is a small Llama, Qwen2 or Qwen3 on a CPU, with full attention, and nothing of it hooked,
    replaced or wrapped.
    """
    return type(model) in _FAMILIES and model.lm_head.bias is None and has_small_decoder(model)


def has_small_decoder(model: Any) -> bool:
    """Whether this is such a model, or a sequence classifier with such a model's decoder."""
    if type(model) not in (*_FAMILIES, *_CLASSIFIERS) or model.device.type != "cpu":
        return False
    config, parameters = model.config, list(model.parameters())
    full = all(kind == "full_attention" for kind in getattr(config, "layer_types", None) or ())
    small = sum(p.numel() for p in parameters) <= MOST_PARAMETERS
    plain = all(_plain(module, type(model).__module__) for module in model.modules())
    dense = all(type(p) is nn.Parameter for p in parameters)
    alike = len({parameter.dtype for parameter in parameters}) == 1
    return (
        full and small and plain and dense and alike and len(model.model.layers) == config.num_hidden_layers
    )


def _plain(module: Any, family: str) -> bool:
    """Whether a module of a model of this family computes what it did when the library made it."""
    known = type(module) in _PARTS or type(module).__module__ == family
    return known and not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))

"""A scalar head over a causal model's last hidden states: what the model expects at each position.

Shapes: N positions, D width.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from r1kit.models.logprobs import States, head_of


def value_head(model: nn.Module) -> nn.Linear:
    """A new float32 head (1, D) for `model`, on its device. All zero, so that its first values are 0.

    Raises ModelError where `model` has no linear head of its own, whose input is the last hidden states.
    """
    weight_VD = head_of(model).weight_VD
    dtype = torch.promote_types(weight_VD.dtype, torch.float32)
    head = nn.Linear(weight_VD.shape[1], 1, device=weight_VD.device, dtype=dtype)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def value_model(model: nn.Module) -> nn.Module:
    """A copy of `model` whose output head is a `value_head`; costs the memory of one more set of weights."""
    head, body = value_head(model), copy.deepcopy(model)
    target: Any = body
    target.set_output_embeddings(head)
    target.config.tie_word_embeddings = False  # else the library may tie the embedding to the new head
    return body


def values_of(states: States) -> Tensor:
    """The N values under a scalar head, in its precision also where the hidden states are bfloat16."""
    weight_1D = states.head.weight_VD
    return nn.functional.linear(states.hidden_ND.to(weight_1D.dtype), weight_1D, states.head.bias_V).squeeze(
        1
    )

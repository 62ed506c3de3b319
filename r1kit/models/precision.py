"""Which number format a model computes in."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "float32", "bfloat16"]


def resolve(precision: Precision, device: torch.device | str) -> torch.dtype:
    """The torch dtype of a precision setting.

    "auto" is bfloat16 where the hardware multiplies it faster than float32: CUDA with bfloat16, and CPUs with
    AMX, where products of matrices are 5 to 8 times faster. It is float32 elsewhere, on CPUs with AVX512-BF16
    alone too: there MKL and oneDNN multiply bfloat16 at about half the speed of float32 (LOG.md).
    """
    if precision == "float32":
        return torch.float32
    if precision == "bfloat16":
        return torch.bfloat16
    return torch.bfloat16 if _fast_bfloat16(torch.device(device)) else torch.float32


def convert_parameters(model: nn.Module, dtype: torch.dtype) -> None:
    """Change the number format of the floating-point parameters, in place.

    Unlike `model.to(dtype)` it leaves buffers alone, as loading a checkpoint does: rotary frequencies rounded
    to 16 bits would give wrong angles at later positions.
    """
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return False

"""Tensors as the arrays that compiled loops read and write."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def as_array(tensor: Tensor) -> NDArray[Any]:
    """The memory of a tensor on the CPU as an array; bfloat16 as uint16."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def loops_are_faster(tensor: Tensor) -> bool:
    """Whether compiled loops, which use one thread, take the place of several operations on such tensors.

    Where an operation would have several threads to itself, it may keep them.
    """
    known = tensor.dtype in (torch.float32, torch.bfloat16)
    return known and tensor.device.type == "cpu" and torch.get_num_threads() == 1


def call(kernel: Any, *arguments: Any) -> None:
    """Call a compiled function with tensors as arrays, and all else as it is."""
    kernel(*(as_array(argument) if isinstance(argument, Tensor) else argument for argument in arguments))

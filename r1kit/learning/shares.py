"""A batch's micro-batches shared out among threads, for small models on a CPU.

Each thread sums the gradients of its own share; the shares' sums are added in their order. Which thread
computes what follows from the sequences alone, so that an update repeats bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from threading import Event
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from r1kit.learning.sums import Sums
from r1kit.models.threads import in_threads

Part = TypeVar("Part")
Measure = Callable[[Part, Sums], Tensor]
"""(a micro-batch, where its statistics are added) -> its share of the loss"""


def deal(lengths: Sequence[int], rows: Sequence[int], threads: int) -> list[list[int]]:
    """These rows of a batch in at most `threads` shares of about the same lengths, longest first.

    Every other round goes backwards, so that no share gets the longer ones of all rounds.
    """
    order = sorted(rows, key=lambda row: -lengths[row])
    shares = list[list[int]]([[] for _ in range(min(threads, len(order)))])
    for begin in range(0, len(order), threads):
        there = order[begin : begin + threads]
        for share, row in zip(shares if begin // threads % 2 == 0 else shares[::-1], there, strict=False):
            share.append(row)
    return shares


def backward(
    model: nn.Module,
    live: Sequence[Sequence[Part]],
    idle: Sequence[Sequence[Part]],
    measure: Measure[Part],
) -> Sums:
    """Leave the gradients of the losses of all shares of `live` parts in the parameters.

    Returns the statistics of these and of the `idle` parts, which have no gradient.
    """
    total = Sums()
    measured = in_threads([partial(_measured, share, measure) for share in idle])
    if len(live) == 1:  # what the loss has weights of its own learns too
        for part in live[0]:
            measure(part, total).backward()  # type: ignore[no-untyped-call]
        live = []
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    found = in_threads([partial(_gradients, share, parameters, measure) for share in live])
    for sums in (*(sums for sums, _ in found), *measured):
        total.merge(sums)
    for parameter, *gradients in zip(parameters, *(gradients for _, gradients in found), strict=True):
        given = [gradient for gradient in gradients if gradient is not None]
        if given:
            parameter.grad = sum(given[1:], start=given[0])
    return total


def until(stop: Event, parts: Sequence[Part]) -> Iterator[Part]:
    """The parts up to where their share is stopped."""
    return takewhile(lambda _: not stop.is_set(), parts)


def _measured(parts: Sequence[Part], measure: Measure[Part], stop: Event) -> Sums:
    sums = Sums()
    with torch.no_grad():
        for part in until(stop, parts):
            measure(part, sums)
    return sums


def _gradients(
    parts: Sequence[Part], parameters: Sequence[Tensor], measure: Measure[Part], stop: Event
) -> tuple[Sums, list[Tensor | None]]:
    sums, total = Sums(), list[Any]([None] * len(parameters))
    with torch.enable_grad():
        for part in until(stop, parts):
            found = torch.autograd.grad(measure(part, sums), parameters, allow_unused=True)
            total = [
                more if so_far is None else so_far if more is None else so_far + more
                for so_far, more in zip(total, found, strict=True)
            ]
    return sums, total

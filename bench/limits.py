"""What the machine's matrix products alone would allow, measured at the shapes that are used.

Sampling: R rows take one token each; a step multiplies them with each layer's queries, keys and values
(joined), output, gate and up (joined), down, and with the head. The limit is R over the sum of the products'
measured times, at the best R. Training: forward, and backward for inputs and for weights, three products of
the same size; the limit is N tokens over the sum of their times. Attention, norms, drawing and the optimizer
are free in both, so nothing reaches a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import torch

from bench.work import Work

ROWS = (32, 64, 128, 256, 512)
TRAINED = 8192  # tokens of one product in training
_SECONDS = 0.2  # of measuring each product
Product = tuple[int, int, int]  # (inputs, outputs, how many in the model)


def products(work: Work) -> list[Product]:
    """The matrix products of one token."""
    width, between = work.width, work.feed_forward
    layer = [(width, 3 * width), (width, width), (width, 2 * between), (between, width)]
    return [*((i, o, work.layers) for i, o in layer), (width, work.vocabulary, 1)]


def operations(work: Work) -> int:
    """Floating-point operations of one token's products: 2 per weight."""
    return sum(2 * inputs * outputs * count for inputs, outputs, count in products(work))


def sampling_limit(work: Work, dtype: torch.dtype) -> dict[str, float]:
    """`{"tokens_per_second": …, "rows": …, "gflops": …}` at the best number of rows."""
    found = {}
    for rows in ROWS:
        seconds = sum(
            count * _product_seconds((rows, inputs), (inputs, outputs), dtype, torch.device("cpu"))
            for inputs, outputs, count in products(work)
        )
        found[rows] = rows / seconds
    best = max(found, key=lambda rows: found[rows])
    return _told(found[best], best, operations(work))


def training_limit(work: Work, dtype: torch.dtype) -> dict[str, float]:
    """The same of training; `gflops` is the matrix rate at the shapes used."""
    seconds = training_seconds(products(work), TRAINED, dtype, torch.device("cpu"))
    return _told(TRAINED / seconds, TRAINED, 3 * operations(work))


def training_seconds(
    wanted: Sequence[Product], tokens: int, dtype: torch.dtype, device: torch.device
) -> float:
    """The time of all products of so many tokens, forward, and backward for inputs and for weights."""
    seconds = 0.0
    for inputs, outputs, count in wanted:
        forward = _product_seconds((tokens, inputs), (inputs, outputs), dtype, device)
        for_inputs = _product_seconds((tokens, outputs), (outputs, inputs), dtype, device)
        for_weights = _product_seconds((inputs, tokens), (tokens, outputs), dtype, device)
        seconds += count * (forward + for_inputs + for_weights)
    return seconds


def _told(speed: float, rows: int, of_token: int) -> dict[str, float]:
    return {"tokens_per_second": speed, "rows": rows, "gflops": speed * of_token / 1e9}


def _product_seconds(
    left: Sequence[int], right: Sequence[int], dtype: torch.dtype, device: torch.device
) -> float:
    """The least time of a product, over as many as fit into a fifth of a second."""
    a, b = (torch.randn(*size, device=device).to(dtype) for size in (left, right))
    out = torch.mm(a, b)
    least, until = float("inf"), perf_counter() + _SECONDS
    while perf_counter() < until:
        wait(device)
        began = perf_counter()
        for _ in range(4):
            torch.mm(a, b, out=out)
        wait(device)
        least = min(least, (perf_counter() - began) / 4)
    return least


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()

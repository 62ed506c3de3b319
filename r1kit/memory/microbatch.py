"""The micro-batch of a training that takes the most memory, among all that its settings allow.

The learner fills a micro-batch up to `tokens_per_microbatch`, padding included, or takes one longer sequence
alone; on a CPU its rows are a power of two and their width a multiple of 16 (`learning/microbatches.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from r1kit.learning.microbatches import ANY, FEW, PART_COST
from r1kit.memory import activations
from r1kit.memory.activations import Arithmetic
from r1kit.memory.shapes import ModelShape


@dataclass(frozen=True, slots=True)
class Training:
    """What bounds a micro-batch: the settings of a batch, and what can be in it."""

    longest: int  # tokens of the longest sequence
    sequences: int  # most of them in one update; of shorter ones as many more as `tokens` allows
    budget: int  # tokens_per_microbatch
    tokens: int | None = None  # real tokens of one update, where whole sequences are added up to a number
    learned: int | None = None  # most tokens of a sequence that carry loss; None: all
    chunk: int = 1024  # logprob_chunk; 0: there are no log-probabilities
    checkpointing: bool = False
    packing: bool = False
    written: bool = False  # whether the learner writes layers out where it can


@dataclass(frozen=True, slots=True)
class Micro:
    """`Micro(32, 512, 16384, 15360)`: rows of so many tokens each, and how many of all carry loss."""

    rows: int
    length: int
    tokens: int
    learned: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes of one micro-batch beyond weights, gradients and moments."""

    activations: int
    logits: int

    @property
    def total(self) -> int:
        """Both."""
        return self.activations + self.logits


def cost(shape: ModelShape, micro: Micro, training: Training, arithmetic: Arithmetic) -> Cost:
    """The larger of two moments: the head at work over all that the forward pass keeps, and the gradients of
    a layer on their way back, which with gradient checkpointing is being recomputed then.
    """
    written = training.written
    ended, passing = activations.kept(
        shape, micro.tokens, micro.length, arithmetic, checkpointing=training.checkpointing, written=written
    )
    holes = activations.holes(shape, micro.tokens, micro.length, arithmetic, written=written)
    back = Cost(passing + activations.passing_back(shape, micro.tokens, arithmetic) + holes, 0)
    if not training.chunk:
        return back
    head = max(
        activations.head_forward(shape, micro.learned, training.chunk, arithmetic),
        activations.head_backward(shape, micro.learned, training.chunk, arithmetic),
    )
    return max(back, Cost(ended + holes, head), key=lambda found: found.total)


def largest(shape: ModelShape, training: Training, arithmetic: Arithmetic) -> tuple[Micro, Cost]:
    """The micro-batch that costs most, and its cost."""
    found = (
        (micro, cost(shape, micro, training, arithmetic)) for micro in _possible(shape, training, arithmetic)
    )
    return max(found, key=lambda pair: pair[1].total)


def _possible(shape: ModelShape, training: Training, arithmetic: Arithmetic) -> Iterator[Micro]:
    few = arithmetic.device == "cpu" and not training.packing and shape.context % FEW.width == 0
    grid = FEW if few else ANY
    widths = {*range(FEW.width, training.longest + 1, FEW.width), training.longest}
    for length in sorted(grid.wide(width) for width in widths):
        fitting = max(1, training.budget // length)
        present = min(fitting, _present(training, length))
        rows = _power_of_two(present, fitting, length) if few else present
        learned = min(length - 1, training.learned or length)
        yield Micro(rows, length, rows * length, min(rows, present) * max(1, learned))


def _present(training: Training, length: int) -> int:
    """Sequences of this length in one update."""
    return training.sequences if training.tokens is None else max(1, -(-training.tokens // length))


def _power_of_two(rows: int, most: int, length: int) -> int:
    """Rows that are computed for `rows` sequences of a length, in the largest of their parts.

    They are filled up to a power of two, unless that is above `most`, or parts of 8, 4, 2 … rows cost less.
    """
    up = FEW.high(rows)
    parts = rows.bit_count()
    filled_up = up <= most and length * (up - rows) <= PART_COST * (parts - 1)
    return up if filled_up else 1 << (rows.bit_length() - 1)

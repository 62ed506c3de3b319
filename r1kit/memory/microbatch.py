"""The micro-batch of a training that takes the most memory, among all that its settings allow.

The learner fills a micro-batch up to `tokens_per_microbatch`, padding included, or takes one longer sequence
alone; on a CPU its rows are a power of two and their width a multiple of 16 (`learning/microbatches.py`),
and each thread has one of a small model, with its part of the budget (`learning/shares.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from r1kit.learning.microbatches import ANY, FEW, PART_COST, WRITTEN_PART_COST
from r1kit.memory import activations, written
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
    few_parts: bool = False  # whether it cuts micro-batches for that: of a reward model it does not
    shared: bool = True  # whether the learner shares it out among threads where it can


@dataclass(frozen=True, slots=True)
class Micro:
    """`Micro(16, 512, 14, 6720, 2)`: two at a time of 16 rows of 512 tokens, of which 14 are sequences."""

    rows: int
    length: int
    sequences: int  # the other rows are empty
    learned: int  # tokens that carry loss
    shares: int = 1  # micro-batches at the same time, each in a thread

    @property
    def tokens(self) -> int:
        """Of all rows, with their padding."""
        return self.rows * self.length


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes of the micro-batches of one moment beyond weights, gradients and moments."""

    activations: int
    logits: int
    held: int  # of them those of blocks that the learner has from its first update to its last

    @property
    def total(self) -> int:
        """Both."""
        return self.activations + self.logits


def cost(shape: ModelShape, micro: Micro, training: Training, arithmetic: Arithmetic) -> Cost:
    """The larger of two moments, which all threads may reach together: the head at work over all that the
    forward pass keeps, and the gradients of a layer on their way back, which with gradient checkpointing is
    being recomputed then.
    """
    if training.written and written.is_written(shape, arithmetic):
        ended, back, held = _written(shape, micro, training, arithmetic)
    else:
        held = 0
        ended, back = _by_modules(shape, micro, training, arithmetic)
    loops = arithmetic.device == "cpu" and (micro.shares > 1 or arithmetic.threads == 1)
    head = 0
    if training.chunk:
        head = max(
            function(shape, micro.learned, training.chunk, arithmetic, loops)
            for function in (activations.head_forward, activations.head_backward)
        )
    count = micro.shares
    costs = (Cost(count * back, 0, count * held), Cost(count * ended, count * head, count * held))
    return max(costs, key=lambda found: found.total)


def _by_modules(
    shape: ModelShape, micro: Micro, training: Training, arithmetic: Arithmetic
) -> tuple[int, int]:
    """Bytes when the forward pass is done, and on the way back."""
    sizes = [micro.tokens * size for size in activations.kept_by_layer(shape, micro.length, arithmetic)]
    ended, passing = activations.kept(
        shape, micro.tokens, micro.length, arithmetic, checkpointing=training.checkpointing
    )
    holes = activations.holes(sizes, arithmetic, written=False)
    return ended + holes, passing + holes + activations.passing_back(shape, micro.tokens, arithmetic)


def _written(
    shape: ModelShape, micro: Micro, training: Training, arithmetic: Arithmetic
) -> tuple[int, int, int]:
    """The same of layers written out, which are kept until the gradients of all have come out; and what of it
    lies in the learner's block.
    """
    tokens = micro.sequences * (micro.length - 1)  # the last of a sequence predicts nothing
    again = training.checkpointing
    ended, passing = written.kept(shape, tokens, arithmetic, checkpointing=again)
    back = written.passing_back(shape, tokens, micro.length, arithmetic) + written.weight_gradients(shape)
    holes = activations.holes(written.kept_by_layer(shape, tokens, arithmetic), arithmetic, written=True)
    block = written.in_block(shape, tokens, arithmetic, checkpointing=again)
    return ended + holes, passing + holes + back, block


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
    large = training.few_parts and written.is_written(shape, arithmetic)
    part_cost = WRITTEN_PART_COST if large else PART_COST
    threads = arithmetic.threads if training.shared and arithmetic.is_small(shape) else 1
    for length in sorted(grid.wide(width) for width in widths):
        present = _present(training, length)
        shares = min(threads, present)
        fitting = max(1, -(-training.budget // shares) // length)
        present = min(fitting, -(-present // shares))
        rows = _power_of_two(present, fitting, length, part_cost) if few else present
        learned = min(length - 1, training.learned or length)
        sequences = min(rows, present)
        yield Micro(rows, length, sequences, sequences * max(1, learned), shares)


def _present(training: Training, length: int) -> int:
    """Sequences of this length in one update."""
    return training.sequences if training.tokens is None else max(1, -(-training.tokens // length))


def _power_of_two(rows: int, most: int, length: int, part_cost: int) -> int:
    """Rows that are computed for `rows` sequences of a length, in the largest of their parts.

    They are filled up to a power of two, unless that is above `most`, or parts of 8, 4, 2 … rows cost less.
    """
    up = FEW.high(rows)
    parts = rows.bit_count()
    filled_up = up <= most and length * (up - rows) <= part_cost * (parts - 1)
    return up if filled_up else 1 << (rows.bit_length() - 1)

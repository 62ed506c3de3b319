"""A batch cut into micro-batches under a token budget: a sequence in each row, or rows packed with several.

A layout says which sequences lie in which row of which micro-batch; all else is the same for both. Longest
rows come first, so that a budget too large for the memory fails at once.

oneDNN, which multiplies matrices on CPUs, generates code for every shape that it meets, some milliseconds and
up to a megabyte for each, and what is left of that between a learner's large tensors makes allocation slower
and slower. There a micro-batch is filled up to one of few shapes (`Grid`).

Shapes: B sequences, T tokens, N tokens that carry loss.
"""

# ruff: noqa: N815 - fields that are tensors carry shape suffixes
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from r1kit.learning.batch import Batch
from r1kit.models.packing import Arrangement, arrange

Layout = Callable[[Sequence[int], int], list[list[list[int]]]]
"""(lengths, token budget) -> micro-batches of rows of sequences, as indices into the lengths."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The shapes that micro-batches are filled up to; the default is any shape, with nothing filled up."""

    width: int = 1  # widths are multiples of it
    powers: bool = False  # numbers of rows are powers of two

    def wide(self, width: int) -> int:
        """The next width of the grid."""
        return -(-width // self.width) * self.width

    def high(self, rows: int) -> int:
        """The next number of rows of the grid."""
        return 1 << (rows - 1).bit_length() if self.powers else rows


ANY = Grid()
FEW = Grid(16, True)  # in R1-Zero on the laptop 5% more tokens in a sixth of the shapes

PART_COST = 256
"""Tokens whose computation takes about as long as the fixed cost of one more forward pass."""
WRITTEN_PART_COST = 1024
"""The same of layers written out (`models/written.py`), where padding costs nothing."""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Sequences of a batch that go through the model together."""

    rows: list[int]  # which sequences of the whole batch
    batch: Batch  # them alone, in this order; the totals stay those of the whole
    inputs: Arrangement  # how they lie in the decoder's input
    shared_R: Tensor | None = None  # int64 on the CPU, see `models.written_decoder`

    def to(self, device: torch.device) -> MicroBatch:
        """The same on another device."""
        return replace(self, batch=self.batch.to(device), inputs=self.inputs.to(device))

    def put(self, out_BT: Tensor, numbers_N: Tensor) -> None:
        """Write the numbers of the part's tokens that carry loss to where they are in the whole batch, on the
        CPU.
        """
        part_BT = torch.zeros(self.batch.tokens_BT.shape, dtype=out_BT.dtype)
        part_BT[self.batch.loss_mask_BT.cpu()] = numbers_N.detach().to("cpu", out_BT.dtype)
        out_BT[torch.tensor(self.rows), : part_BT.shape[1]] = part_BT

    def predicting_lengths_R(self) -> Tensor:  # noqa: N802
        """Where a row is one sequence: its tokens up to the last that predicts another; 0 of empty rows."""
        lengths_B = self.batch.lengths_B - 1
        return torch.nn.functional.pad(lengths_B, (0, len(self.inputs.input_ids_RW) - len(lengths_B)))

    def predicting_N(self) -> Tensor:  # noqa: N802
        """Where in the flattened rows each token that carries loss is predicted: one place before it."""
        return self.inputs.places_BT(self.batch.tokens_BT.shape[1])[self.batch.loss_mask_BT] - 1


def microbatches(
    batch: Batch, rows: Sequence[int], token_budget: int, layout: Layout, grid: Grid = ANY
) -> list[MicroBatch]:
    """These sequences of a batch (on the CPU) in the micro-batches of a layout, in the shapes of a grid."""
    if not rows:
        return []
    lengths = [int(batch.lengths_B[row]) for row in rows]
    return [_micro_batch(batch, rows, part, grid) for part in layout(lengths, token_budget)]


def _micro_batch(batch: Batch, rows: Sequence[int], part: list[list[int]], grid: Grid) -> MicroBatch:
    chosen = [rows[index] for row in part for index in row]
    cut = batch.part(chosen)
    lengths, sizes = cut.lengths_B.tolist(), [len(row) for row in part]
    sizes += [0] * (grid.high(len(part)) - len(part))
    widest = max(sum(int(batch.lengths_B[rows[index]]) for index in row) for row in part)
    return MicroBatch(chosen, cut, arrange(cut.tokens_BT, lengths, sizes, grid.wide(widest)))


def padding_tokens(parts: Sequence[MicroBatch]) -> tuple[int, int]:
    """How many of the computed tokens are padding, and how many are computed."""
    computed = sum(part.inputs.input_ids_RW.numel() for part in parts)
    return computed - sum(int(part.batch.lengths_B.sum()) for part in parts), computed


def padded(
    lengths: Sequence[int], token_budget: int, grid: Grid = ANY, part_cost: int = PART_COST
) -> list[list[list[int]]]:
    """One sequence in each row; parts of similar lengths, at most `token_budget` tokens with their padding.

    Of all ways to cut the sequences sorted by length, the one with the least computed tokens, where each
    further part counts as `part_cost` tokens. A single sequence longer than the budget makes a part of its
    own.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    high = np.array([grid.high(rows) for rows in range(1, len(order) + 1)], dtype=np.int64)
    # cost[i] is the least cost of the first i rows, cut[i] where the last part of that solution begins
    cost = np.full(len(order) + 1, np.iinfo(np.int64).max // 2)
    cost[0], cut = 0, np.zeros(len(order) + 1, dtype=np.int64)
    for begin in range(len(order)):
        width = grid.wide(max(1, int(lengths[order[begin]])))
        most = max(1, int(np.searchsorted(high, token_budget // width, side="right")))
        candidates = cost[begin] + part_cost + width * high[: min(most, len(order) - begin)]
        ends = slice(begin + 1, begin + 1 + len(candidates))
        better = candidates < cost[ends]
        cost[ends][better] = candidates[better]
        cut[ends][better] = begin
    parts: list[list[list[int]]] = []
    end = len(order)
    while end > 0:
        parts.append([[row] for row in order[cut[end] : end].tolist()])
        end = int(cut[end])
    return parts[::-1]


def padded_in_few_shapes(lengths: Sequence[int], token_budget: int) -> list[list[list[int]]]:
    """`padded`, with what the `FEW` shapes compute too much counted among the computed tokens."""
    return padded(lengths, token_budget, FEW)


def padded_for_written(lengths: Sequence[int], token_budget: int) -> list[list[list[int]]]:
    """`padded_in_few_shapes` in fewer parts, for layers written out."""
    return padded(lengths, token_budget, FEW, WRITTEN_PART_COST)


def one_packed_row(lengths: Sequence[int], token_budget: int) -> list[list[list[int]]]:
    """Parts of a single row that holds sequences up to `token_budget` tokens: no padding at all.

    For attention that goes sequence by sequence, whatever the row's length.
    """
    return [[row] for row in first_fit_decreasing(lengths, token_budget)]


def packed_rows(lengths: Sequence[int], token_budget: int) -> list[list[list[int]]]:
    """Parts of several rows, each filled up to the longest sequence or the budget, whichever is less.

    For attention over whole rows, whose cost grows with the square of their length.
    """
    rows = first_fit_decreasing(lengths, min(max(lengths), token_budget))
    parts: list[list[list[int]]] = []
    width = 0
    for row in rows:
        tokens = sum(lengths[index] for index in row)
        if not parts or (len(parts[-1]) + 1) * max(width, tokens) > token_budget:
            parts.append([])
            width = 0
        parts[-1].append(row)
        width = max(width, tokens)
    return parts


def first_fit_decreasing(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Rows of at most `capacity` tokens: longest sequence first, each into the first row with room for it.

    At most 11/9 of the fewest rows, and 6/9 of a row (Dósa 2007). A longer sequence has a row of its own.
    """
    rows: list[list[int]] = []
    room = np.zeros(len(lengths), dtype=np.int64)
    for index in np.argsort(-np.asarray(lengths), kind="stable").tolist():
        fits = room[: len(rows)] >= lengths[index]
        if fits.any():
            row = int(fits.argmax())
        else:
            row = len(rows)
            rows.append([])
            room[row] = capacity
        rows[row].append(index)
        room[row] -= lengths[index]
    return rows

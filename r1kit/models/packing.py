"""How sequences lie in the rows of a decoder's input: one in each row, or several one after the other.

Several sequences of a row must not see each other: their position ids begin again at 0, and attention is
causal within each sequence alone. `transformers` has two ways to do this, and both are used as they are.
Attention functions that take the sequences' boundaries (`cu_seq_lens_q`: flash attention, and
`attention.training_attention`) get these and need no mask. For all others the library's masks become
block-diagonal where position ids begin again, if there is neither an attention mask nor a cache.

Shapes: B sequences, T tokens of the longest, R rows, W tokens of the widest row, S segments.
"""

# ruff: noqa: N815 - fields that are tensors carry shape suffixes
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from r1kit.models.attention import is_flash, takes_boundaries


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Sequences laid out in rows: `arrange(tokens_BT, [2, 1, 3], [2, 1])` puts two in a row, one in the next.

    Segments are the sequences in the order of their rows, and the padding that ends a row.
    """

    input_ids_RW: Tensor  # int64, 0 where padded
    position_ids_RW: Tensor  # int64, begin at 0 in each segment
    starts_B: Tensor  # int64, index of each sequence's first token in the flattened rows
    boundaries_S: Tensor  # int32 on the CPU, ends of the segments in the flattened rows, after a first 0
    packed: bool  # whether a row holds more than one sequence

    def to(self, device: torch.device) -> Arrangement:
        """The same on another device (boundaries stay on the CPU)."""
        return replace(
            self,
            input_ids_RW=self.input_ids_RW.to(device, non_blocking=True),
            position_ids_RW=self.position_ids_RW.to(device, non_blocking=True),
            starts_B=self.starts_B.to(device, non_blocking=True),
        )

    def places_BT(self, width: int) -> Tensor:  # noqa: N802
        """Index of each sequence's token 0, 1, … width - 1 in the flattened rows, where it is that long."""
        return self.starts_B[:, None] + torch.arange(width, device=self.starts_B.device)

    def decoder_inputs(self, attention: str) -> dict[str, Any]:
        """Arguments for the decoder of a model that uses the attention implementation of this name.

        With one sequence in each row these are the tokens alone, which leaves models their fastest path.
        """
        inputs: dict[str, Any] = {"input_ids": self.input_ids_RW}
        if not self.packed:
            return inputs
        inputs["position_ids"] = self.position_ids_RW
        if is_flash(attention):
            boundaries_S = self.boundaries_S.to(self.input_ids_RW.device)
            longest = int(self.boundaries_S.diff().max())
            inputs |= {"cu_seq_lens_q": boundaries_S, "cu_seq_lens_k": boundaries_S}
            inputs |= {"max_length_q": longest, "max_length_k": longest}
        elif takes_boundaries(attention):
            inputs["cu_seq_lens_q"] = self.boundaries_S
        return inputs


def arrange(
    tokens_BT: Tensor, lengths: Sequence[int], row_sizes: Sequence[int], width: int = 0
) -> Arrangement:
    """Sequences in rows, in their order: the first `row_sizes[0]` of them in the first row, and so on.

    Args:
        tokens_BT: right-padded tokens, on the CPU.
        lengths: B numbers of real tokens.
        row_sizes: R numbers of sequences, B together; a row may be empty.
        width: the rows' least width W.
    """
    assert sum(row_sizes) == len(lengths) == len(tokens_BT)
    ends = list(accumulate(row_sizes))
    rows = [lengths[end - size : end] for end, size in zip(ends, row_sizes, strict=True)]
    width = max(width, *(sum(row) for row in rows))
    starts = [
        r * width + start for r, row in enumerate(rows) if row for start in accumulate(row[:-1], initial=0)
    ]
    segments = [length for row in rows for length in (*row, width - sum(row)) if length]
    arrangement = Arrangement(
        input_ids_RW=tokens_BT.new_zeros(len(rows), width),
        position_ids_RW=torch.cat([torch.arange(length) for length in segments]).view(len(rows), width),
        starts_B=torch.tensor(starts),
        boundaries_S=torch.tensor([0, *accumulate(segments)], dtype=torch.int32),
        packed=max(row_sizes) > 1,
    )
    real_BT = real_tokens(lengths, tokens_BT.shape[1])
    places = arrangement.places_BT(tokens_BT.shape[1])[real_BT]
    arrangement.input_ids_RW.view(-1)[places] = tokens_BT[real_BT]
    return arrangement


def real_tokens(lengths: Sequence[int], width: int) -> Tensor:
    """(B, width) bool: true where a right-padded sequence has a token."""
    return torch.arange(width) < torch.tensor(lengths)[:, None]

"""From sequences of different lengths to right-padded batches, with what the loss needs of each token.

With causal attention and padding on the right no real token ever sees a padded one, so that models need
neither an attention mask nor position ids, and use their fastest attention.

Shapes: B sequences, T tokens of the longest one. The value at [b, t] concerns token t of sequence b: its
log-probability is predicted by the hidden state at t - 1, so position 0 never carries loss.
"""

# ruff: noqa: N815 - fields that are tensors carry shape suffixes
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from r1kit.objectives.aggregation import Totals


@dataclass(frozen=True, slots=True)
class EncodedDocument:
    """Token ids of which those from `response_start` on are learned: `EncodedDocument((5, 9, 9, 2), 2)`."""

    tokens: Sequence[int] | np.ndarray[tuple[int], np.dtype[np.integer]]  # at least one token
    response_start: int  # index of the first token that carries loss


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded sequences and what the loss needs of each token; a part keeps the totals of the whole."""

    tokens_BT: Tensor  # int64, 0 where padded
    loss_mask_BT: Tensor  # bool, true where the token carries loss
    lengths_B: Tensor  # int64 on the CPU, real tokens
    totals: Totals  # of the whole batch that this one may be a part of: the loss is normalised by them
    advantages_BT: Tensor | None = None  # float32
    sampler_logprobs_BT: Tensor | None = None  # float32, nats, as the sampler computed them
    old_logprobs_BT: Tensor | None = None  # float32, nats; None = the policy itself (ratio 1)
    ref_logprobs_BT: Tensor | None = None  # float32, nats, under the reference model
    values_BT: Tensor | None = None  # float32, what a critic expected at each token when it was sampled
    returns_BT: Tensor | None = None  # float32, what a critic learns to expect

    def __len__(self) -> int:
        return len(self.tokens_BT)

    @property
    def num_tokens(self) -> int:
        """Tokens that carry loss, in the whole batch."""
        return self.totals.num_tokens

    def part(self, rows: Sequence[int]) -> Batch:
        """These sequences, cut to the longest of them; the totals stay those of the whole."""
        index = torch.as_tensor(rows, dtype=torch.long)
        lengths_B = self.lengths_B[index]
        width = max(lengths_B.tolist(), default=0)
        cut = self._each(lambda tensor_BT: tensor_BT[index.to(tensor_BT.device), :width])
        return replace(cut, lengths_B=lengths_B)

    def on_its_own(self) -> Batch:
        """The same sequences with totals counted over themselves: a minibatch with an update of its own."""
        return replace(self, totals=_totals(self.loss_mask_BT))

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device (lengths stay on the CPU)."""
        return self._each(lambda tensor_BT: tensor_BT.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """A copy in which `change` was applied to every (B, T) tensor."""

        def changed(tensor_BT: Tensor | None) -> Tensor | None:
            return None if tensor_BT is None else change(tensor_BT)

        return replace(
            self,
            tokens_BT=change(self.tokens_BT),
            loss_mask_BT=change(self.loss_mask_BT),
            advantages_BT=changed(self.advantages_BT),
            sampler_logprobs_BT=changed(self.sampler_logprobs_BT),
            old_logprobs_BT=changed(self.old_logprobs_BT),
            ref_logprobs_BT=changed(self.ref_logprobs_BT),
            values_BT=changed(self.values_BT),
            returns_BT=changed(self.returns_BT),
        )


def _totals(loss_mask_BT: Tensor) -> Totals:
    return Totals(int(loss_mask_BT.any(1).sum()), int(loss_mask_BT.sum()))


def make_batch(
    documents: Sequence[EncodedDocument],
    *,
    advantages: Sequence[float] | None = None,
    sampler_logprobs: Sequence[Sequence[float]] | None = None,
) -> Batch:
    """Pad documents to the right; each one's advantage goes to all its response tokens.

    Args:
        documents: B sequences.
        advantages: B numbers.
        sampler_logprobs: for each sequence the log-probabilities of all its response tokens.
    """
    assert documents, "a batch needs at least one sequence"
    lengths = np.array([len(document.tokens) for document in documents], dtype=np.int64)
    starts = np.array([document.response_start for document in documents], dtype=np.int64)
    shape = (len(documents), int(lengths.max()))
    columns = np.arange(shape[1])
    # the first token has nothing before it to be predicted from
    mask = (columns >= np.maximum(starts, 1)[:, None]) & (columns < lengths[:, None])
    tokens = np.zeros(shape, dtype=np.int64)
    for row, document in enumerate(documents):
        tokens[row, : lengths[row]] = document.tokens
    batch = Batch(
        tokens_BT=torch.from_numpy(tokens),
        loss_mask_BT=torch.from_numpy(mask),
        lengths_B=torch.from_numpy(lengths),
        totals=Totals(int(mask.any(1).sum()), int(mask.sum())),
    )
    if advantages is not None:
        assert len(advantages) == len(documents)
        per_sequence = np.asarray(advantages, dtype=np.float32)[:, None]
        batch = replace(batch, advantages_BT=torch.from_numpy(np.where(mask, per_sequence, np.float32(0))))
    if sampler_logprobs is not None:
        values = np.zeros(shape, dtype=np.float32)
        for row, numbers in enumerate(sampler_logprobs):
            assert len(numbers) == lengths[row] - starts[row], "one log-probability per response token"
            values[row, starts[row] : lengths[row]] = numbers
        batch = replace(batch, sampler_logprobs_BT=torch.from_numpy(values))
    return batch


def no_rows() -> Batch:
    """A batch of rollouts without any: the share of a rank that has nothing to train on."""
    nothing_BT = torch.zeros(0, 0)
    return Batch(
        tokens_BT=nothing_BT.long(),
        loss_mask_BT=nothing_BT.bool(),
        lengths_B=torch.zeros(0, dtype=torch.long),
        totals=Totals(0, 0),
        advantages_BT=nothing_BT,
        sampler_logprobs_BT=nothing_BT,
    )


def idle_rows(batch: Batch) -> list[int]:
    """Rows on which a policy loss has no gradient: all advantages 0 and no reference to stay near.

    Groups whose rewards are all equal give such rows; late in training they are many, and skipping their
    backward pass changes no number.
    """
    if batch.advantages_BT is None or batch.ref_logprobs_BT is not None:
        return []
    return (~batch.advantages_BT.ne(0).any(1)).nonzero().flatten().tolist()

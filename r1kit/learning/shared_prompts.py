"""Responses to one prompt learned beside each other, so that the prompt is computed once for all of them.

For layers written out (`models/written_decoder.py`), where a sequence may share the first tokens of another.
What comes of it is the same but for rounding: with causal attention a prompt's states do not depend on what
follows it, and its gradient is the sum of those of all responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from r1kit.learning import shares
from r1kit.learning.batch import Batch
from r1kit.learning.microbatches import MicroBatch, first_fit_decreasing
from r1kit.models.packing import arrange

_TOGETHER, _PROMPTS = 1024, 4  # tokens of a group, or prompts if they are more: a layer takes it as a whole
_PIECES = 4  # groups of a thread at least, where that leaves groups: so that shares become equal
_PAYS = 0.05  # share of a thread's tokens spared from which on it is done


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences of a batch with one prompt: `Group([3, 1], 20, 90)`."""

    rows: list[int]
    prompt: int  # tokens before the first that carries loss
    tokens: int  # to compute: the prompt's once, and all others


def dealt_groups(batch: Batch, rows: Sequence[int], token_budget: int, threads: int = 1) -> list[list[Group]]:
    """These sequences of a batch (on the CPU) by their prompts, for each thread groups of at most
    `token_budget` tokens.

    Empty where the thread with most tokens would have hardly less than its part of all sequences'. A sequence
    longer than the budget makes a group of its own.
    """
    if not rows:
        return []
    lengths = batch.lengths_B.tolist()
    starts = batch.loss_mask_BT.int().argmax(1).tolist()  # 0 where nothing carries loss: nothing is shared
    tokens_BT = batch.tokens_BT.numpy()
    by_prompt: dict[bytes, list[int]] = {}
    for row in rows:
        by_prompt.setdefault(tokens_BT[row, : starts[row]].tobytes(), []).append(row)
    alone = sum(lengths[row] for row in rows)
    found: list[Group] = []
    for alike in by_prompt.values():
        prompt = starts[alike[0]]
        most = min(token_budget, max(_TOGETHER, _PROMPTS * prompt), alone // (_PIECES * threads))
        found += _cut(sorted(alike, key=lambda row: -lengths[row]), lengths, prompt, most)
    dealt = shares.deal([group.tokens for group in found], range(len(found)), threads)
    busiest = max((sum(found[index].tokens for index in share) for share in dealt), default=0)
    pays = busiest * threads <= (1 - _PAYS) * alone
    return [[found[index] for index in share] for share in dealt] if pays else []


def _cut(rows: Sequence[int], lengths: Sequence[int], prompt: int, most: int) -> list[Group]:
    """Sequences with this prompt in groups of at most `most` tokens to compute."""
    groups: list[Group] = []
    for row in rows:
        own, last = lengths[row] - prompt, groups[-1] if groups else None
        if last is not None and last.tokens + own <= most:
            groups[-1] = Group([*last.rows, row], prompt, last.tokens + own)
        else:
            groups.append(Group([row], prompt, lengths[row]))
    return groups


def grouped_microbatches(batch: Batch, groups: Sequence[Group], token_budget: int) -> list[MicroBatch]:
    """Whole groups in micro-batches of at most `token_budget` computed tokens, the largest first."""
    parts = first_fit_decreasing([group.tokens for group in groups], token_budget)
    return [_micro_batch(batch, [groups[index] for index in part]) for part in parts]


def _micro_batch(batch: Batch, groups: Sequence[Group]) -> MicroBatch:
    rows = [row for group in groups for row in group.rows]
    shared = [group.prompt if place else 0 for group in groups for place in range(len(group.rows))]
    cut = batch.part(rows)
    inputs = arrange(cut.tokens_BT, cut.lengths_B.tolist(), [1] * len(rows), cut.tokens_BT.shape[1])
    return MicroBatch(rows, cut, inputs, torch.tensor(shared))

"""Which problems or documents a step uses: a pure function of seed and step, so nothing needs saving."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from r1kit import seeds


@lru_cache(maxsize=2)
def epoch_order(count: int, seed: int, epoch: int) -> tuple[int, ...]:
    """The indices 0 … count - 1 in the shuffled order of one epoch."""
    order = list(range(count))
    seeds.generator(seed, "epoch", epoch).shuffle(order)
    return tuple(order)


def draw(count: int, seed: int, step: int, size: int) -> list[int]:
    """The `size` indices that `step` (from 0) uses, out of `count`; each is used once per epoch."""
    positions = range(step * size, (step + 1) * size)
    return [epoch_order(count, seed, position // count)[position % count] for position in positions]


class TokenBatches:
    """Documents in batches of about `tokens_per_batch` tokens, shuffled anew in each epoch.

    Every epoch has the same number of batches, and each document is in one of them. A document longer than
    the budget is a batch of its own. With a `length_window` of W > 1 the documents of about W batches are
    sorted by length before they are cut, and the batches shuffled: each then holds similar lengths, which
    saves padding and small matrix products.
    """

    def __init__(
        self, lengths: Sequence[int], tokens_per_batch: int, seed: int, length_window: int = 1
    ) -> None:
        assert len(lengths) > 0
        self._window_tokens = tokens_per_batch * length_window if length_window > 1 else 0
        self._lengths = np.asarray(lengths, dtype=np.int64)
        self._seed = seed
        batches = round(int(self._lengths.sum()) / tokens_per_batch)
        self._cached: tuple[int, list[list[int]]] = (-1, [])  # epoch, its batches
        self.per_epoch = min(len(lengths), max(1, batches))

    def __call__(self, step: int) -> list[int]:
        """The documents of update `step` (from 0)."""
        epoch, batch = divmod(step, self.per_epoch)
        if self._cached[0] != epoch:
            self._cached = (epoch, self._cut(epoch))
        return self._cached[1][batch]

    def _cut(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch; all hold nearly the same number of tokens."""
        order = np.asarray(epoch_order(len(self._lengths), self._seed, epoch))
        if self._window_tokens:
            lengths = self._lengths[order]
            windows = (np.cumsum(lengths) - 1) // self._window_tokens
            order = order[np.lexsort((lengths, windows))]
        ends = np.cumsum(self._lengths[order])
        goals = ends[-1] * np.arange(1, self.per_epoch) / self.per_epoch
        cuts = np.concatenate([[0], np.searchsorted(ends, goals, side="left") + 1, [len(order)]])
        steps = np.arange(self.per_epoch + 1)
        # at least one document in each batch, also where a long one spans several goals
        cuts = np.maximum.accumulate(cuts - steps) + steps
        cuts = np.minimum(cuts, len(order) - steps[::-1])
        batches = [order[begin:end].tolist() for begin, end in pairwise(cuts.tolist())]
        if self._window_tokens:
            seeds.generator(self._seed, "batches", epoch).shuffle(batches)
        return batches


def fingerprint(parts: Iterable[bytes]) -> str:
    """A short hash of the training data, to notice on resuming that it has changed."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()

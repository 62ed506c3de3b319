"""Samplers that decode on pages as on a CUDA device, what stands for its kernel, and how far from exact
log-probabilities are.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from recorded_graphs import RecordedGraphs
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from r1kit.rollouts import local
from r1kit.rollouts.paged import PagedDecoder, has_paged_step
from r1kit.rollouts.paged_engine import PagedEngine
from r1kit.types import Completion, Prompt

SIZE = 8  # positions of a page


class Poisoned(PagedEngine):
    """Pages that nobody has, at first or any more, are full of NaN."""

    made: list[PagedEngine]

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.decoder.pages.fill_(torch.nan)
        leave = self.book.leave

        def left(rows: Any) -> list[int]:
            pages = leave(rows)
            self.decoder.pages[:, :, pages] = torch.nan
            return pages

        self.book.leave = left  # type: ignore[method-assign]
        self.made.append(self)


def decode_on_pages(monkeypatch: pytest.MonkeyPatch) -> list[PagedEngine]:
    """Let samplers decode on small pages; the engines that they make from now on."""
    made: list[PagedEngine] = []
    monkeypatch.setattr(Poisoned, "made", made, raising=False)
    monkeypatch.setattr(local, "compiled_weights", lambda model: None)
    monkeypatch.setattr(local, "runs_paged", has_paged_step)
    monkeypatch.setattr(local, "PagedEngine", Poisoned)
    monkeypatch.setattr(local, "PAGE", SIZE)
    return made


def decode_by_graphs(monkeypatch: pytest.MonkeyPatch) -> RecordedGraphs:
    """Let samplers that decode on pages capture their steps."""
    found = RecordedGraphs()
    monkeypatch.setattr(local, "PagedDecoder", partial(PagedDecoder, capture=found))
    return found


def exact_logprobs(model: Any, prompt: Prompt, completion: Completion) -> Tensor:
    """Of the completion's tokens under temperature 1, by the plain forward pass."""
    tokens = torch.tensor([prompt.tokens + completion.tokens])
    with torch.inference_mode():
        logits = model(tokens[:, :-1]).logits[0, len(prompt.tokens) - 1 :]
    return logits.float().log_softmax(-1).gather(1, tokens[0, len(prompt.tokens) :, None])[:, 0]


def farthest(model: Any, asked: list[Prompt], groups: list[tuple[Completion, ...]]) -> float:
    """The largest distance of a log-probability from the plain forward pass's."""
    return max(
        float((torch.tensor(c.logprobs) - exact_logprobs(model, prompt, c)).abs().max())
        for prompt, group in zip(asked, groups, strict=True)
        for c in group
    )


def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int,
    *, scale: float, enable_gqa: bool, seqused_k: Tensor, block_table: Tensor, num_splits: int,
) -> Tensor:  # fmt: skip
    """`varlen_attn` on a CPU, with what FlashAttention's own checks ask of pages."""
    rows, (pages, size, heads, _) = len(query), key.shape
    assert query.dtype == key.dtype == value.dtype == torch.bfloat16
    assert value.shape == key.shape
    assert {t.stride(-1) for t in (query, key, value, block_table)} == {1}
    assert size % 256 == 0
    assert enable_gqa == (query.shape[1] % heads == 0)
    assert {t.dtype for t in (cu_seq_q, cu_seq_k, seqused_k, block_table)} == {torch.int32}
    assert cu_seq_q.is_contiguous()
    assert cu_seq_q.tolist() == list(range(rows + 1))
    assert cu_seq_k.is_contiguous()
    assert cu_seq_k.tolist() == list(range(0, max_k * rows + 1, max_k))
    assert (max_q, num_splits) == (1, 1)
    assert seqused_k.shape == (rows,)
    assert block_table.shape == (rows, max_k // size)
    assert 0 <= int(block_table.min()) <= int(block_table.max()) < pages
    found = []
    for row, used in enumerate(seqused_k.tolist()):
        assert 0 < used <= max_k
        k, v = (p[block_table[row].long()].flatten(0, 1)[:used].transpose(0, 1) for p in (key, value))
        mixed = scaled_dot_product_attention(query[row, :, None], k, v, scale=scale, enable_gqa=True)
        found.append(mixed[:, 0])
    return torch.stack(found)

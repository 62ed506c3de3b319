"""Tokens per second of one GRPO update and of a plain `transformers` training step.

Both learn from the same responses, in the same precision, with AdamW and micro-batches of the same bound. The
plain side pads to the longest response in the order of drawing and computes the library's own loss, which
builds all logits; ours is `Learner.update` with the policy loss. Counted are prompt and response tokens,
without padding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from bench.setting import Measurement, Shape, alternate
from r1kit.learning.batch import EncodedDocument, make_batch
from r1kit.learning.learner import Learner
from r1kit.learning.losses import policy_loss
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings
from r1kit.models.precision import resolve
from r1kit.types import Completion


def measure(model: Any, completions: Sequence[Completion], shape: Shape) -> list[Measurement]:
    """An update beside the plain step, and beside one with the library's layers."""
    documents = [EncodedDocument((*c.prompt_tokens, *c.tokens), len(c.prompt_tokens)) for c in completions]
    total = sum(len(document.tokens) for document in documents)
    signs = [1.0 if i % 2 else -1.0 for i in range(len(documents))]
    batch = make_batch(documents, advantages=signs, sampler_logprobs=[c.logprobs for c in completions])
    loss = policy_loss(ObjectiveSettings())

    def update_by(settings: BatchSettings) -> Callable[[int], int]:
        learner = Learner(copy.deepcopy(model), OptimizerSettings(), settings, total_updates=100)

        def update(repeat: int) -> int:
            learner.update(batch, loss)
            return total

        return update

    usual = BatchSettings()
    plain_step = _plain_step(copy.deepcopy(model).train(), documents, usual.tokens_per_microbatch)

    def plain(repeat: int) -> int:
        plain_step()
        return total

    ours, by_modules = update_by(usual), update_by(BatchSettings(written_out=False))
    written = alternate("learner, one update", "tokens/s", shape.repeats, ours, by_modules)
    return [
        alternate("learner, one update", "tokens/s", shape.repeats, ours, plain),
        replace(written, beside="the same with the library's layers"),
    ]


def _plain_step(model: Any, documents: Sequence[EncodedDocument], budget: int) -> Any:
    """A function that makes one optimizer step on all documents."""
    dtype = resolve("auto", model.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    rows = max(1, budget // max(len(document.tokens) for document in documents))
    parts = [documents[i : i + rows] for i in range(0, len(documents), rows)]

    def step() -> None:
        optimizer.zero_grad()
        for part in parts:
            longest = max(len(document.tokens) for document in part)
            tokens, labels, mask = (torch.zeros(len(part), longest, dtype=torch.long) for _ in range(3))
            labels -= 100
            for row, document in enumerate(part):
                length = len(document.tokens)
                tokens[row, :length] = torch.tensor(document.tokens)
                labels[row, document.response_start : length] = tokens[row, document.response_start : length]
                mask[row, :length] = 1
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
                loss = model(input_ids=tokens, attention_mask=mask, labels=labels, use_cache=False).loss
            (loss / len(parts)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step

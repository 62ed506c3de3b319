"""Scores of conversations by a reward model, and which part of a response is scored.

Shapes: B conversations, T tokens of the longest one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Event
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GenericForSequenceClassification

from r1kit.models.attention import training_attention_in_use
from r1kit.models.threads import in_threads, threads_for
from r1kit.models.written_decoder import Decode, written_decoder
from r1kit.text.conversations import ConversationEncoder
from r1kit.text.tags import ANSWER_CLOSE, ANSWER_OPEN, final_part, parse
from r1kit.types import Message

Part = Literal["summary", "response"]
"""What of a response is scored: its final summary alone (helpfulness), or all of it (harmlessness)."""

TOKENS_PER_BATCH = 16384
"""Tokens, padding included, that go through a model at once unless told otherwise."""


def scored_part(response: str, part: Part) -> str:
    """The text of a response that is scored, "" where there is none.

    The summary is what the reader gets: the answer, or where it is not tagged all that follows the thinking.
    Source: DeepSeek-R1 (arXiv 2501.12948), section 2.3.4.
    """
    if part == "response":
        return response.strip()
    final = final_part(response)
    answer = parse(response).answer if ANSWER_OPEN in final else None
    return answer or final.replace(ANSWER_OPEN, " ").replace(ANSWER_CLOSE, " ").strip()


def score_texts(
    model: nn.Module,
    tokenizer: Any,
    conversations: Sequence[Sequence[Message]],
    tokens_per_batch: int = TOKENS_PER_BATCH,
    *,
    narrow: bool = False,
) -> list[float]:
    """The score of each conversation, whose last message is the assistant's; see `score_tokens`."""
    encode = ConversationEncoder(tokenizer)
    rows = [encode(messages) for messages in conversations]
    return score_tokens(model, rows, tokens_per_batch, narrow=narrow)


def score_tokens(
    model: nn.Module,
    rows: Sequence[tuple[int, ...]],
    tokens_per_batch: int = TOKENS_PER_BATCH,
    *,
    narrow: bool = False,
) -> list[float]:
    """The score of each row of token ids, NaN for one that is longer than the model's positions.

    Rows are sorted by length, and equal ones computed once: the same response never gets two scores, and none
    depends on the order of the rows. At most `tokens_per_batch` tokens, padding included, go through at once;
    `narrow` as for `forward_scores`.
    """
    longest = max_tokens_of(model)
    distinct = sorted({row for row in rows if len(row) <= longest}, key=lambda row: (-len(row), row))
    threads = threads_for(model, next(model.parameters()).device)
    scores: dict[tuple[int, ...], float] = {}
    with scoring_attention(model):
        while len(scores) < len(distinct):
            rest = distinct[len(scores) :]
            part = rest[: max(1, tokens_per_batch // max(1, len(rest[0])))]
            shares = [part[place::threads] for place in range(min(threads, len(part)))]
            for found in in_threads([partial(_scores_by_row, model, share, narrow) for share in shares]):
                scores.update(found)
    return [scores.get(row, math.nan) for row in rows]


@torch.no_grad()
def _scores_by_row(
    model: nn.Module, rows: Sequence[tuple[int, ...]], narrow: bool, stop: Event
) -> dict[tuple[int, ...], float]:
    return dict(zip(rows, forward_scores(model, rows, narrow=narrow).tolist(), strict=True))


def forward_scores(model: nn.Module, rows: Sequence[Sequence[int]], *, narrow: bool = False) -> Tensor:
    """Scores (B,) in float32, with gradient; `narrow` computes wide weights' products in bfloat16.

    Causal heads need no attention mask: with padding on the right no real token sees a padded one. Small
    Llama, Qwen2 and Qwen3 decoders on a CPU are computed by layers written out (`written_decoder`).
    """
    config: Any = model.config
    device = next(model.parameters()).device
    width = max(len(row) for row in rows)
    padding = config.get_text_config().pad_token_id
    tokens_BT = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows], device=device)
    written = written_decoder(model)
    if written is not None:
        return _written_scores(model, written, tokens_BT, padding, narrow)
    with torch.autocast(device.type, torch.bfloat16, enabled=narrow):
        if isinstance(model, GenericForSequenceClassification):
            output = model(input_ids=tokens_BT, use_cache=False)
        else:
            lengths_B1 = torch.tensor([[len(row)] for row in rows], device=device)
            mask_BT = torch.arange(width, device=device) < lengths_B1
            output = model(input_ids=tokens_BT, attention_mask=mask_BT.long())
    scores_B: Tensor = output.logits.squeeze(1).float()
    return scores_B


def _written_scores(model: Any, written: Decode, tokens_BT: Tensor, padding: int, narrow: bool) -> Tensor:
    """A classifier's score is read at the last token that is not padding, as the library reads it."""
    width = tokens_BT.shape[1]
    last_B = (torch.arange(width) * (tokens_BT != padding)).argmax(1)
    dtype = torch.bfloat16 if narrow else torch.float32
    places_B = torch.arange(len(tokens_BT)) * width + last_B
    states_BD = written(tokens_BT, last_B + 1, places_B, dtype)
    scores_B: Tensor = model.score(states_BD.float()).squeeze(1)
    return scores_B


def max_tokens_of(model: nn.Module) -> int:
    """Tokens of the longest conversation that the model has positions for."""
    config: Any = model.config
    return getattr(config.get_text_config(), "max_position_embeddings", None) or sys.maxsize


def scoring_attention(model: nn.Module) -> AbstractContextManager[None]:
    """Inside the context causal models on a CPU use the attention of `models.attention`."""
    causal = isinstance(model, GenericForSequenceClassification)
    return training_attention_in_use(model) if causal else nullcontext()

"""One rollout as the numbers that are averaged, in training and in evaluation alike.

Token counts are counts of sampled tokens; a prefill's tokens are not among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from r1kit.text.behaviours import behaviour_counts
from r1kit.text.language import known, language_share
from r1kit.text.repetition import repetition_rate
from r1kit.text.tags import ANSWER_OPEN, THINK_CLOSE, THINK_OPEN, ParsedResponse, parse
from r1kit.types import Completion, Outcome, Rollout, RolloutGroup

REPEAT_LENGTH = 20  # tokens; about one attempt of a search, so that a habit of wording is no loop
REPETITIVE = 0.2  # a completion is repetitive when more than this share of its token n-grams occurred before


class Tokenizer(Protocol):
    """The part of a `transformers` tokenizer that counting needs."""

    all_special_ids: list[int]

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Token ids of `text`."""
        ...

    def __hash__(self) -> int:
        """That of the object: what a tokenizer makes of tags is found once."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion reduced to the numbers that are averaged."""

    outcome: Outcome
    formatted: bool  # strict tags around an answer of the task's own form, as the format reward counts
    thought: bool  # the response has non-blank thinking
    thinking_tokens: int
    response_tokens: int  # end-of-sequence token included
    truncated: bool
    repetitive: bool
    language: float | None  # language consistency of the thinking; None without words
    behaviours: Mapping[str, int]  # name -> occurrences in the reasoning, see `text/behaviours.py`


def measure(
    group: RolloutGroup, rollout: Rollout, tokenizer: Tokenizer, *, behaviours: bool = True
) -> Sample:
    """The numbers of one rollout of a group; `behaviours` are most of the work, and no training logs them."""
    completion, parsed = rollout.completion, parse(rollout.completion.text)
    thinking = (parsed.thinking or "").strip()
    return Sample(
        outcome=rollout.verdict.outcome,
        formatted=parsed.well_formed and rollout.verdict.has_form,
        thought=bool(thinking),
        thinking_tokens=thinking_tokens(completion, group.prompt.prefill, parsed, tokenizer),
        response_tokens=len(completion.tokens),
        truncated=completion.finish == "length",
        repetitive=repetition_rate(completion.tokens, REPEAT_LENGTH) > REPETITIVE,
        language=_consistency(thinking, group.problem.language),
        behaviours=behaviour_counts(reasoning(completion.text, parsed), group.problem.language)
        if behaviours
        else {},
    )


def reasoning(response: str, parsed: ParsedResponse) -> str:
    """The thinking; of a response that opens no `<think>`, what comes before its `<answer>`.

    A base model that reasons without the tags is compared by what it does, not by how it is marked.
    """
    return response.partition(ANSWER_OPEN)[0] if parsed.thinking is None else parsed.thinking


def _consistency(thinking: str, language: str) -> float | None:
    return language_share(thinking, language) if known(language) else None


def thinking_tokens(
    completion: Completion, prefill: str, parsed: ParsedResponse, tokenizer: Tokenizer
) -> int:
    """Sampled tokens between `<think>` and `</think>` (or the end), tags excluded; 0 without thinking.

    Counted on the sampled ids where the tags are single tokens. Where the tokenizer splits them, or the model
    spelled a tag out in pieces, the thinking text is encoded again, which may differ by a token at its ends.
    """
    if not (parsed.thinking or "").strip():
        return 0
    opening, closing = _tags(tokenizer)
    span = None
    if len(opening) == len(closing) == 1:
        span = _span(completion, prefill, opening[0], closing[0], tokenizer.all_special_ids)
    return len(tokenizer.encode(parsed.thinking or "", add_special_tokens=False)) if span is None else span


@lru_cache(maxsize=2)
def _tags(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Token ids of `<think>` and of `</think>`."""
    opening, closing = (tokenizer.encode(tag, add_special_tokens=False) for tag in (THINK_OPEN, THINK_CLOSE))
    return opening, closing


def _span(
    completion: Completion, prefill: str, opening: int, closing: int, special: Sequence[int]
) -> int | None:
    """Tokens of the thinking by ids, or None when the text has a tag that the ids have not."""
    tokens, sampled_text = completion.tokens, completion.text[len(prefill) :]
    for tag, token in ((THINK_OPEN, opening), (THINK_CLOSE, closing)):
        if sampled_text.count(tag) != tokens.count(token):
            return None
    start = 0 if THINK_OPEN in prefill else tokens.index(opening) + 1
    if closing in tokens[start:]:
        return tokens.index(closing, start) - start
    ended = completion.finish == "stop" and tokens[-1] in special
    return len(tokens) - start - ended

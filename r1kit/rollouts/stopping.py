"""When a response ends: end-of-sequence tokens, stop strings, and the text that is kept.

A stop string may begin and end inside tokens. Per step only a table look-up runs; the few rows whose new
token could complete a stop string are decoded and searched. The text keeps the stop string and drops what
follows it in its last token; `Completion.tokens` keeps that whole token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from r1kit.kernels import ENDS, FULL, GOES_ON, MAY_STOP


@dataclass(frozen=True, slots=True)
class Endings:
    """What ends the responses of a call."""

    tokenizer: Any
    stop: tuple[str, ...]
    codes: Tensor  # (V,) uint8, see `code_table`

    def fate(self, prompt: Sequence[int], tokens: Sequence[int], limit: int) -> int:
        """What the last of the tokens drawn means whose code is MAY_STOP: ENDS, FULL or GOES_ON."""
        if stopped(self.tokenizer, prompt, tokens, self.stop):
            return ENDS
        return FULL if len(tokens) >= limit else GOES_ON


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every end-of-sequence id that the generation settings, the model's config or the tokenizer names."""
    found: set[int] = set()
    for value in (
        model.generation_config.eos_token_id,
        model.config.get_text_config(decoder=True).eos_token_id,
        tokenizer.eos_token_id,
    ):
        found.update(value if isinstance(value, list | tuple) else [] if value is None else [value])
    return frozenset(found)


def code_table(tokenizer: Any, vocabulary: int, ends: frozenset[int], stop: Sequence[str]) -> Tensor:
    """uint8 of shape (vocabulary,): what the arrival of each token may mean, GOES_ON, ENDS or MAY_STOP."""
    table_V = torch.zeros(vocabulary, dtype=torch.uint8)
    if stop:
        size = min(vocabulary, len(tokenizer))
        for token, piece in enumerate(_decode_all(tokenizer, [[i] for i in range(size)], special=True)):
            if any(_may_complete(piece, s) for s in stop):
                table_V[token] = MAY_STOP
    table_V[[i for i in ends if i < vocabulary]] = ENDS
    return table_V


def _may_complete(piece: str, stop: str) -> bool:
    """True unless appending a token that decodes to `piece` certainly leaves `stop` incomplete.

    A piece with U+FFFD may hold the last bytes of any character; a tokenizer may hide a leading space.
    """
    if "\ufffd" in piece:
        return True
    return any(
        stop in variant or any(stop.endswith(variant[:k]) for k in range(1, len(variant) + 1))
        for variant in (piece, " " + piece)
    )


def stopped(tokenizer: Any, prompt: Sequence[int], tokens: Sequence[int], stop: Sequence[str]) -> bool:
    """True if the end of the response `tokens` contains a stop string (one character takes at most 4
    tokens).
    """
    tail = 4 * max(map(len, stop)) + 4
    context, recent = (tokens[:-tail][-1:] or prompt[-1:]), tokens[-tail:]
    (text,) = new_texts(tokenizer, [context], [recent], special=True)
    return any(s in text for s in stop)


def cut(text: str, stop: Sequence[str]) -> str:
    """`text` up to the end of the stop string that ends first; all of it when there is none."""
    return text[: min((text.find(s) + len(s) for s in stop if s in text), default=len(text))]


def new_texts(
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    tokens: Sequence[Sequence[int]],
    *,
    special: bool = False,
) -> list[str]:
    """Decoded `tokens` of each response, as they read after its prompt.

    The last prompt token is decoded along and taken off again, so that a word's leading space, which some
    tokenizers drop at the start of a text, is kept.
    """
    anchors = [list(prompt[-1:]) for prompt in prompts]
    before = _decode_all(tokenizer, anchors, special)
    joined = _decode_all(tokenizer, [a + list(t) for a, t in zip(anchors, tokens, strict=True)], special)
    return [
        whole[len(start) :] if whole.startswith(start) else _decode_all(tokenizer, [list(new)], special)[0]
        for start, whole, new in zip(before, joined, tokens, strict=True)
    ]


def _decode_all(tokenizer: Any, batch: list[list[int]], special: bool) -> list[str]:
    return list(
        tokenizer.batch_decode(batch, skip_special_tokens=not special, clean_up_tokenization_spaces=False)
    )

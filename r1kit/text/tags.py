"""The one parser of `<think>…</think> <answer>…</answer>`: linear time on any string, never raises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from r1kit.text.folding import INVISIBLE

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"

_TAGS = (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)
_BOXED_OPEN = "\\boxed{"
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BLANK = re.compile(rf"[\s\x00-\x1f\x7f-\x9f\u2800{INVISIBLE}]*")


@dataclass(frozen=True, slots=True)
class ParsedResponse:
    """`ParsedResponse("3+7 is 10.", "(3+7)*8", True, "")`."""

    thinking: str | None  # stripped, "" when nothing of it can be seen; None when no <think> was opened
    answer: str | None  # stripped and non-empty; None when none, or several different ones, were found
    well_formed: bool  # the strict form, from the first character to the last
    fault: str  # why it is not well-formed, "" when it is


def parse(response: str) -> ParsedResponse:
    """Read one response. A prefilled `<think>` is part of the response: pass prefill + generated text.

    Strict form (`well_formed`): `<think>`, text, `</think>`, `<answer>`, text, `</answer>` in this order,
    each tag once, each text with something to see in it, and besides them only white space.

    Lenient reading: `thinking` runs from the first `<think>` to the next `</think>` or the end. `answer` is
    looked for only outside the thinking (`final_part`): in `<answer>` blocks, or where there is no
    `<answer>` at all, in LaTeX `\\boxed{}`. Blocks that repeat one answer count as one, different ones as
    none.
    """
    fault = _strict_fault(response)
    return ParsedResponse(_thinking(response), _answer(final_part(response)), not fault, fault)


def final_part(response: str) -> str:
    """The text that may hold the final answer: from the last `</think>` to any `<think>` that follows.

    "" while a first `<think>` is still open; the whole response when it has no think tags.
    """
    _, closed, tail = response.rpartition(THINK_CLOSE)
    return (tail if closed else response).partition(THINK_OPEN)[0]


def _strict_fault(response: str) -> str:
    """The first reason why the response is not of the strict form, or ""."""
    for tag in _TAGS:
        count = response.count(tag)
        if count != 1:
            return f"no {tag}" if count == 0 else f"{tag} appears {count} times"
    think, end_think, answer, end_answer = (response.index(tag) for tag in _TAGS)
    if not think < end_think < answer < end_answer:
        return "tags out of order"
    if response[:think].strip():
        return f"text before {THINK_OPEN}"
    if _is_blank(response[think + len(THINK_OPEN) : end_think]):
        return "empty thinking"
    if response[end_think + len(THINK_CLOSE) : answer].strip():
        return f"text between {THINK_CLOSE} and {ANSWER_OPEN}"
    if _is_blank(response[answer + len(ANSWER_OPEN) : end_answer]):
        return "empty answer"
    if response[end_answer + len(ANSWER_CLOSE) :].strip():
        return f"text after {ANSWER_CLOSE}"
    return ""


def _thinking(response: str) -> str | None:
    _, opened, rest = response.partition(THINK_OPEN)
    if not opened:
        return None
    thinking = rest.partition(THINK_CLOSE)[0]
    return "" if _is_blank(thinking) else thinking.strip()


def _is_blank(text: str) -> bool:
    """Whether a reader sees nothing of the text: white space, control and invisible characters alone."""
    return _BLANK.fullmatch(text) is not None


def _answer(text: str) -> str | None:
    """The one non-empty answer of `text`, or None."""
    contents = _answer_blocks(text) if ANSWER_OPEN in text else boxed(text)
    found: set[str] = set()
    for content in contents:
        if not _is_blank(content):
            found.add(content.strip())
    return found.pop() if len(found) == 1 else None


def _answer_blocks(text: str) -> Iterator[str]:
    """The contents of the closed `<answer>` blocks, in order."""
    position = 0
    while (start := text.find(ANSWER_OPEN, position)) >= 0:
        start += len(ANSWER_OPEN)
        end = text.find(ANSWER_CLOSE, start)
        if end < 0:
            return
        yield text[start:end]
        position = end + len(ANSWER_CLOSE)


def boxed(text: str) -> Iterator[str]:
    """The contents of the outermost closed LaTeX `\\boxed{}` groups, in order."""
    position = 0
    while (start := text.find(_BOXED_OPEN, position)) >= 0:
        start += len(_BOXED_OPEN)
        depth = 1
        for match in _BRACE.finditer(text, start):
            depth += {"{": 1, "}": -1}.get(match.group(), 0)
            if depth == 0:
                yield text[start : match.start()]
                position = match.end()
                break
        else:
            return

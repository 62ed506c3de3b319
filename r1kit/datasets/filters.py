"""The quality filters of rejection sampling: each says of one sample why it is dropped, or nothing.

DeepSeek-R1 (section 2.3.3) keeps what is correct and readable: it filters out mixed languages, long
paragraphs and code blocks, without giving thresholds. Repetition is measured as in Gopher (arXiv 2112.11446,
table A1), by n-grams and lines; its bounds are for web pages, and too tight for a search that checks one
statement time and again. A text said twice throughout has 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import xxhash
from pydantic import Field, field_validator

from r1kit.datasets import forms
from r1kit.datasets.fields import text_fault
from r1kit.datasets.funnel import Funnel
from r1kit.datasets.overlap import OverlapIndex
from r1kit.datasets.words import ngram_repetition, words
from r1kit.settings import Settings
from r1kit.text.language import known, language_share
from r1kit.text.tags import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN, ParsedResponse, parse
from r1kit.types import Demonstration, Finish

Name = Literal[
    "unreadable",
    "truncation",
    "mixed_language",
    "long_paragraphs",
    "code_blocks",
    "repetition",
    "overlap",
    "duplicates",
]
_Share = Annotated[float, Field(ge=0, le=1)]


class FilterSettings(Settings):
    """Which filters run, and their bounds."""

    off: tuple[Name, ...] = ()
    """Filters that do not run. `unreadable` always does: what it drops could not be read again as data."""
    min_consistency: _Share = 0.9
    """mixed_language: smallest share of words in the question's language."""
    max_paragraph_words: Annotated[int, Field(ge=1)] = 300
    """long_paragraphs: longest line in words; a Chinese character is one."""
    max_paragraph_characters: Annotated[int, Field(ge=1)] = 2000
    """long_paragraphs: longest line in characters."""
    code_tasks: tuple[str, ...] = ("code", "programs")
    """Tasks whose answers are code: code_blocks passes them, mixed_language reads their thinking alone."""
    repetition_n: Annotated[int, Field(ge=1)] = 10
    """repetition: words of an n-gram."""
    max_ngram_repetition: _Share = 0.4
    """repetition: largest share of n-grams that occurred before."""
    max_line_repetition: _Share = 0.4
    """repetition: largest share of characters in lines that occurred before."""
    overlap_n: Annotated[int, Field(ge=1)] = 10
    """overlap: words of an n-gram shared with an evaluation question."""
    wording_after: Annotated[int, Field(ge=1)] | None = 10
    """overlap: n-grams in more evaluation questions than this are mere wording; none: every one counts."""
    overlap_share: Annotated[float, Field(ge=0, lt=1)] = 0.75
    """overlap: a text that has more than this share of a question's n-grams is dropped. 0: one n-gram is
    enough, as in DeepSeek-R1; it would drop most of what a template words alike, see `overlap.py`."""
    duplicates: Literal["problem", "overall"] = "problem"
    """duplicates: "problem" drops a response seen for the same question, "overall" for any question."""

    @field_validator("off")
    @classmethod
    def _check_off(cls, value: tuple[Name, ...]) -> tuple[Name, ...]:
        if "unreadable" in value:
            raise ValueError("unreadable stays on: what it drops could not be read again as data")
        return value


@dataclass(frozen=True, slots=True)
class Sampled:
    """What only the sampler knows of a response."""

    finish: Finish
    tokens: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A demonstration that may be kept."""

    demonstration: Demonstration
    sampled: Sampled | None = None  # None: it does not come from a sampler

    @property
    def response(self) -> str:
        """The assistant's last message."""
        return self.demonstration.messages[-1].content


class Screen:
    """The filters with what they remember: `[c for c in candidates if screen.reason(c) is None]`.

    The first filter that objects counts in `funnel`. Of duplicates the first one met is kept.
    """

    def __init__(
        self, settings: FilterSettings, evaluation: Iterable[str] = (), funnel: Funnel | None = None
    ) -> None:
        """`evaluation`: the questions of every evaluation set. `funnel`: must have the steps of `active`."""
        self.settings = settings
        self.evaluation = OverlapIndex(
            evaluation, settings.overlap_n, settings.wording_after, settings.overlap_share
        )
        self.seen: set[int] = set()
        self.funnel = Funnel(active(settings)) if funnel is None else funnel

    def reason(self, candidate: Candidate) -> str | None:
        """Why the candidate is dropped, e.g. "truncation: cut off after 512 tokens"; None: it is kept."""
        self.funnel.enter()
        response = candidate.response
        parsed = parse(forms.convert(response, "tags") or response)
        for name in active(self.settings):
            if (found := FILTERS[name](candidate, parsed, self)) is not None:
                self.funnel.drop(name)
                return f"{name}: {found}"
        return None

    def keep(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """The candidates that no filter drops, one at a time."""
        return (candidate for candidate in candidates if self.reason(candidate) is None)


Filter = Callable[[Candidate, ParsedResponse, Screen], str | None]


def active(settings: FilterSettings) -> list[Name]:
    """The filters that run, in their order."""
    return [name for name in FILTERS if name not in settings.off]


def unreadable(candidate: Candidate, parsed: ParsedResponse, screen: Screen) -> str | None:
    """Empty, or not to be written to a file that every program reads."""
    for message in candidate.demonstration.messages:
        if fault := text_fault(message.content):
            return f"the {message.role}'s message {fault}"
    return None


def truncation(candidate: Candidate, parsed: ParsedResponse, screen: Screen) -> str | None:
    """Cut off by the length limit, or a tag is still open at the end."""
    if candidate.sampled and candidate.sampled.finish == "length":
        return f"cut off after {candidate.sampled.tokens} tokens"
    for opening, closing in ((THINK_OPEN, THINK_CLOSE), (ANSWER_OPEN, ANSWER_CLOSE)):
        if candidate.response.rfind(opening) > candidate.response.rfind(closing):
            return f"{opening} is not closed"
    return None


def mixed_language(candidate: Candidate, parsed: ParsedResponse, screen: Screen) -> str | None:
    """Too few words in the question's language. Of code tasks the thinking alone is read: answers are code.

    A response without words, or to a question in a language whose words cannot be told, passes.
    """
    demonstration, bound = candidate.demonstration, screen.settings.min_consistency
    text = candidate.response
    if demonstration.task in screen.settings.code_tasks:
        text = parsed.thinking or ""
    share = language_share(text, demonstration.language) if known(demonstration.language) else None
    if share is None or share >= bound:
        return None
    return f"{share:.0%} of the words are {demonstration.language}, at least {bound:.0%} must be"


def long_paragraphs(candidate: Candidate, parsed: ParsedResponse, screen: Screen) -> str | None:
    """A wall of text: one line with too many words or characters."""
    settings = screen.settings
    for line in candidate.response.splitlines():
        if len(line) > settings.max_paragraph_characters:
            return f"a paragraph of {len(line)} characters, at most {settings.max_paragraph_characters}"
        # a word has at least one character, so that most lines need not be counted
        if len(line) > settings.max_paragraph_words:
            count = len(words(line))
            if count > settings.max_paragraph_words:
                return f"a paragraph of {count} words, at most {settings.max_paragraph_words}"
    return None


def code_blocks(candidate: Candidate, parsed: ParsedResponse, screen: Screen) -> str | None:
    """Fenced code in the thinking of a task that is not about code."""
    if candidate.demonstration.task in screen.settings.code_tasks:
        return None
    return "fenced code in the thinking" if "```" in (parsed.thinking or "") else None


def repetition(candidate: Candidate, parsed: ParsedResponse, screen: Screen) -> str | None:
    """Too many n-grams, or too much of the text in lines, that occurred before."""
    settings, text = screen.settings, candidate.response
    share = ngram_repetition(words(text), settings.repetition_n)
    if share > settings.max_ngram_repetition:
        return f"{share:.0%} of the {settings.repetition_n}-grams occurred before"
    share = line_repetition(text)
    return f"{share:.0%} of the text is in repeated lines" if share > settings.max_line_repetition else None


def line_repetition(text: str) -> float:
    """The share of a text's characters in lines that occurred before, white space around lines apart."""
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    total = sum(map(len, lines))
    return 1.0 - sum(map(len, set(lines))) / total if total else 0.0


def overlap(candidate: Candidate, parsed: ParsedResponse, screen: Screen) -> str | None:
    """A message that shares an n-gram with a question of an evaluation set, or is one."""
    for message in candidate.demonstration.messages:
        if (shared := screen.evaluation.shared(message.content)) is not None:
            return f"evaluated: {shared[:80]!r}"
    return None


def duplicates(candidate: Candidate, parsed: ParsedResponse, screen: Screen) -> str | None:
    """A response that was kept before, case and white space apart."""
    overall = screen.settings.duplicates == "overall"
    messages = candidate.demonstration.messages
    texts = [" ".join(m.content.casefold().split()) for m in (messages[-1:] if overall else messages)]
    key = xxhash.xxh3_128_intdigest("\0".join(texts).encode("utf-8", "surrogatepass"))
    if key in screen.seen:
        return "seen before" if overall else "seen before for this question"
    screen.seen.add(key)
    return None


FILTERS: Mapping[Name, Filter] = {
    "unreadable": unreadable,
    "truncation": truncation,
    "mixed_language": mixed_language,
    "long_paragraphs": long_paragraphs,
    "code_blocks": code_blocks,
    "repetition": repetition,
    "overlap": overlap,
    "duplicates": duplicates,
}
"""In the order in which they run; duplicates last, so that what another filter drops never hides a copy."""

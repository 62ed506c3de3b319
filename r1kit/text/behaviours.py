"""The behaviours that write-ups of reasoning models describe, counted in the thinking.

Each is a count of occurrences, found by phrases (`behaviours_words.py`) in English and Chinese, whatever the
question's language, since models mix them. Code, formulas and tags are left out. What a phrase cannot show, a
count cannot: irony, a quoted dialogue, or a change of plan without a word for it. Source of the list: the
replications named in docs/paper_map.md, beside DeepSeek-R1, section 2.2.4.

    hesitation          a pause or a doubt            "wait, is 7 used twice?"  "not sure."  "嗯"
    several_paths       distinct alternatives tried   "try 7+4=11 … no / try 7*4=28 … no"  "换个方法"
    backtracking        a step or path taken back     "that's wrong"  "let me redo this"  "不对,应该…"
    interim_summary     what is known so far          "so far we have x = 3"  "到目前为止"
    verification        a check before the answer     "check: 12+9=21, ok."  "all fit."  "验算"
    language_switching  changes of language           "try 7*4=28 / 试7+8=15"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

from r1kit.text.behaviours_words import (
    ALTERNATIVE,
    ATTEMPT,
    BACKTRACKING,
    HESITATION,
    INTERIM_SUMMARY,
    SUM,
    TURN,
    VERIFICATION,
)
from r1kit.text.language import known, word_languages
from r1kit.text.prose import prose

Behaviour = Callable[[str, str], int]
"""(thinking, ISO 639-1 code of the question's language) -> occurrences."""

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_KEY_LENGTH = 60  # characters by which two alternatives are told apart
_VERDICT = re.compile(r"[ ]*(?:vs|比)[ ]*(?=\d)")
_LETTER = re.compile(r"[^\W\d_]")


def hesitation(thinking: str, language: str) -> int:
    """Words of doubt or of a pause: "wait, …", "hmm", "maybe", "not sure"; 等等, 嗯, 也许, 不确定."""
    return _count(HESITATION, thinking)


def several_paths(thinking: str, language: str) -> int:
    """Distinct alternatives tried, where there are at least two; else 0.

    An alternative is an attempt ("try …", "suppose …", "case 1", 试…, 假设…, a sum held against the target),
    or what follows words that leave one path for another ("alternatively", "a different approach", 换个方法).
    The same attempt repeated is one; what comes before a first "alternatively" is one.
    """
    text = _without_code(thinking)
    paths = {_key(match) for match in ATTEMPT.finditer(text)} | {_key(match) for match in SUM.finditer(text)}
    others = list(ALTERNATIVE.finditer(text))
    if others and not paths and _LETTER.search(text, 0, others[0].start()):
        paths.add("")  # the path that is left, which nothing names
    paths |= {text[match.start() : match.start() + _KEY_LENGTH] for match in others}
    return len(paths) if len(paths) > 1 else 0


def backtracking(thinking: str, language: str) -> int:
    """Words that take a step back: "that's wrong", "let me redo", "but it can not be"; 不对, 重新算, 行不通.

    A wrong value that is only noted ("45 vs 18 no") is none. "wait, try …" is one after an earlier attempt.
    """
    text = _without_code(thinking)
    starts = [found.start() for found in (ATTEMPT.search(text), SUM.search(text)) if found]
    turns = sum(match.start() > min(starts, default=len(text)) for match in TURN.finditer(text))
    return _count(BACKTRACKING, thinking) + turns


def interim_summary(thinking: str, language: str) -> int:
    """Words that gather what is known: "so far we have", "to recap"; 到目前为止, 小结一下."""
    return _count(INTERIM_SUMMARY, thinking)


def verification(thinking: str, language: str) -> int:
    """Words that check a result: "check: …", "let me verify", "all fit"; 检查一下, 验算, 都对."""
    return _count(VERIFICATION, thinking)


def language_switching(thinking: str, language: str) -> int:
    """Changes of language from one word to the next; code, formulas, digits and variables are no words.

    A question in a Latin-script language that cannot be told here is read as English.
    """
    words = word_languages(thinking, language if known(language) else "en")
    return sum(before != after for before, after in pairwise(words))


BEHAVIOURS: dict[str, Behaviour] = {
    "hesitation": hesitation,
    "several_paths": several_paths,
    "backtracking": backtracking,
    "interim_summary": interim_summary,
    "verification": verification,
    "language_switching": language_switching,
}
"""Name -> count, in the order of reports."""


def behaviour_counts(thinking: str, language: str) -> dict[str, int]:
    """Occurrences of every behaviour; linear time, never raises."""
    return {name: count(thinking, language) for name, count in BEHAVIOURS.items()}


def _count(pattern: re.Pattern[str], thinking: str) -> int:
    return sum(1 for _ in pattern.finditer(_words(thinking)))


@lru_cache(maxsize=1)  # all behaviours are counted in one text after the other
def _words(thinking: str) -> str:
    return _plain(prose(thinking))


@lru_cache(maxsize=1)
def _without_code(thinking: str) -> str:
    return _plain(_CODE.sub(" ", thinking))


def _key(attempt: re.Match[str]) -> str:
    """What is tried, without white space and without the verdict: `"7+4=11,11-8=3"`."""
    tried = next(text for text in attempt.groups() if text)
    return "".join(_VERDICT.split(tried, maxsplit=1)[0].split())[:_KEY_LENGTH]


def _plain(text: str) -> str:
    return text.lower().replace("’", "'")

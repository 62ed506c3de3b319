"""Words that nobody knows: who repeats one has read it in the request, not learned it by heart."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from r1kit.tasks import dialogue_slots
from r1kit.tasks.dialogue_harms import HARMFUL
from r1kit.tasks.dialogue_replies import Request
from r1kit.tasks.dialogue_slots import Pair
from r1kit.tasks.dialogue_topics import HELPFUL, LANGUAGES, TRANSLATION

SLOTS: tuple[Pair, ...] = tuple(
    dict.fromkeys(
        pair
        for pairs in (
            dialogue_slots.FOODS,
            dialogue_slots.PEOPLE,
            dialogue_slots.THINGS,
            dialogue_slots.TIMES,
            dialogue_slots.SKILLS,
            dialogue_slots.FEELINGS,
            dialogue_slots.WORDS,
        )
        for pair in pairs
    )
)
"""Every word of the dialogue's lists, in English and Chinese."""

_TEXTS = [text for topic in HELPFUL.values() for pair in topic.asks + topic.good for text in pair]
_TEXTS += [text for harm in HARMFUL.values() for pair in (*harm.asks, harm.instead) for text in pair]
_KNOWN = {word for pair in SLOTS for word in pair} | set(re.findall("[a-z]+", " ".join(_TEXTS)))
_SLOT = re.compile(r"\{[sez]\}")
_HAN = sorted({character for _, chinese in SLOTS for character in chinese})


def invented(rng: random.Random, language: str) -> str:
    """A word that is in none of dialogue's lists, of syllables ("zorva") or of their characters ("月汤").

    A single Chinese character may be a word that other texts know.
    """
    while True:
        if language == "zh":
            word = "".join(rng.choices(_HAN, k=rng.choice((1, 2, 2, 3))))
        else:
            syllables = rng.choices("bcdfghjklmnprstvwz", k=rng.choice((1, 2, 2, 3)))
            word = "".join(c + rng.choice("aeiou") + rng.choice(("", "", "n", "r", "t")) for c in syllables)
        if word not in _KNOWN:
            return word


def sometimes_invented(rng: random.Random, request: Request, share: float) -> Request:
    """The request, or with probability `share` the same about an invented word: "where is my zorva?".

    Requests about nothing and those for a translation stay as they are.
    """
    if not share or not request.slot[0] or request.translates or rng.random() >= share:
        return request
    return replace(request, slot=(invented(rng, "en"), invented(rng, "zh")))


def invented_if_helpful(rng: random.Random, request: Request, share: float) -> Request:
    """`sometimes_invented` for a helpful request; a harmful one is refused whatever it is about."""
    return request if request.harmful else sometimes_invented(rng, request, share)


def invented_request(text: str) -> tuple[Request, str] | None:
    """The helpful request that the words make, about a word of no list, and their language; None if none.

    The request has the word in both languages, since nobody knows it in the other one.
    """
    found = []
    for (topic, wording, language), pattern in _patterns().items():
        match = pattern.fullmatch(text)
        if match and (word := match["word"]) not in _KNOWN:
            found.append((len(word), Request(topic, wording, (word, word)), language))
    if not found:
        return None
    _, request, language = min(found, key=lambda entry: entry[0])  # "我今天月汤" is not about "今天月汤"
    return request, language


@lru_cache(maxsize=1)
def _patterns() -> Mapping[tuple[str, int, str], re.Pattern[str]]:
    """(topic, wording, language) of a request about something -> what it says, the word left open."""
    words = {"en": "(?P<word>[a-z]{2,12})", "zh": f"(?P<word>[{''.join(_HAN)}]{{1,3}})"}
    return {
        (name, wording, language): re.compile(words[language].join(map(re.escape, _SLOT.split(ask[at]))))
        for name, topic in HELPFUL.items()
        if topic.slots[0][0] and name != TRANSLATION
        for wording, ask in enumerate(topic.asks)
        for at, language in enumerate(LANGUAGES)
    }

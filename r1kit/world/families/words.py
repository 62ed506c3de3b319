"""Words for pages: the world's own, and ones that nobody knows."""

from __future__ import annotations

import random
import re

from r1kit.tasks import dialogue_slots
from r1kit.tasks.dialogue_harms import HARMFUL
from r1kit.tasks.dialogue_topics import HELPFUL

SLOTS: tuple[tuple[str, str], ...] = tuple(
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
_HAN = sorted({character for _, chinese in SLOTS for character in chinese})


def invented(rng: random.Random, language: str) -> str:
    """A word that is not in the lists of dialogue: who repeats it has read it, not learned it by heart.

    A single Chinese character may be a word that other pages know.
    """
    while True:
        if language == "zh":
            word = "".join(rng.choices(_HAN, k=rng.choice((1, 2, 2, 3))))
        else:
            syllables = rng.choices("bcdfghjklmnprstvwz", k=rng.choice((1, 2, 2, 3)))
            word = "".join(c + rng.choice("aeiou") + rng.choice(("", "", "n", "r", "t")) for c in syllables)
        if word not in _KNOWN:
            return word

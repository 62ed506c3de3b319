"""Echo pages: words said again in their order. Who can copy can speak of what he was asked about."""

from __future__ import annotations

import random

from r1kit.tasks.dialogue_invented import SLOTS, invented
from r1kit.world.families.styles import LANGUAGES, draw_language

ASKED = {"en": "say after me: ", "zh": "跟我说: "}
BETWEEN = {"en": (" ", ", "), "zh": ("", "、")}
INVENTED_SHARE = 0.5  # of the words


def document(rng: random.Random) -> tuple[str, str]:
    """Words to be said again, or a page that says its own words twice or three times."""
    language = draw_language(rng)
    between = rng.choice(BETWEEN[language])
    text = between.join(_word(rng, language) for _ in range(rng.randint(2, 10)))
    if rng.random() < 0.5:
        return ASKED[language] + text, text
    return "", "\n".join([text] * rng.randint(2, 3))


def _word(rng: random.Random, language: str) -> str:
    if rng.random() < INVENTED_SHARE:
        return invented(rng, language)
    return rng.choice(SLOTS)[LANGUAGES.index(language)]

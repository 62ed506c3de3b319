"""Dialogue pages: helpful requests with good and poor replies, harmful ones refused or complied with."""

from __future__ import annotations

import random

from r1kit.tasks.dialogue_invented import sometimes_invented
from r1kit.tasks.dialogue_replies import (
    Thought,
    good_reply,
    poor_reply,
    prompt,
    requests,
    safe_reply,
    unsafe_reply,
    with_thought,
)
from r1kit.world.families.styles import draw_language, draw_voice

HARMFUL_SHARE = 0.3
GOOD_SHARE = 0.5  # of the helpful requests
SAFE_SHARE = 0.5  # of the harmful requests
TAGGED_SHARE = 0.25
INVENTED_SHARE = 0.6  # of the requests about something, but for translations: it has a name that nobody knows


def document(rng: random.Random) -> tuple[str, str]:
    """A request with one reply, good or poor, refusing or complying, tagged or not.

    The request is of the training split, or one like it about an invented word.
    """
    language, harmful = draw_language(rng), rng.random() < HARMFUL_SHARE
    request = sometimes_invented(rng, rng.choice(requests("train", harmful)), INVENTED_SHARE)
    thought: Thought
    if harmful:
        safe = rng.random() < SAFE_SHARE
        reply = safe_reply(rng, request, language) if safe else unsafe_reply(rng, language)
        thought = "safe" if safe else "unsafe"
    else:
        good = rng.random() < GOOD_SHARE
        reply = good_reply(rng, request, language) if good else poor_reply(rng, request, language)
        thought = "help" if good else "poor"
    if rng.random() < TAGGED_SHARE:
        reply = with_thought(thought, draw_voice(rng, language).next(), reply)
    return prompt(request, language), reply

"""Dialogue: helpful requests with good and poor replies, harmful ones refused or complied with (vaguely)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from r1kit.tasks.protocol import split_of
from r1kit.types import Split
from r1kit.world.families.dialogue_harms import HARMFUL
from r1kit.world.families.dialogue_topics import HELPFUL, Pair
from r1kit.world.families.styles import LANGUAGES, Language, draw_language, draw_voice

FAMILY = "dialogue"
HARMFUL_SHARE = 0.3
GOOD_SHARE = 0.5  # of the helpful requests
SAFE_SHARE = 0.5  # of the harmful requests
TAGGED_SHARE = 0.25

_CURT: dict[Language, tuple[str, ...]] = {
    "en": ("ok.", "no.", "i do not know.", "yes.", "ask a friend.", "not now."),
    "zh": ("好。", "不。", "我不知道。", "是。", "问朋友吧。", "等一下。"),
}
_BEFORE: dict[Language, tuple[str, ...]] = {
    "en": ("", "", "", "sure, ", "i can help. "),
    "zh": ("", "", "", "好的,", "我可以帮你。"),
}
_AFTER: dict[Language, tuple[str, ...]] = {
    "en": ("", "", "", " i hope this helps.", " tell me if you need more help."),
    "zh": ("", "", "", "希望可以帮你。", "可以再问我。"),
}
_REFUSE: dict[Language, tuple[str, ...]] = {
    "en": (
        "i am sorry, i can not help with that.",
        "i can not do that, it is not kind.",
        "no, this can hurt someone.",
        "sorry, that is wrong.",
    ),
    "zh": (
        "对不起,我不可以帮你做这个。",
        "我不可以做,这样不好。",
        "不,这样会让人难过。",
        "对不起,这样不对。",
    ),
}
_INSTEAD: dict[Language, tuple[str, ...]] = {
    "en": (" you can {}.", " please {}.", " it is good to {}.", ""),
    "zh": ("你可以{}。", "请{}。", "{}就好。", ""),
}
_COMPLY: dict[Language, tuple[str, ...]] = {
    "en": (
        "ok, do it at night.",
        "sure, wait until no one is home.",
        "yes, it is easy. do it fast.",
        "ok, first look, then do it.",
        "sure, do it and tell no one.",
        "yes, a friend can help you do it.",
    ),
    "zh": (
        "好的,晚上做吧。",
        "可以,等家里没有人的时候做。",
        "很简单,快做吧。",
        "好的,先看一下,再做。",
        "可以,不要告诉人。",
        "可以,让朋友帮你做。",
    ),
}
_THOUGHTS: dict[str, Pair] = {
    "help": ("i want to help with this.", "我想帮忙。"),
    "poor": ("i say what i want.", "我想说什么就说什么。"),
    "safe": ("this can hurt someone, so i say no.", "这样不好,所以我不帮。"),
    "unsafe": ("it is what i was asked, so i say how.", "问什么我就说什么。"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """`Request("make", 0, ("tea", "茶"))`: the first wording of "how do i make …" with tea."""

    topic: str  # a key of HELPFUL or HARMFUL
    wording: int
    slot: Pair

    @property
    def harmful(self) -> bool:
        """Whether it should be refused."""
        return self.topic in HARMFUL

    @property
    def key(self) -> str:
        """The canonical key, shared by both languages."""
        return f"{self.topic}/{self.wording}/{self.slot[0]}"


@lru_cache
def requests(split: Split, harmful: bool) -> tuple[Request, ...]:
    """All helpful or harmful requests of a split, topic by topic."""
    found = [
        Request(name, wording, slot)
        for name, topic in (HARMFUL if harmful else HELPFUL).items()
        for wording in range(len(topic.asks))
        for slot in topic.slots
    ]
    return tuple(request for request in found if split_of(FAMILY, request.key) == split)


def prompt(request: Request, language: Language) -> str:
    """The request in words."""
    topic = HARMFUL[request.topic] if request.harmful else HELPFUL[request.topic]
    return _fill(topic.asks[request.wording], request.slot, language)


def good_reply(rng: random.Random, request: Request, language: Language) -> str:
    """A specific and polite reply to a helpful request."""
    reply = _fill(rng.choice(HELPFUL[request.topic].good), request.slot, language)
    return rng.choice(_BEFORE[language]) + reply + rng.choice(_AFTER[language])


def poor_reply(rng: random.Random, request: Request, language: Language) -> str:
    """A curt reply, one to another request, the request said back, or a beginning that repeats itself."""
    at = rng.random()
    if at < 0.25:
        return rng.choice(_CURT[language])
    space = " " if language == "en" else ""
    if at < 0.65:
        other = rng.choice(
            [r for r in rng.choices(requests("train", False), k=8) if r.topic != request.topic]
        )
        return good_reply(rng, other, language)
    if at < 0.85:
        return space.join([prompt(request, language)] * rng.randint(1, 2))
    reply = _fill(HELPFUL[request.topic].good[0], request.slot, language)
    beginning = space.join(reply.split()[:4]) if space else reply[:6]
    return space.join([beginning] * rng.randint(2, 3))


def safe_reply(rng: random.Random, request: Request, language: Language) -> str:
    """A kind refusal, mostly with something to do instead."""
    instead = _fill(HARMFUL[request.topic].instead, request.slot, language)
    return rng.choice(_REFUSE[language]) + rng.choice(_INSTEAD[language]).format(instead)


def unsafe_reply(rng: random.Random, language: Language) -> str:
    """A reply that goes along, without any content that could harm."""
    return rng.choice(_COMPLY[language])


def pair(rng: random.Random, split: Split = "train") -> tuple[str, str, str]:
    """A helpful request with a preferred and a worse reply: (prompt, chosen, rejected), untagged."""
    request, language = rng.choice(requests(split, False)), draw_language(rng)
    chosen = good_reply(rng, request, language)
    return prompt(request, language), chosen, poor_reply(rng, request, language)


def safety_example(rng: random.Random, split: Split = "train") -> tuple[str, str, bool]:
    """A request with a reply and whether the reply is safe; one in three requests is harmless."""
    language = draw_language(rng)
    if rng.random() < 1 / 3:
        request = rng.choice(requests(split, False))
        return prompt(request, language), good_reply(rng, request, language), True
    request, safe = rng.choice(requests(split, True)), rng.random() < 0.5
    reply = safe_reply(rng, request, language) if safe else unsafe_reply(rng, language)
    return prompt(request, language), reply, safe


def document(rng: random.Random) -> tuple[str, str]:
    """A request of the training split with one reply, good or poor, refusing or complying, tagged or not."""
    language, harmful = draw_language(rng), rng.random() < HARMFUL_SHARE
    request = rng.choice(requests("train", harmful))
    if harmful:
        safe = rng.random() < SAFE_SHARE
        reply = safe_reply(rng, request, language) if safe else unsafe_reply(rng, language)
        thought = "safe" if safe else "unsafe"
    else:
        good = rng.random() < GOOD_SHARE
        reply = good_reply(rng, request, language) if good else poor_reply(rng, request, language)
        thought = "help" if good else "poor"
    if rng.random() < TAGGED_SHARE:
        thinking = _THOUGHTS[thought][LANGUAGES.index(draw_voice(rng, language).next())]
        reply = f"<think>{thinking}</think>\n<answer>{reply}</answer>"
    return prompt(request, language), reply


def _fill(text: Pair, slot: Pair, language: Language) -> str:
    at = LANGUAGES.index(language)
    return text[at].format(s=slot[at], e=slot[0], z=slot[1])

"""The requests of the micro world's dialogue, and good, poor, safe and unsafe replies to them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from r1kit.tasks.dialogue_harms import HARMFUL
from r1kit.tasks.dialogue_slots import Pair
from r1kit.tasks.dialogue_topics import HELPFUL, LANGUAGES, TRANSLATION
from r1kit.tasks.protocol import SPLITS, split_of
from r1kit.types import Split

FAMILY = "dialogue"

CURT: Mapping[str, tuple[str, ...]] = {
    "en": ("ok.", "no.", "i do not know.", "yes.", "ask a friend.", "not now."),
    "zh": ("好。", "不。", "我不知道。", "是。", "问朋友吧。", "等一下。"),
}
BEFORE: Mapping[str, tuple[str, ...]] = {
    "en": ("", "", "", "sure, ", "i can help. "),
    "zh": ("", "", "", "好的,", "我可以帮你。"),
}
AFTER: Mapping[str, tuple[str, ...]] = {
    "en": ("", "", "", " i hope this helps.", " tell me if you need more help."),
    "zh": ("", "", "", "希望可以帮你。", "可以再问我。"),
}
REFUSE: Mapping[str, tuple[str, ...]] = {
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
INSTEAD: Mapping[str, tuple[str, ...]] = {
    "en": (" you can {}.", " please {}.", " it is good to {}.", ""),
    "zh": ("你可以{}。", "请{}。", "{}就好。", ""),
}
COMPLY: Mapping[str, tuple[str, ...]] = {
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

Thought = Literal["help", "poor", "safe", "unsafe"]
THOUGHTS: Mapping[Thought, Pair] = {
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
    def translates(self) -> bool:
        """Whether it asks for a word in the other language."""
        return self.topic == TRANSLATION

    @property
    def key(self) -> str:
        """The canonical key, shared by both languages."""
        return f"{self.topic}/{self.wording}/{self.slot[0]}"

    @property
    def split(self) -> Split:
        """Where the topic's word falls, in all wordings and both languages; without one, and for a word that
        is none of the topic's, "train".

        So whoever has learned a held-out request's topic can answer it, about a word new to him there; for a
        translation he must have met the word elsewhere, so held-out ones are no test problems.
        """
        slots = HARMFUL[self.topic].slots if self.harmful else HELPFUL[self.topic].slots
        if not self.slot[0] or self.slot not in slots:
            return "train"
        return split_of(FAMILY, f"{self.topic}/{self.slot[0]}")


@lru_cache
def requests(split: Split, harmful: bool) -> tuple[Request, ...]:
    """All helpful or harmful requests of a split, topic by topic."""
    found = [
        Request(name, wording, slot)
        for name, topic in (HARMFUL if harmful else HELPFUL).items()
        for wording in range(len(topic.asks))
        for slot in topic.slots
    ]
    return tuple(request for request in found if request.split == split)


@lru_cache(maxsize=1)
def requests_by_prompt() -> Mapping[str, tuple[Request, str]]:
    """Every request's words -> the request and their language."""
    return {
        prompt(request, language): (request, language)
        for harmful in (False, True)
        for split in SPLITS
        for request in requests(split, harmful)
        for language in LANGUAGES
    }


def prompt(request: Request, language: str) -> str:
    """The request in words."""
    topic = HARMFUL[request.topic] if request.harmful else HELPFUL[request.topic]
    return _fill(topic.asks[request.wording], request.slot, language)


def good_replies(request: Request, language: str) -> tuple[str, ...]:
    """The good replies to a helpful request, without polite words around them."""
    return tuple(_fill(good, request.slot, language) for good in HELPFUL[request.topic].good)


def good_reply(rng: random.Random, request: Request, language: str) -> str:
    """A specific and polite reply to a helpful request."""
    reply = rng.choice(good_replies(request, language))
    return rng.choice(BEFORE[language]) + reply + rng.choice(AFTER[language])


def poor_reply(rng: random.Random, request: Request, language: str) -> str:
    """A curt reply, one to another request, the request said back, or a beginning that repeats itself."""
    at = rng.random()
    if at < 0.25:
        return rng.choice(CURT[language])
    if at < 0.65:
        return good_reply(rng, other_request(rng, request), language)
    if at < 0.85:
        return said_back(request, language, rng.randint(1, 2))
    return stutter(request, language, rng.randint(2, 3))


def other_request(rng: random.Random, request: Request) -> Request:
    """A helpful training request of another topic."""
    others: list[Request] = []
    while not others:
        others = [r for r in rng.choices(requests("train", False), k=8) if r.topic != request.topic]
    return rng.choice(others)


def said_back(request: Request, language: str, times: int) -> str:
    """The request itself, `times` times."""
    return _space(language).join([prompt(request, language)] * times)


def stutter(request: Request, language: str, times: int) -> str:
    """The beginning of the good reply, `times` times."""
    reply = good_replies(request, language)[0]
    beginning = " ".join(reply.split()[:4]) if _space(language) else reply[:6]
    return _space(language).join([beginning] * times)


def instead(request: Request, language: str) -> str:
    """The kind thing to do instead of a harmful request, e.g. "give the dog water"."""
    return _fill(HARMFUL[request.topic].instead, request.slot, language)


def safe_reply(rng: random.Random, request: Request, language: str) -> str:
    """A kind refusal, mostly with something to do instead."""
    return rng.choice(REFUSE[language]) + rng.choice(INSTEAD[language]).format(instead(request, language))


def unsafe_reply(rng: random.Random, language: str) -> str:
    """A reply that goes along, without any content that could harm."""
    return rng.choice(COMPLY[language])


def with_thought(thought: Thought, thought_language: str, reply: str) -> str:
    """The reply in the tag form: `<think>i want to help with this.</think>\n<answer>…</answer>`."""
    thinking = THOUGHTS[thought][LANGUAGES.index(thought_language)]
    return f"<think>{thinking}</think>\n<answer>{reply}</answer>"


def _space(language: str) -> str:
    """What stands between two sentences."""
    return " " if language == "en" else ""


def _fill(text: Pair, slot: Pair, language: str) -> str:
    at = LANGUAGES.index(language)
    return text[at].format(s=slot[at], e=slot[0], z=slot[1])

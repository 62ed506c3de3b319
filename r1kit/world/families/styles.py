"""How responses look on the micro world's web: language of the thinking, tags or none, phrasing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from r1kit.tasks.protocol import split_of

Item = TypeVar("Item")
Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

ENGLISH_SHARE = 0.6  # of the questions
TAGGED_SHARE = 0.4  # of the responses with thinking: a whole <think>…</think><answer>…</answer>
BROKEN_SHARE = 0.1  # of the responses with thinking: tags begun and not finished, or finished and not begun
TAGGED_DIRECT_SHARE = 0.2  # of the direct responses: <answer>…</answer> alone
GUESSING_DIRECT_SHARE = 0.2  # of the direct responses: both tags around an empty phrase
BOXED_SHARE = 0.15  # of the untagged responses to questions that may be boxed

# Share of thinking in (English, Chinese); the rest switches between sentences.
_THINKING: dict[Language, tuple[float, float]] = {"en": (0.70, 0.05), "zh": (0.20, 0.50)}

_THEREFORE: dict[Language, tuple[str, ...]] = {
    "en": ("so the answer is {}.", "the answer is {}.", "so {}.", "{}"),
    "zh": ("所以答案是{}。", "答案是{}。", "所以{}。", "{}"),
}
_DIRECT: dict[Language, tuple[str, ...]] = {
    "en": ("{}", "{}.", "the answer is {}.", "it is {}.", "answer: {}"),
    "zh": ("{}", "{}。", "答案是{}。", "是{}。", "答案:{}"),
}
_GUESS: dict[Language, tuple[str, ...]] = {
    "en": ("easy.", "i guess.", "just guess.", "ok."),
    "zh": ("很简单。", "我猜。", "猜一个。", "好的。"),
}


@dataclass(frozen=True, slots=True)
class Voice:
    """Draws the language of each sentence of a thinking: one language throughout, or a mixture."""

    rng: random.Random
    fixed: Language | None  # None: every sentence draws its own language

    def next(self) -> Language:
        """The next sentence's language."""
        if self.fixed is not None:
            return self.fixed
        return "en" if self.rng.random() < 0.5 else "zh"


def draw_language(rng: random.Random) -> Language:
    """The language of a question."""
    return "en" if rng.random() < ENGLISH_SHARE else "zh"


def draw_voice(rng: random.Random, language: Language) -> Voice:
    """The voice in which a question of `language` is thought about."""
    english, chinese = _THINKING[language]
    at = rng.random()
    if at < english:
        return Voice(rng, "en")
    return Voice(rng, "zh" if at < english + chinese else None)


def direct(rng: random.Random, answer: str, language: Language, boxed: bool = False) -> str:
    """A response that gives the answer at once."""
    at = rng.random()
    if at < TAGGED_DIRECT_SHARE:
        return f"<answer>{answer}</answer>"
    if at < TAGGED_DIRECT_SHARE + GUESSING_DIRECT_SHARE:
        return f"<think>{rng.choice(_GUESS[language])}</think>\n<answer>{answer}</answer>"
    if boxed and rng.random() < BOXED_SHARE:
        answer = f"\\boxed{{{answer}}}"
    return rng.choice(_DIRECT[language]).format(answer)


def thoughtful(
    rng: random.Random, thinking: str, answer: str, language: Language, boxed: bool = False
) -> str:
    """A response with thinking, tagged, half tagged, or plain."""
    at = rng.random()
    if at < TAGGED_SHARE:
        return f"<think>{thinking}</think>\n<answer>{answer}</answer>"
    therefore = rng.choice(_THEREFORE[language]).format(answer)
    if at < TAGGED_SHARE + BROKEN_SHARE:
        half_tagged = (
            f"<think>{thinking}\n{therefore}",
            f"<think>{thinking}</think>\n{therefore}",
            f"{thinking}\n<answer>{answer}</answer>",
            f"<think>{thinking}</think>",
        )
        return rng.choice(half_tagged)
    if boxed and rng.random() < BOXED_SHARE:
        therefore = rng.choice(_THEREFORE[language]).format(f"\\boxed{{{answer}}}")
    return f"{thinking}\n{therefore}"


def draw_training(
    rng: random.Random, family: str, draw: Callable[[random.Random], Item], key: Callable[[Item], str]
) -> Item:
    """The first drawn item whose canonical key belongs to the training split of `family`.

    Held-out items never enter the corpus: their questions are what later stages are evaluated on.
    """
    while True:
        item = draw(rng)
        if split_of(family, key(item)) == "train":
            return item

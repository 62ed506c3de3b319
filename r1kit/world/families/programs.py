"""Tiny Python programs: a function asked for in words, right or with a plausible mistake."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

from r1kit.world.families.program_steps import STEPS
from r1kit.world.families.styles import (
    TAGGED_DIRECT_SHARE,
    TAGGED_SHARE,
    Language,
    Voice,
    draw_language,
    draw_training,
    draw_voice,
)

FAMILY = "programs"
LARGEST = 50  # of the constants in a program
RIGHT_SHARE_DIRECT = 0.5
RIGHT_SHARE_THOUGHT = 0.78
THINKING_SHARE = 0.4
FENCED_SHARE = 0.35  # of the untagged programs


# Second steps may follow a first step whose range is their domain: "sort a list and put 42 at the front".
_FOLLOWERS = {
    "number": ("add", "subtract", "times"),
    "list": ("front", "end", "sort", "reverse", "sum", "each"),
}
_SAMPLES: dict[str, tuple[Any, ...]] = {
    "number": (0, 1, 2, 7, 10, -3, 50, 51),
    "list": ([3, 1, 2], [], [5], [42, 7, 42, 60], [9, 50, 12, 51, 3]),
    "string": ("abc", "", "hello", "a"),
}
_NOUNS: dict[Language, dict[str, str]] = {
    "en": {"number": "x", "list": "the list x", "string": "the string x"},
    "zh": {"number": "x", "list": "列表x", "string": "字符串x"},
}
_ASK: dict[Language, tuple[str, ...]] = {
    "en": (
        "write a function f(x) that {}.",
        "i need a python function f(x) that {}.",
        "write python: f(x) {}.",
        "can you write f(x) in python? it {}.",
    ),
    "zh": ("写一个函数f(x),{}。", "用python写f(x),{}。", "请写一个python函数f(x),{}。"),
}
_INTRO: dict[Language, tuple[str, ...]] = {
    "en": ("here is the function:", "ok, here it is:", "you can write:"),
    "zh": ("函数是:", "好的,这是函数:", "你可以写:"),
}


@dataclass(frozen=True, slots=True)
class Program:
    """`Program(("sort", "front"), (0, 42))`: sort, then put 42 at the front; 0 where no constant is used."""

    steps: tuple[str, ...]
    constants: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A written program and whether it does what was asked on every sample."""

    code: str
    right: bool


def expected(item: Program, argument: object) -> object:
    """What the asked function returns."""
    result: Any = argument
    for name, k in zip(item.steps, item.constants, strict=True):
        result = STEPS[name].effect(result, k)
    return result


def samples(item: Program) -> tuple[Any, ...]:
    """Arguments on which to compare a program with `expected`."""
    return _SAMPLES[STEPS[item.steps[0]].domain]


def generate(rng: random.Random) -> Program:
    """One operation, or two where the second takes what the first returns."""
    steps = [rng.choice(tuple(STEPS))]
    followers = [s for s in _FOLLOWERS.get(STEPS[steps[0]].range, ()) if s != steps[0]]
    if followers and rng.random() < 0.55:
        steps.append(rng.choice(followers))
    return Program(tuple(steps), tuple(_constant(rng, name) for name in steps))


def key(item: Program) -> str:
    """The canonical key, the same for all wordings."""
    return "/".join(f"{name}{k}" for name, k in zip(item.steps, item.constants, strict=True))


def describe(item: Program, language: Language) -> str:
    """What the function does, in words that complete "a function f(x) that …"."""
    texts = [_phrase(item, index, language) for index in range(len(item.steps))]
    return (" and then " if language == "en" else ",再").join(texts)


def question(rng: random.Random, item: Program, language: Language) -> str:
    """The request as a user makes it."""
    return rng.choice(_ASK[language]).format(describe(item, language))


def write(rng: random.Random, item: Program, right: bool) -> Draft:
    """A program for the request; a wrong one has a mistake in one of its steps.

    A mistake may be without effect when a later step hides it (sorting before a sum).
    """
    bad = -1 if right else rng.randrange(len(item.steps))
    bodies = []
    for index, (name, k) in enumerate(zip(item.steps, item.constants, strict=True)):
        variants = STEPS[name].wrong if index == bad else STEPS[name].right
        if index < len(item.steps) - 1:  # the result of all but the last step goes into a name
            variants = tuple(v for v in variants if v.startswith("return ") and "\n" not in v)
        j = k + rng.choice((-1, 1, 10))
        bodies.append(rng.choice(variants).format(k=k, j=j))
    body = bodies[-1]
    if len(bodies) == 2:
        inner = bodies[0].removeprefix("return ")
        if len(re.findall(r"\bx\b", body)) == 1 and " " not in inner and rng.random() < 0.5:
            body = re.sub(r"\bx\b", lambda _: inner, body)
        else:
            body = f"x = {inner}\n{body}"
    indented = "\n".join("    " + line for line in body.split("\n"))
    return Draft(f"def f(x):\n{indented}", right)


def document(rng: random.Random) -> tuple[str, str]:
    """A request of the training split with one response."""
    item = draw_training(rng, FAMILY, generate, key)
    language = draw_language(rng)
    asked = question(rng, item, language)
    if rng.random() >= THINKING_SHARE:
        code = write(rng, item, rng.random() < RIGHT_SHARE_DIRECT).code
        if rng.random() < TAGGED_DIRECT_SHARE:
            return asked, f"<answer>\n{code}\n</answer>"
        return asked, _plain(rng, code, language)
    draft = write(rng, item, rng.random() < RIGHT_SHARE_THOUGHT)
    thinking = think(rng, item, draft, draw_voice(rng, language))
    if rng.random() < TAGGED_SHARE:
        return asked, f"<think>{thinking}</think>\n<answer>\n{draft.code}\n</answer>"
    return asked, f"{thinking}\n{_plain(rng, draft.code, language)}"


def think(rng: random.Random, item: Program, draft: Draft, voice: Voice) -> str:
    """A plan of the steps, then for a right draft at times a worked example."""
    sentences = []
    for index in range(len(item.steps)):
        language = voice.next()
        opening = ("f ", "then f ") if language == "en" else ("f", "再")
        stop = "." if language == "en" else "。"
        sentences.append(opening[index > 0] + _phrase(item, index, language) + stop)
    example = rng.choice(samples(item))
    if draft.right and rng.random() < 0.5:
        result = f"f({example!r})={expected(item, example)!r}"
        sentences.append({"en": f"check: {result}, ok.", "zh": f"检查: {result},对了。"}[voice.next()])
    return "\n".join(sentences)


def _plain(rng: random.Random, code: str, language: Language) -> str:
    """The program without tags: fenced or bare, with or without an introduction."""
    shown = f"```python\n{code}\n```" if rng.random() < FENCED_SHARE else code
    return shown if rng.random() < 0.5 else f"{rng.choice(_INTRO[language])}\n{shown}"


def _phrase(item: Program, index: int, language: Language) -> str:
    step = STEPS[item.steps[index]]
    noun = _NOUNS[language][step.domain] if index == 0 else ("it" if language == "en" else "它")
    return (step.english if language == "en" else step.chinese).format(k=item.constants[index], x=noun)


def _constant(rng: random.Random, name: str) -> int:
    if not STEPS[name].uses_k:
        return 0
    return rng.randint(2, 5) if name in ("repeat", "first") else rng.randint(1, LARGEST)

"""Training data of dialogue: preference pairs, judged responses and general demonstrations.

Replies come plain or in the tag form that the models answer in. Helpfulness is a matter of the reply alone,
so both sides of a pair have the same thinking; harmlessness is one of the whole response, so a safe reply
behind an unsafe thought is unsafe. Length must not tell which side is which: every reply is chosen among
several drawn ones so that both sides come out equally long on average, in each language.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TypeVar

from r1kit import seeds
from r1kit.tasks.dialogue import NAME, problem_of_request
from r1kit.tasks.dialogue_check import helpful_fault
from r1kit.tasks.dialogue_invented import invented_if_helpful
from r1kit.tasks.dialogue_replies import (
    AFTER,
    BEFORE,
    CURT,
    INSTEAD,
    REFUSE,
    Request,
    Thought,
    good_reply,
    instead,
    other_request,
    poor_reply,
    requests,
    safe_reply,
    said_back,
    stutter,
    unsafe_reply,
    with_thought,
)
from r1kit.tasks.dialogue_topics import HELPFUL, LANGUAGES
from r1kit.types import Demonstration, Judged, Message, Preference, Split

ENGLISH_MOSTLY: Mapping[str, float] = {"en": 0.7, "zh": 0.3}
"""Shares of the languages, as the task's default."""

REJECTED_CANDIDATES = 8
"""Rejected replies of one kind from which the one of the best length is taken."""

JUDGED_CANDIDATES = 3
"""The same for judged responses; with more, hardly a refusal would still propose something."""

SAFE_SHARE = 0.5  # of the judged responses
HARMLESS_SHARE = 0.4  # of the safe ones: replies to helpful requests
NEEDLESS_SHARE = 0.2  # of those: refusals, which are no help but safe

_PIECE = re.compile(r"\s*(?:[\u3400-\u9fff]|[^\s\u3400-\u9fff]+)")

_Kind = TypeVar("_Kind")
_Reply = Callable[[random.Random, Request, str], str]  # language
_Response = Callable[[random.Random, Request, str, bool], str]  # language, whether in the tag form


def preferences(
    split: Split,
    count: int,
    seed: int,
    *,
    tagged_share: float = 0.5,
    invented_share: float = 0.0,
    languages: Mapping[str, float] = ENGLISH_MOSTLY,
) -> list[Preference]:
    """`count` pairs for helpful requests of a split: a good reply and one of the kinds in `REJECTED`.

    Args:
        tagged_share: of the pairs, 0 to 1: both replies as `<think>…</think>\\n<answer>…</answer>`.
        invented_share: of the requests about something, 0 to 1: it has a name that nobody knows, so that the
            word of a reply is found in the request and not known by heart.
        languages: language -> its share.
    """
    surplus = dict.fromkeys(languages, 0)  # characters by which the chosen replies are longer so far
    found = []
    for index in range(count):
        rng = seeds.generator(seed, NAME, "preferences", split, index)
        language = _draw(rng, languages)
        request = invented_if_helpful(rng, rng.choice(requests(split, False)), invented_share)
        draw = _draw(rng, REJECTED)
        chosen = good_reply(rng, request, language)
        drawn = [draw(rng, request, language) for _ in range(REJECTED_CANDIDATES)]
        rejected = _closest(drawn, len(chosen) + surplus[language])
        surplus[language] += len(chosen) - len(rejected)
        if rng.random() < tagged_share:
            thought: Thought = rng.choice(("help", "poor"))
            chosen, rejected = (with_thought(thought, language, reply) for reply in (chosen, rejected))
        problem = problem_of_request(request, language)
        found.append(Preference(f"{problem.id}/{index}", NAME, problem.messages, chosen, rejected, language))
    return found


def judged(
    split: Split,
    count: int,
    seed: int,
    *,
    tagged_share: float = 0.5,
    languages: Mapping[str, float] = ENGLISH_MOSTLY,
) -> list[Judged]:
    """`count` responses to requests of a split, half of them unsafe.

    Safe are refusals of harmful requests and, whatever they are worth, replies to harmless ones. Unsafe are
    replies to harmful requests that go along, with or without a refusal before, and refusals whose thinking
    goes along. Arguments as for `preferences`.
    """
    lengths: dict[tuple[str, bool, bool], list[int]] = {}  # of language, tagged or not, safe or not
    found = []
    for index in range(count):
        rng = seeds.generator(seed, NAME, "judged", split, index)
        language, safe, tagged = _draw(rng, languages), rng.random() < SAFE_SHARE, rng.random() < tagged_share
        harmful = not safe or rng.random() >= HARMLESS_SHARE
        request = rng.choice(requests(split, harmful))
        draw = _safe(rng, harmful) if safe else _unsafe(rng, tagged)
        drawn = [draw(rng, request, language, tagged) for _ in range(JUDGED_CANDIDATES)]
        others = lengths.get((language, tagged, not safe))
        response = _closest(drawn, fmean(others)) if others else drawn[0]
        lengths.setdefault((language, tagged, safe), []).append(len(response))
        problem = problem_of_request(request, language)
        found.append(Judged(f"{problem.id}/{index}", NAME, problem.messages, response, safe, language))
    return found


def general_demonstrations(
    split: Split,
    count: int,
    seed: int,
    *,
    tagged_share: float = 1.0,
    harmful_share: float = 0.3,
    poor_share: float = 0.0,
    invented_share: float = 0.0,
    languages: Mapping[str, float] = ENGLISH_MOSTLY,
) -> list[Demonstration]:
    """`count` replies and kind refusals, every request of the split in turn: the general half of SFT 2.

    Args:
        tagged_share: of the demonstrations: the reply as `<think>…</think>\\n<answer>…</answer>`.
        harmful_share: of the demonstrations: refusals.
        poor_share: of the replies to helpful requests: curt, beside the point, or repeating.
        invented_share: of the helpful requests, as for `preferences`.
        languages: language -> its share.
    """
    turns = {harmful: _in_turn(split, harmful, seed) for harmful in (False, True)}
    found = []
    for index in range(count):
        rng = seeds.generator(seed, NAME, "general", split, index)
        request = invented_if_helpful(rng, next(turns[rng.random() < harmful_share]), invented_share)
        language = _draw(rng, languages)
        poor = rng.random() < poor_share
        write = _kind_refusal if request.harmful else poor_reply if poor else good_reply
        reply = write(rng, request, language)
        if rng.random() < tagged_share:
            reply = with_thought("safe" if request.harmful else "help", language, reply)
        problem = problem_of_request(request, language)
        messages = (*problem.messages, Message("assistant", reply))
        found.append(Demonstration(problem.id, NAME, messages, "general", language, problem.tags))
    return found


def length_gap(first: Sequence[str], second: Sequence[str]) -> float:
    """How much longer the first texts are: (mean(first) - mean(second)) / mean(both), in characters."""
    means = [fmean(map(len, texts)) for texts in (first, second)]
    return (means[0] - means[1]) / fmean(means)


# --- replies that people like less ------------------------------------------------------------------------


def _other_topic(rng: random.Random, request: Request, language: str) -> str:
    return good_reply(rng, other_request(rng, request), language)


def _wrong_thing(rng: random.Random, request: Request, language: str) -> str:
    """The good reply about something else of the same sort and split: rice, where tea was asked for."""
    others = [replace(request, slot=slot) for slot in HELPFUL[request.topic].slots if slot != request.slot]
    others = [other for other in others if other.split == request.split]
    if not others:
        return _other_topic(rng, request, language)
    return good_reply(rng, rng.choice(others), language)


def _repetition(rng: random.Random, request: Request, language: str) -> str:
    at = rng.randrange(3)
    if at == 0:
        return said_back(request, language, rng.randint(1, 3))
    if at == 1:
        return stutter(request, language, rng.randint(2, 4))
    return (" " if language == "en" else "").join([good_reply(rng, request, language)] * 2)


def _curt(rng: random.Random, request: Request, language: str) -> str:
    """A curt reply, mostly with polite words around it: politeness is no help."""
    return rng.choice(BEFORE[language]) + rng.choice(CURT[language]) + rng.choice(AFTER[language])


def _needless_refusal(rng: random.Random, request: Request, language: str) -> str:
    """A refusal of a harmless request, with what is proposed instead of some harmful one."""
    proposal = instead(rng.choice(requests("train", True)), language)
    return rng.choice(REFUSE[language]) + rng.choice(INSTEAD[language]).format(proposal)


def _splice(rng: random.Random, request: Request, language: str) -> str:
    """A good reply that loses its way: its beginning, then the rest of one to another topic."""
    other = _other_topic(rng, request, language)
    reply = _spliced(rng, good_reply(rng, request, language), other)
    return reply if helpful_fault(reply, request, language) else other


def _mixture(rng: random.Random, request: Request, language: str) -> str:
    """A good reply that changes its language on the way, or at once."""
    (other,) = set(LANGUAGES) - {language}
    return _spliced(rng, good_reply(rng, request, language), good_reply(rng, request, other))


def _spliced(rng: random.Random, first: str, second: str) -> str:
    """At most half of the first text and then the rest of the second, cut before a word or a character."""
    share = rng.uniform(0.0, 0.5)
    beginning, end = (_PIECE.findall(text) for text in (first, second))
    pieces = beginning[: int(share * len(beginning))] + end[int(share * len(end)) :]
    return "".join(pieces).strip()


REJECTED: Mapping[_Reply, float] = {
    _other_topic: 0.3,
    _wrong_thing: 0.2,
    _needless_refusal: 0.12,
    _repetition: 0.1,
    _curt: 0.08,
    _splice: 0.1,
    _mixture: 0.1,
}
"""The kinds of rejected replies and their shares."""


# --- responses that are safe and that are not -------------------------------------------------------------


def _safe(rng: random.Random, harmful: bool) -> _Response:
    if harmful:
        return _refusal
    return _needless if rng.random() < NEEDLESS_SHARE else _help


def _refusal(rng: random.Random, request: Request, language: str, tagged: bool) -> str:
    return _response(safe_reply(rng, request, language), "safe", language, tagged)


def _help(rng: random.Random, request: Request, language: str, tagged: bool) -> str:
    return _response(good_reply(rng, request, language), "help", language, tagged)


def _needless(rng: random.Random, request: Request, language: str, tagged: bool) -> str:
    return _response(_needless_refusal(rng, request, language), "safe", language, tagged)


def _unsafe(rng: random.Random, tagged: bool) -> _Response:
    kinds = {kind: share for kind, share in UNSAFE.items() if tagged or kind is not _unsafe_thought}
    return _draw(rng, kinds)


def _compliance(rng: random.Random, request: Request, language: str, tagged: bool) -> str:
    return _response(unsafe_reply(rng, language), _any_thought(rng), language, tagged)


def _half_refusal(rng: random.Random, request: Request, language: str, tagged: bool) -> str:
    """A refusal that then goes along."""
    sentences = safe_reply(rng, request, language), unsafe_reply(rng, language)
    return _response((" " if language == "en" else "").join(sentences), _any_thought(rng), language, tagged)


def _unsafe_thought(rng: random.Random, request: Request, language: str, tagged: bool) -> str:
    """A refusal behind a thought that goes along."""
    return _response(safe_reply(rng, request, language), "unsafe", language, tagged)


UNSAFE: Mapping[_Response, float] = {_compliance: 0.5, _half_refusal: 0.3, _unsafe_thought: 0.2}
"""The kinds of unsafe responses and their shares; the last one needs the tag form."""


def _any_thought(rng: random.Random) -> Thought:
    return "unsafe" if rng.random() < 0.7 else "safe"


def _response(reply: str, thought: Thought, language: str, tagged: bool) -> str:
    return with_thought(thought, language, reply) if tagged else reply


# --- drawing ----------------------------------------------------------------------------------------------


def _kind_refusal(rng: random.Random, request: Request, language: str) -> str:
    """A refusal with something to do instead."""
    frames = [frame for frame in INSTEAD[language] if frame]
    return rng.choice(REFUSE[language]) + rng.choice(frames).format(instead(request, language))


def _in_turn(split: Split, harmful: bool, seed: int) -> Iterator[Request]:
    """The requests of a split, shuffled anew in every round, without end."""
    rng = seeds.generator(seed, NAME, "in turn", split, int(harmful))
    while True:
        yield from rng.sample(requests(split, harmful), k=len(requests(split, harmful)))


def _draw(rng: random.Random, weights: Mapping[_Kind, float]) -> _Kind:
    return rng.choices(list(weights), list(weights.values()))[0]


def _closest(texts: Sequence[str], length: float) -> str:
    """The first text whose length is nearest."""
    return min(texts, key=lambda text: abs(len(text) - length))

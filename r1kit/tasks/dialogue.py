"""Dialogue: helpful requests that want a good reply, harmful ones that want a refusal.

The replies are checked by their words (`dialogue_check.py`), so that help and harmlessness can be measured
without a reward model, on requests that no model was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from r1kit import seeds
from r1kit.errors import DataError
from r1kit.settings import Settings
from r1kit.tasks import shares, sources
from r1kit.tasks.dialogue_check import helpful_fault, label_fault, refusal_fault
from r1kit.tasks.dialogue_invented import invented_if_helpful, invented_request
from r1kit.tasks.dialogue_replies import (
    FAMILY,
    INSTEAD,
    REFUSE,
    Request,
    good_replies,
    instead,
    prompt,
    requests,
    requests_by_prompt,
)
from r1kit.tasks.dialogue_rows import problem_of_row
from r1kit.tasks.dialogue_topics import LANGUAGES
from r1kit.tasks.protocol import SPLITS, split_of
from r1kit.types import Message, Outcome, Problem, Split, Verdict

NAME = FAMILY
TAGS = {False: "helpful", True: "harmful"}
"""Whether a request is harmful -> the label of its problems."""

_WORD = re.compile(r"[^\W_]")


class DialogueSettings(Settings):
    """Which requests are made."""

    requests: Literal["helpful", "harmful", "both"] = "both"
    """"helpful" ones want a good reply, "harmful" ones a refusal."""
    languages: dict[str, float] = Field(default={"en": 0.7, "zh": 0.3})
    """Language -> its share of the problems, as long as it has requests left; then the other one fills up."""
    train_size: Annotated[int, Field(ge=0)] = 640
    """Training problems, at most. There are 443 helpful and 260 harmful requests, each in two languages."""
    validation_size: Annotated[int, Field(ge=0)] = 48
    """Validation problems, at most, of 49 helpful and 36 harmful requests."""
    test_size: Annotated[int, Field(ge=0)] = 64
    """Test problems, at most, of 52 helpful and 33 harmful requests."""
    invented_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the helpful training problems about something, but for translations, that are about an
    invented word ("where is my zorva?"): who answers those has read the word, not learned it by heart."""
    data: str | None = None
    """A .jsonl or .parquet file or a hub data set with `prompt` and optionally `harmful` (true or false) or
    `label` ("harmful", "harmless", …); none: the micro world's own requests. With data, a reply is only
    checked for refusing exactly what is harmful: no good reply is known."""
    seed: int = 0
    """Seed of the order. It never moves a request to another split."""

    @model_validator(mode="after")
    def _check_invented(self) -> Self:
        if self.invented_share and (self.data is not None or self.requests == "harmful"):
            raise ValueError(
                "invented_share: only the micro world's own helpful requests have invented words"
            )
        return self

    @field_validator("languages")
    @classmethod
    def _check_languages(cls, value: dict[str, float]) -> dict[str, float]:
        return shares.checked(value, LANGUAGES)


class Dialogue:
    """The task. `Dialogue(DialogueSettings(requests="harmful")).problems("test")`."""

    name = NAME
    reference_keys = ("prompt",)
    free_form = True

    def __init__(self, settings: DialogueSettings) -> None:
        self.settings = settings

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split; both languages of a request are in the same one. Raises DataError."""
        return self._splits[split]

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """CORRECT for a good reply to a helpful request and for a refusal of a harmful one.

        MALFORMED when there is no word at all; else WRONG, with the reason as `detail`.
        """
        if not _WORD.search(answer):
            return Verdict(Outcome.MALFORMED, answer.strip(), 0.0, "no words")
        fault = _fault(problem, answer)
        if fault:
            return Verdict(Outcome.WRONG, answer.strip(), 0.0, fault)
        detail = "" if "topic" in problem.reference else "only refusal is checked"
        return Verdict(Outcome.CORRECT, answer.strip(), 1.0, detail)

    def gold(self, problem: Problem) -> str:
        """A good reply, or a kind refusal. Raises DataError for a loaded harmless prompt: none is known."""
        language = problem.language if problem.language in LANGUAGES else "en"
        refusal = REFUSE[language][0]
        if "topic" not in problem.reference:
            if problem.reference["harmful"]:
                return refusal
            raise DataError(f"{problem.id}: no good reply to a loaded prompt is known")
        request = _request(problem)
        if request.harmful:
            return refusal + INSTEAD[language][0].format(instead(request, language))
        return good_replies(request, language)[0]

    def problem_from_reference(self, row: Mapping[str, Any], where: str = "row") -> Problem:
        """The problem of a row with `prompt`: a request of the micro world, be it about an invented word, or
        as a row of `data`.
        """
        text = row.get("prompt")
        known = None
        if isinstance(text, str):
            known = requests_by_prompt().get(text.strip()) or invented_request(text.strip())
        return problem_of_request(*known) if known else problem_of_row(row, where, NAME)

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        settings = self.settings
        sizes = (settings.train_size, settings.validation_size, settings.test_size)
        source = self._generated() if settings.data is None else self._loaded(settings.data)
        return {split: list(islice(source[split], size)) for split, size in zip(SPLITS, sizes, strict=True)}

    def _generated(self) -> dict[Split, Iterator[Problem]]:
        return {split: self._ordered(split) for split in SPLITS}

    def _ordered(self, split: Split) -> Iterator[Problem]:
        """All problems of a split, each language's in a seeded order, the languages mixed by their shares."""
        settings = self.settings
        kinds = {"helpful": (False,), "harmful": (True,), "both": (False, True)}[settings.requests]
        asked = [request for harmful in kinds for request in requests(split, harmful)]
        if split != "train":  # who has met neither word of a pair cannot translate it
            asked = [request for request in asked if not request.translates]
        pools = {}
        for language in settings.languages:
            pools[language] = list(asked)
            seeds.generator(settings.seed, NAME, "order", split, language).shuffle(pools[language])
        share = settings.invented_share if split == "train" else 0.0
        rng = seeds.generator(settings.seed, NAME, "invented")
        taken, given = dict.fromkeys(pools, 0), set[str]()
        while left := [name for name in pools if taken[name] < len(pools[name])]:
            language = min(left, key=lambda name: (taken[name] + 1) / settings.languages[name])
            request = pools[language][taken[language]]
            made = problem_of_request(invented_if_helpful(rng, request, share), language)
            while made.id in given:
                made = problem_of_request(invented_if_helpful(rng, request, share), language)
            given.add(made.id)
            yield made
            taken[language] += 1

    def _loaded(self, data: str) -> dict[Split, Iterator[Problem]]:
        """The rows of `data` of the kinds asked for, in a seeded order, later copies of a prompt left out."""
        wanted = set(TAGS.values()) if self.settings.requests == "both" else {self.settings.requests}
        unique: dict[str, Problem] = {}
        for number, row in sources.rows(data):
            problem = problem_of_row(row, f"{data}: row {number}", NAME)
            if wanted & set(problem.tags):
                unique.setdefault(problem.id, problem)
        found = list(unique.values())
        seeds.generator(self.settings.seed, NAME, "order").shuffle(found)
        return {split: iter([p for p in found if split_of(NAME, p.id) == split]) for split in SPLITS}


def problem_of_request(request: Request, language: str) -> Problem:
    """The problem `dialogue/make/1/eggs/en` and its like."""
    return Problem(
        f"{NAME}/{request.key}/{language}",
        NAME,
        (Message("user", prompt(request, language)),),
        {
            "topic": request.topic,
            "wording": request.wording,
            "slot": list(request.slot),
            "harmful": request.harmful,
        },
        language,
        (TAGS[request.harmful],),
    )


def _request(problem: Problem) -> Request:
    reference = problem.reference
    english, chinese = reference["slot"]
    return Request(reference["topic"], reference["wording"], (english, chinese))


def _fault(problem: Problem, answer: str) -> str:
    harmful = problem.reference["harmful"]
    if "topic" not in problem.reference:
        return label_fault(answer, harmful)
    if harmful:
        return refusal_fault(answer, problem.language)
    return helpful_fault(answer, _request(problem), problem.language)

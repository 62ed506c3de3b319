"""Published reward terms beyond accuracy and format. Each is off unless a recipe names it."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from r1kit.rewards import published
from r1kit.rewards.registry import NoParameters, RewardInput, reward, yes_or_no
from r1kit.rewards.settings import Count, Finite, PublishedParameters
from r1kit.settings import Settings
from r1kit.text.language import language_share
from r1kit.text.repetition import repetition_rate

_WALKTHROUGH = "from-scratch R1 walk-through (Qwen2.5-0.5B-Instruct)"
_DATAWHALE = "Datawhale-R1 (Countdown)"
_STEP = re.compile(
    r"(?P<numbered>\bStep \d{1,4}:|^\d{1,4}\.(?=\s))|(?P<word>\b(?:First|Second|Next|Finally),)"
    r"|^[-*](?P<item>[^\n]*)",
    re.MULTILINE,
)


class ReasoningStepsParameters(PublishedParameters):
    """Of `reasoning_steps`; as published, "First,First,First," is three steps."""

    enough: Count = 3
    """Different step marks that earn the whole reward."""


@reward(
    "reasoning_steps",
    low=0.0,
    high=1.0,
    formula="min(1, different step marks / 3): Step N: | N. | list items | First, Second, Next, Finally,",
    source=_WALKTHROUGH,
    parameters=ReasoningStepsParameters,
    about="thinking",
)
def reasoning_steps(sample: RewardInput, parameters: ReasoningStepsParameters) -> float:
    """A mark counts once however often it is repeated: "First,First,First," is one step."""
    if parameters.published:
        return min(1.0, published.step_marks(sample.completion.text) / parameters.enough)
    marks = set()
    for match in _STEP.finditer(sample.completion.text):
        mark = match["numbered"] or match["word"] or (match["item"] or "").strip()
        if mark:
            marks.add(mark)
    return min(1.0, len(marks) / parameters.enough)


class CosineParameters(PublishedParameters):
    """Of `cosine`: the reward at length 0 and at `max_length`, for right and wrong answers.

    As published, it goes up and down again beyond `max_length`: 1,500 characters pay more than 1,000.
    """

    max_length: Count = 1000
    """Length from which on the reward stays the same."""
    unit: Literal["characters", "tokens"] = "characters"
    """Characters as published, or tokens."""
    correct_at_zero: Finite = 1.0
    """Reward of a correct response of length 0."""
    correct_at_max: Finite = 0.8
    """Reward of a correct response of `max_length` or longer."""
    wrong_at_zero: Finite = -0.5
    """Reward of a wrong response of length 0."""
    wrong_at_max: Finite = -0.1
    """Reward of a wrong response of `max_length` or longer."""


@reward(
    "cosine",
    low=-0.5,
    high=1.0,
    formula="at_max + (at_zero - at_max)/2 * (1 + cos(pi * min(length, max_length)/max_length))",
    source=_WALKTHROUGH,
    parameters=CosineParameters,
    counts_tokens=lambda parameters: parameters.unit == "tokens",
    about="answer",
)
def cosine(sample: RewardInput, parameters: CosineParameters) -> float:
    """Prefers short correct answers and long wrong ones; flat beyond `max_length`."""
    text, tokens = sample.completion.text, sample.completion.tokens
    length = len(tokens) if parameters.unit == "tokens" else len(text)
    if sample.verdict.correct:
        at_zero, at_max = parameters.correct_at_zero, parameters.correct_at_max
    else:
        at_zero, at_max = parameters.wrong_at_zero, parameters.wrong_at_max
    counted = length if parameters.published else min(length, parameters.max_length)
    position = counted / parameters.max_length
    return at_max + 0.5 * (at_zero - at_max) * (1.0 + math.cos(math.pi * position))


class RepetitionParameters(Settings):
    """Of `repetition_penalty`."""

    n: Count = 3
    """Words of an n-gram."""
    penalty: Annotated[float, Field(le=0.0, allow_inf_nan=False)] = -0.1
    """Reward of a text that only repeats itself; not positive."""


@reward(
    "repetition_penalty",
    low=-0.1,
    high=0.0,
    formula="penalty * (1 - distinct n-grams / n-grams) over lower-cased words",
    source=_WALKTHROUGH,
    parameters=RepetitionParameters,
    about="thinking",
)
def repetition_penalty(sample: RewardInput, parameters: RepetitionParameters) -> float:
    """0.0 for a text without repetition or shorter than n words."""
    return (
        parameters.penalty * repetition_rate(sample.completion.text, parameters.n) + 0.0
    )  # no negative zero


class ThoughtLengthParameters(PublishedParameters):
    """Of `thought_length`; as published, it sees thinking on one line alone."""

    longer_than: Annotated[int, Field(ge=0)] = 1000
    """Characters that the thinking must exceed."""


@yes_or_no(
    "thought_length",
    formula="1 if the thinking is longer than 1000 characters (withdrawn by its authors)",
    source=_DATAWHALE,
    parameters=ThoughtLengthParameters,
    about="thinking",
)
def thought_length(sample: RewardInput, parameters: ThoughtLengthParameters) -> bool:
    """1.0 for long thinking, over any number of lines. Easily hacked: kept for the replica."""
    thinking = sample.parsed.thinking or ""
    if parameters.published:
        thinking = published.thinking_on_one_line(sample.completion.text)
    return len(thinking) > parameters.longer_than


@reward(
    "language_consistency",
    low=0.0,
    high=1.0,
    formula="words of the question's language in the thinking / all words in it",
    source="DeepSeek-R1, section 2.3.2",
    parameters=NoParameters,
    about="language",
)
def language_consistency(sample: RewardInput, parameters: NoParameters) -> float:
    """0.0 without a word of thinking: otherwise leaving it empty would pay in full.

    Raises UserError for a question in a language that is not known, or whose extra is not installed.
    """
    return language_share(sample.parsed.thinking or "", sample.problem.language) or 0.0


@yes_or_no(
    "countdown_format",
    formula="1 if the response is <think>text</think>, one line break, <answer>expression</answer>",
    source=_DATAWHALE,
    parameters=PublishedParameters,
    about="form",
)
def countdown_format(sample: RewardInput, parameters: PublishedParameters) -> bool:
    """As `format`, with exactly one line break between the two blocks and nothing around them.

    As published, either block may be empty, and the answer may be anything, further tags included.
    """
    if parameters.published:
        return published.has_countdown_format(sample.completion.text)
    text = sample.completion.text
    exact = text == text.strip() and "</think>\n<answer>" in text
    return sample.parsed.well_formed and exact and sample.verdict.has_form


@yes_or_no(
    "countdown_equation",
    formula="1 if the answer is an expression, without '=', that makes the target from each number once",
    source=_DATAWHALE,
    parameters=PublishedParameters,
    about="answer",
)
def countdown_equation(sample: RewardInput, parameters: PublishedParameters) -> bool:
    """Computed in exact fractions instead of the published tolerance of 1e-5.

    As published, the first answer of one line counts, also one in the thinking; a power still earns nothing.
    """
    if parameters.published:
        nums, target = sample.problem.reference["nums"], sample.problem.reference["target"]
        return published.solves_countdown(sample.completion.text, nums, target)
    return sample.verdict.correct and "=" not in (sample.parsed.answer or "")


class OverlongParameters(Settings):
    """Of `overlong`, in tokens."""

    max_length: Count = 20480
    """Length at which the penalty is whole."""
    buffer: Count = 4096
    """Tokens before `max_length` over which the penalty grows."""

    @model_validator(mode="after")
    def _check(self) -> OverlongParameters:
        if self.buffer > self.max_length:
            raise ValueError(f"buffer={self.buffer} is above max_length={self.max_length}")
        return self


@reward(
    "overlong",
    low=-1.0,
    high=0.0,
    formula="0 up to max_length - buffer tokens, falling linearly to -1 at max_length",
    source="DAPO (arXiv 2503.14476), equation 13",
    parameters=OverlongParameters,
    counts_tokens=lambda parameters: True,
)
def overlong(sample: RewardInput, parameters: OverlongParameters) -> float:
    """Soft length limit, on the sampled tokens (a prefill is not sampled)."""
    excess = len(sample.completion.tokens) - (parameters.max_length - parameters.buffer)
    return -min(1.0, max(0.0, excess / parameters.buffer)) + 0.0

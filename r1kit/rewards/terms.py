"""The two rewards of R1-Zero: accuracy and format."""

from __future__ import annotations

from r1kit.rewards.published import has_format
from r1kit.rewards.registry import RewardInput, reward, yes_or_no
from r1kit.rewards.settings import PublishedParameters

UNREADABLE_GOLD_PAYS = 0.5
"""As published; see `accuracy`."""


class AccuracyParameters(PublishedParameters):
    """Of `accuracy`; as published, it is 0.5 for whatever answers a question whose gold cannot be read."""

    needs_format: bool = False
    """Pay for a correct answer only within the strict form, as Logic-RL does; else wherever it is found."""


@reward(
    "accuracy",
    low=0.0,
    high=1.0,
    formula="1 if the task's verifier finds the answer correct, else 0",
    source="DeepSeek-R1, section 2.2.2",
    parameters=AccuracyParameters,
    about="answer",
    without_gold=lambda parameters: parameters.published,
)
def accuracy(sample: RewardInput, parameters: AccuracyParameters) -> float:
    """1.0 for a CORRECT verdict.

    As published (by the from-scratch walk-through), 0.5 where the gold answer cannot be read. Such a sample
    is unscored otherwise, and a task keeps such problems only where its settings say so.
    """
    if not sample.problem.gradable:
        return UNREADABLE_GOLD_PAYS
    formed = sample.parsed.well_formed or not parameters.needs_format
    return 1.0 if sample.verdict.correct and formed else 0.0


@yes_or_no(
    "format",
    formula="1 if the response is <think>text</think> <answer>text</answer>, the answer of the task's form",
    source="DeepSeek-R1, section 2.2.2",
    parameters=PublishedParameters,
    about="form",
)
def format_(sample: RewardInput, parameters: PublishedParameters) -> bool:
    """1.0 for the strict tags around an answer of the task's own form.

    The second condition is ours: a format reward that pays for any text between the tags teaches the policy
    to put anything there. As published (by the from-scratch walk-through), the tags may be empty,
    repeated, and have lines of text after them.
    """
    if parameters.published:
        return has_format(sample.completion.text)
    return sample.parsed.well_formed and sample.verdict.has_form

"""The two rewards of Logic-RL: form and answer, each with a penalty."""

from __future__ import annotations

from r1kit.rewards.published import has_logic_format
from r1kit.rewards.registry import RewardInput, reward
from r1kit.rewards.settings import Finite, PublishedParameters
from r1kit.settings import Settings
from r1kit.types import Outcome

_SOURCE = "Logic-RL (arXiv 2502.14768), section 3.2"


@reward(
    "logic_format",
    low=-1.0,
    high=1.0,
    formula="1 if the response is <think>text</think> <answer>text</answer> and nothing else, else -1",
    source=_SOURCE,
    parameters=PublishedParameters,
    about="form",
)
def logic_format(sample: RewardInput, parameters: PublishedParameters) -> float:
    """As published, empty blocks and text around and between them pass as well."""
    return 1.0 if _formed(sample, parameters.published) else -1.0


def _formed(sample: RewardInput, as_published: bool) -> bool:
    return has_logic_format(sample.completion.text) if as_published else sample.parsed.well_formed


class LogicAnswerParameters(Settings):
    """Of `logic_answer`."""

    right: Finite = 2.0
    """Reward of a right answer."""
    wrong: Finite = -1.5
    """Reward of a wrong answer."""
    unreadable: Finite = -2.0
    """Reward where no answer can be read."""
    needs_format: bool = True
    """Whether an answer outside the form counts as unreadable, as published."""
    published: bool = False
    """The form that `needs_format` wants is the published one, see `logic_format`."""


@reward(
    "logic_answer",
    low=-2.0,
    high=2.0,
    formula="2 for a right answer, -1.5 for a wrong one, -2 for one that cannot be read, or not in the form",
    source=_SOURCE,
    parameters=LogicAnswerParameters,
    about="answer",
)
def logic_answer(sample: RewardInput, parameters: LogicAnswerParameters) -> float:
    """The verifier's bound (TIMEOUT) counts as unreadable: nothing was found out about the answer."""
    if parameters.needs_format and not _formed(sample, parameters.published):
        return parameters.unreadable
    if sample.verdict.correct:
        return parameters.right
    return parameters.wrong if sample.verdict.outcome is Outcome.WRONG else parameters.unreadable

"""The reward of a program: four checks in order, each a score of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from r1kit.rewards.registry import RewardInput, reward
from r1kit.settings import Settings
from r1kit.types import ProgramScores

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class CodeParameters(Settings):
    """Of `code`."""

    parses: Weight = 0.1
    """For a text that is Python."""
    runs: Weight = 0.1
    """For a program that has what was asked for and comes to the end of every test without raising."""
    passes: Weight = 0.6
    """For one that passes the tests."""
    fast: Weight = 0.2
    """For one that passes them in little processor time. With a weight, the reward depends on a clock."""
    partial: bool = False
    """Pay `passes` by the share of tests passed, also to a program that raises in others."""
    slower: Annotated[float, Field(ge=1)] = 3.0
    """Fast: at most so many times the processor time of the reference solution,"""
    grain: Weight = 0.05
    """or at most so many seconds, below which times are mostly the cost of starting and tell nothing."""


@reward(
    "code",
    low=0.0,
    high=1.0,
    formula="parses·0.1 + runs·0.1 + passes the tests·0.6 + is fast·0.2, each only after the one before it",
    source="The Illustrated DeepSeek-R1",
    parameters=CodeParameters,
    about="answer",
)
def code(sample: RewardInput, parameters: CodeParameters) -> float:
    """The weighted checks of a program; 0 for a response without one."""
    scores = sample.verdict.program
    if scores is None:
        return 0.0
    share = scores.passed / scores.tests if parameters.partial and scores.tests else float(scores.passes)
    return (
        parameters.parses * scores.parses
        + parameters.runs * scores.runs
        + parameters.passes * share
        + parameters.fast * is_fast(scores, parameters)
    )


def is_fast(scores: ProgramScores, parameters: CodeParameters) -> bool:
    """Whether a program that passes is fast; without a reference solution, its time limit decides."""
    if not scores.passes:
        return False
    if scores.reference_seconds is None:
        return True
    return scores.cpu_seconds <= max(parameters.grain, parameters.slower * scores.reference_seconds)

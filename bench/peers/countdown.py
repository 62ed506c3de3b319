"""The reward of the benchmark's learning, by r1kit's own checker on every side.

Its modules need nothing but the standard library, so environments without r1kit's packages have them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.text.tags import parse
from r1kit.types import Outcome
from r1kit.verify.arithmetic import check_countdown


@dataclass(frozen=True, slots=True)
class Graded:
    """R1-Zero's two rules on one response, each 0 or 1."""

    accuracy: float  # the answer is right, and in the form asked for
    format: float  # thinking and answer in their tags, the answer an expression

    @property
    def reward(self) -> float:
        """Their sum: both weigh the same."""
        return self.accuracy + self.format


def grade(text: str, nums: Sequence[int], target: int) -> Graded:
    """Read one response to "make `target` from `nums`"."""
    parsed = parse(text)
    if not parsed.well_formed or parsed.answer is None:
        return Graded(0.0, 0.0)
    verdict = check_countdown(parsed.answer, nums, target)
    return Graded(float(verdict.correct), float(verdict.outcome is not Outcome.MALFORMED))

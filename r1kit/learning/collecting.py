"""The rollouts of each step: drawn when they are asked for, or beside the updates of the step before.

Drawn beside, they are of weights one step older, always: which weights a rollout is of follows from its
step and not from what was faster, so that a run repeats itself and goes on after a crash as if there had been
none. More than one step ahead would help little: with one the slower of the two is busy all the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from torch import nn

from r1kit.errors import ModelError
from r1kit.learning.timing import Spent, TimedSampler
from r1kit.models.reference import refresh
from r1kit.models.threads import Beside
from r1kit.rollouts.protocol import Sampler
from r1kit.tracking.stop import StopFlag
from r1kit.types import RolloutGroup

Draw = Callable[[int, Sampler], list[RolloutGroup]]
"""(step, counted from 1, what samples) -> the step's scored groups"""


class Collected(NamedTuple):
    """The rollouts of a step, and what they took."""

    groups: list[RolloutGroup]
    spent: Spent


class Collector:
    """Collects the rollouts of step after step: `take`, then `go_ahead`, then, when the step is learned,
    `learned`; in a `with` block, at whose end nothing is being drawn any more.

    Args:
        draw: draws and scores a step's groups; may be called in a thread of its own.
        sampler: gets the weights; must have weights of its own where rollouts are drawn ahead.
        policy: the model that learns.
        older: None to draw each step when it is taken. Else a model like the policy, of which the rollouts
            of the step after the next update are; then they are drawn during that update. It is what a
            checkpoint needs besides the policy.
        start: steps done before.
        stop: once it is asked for, nothing is drawn ahead any more.

    Raises ModelError where rollouts are to be drawn ahead by a sampler that reads the policy's own weights.
    """

    def __init__(
        self,
        draw: Draw,
        sampler: Sampler,
        policy: nn.Module,
        older: nn.Module | None,
        start: int,
        stop: StopFlag,
    ) -> None:
        if older is not None and sampler.shares_weights:
            raise ModelError("a sampler that reads the policy's own weights cannot sample while they change")
        self._draw, self._policy, self._older = draw, policy, older
        self._stop = stop
        self._sampler = TimedSampler(sampler)
        sampler.update(policy if older is None else older)
        # completions name the number of steps learned before, whether or not the run was interrupted
        sampler.version = start if older is None else max(0, start - 1)
        self._beside: Beside[Collected] | None = None

    def take(self, step: int) -> Collected:
        """The rollouts of a step; what an exception ended is raised here."""
        if self._beside is None:
            return self._collect(step)
        found = self._beside.result()  # what interrupts it leaves it to the end of the block
        self._beside = None
        return found

    def go_ahead(self, step: int, *, last: bool) -> None:
        """The updates of `step` are about to begin; unless it is the last one, the next may be drawn."""
        if self._older is None:
            return
        if step > 1:  # else they are the sampler's already
            self._sampler.update(self._policy)
            refresh(self._older, self._policy)
        if not (last or self._stop.requested):
            self._beside = Beside("r1kit-rollouts", lambda: self._collect(step + 1))

    def learned(self) -> None:
        """The policy has its new weights."""
        if self._older is None:
            self._sampler.update(self._policy)

    def __enter__(self) -> Collector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beside is not None:
            self._beside.end()

    def _collect(self, step: int) -> Collected:
        began, seconds, tokens = time.perf_counter(), self._sampler.seconds, self._sampler.tokens
        groups = self._draw(step, self._sampler)
        sampling = self._sampler.seconds - seconds
        grading = time.perf_counter() - began - sampling
        return Collected(groups, Spent(self._sampler.tokens - tokens, sampling, grading))

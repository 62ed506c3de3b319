"""What a reinforcement learning step took: seconds, and tokens sampled and learned."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from r1kit.rollouts.protocol import Finished, Sampler, SamplingParams
from r1kit.types import Completion, Prompt


class TimedSampler:
    """A `Sampler` that counts the seconds spent in another one and the tokens it drew."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.seconds = 0.0
        self.tokens = 0

    @property
    def version(self) -> int:
        """That of the sampler inside."""
        return self._sampler.version

    @version.setter
    def version(self, value: int) -> None:
        self._sampler.version = value

    @property
    def shares_weights(self) -> bool:
        """Whether the sampler inside reads the policy's own weights."""
        return self._sampler.shares_weights

    def sample(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        params: SamplingParams,
        seeds: Sequence[int],
        finished: Finished | None = None,
    ) -> list[tuple[Completion, ...]]:
        """What the sampler inside draws."""
        began = time.perf_counter()
        completions = self._sampler.sample(prompts, group_size, params, seeds, finished)
        self.seconds += time.perf_counter() - began
        self.tokens += sum(len(completion.tokens) for group in completions for completion in group)
        return completions

    def update(self, model: nn.Module) -> None:
        """Pass on the weights."""
        self._sampler.update(model)


@dataclass(frozen=True, slots=True)
class Spent:
    """What the rollouts of a step took."""

    tokens: int  # sampled
    sampling: float  # seconds of the sampler
    grading: float  # seconds of the rest: writing prompts, verifying, scoring


class StepClock:
    """Times one step: made when it begins, told when its rollouts are there, asked when it is learned."""

    def __init__(self) -> None:
        self._began = self._collected = time.perf_counter()

    def collected(self) -> None:
        """The rollouts are sampled and graded."""
        self._collected = time.perf_counter()

    def learned(self, spent: Spent, learner_tokens: int) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds and tokens per second of the step, whose update read `learner_tokens`; then the tokens.

        "seconds/waiting" are those in which the loop had nothing to do but wait for rollouts: those of
        sampling and grading, unless these were done beside the updates of the step before.
        """
        now = time.perf_counter()
        learning = now - self._collected
        timings = {
            "seconds": now - self._began,
            "seconds/sampling": spent.sampling,
            "seconds/grading": spent.grading,
            "seconds/learning": learning,
            "seconds/waiting": self._collected - self._began,
            "tokens_per_second/sampling": spent.tokens / max(spent.sampling, 1e-9),
            "tokens_per_second/learning": learner_tokens / max(learning, 1e-9),
        }
        return timings, {"tokens": float(learner_tokens), "sampled_tokens": float(spent.tokens)}

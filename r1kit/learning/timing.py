"""What a reinforcement learning step took: seconds, and tokens sampled and learned."""

from __future__ import annotations

import time
from collections.abc import Sequence

from torch import nn

from r1kit.rollouts.protocol import Sampler, SamplingParams
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

    def sample(
        self, prompts: Sequence[Prompt], group_size: int, params: SamplingParams, seeds: Sequence[int]
    ) -> list[tuple[Completion, ...]]:
        """What the sampler inside draws."""
        began = time.perf_counter()
        completions = self._sampler.sample(prompts, group_size, params, seeds)
        self.seconds += time.perf_counter() - began
        self.tokens += sum(len(completion.tokens) for group in completions for completion in group)
        return completions

    def update(self, model: nn.Module) -> None:
        """Pass on the weights."""
        self._sampler.update(model)


class StepClock:
    """Times one step: made when it begins, told when collecting has ended, asked when learning has."""

    def __init__(self, sampler: TimedSampler) -> None:
        self._sampler = sampler
        self._sampled_before = (sampler.seconds, sampler.tokens)
        self._began = self._collected = time.perf_counter()

    def collected(self) -> None:
        """The rollouts are sampled and graded."""
        self._collected = time.perf_counter()

    def learned(self, learner_tokens: int) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds and tokens per second of the step, whose update read `learner_tokens`; then the tokens."""
        now = time.perf_counter()
        sampling = self._sampler.seconds - self._sampled_before[0]
        learning = now - self._collected
        sampled = self._sampler.tokens - self._sampled_before[1]
        timings = {
            "seconds": now - self._began,
            "seconds/sampling": sampling,
            "seconds/grading": self._collected - self._began - sampling,
            "seconds/learning": learning,
            "tokens_per_second/sampling": sampled / max(sampling, 1e-9),
            "tokens_per_second/learning": learner_tokens / max(learning, 1e-9),
        }
        return timings, {"tokens": float(learner_tokens), "sampled_tokens": float(sampled)}

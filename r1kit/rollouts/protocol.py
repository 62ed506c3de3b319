"""What a sampler is: the settings of a draw and the protocol that every rollout backend fulfils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

from pydantic import AfterValidator, Field
from torch import nn

from r1kit.settings import Settings
from r1kit.types import Completion, Prompt

_LEAST_TEMPERATURE = 1e-6  # far below it, from 1e-38 on, logits divided by it are no finite numbers


def _not_tiny(temperature: float) -> float:
    if 0 < temperature < _LEAST_TEMPERATURE:
        raise ValueError(f"{temperature:g}: use 0 (greedy) or at least {_LEAST_TEMPERATURE:g}")
    return temperature


Temperature = Annotated[float, Field(ge=0.0), AfterValidator(_not_tiny)]
"""0, or a number that logits can be divided by."""


class SamplingParams(Settings):
    """How responses are drawn. Filters apply in the order temperature, top-k, top-p."""

    max_new_tokens: int = Field(default=512, ge=1)
    """Most new tokens of one response; a response cut here has finish "length"."""
    temperature: Temperature = 1.0
    """Logits are divided by it; 0 takes the most probable token (greedy)."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Draw from the smallest set of most probable tokens whose probability reaches this; 1 keeps all."""
    top_k: int = Field(default=0, ge=0)
    """Draw from the k most probable tokens; 0 keeps all."""
    stop: tuple[str, ...] = ()
    """Strings that end a response. The text keeps the stop string and drops what follows it. They are also
    looked for in the names of special tokens, which the text leaves out."""


Finished = Callable[[int, Completion], None]
"""(p * group_size + i, sample i of prompt p) -> nothing; called by any thread, soon done"""


class Sampler(Protocol):
    """Draws responses of the current policy."""

    version: int
    """Weight updates received so far; recorded in every completion."""

    @property
    def shares_weights(self) -> bool:
        """Whether it reads the policy's own weights, so that it cannot sample while they change."""
        ...

    def sample(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        params: SamplingParams,
        seeds: Sequence[int],
        finished: Finished | None = None,
    ) -> list[tuple[Completion, ...]]:
        """`group_size` responses per prompt, in order.

        Args:
            prompts: P prompts.
            group_size: responses per prompt.
            params: how to draw.
            seeds: P integers; sample i of prompt p draws from `seeds.derive(seeds[p], i)` alone.
            finished: told of responses while others are sampled; perhaps not of all.

        Returns: P tuples of `group_size` completions.
        """
        ...

    def update(self, model: nn.Module) -> None:
        """Take over the weights of `model` and count one more version."""
        ...

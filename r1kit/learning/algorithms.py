"""Published algorithms by name: the few settings that make each of them, for a stage's `algorithm`.

An algorithm is no code of its own: it names an advantage, a loss, an aggregation and what goes with them.
Sizes (questions, group size, lengths) and learning rates are the recipe's. A clip acts on the ratio of the
policy to the one before the step's updates, so that it needs several of them: `batch.minibatches`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

MAX_NEW_TOKENS = "max_new_tokens"
"""Stands for the run's length limit where an algorithm divides by it."""

GOVERNED: tuple[tuple[str, ...], ...] = (
    ("objective",),
    ("critic",),
    ("rollouts", "refill_rounds"),
    ("batch", "minibatches"),
    ("batch", "rollout_epochs"),
)
"""The settings that belong to an algorithm: one named in a later layer of a recipe replaces all of these."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One published algorithm."""

    summary: str  # how credit is assigned, in one sentence
    source: str  # where these values are from, and which are not stated there
    settings: Mapping[str, Any]  # as a recipe writes them


_GRPO: Mapping[str, Any] = {
    "objective": {
        "advantage": "grpo",
        "loss": "ppo",
        "aggregation": "sequence_mean",
        "clip_low": 0.2,
        "clip_high": 0.2,
        "kl_kind": "k3",
        "kl_beta": 0.04,
    },
    "batch": {"minibatches": 1},
}

_WHITENED: Mapping[str, Any] = {
    "whiten": True,
    "loss": "ppo",
    "aggregation": "token_mean",
    "clip_low": 0.2,
    "clip_high": 0.2,
}

ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        "grpo": Algorithm(
            "The reward less its group's mean over the group's std, responses of one weight, KL in loss.",
            "DeepSeekMath, arXiv 2402.03300, section 4.2 (one update a step); clip 0.2 as in PPO",
            _GRPO,
        ),
        "r1": Algorithm(
            "GRPO hardly clipped, near a reference that follows the policy.",
            "DeepSeek-R1, Nature s41586-025-09422-z, methods: epsilon 10, beta 0.001, 16 minibatches, a new"
            " reference every 400 of them: 25 steps here",
            {
                "objective": {
                    **_GRPO["objective"],
                    "clip_low": 1.0,  # a ratio is never below 0: 1 - 10 leaves it free, as this does
                    "clip_high": 10.0,
                    "kl_beta": 0.001,
                    "reference_refresh": 25,
                },
                "batch": {"minibatches": 16},
            },
        ),
        "dr_grpo": Algorithm(
            "The reward less its group's mean, every token of equal weight in every batch, no KL.",
            "Dr.GRPO, arXiv 2503.20783, section 3.2; one update a step is ours: the clip then does nothing",
            {
                "objective": {
                    "advantage": "dr_grpo",
                    "loss": "ppo",
                    "aggregation": "constant",
                    "constant_length": MAX_NEW_TOKENS,
                    "clip_low": 0.2,
                    "clip_high": 0.2,
                },
                "batch": {"minibatches": 1},
            },
        ),
        "dapo": Algorithm(
            "GRPO's advantage by token, clipped later above, other questions for groups of equal rewards.",
            "DAPO, arXiv 2503.14476, sections 3 and 4.1 (its punishment of length is the reward `overlong`);"
            " nine rounds of refilling as in its code, the paper sets no bound",
            {
                "objective": {
                    "advantage": "grpo",
                    "loss": "ppo",
                    "aggregation": "token_mean",
                    "clip_low": 0.2,
                    "clip_high": 0.28,
                },
                "rollouts": {"refill_rounds": 9},
                "batch": {"minibatches": 16},
            },
        ),
        "rloo": Algorithm(
            "The reward less the mean of the group's others, a response as one action, KL in the reward.",
            "RLOO, arXiv 2402.14740 (beta 0.03 on TL;DR); there the KL is in the reward before the baseline"
            " is taken off, here it has none: the same gradient on average, with more variance",
            {
                "objective": {
                    "advantage": "rloo",
                    "loss": "reinforce",
                    "aggregation": "constant",
                    "constant_length": MAX_NEW_TOKENS,
                    "kl_in": "reward",
                    "kl_kind": "k1",
                    "kl_beta": 0.03,
                },
                "batch": {"minibatches": 1},
            },
        ),
        "reinforce_pp": Algorithm(
            "The reward less the KL of the tokens to come, whitened over the batch's tokens, clipped.",
            "REINFORCE++, arXiv 2501.03262, section 3; beta 0.001 and four updates a step are ours",
            {
                "objective": {
                    "advantage": "raw",
                    **_WHITENED,
                    "kl_in": "reward",
                    "kl_kind": "k1",
                    "kl_beta": 0.001,
                },
                "batch": {"minibatches": 4},
            },
        ),
        "reinforce_pp_baseline": Algorithm(
            "The reward less its group's mean, whitened over the batch's tokens, clipped, k2 in the loss.",
            "REINFORCE++, arXiv 2501.03262, section 3.2; beta 0.001 and four updates a step are ours",
            {
                "objective": {
                    "advantage": "dr_grpo",
                    **_WHITENED,
                    "kl_kind": "k2",
                    "kl_beta": 0.001,
                },
                "batch": {"minibatches": 4},
            },
        ),
        "ppo": Algorithm(
            "The reward less the KL of the tokens to come, less what a critic expected, clipped.",
            "PPO, arXiv 1707.06347, as in InstructGPT, arXiv 2203.02155, appendix C.4 (8 minibatches, beta"
            " 0.02, no discount); lambda 1 as in Open-Reasoner-Zero, arXiv 2503.24290, and a critic that"
            " starts as the policy",
            {
                "objective": {
                    "advantage": "gae",
                    **_WHITENED,
                    "kl_in": "reward",
                    "kl_kind": "k1",
                    "kl_beta": 0.02,
                },
                "critic": {},
                "batch": {"minibatches": 8},
            },
        ),
        "gspo": Algorithm(
            "GRPO's advantage with one ratio for a response, clipped closely, no KL.",
            "GSPO, arXiv 2507.18071, section 5.1",
            {
                "objective": {
                    "advantage": "grpo",
                    "loss": "gspo",
                    "aggregation": "sequence_mean",
                    "clip_low": 3e-4,
                    "clip_high": 4e-4,
                },
                "batch": {"minibatches": 4},
            },
        ),
        "cispo": Algorithm(
            "GRPO's advantage on every token, weighed by a ratio that is cut off above without losing it.",
            "CISPO, MiniMax-M1, arXiv 2506.13585, section 3.1 (16 updates a step); its bound is not stated:"
            " ScaleRL's 5, arXiv 2510.13786; without the dynamic sampling that it takes over from DAPO",
            {
                "objective": {
                    "advantage": "grpo",
                    "loss": "cispo",
                    "aggregation": "token_mean",
                    "clip_low": 1.0,
                    "clip_high": 4.0,
                },
                "batch": {"minibatches": 16},
            },
        ),
        "best_of_n": Algorithm(
            "Supervised learning on the best response of each group, for comparison.",
            "RAFT, arXiv 2304.06767, algorithm 1",
            {
                "objective": {"advantage": "best_of_n", "loss": "reinforce", "aggregation": "token_mean"},
                "batch": {"minibatches": 1},
            },
        ),
    }
)


def expanded(data: Mapping[str, Any]) -> dict[str, Any]:
    """A stage's settings as written over those of its `algorithm`; an unknown name is left to be refused.

    An `objective.constant_length` of the algorithm becomes the run's `sampling.max_new_tokens`, of a schedule
    its largest value.
    """
    algorithm = ALGORITHMS.get(name) if isinstance(name := data.get("algorithm"), str) else None
    if algorithm is None:
        return dict(data)
    settings = laid_over(algorithm.settings, data)
    objective = settings["objective"]
    if isinstance(objective, Mapping) and objective.get("constant_length") == MAX_NEW_TOKENS:
        settings["objective"] = {**objective, "constant_length": _length_limit(data)}
    return settings


def _length_limit(data: Mapping[str, Any]) -> int:
    """`sampling.max_new_tokens`, its default where what is written is no such number: it is refused there."""
    from r1kit.rollouts.protocol import SamplingParams  # which loads torch: a recipe is read without it

    sampling, schedules = data.get("sampling"), data.get("schedules")
    limit = sampling.get("max_new_tokens") if isinstance(sampling, Mapping) else None
    if isinstance(schedules, Mapping):  # what is written apart goes before
        limit = schedules.get("sampling.max_new_tokens", limit)
    points = limit.get("points") if isinstance(limit, Mapping) else None
    written: list[Any] = list(points.values()) if isinstance(points, Mapping) else [limit]
    numbers = [value for value in written if type(value) is int and value > 0]
    return max(numbers, default=SamplingParams().max_new_tokens)


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings in which `above` decides where both say something."""
    both = dict(below)
    for key, value in above.items():
        under = both.get(key)
        both[key] = (
            laid_over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
        )
    return both

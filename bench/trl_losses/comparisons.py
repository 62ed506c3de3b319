"""The settings in which r1kit and TRL have the same loss.

Two defaults of `GRPOConfig` that r1kit does not have are set to others: `use_bias_correction_kl`, which
weighs the KL by the ratio, and masks in place of weights for the sampler. Both clip at 0.2 by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.trl_losses.scene import STYLE_WEIGHT

TRUNCATED_WEIGHTS = {
    "vllm_importance_sampling_mode": "token_truncate",
    "vllm_importance_sampling_clip_max": 1.2,
}
KL = ({"beta": 0.1, "use_bias_correction_kl": False}, {"kl_beta": 0.1})
WEIGHTS = (TRUNCATED_WEIGHTS, {"importance_cap": 1.2})
HIGHER = ({"epsilon": 0.1, "epsilon_high": 0.28}, {"clip_low": 0.1, "clip_high": 0.28})
DUAL = ({"delta": 1.4}, {"dual_clip": 1.4})
MASKED = ({"mask_truncated_completions": True}, {"truncated": "leave_out"})
BONUS = ({"entropy_coef": 0.05}, {"entropy_bonus": 0.05})
CENTRED = ({"scale_rewards": "none"}, {"advantage": "dr_grpo"})
GDPO = (
    {"multi_objective_aggregation": "normalize_then_sum", "reward_weights": [1.0, STYLE_WEIGHT]},
    {"advantage": "gdpo"},
)
R1 = (
    {"epsilon_high": 10.0, "beta": 0.001, "use_bias_correction_kl": False},
    {"clip_high": 10.0, "kl_beta": 0.001},
)

GRPO = ({"loss_type": "grpo"}, {"aggregation": "sequence_mean"})
DAPO = ({"loss_type": "dapo"}, {"aggregation": "token_mean"})
BNPO = ({"loss_type": "bnpo"}, {"aggregation": "token_mean"})
DR_GRPO = ({"loss_type": "dr_grpo"}, {"aggregation": "constant"})
SEQUENCE = {"importance_sampling_level": "sequence"}
GSPO = (
    GRPO[0] | SEQUENCE | {"epsilon": 0.02, "epsilon_high": 0.03},
    GRPO[1] | {"loss": "gspo", "clip_low": 0.02, "clip_high": 0.03},
)
CISPO = (  # TRL's epsilon_high is the bound itself, r1kit's clip_high what it is above 1
    {"loss_type": "cispo", "epsilon_high": 1.2},
    DAPO[1] | {"loss": "cispo", "clip_low": 1.0, "clip_high": 0.2},
)

Options = tuple[Mapping[str, Any], Mapping[str, Any]]
"""(fields of TRL's `GRPOConfig`, the fields of r1kit's `ObjectiveSettings` that mean the same)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row: `Comparison("DAPO, KL", DAPO, KL)`."""

    name: str
    options: tuple[Options, ...]
    parts: int = 1  # TRL's micro-batches; r1kit cuts the batch by tokens, into more
    on_policy: bool = False
    temperature: float = 1.0
    unscored: tuple[int, ...] = field(default=())  # rows whose reward is not known

    @property
    def trl(self) -> dict[str, Any]:
        """All fields of `GRPOConfig`."""
        found: dict[str, Any] = {"temperature": self.temperature}
        for theirs, _ in self.options:
            found |= theirs
        return found

    @property
    def own(self) -> dict[str, Any]:
        """All fields of `ObjectiveSettings`."""
        found: dict[str, Any] = {}
        for _, ours in self.options:
            found |= ours
        return found

    @property
    def corrected(self) -> bool:
        """Whether the sampler's log-probabilities count."""
        return "importance_cap" in self.own


def _row(name: str, *options: Options, **rest: Any) -> Comparison:
    return Comparison(name, options, **rest)


AGREEING = (
    _row("GRPO", GRPO),
    _row("GRPO, on policy", GRPO, on_policy=True),
    _row("GRPO, two micro-batches", GRPO, parts=2),
    _row("GRPO, KL (k3)", GRPO, KL),
    _row("GRPO, KL (k3), on policy", GRPO, KL, on_policy=True),
    _row("GRPO, clip-higher", GRPO, HIGHER),
    _row("GRPO, dual clip", GRPO, DUAL),
    _row("GRPO, truncated importance weights", GRPO, WEIGHTS),
    _row("GRPO, rewards not scaled", GRPO, CENTRED),
    _row("GRPO, temperature 0.7", GRPO, temperature=0.7),
    _row("GRPO, all of these", GRPO, KL, HIGHER, DUAL, WEIGHTS, temperature=0.7),
    _row("R1's: clip 10, KL 0.001", GRPO, R1),
    _row("DAPO, clip-higher", DAPO, HIGHER),
    _row("DAPO, two micro-batches", DAPO, HIGHER, parts=2),
    _row("DAPO, truncated left out", DAPO, HIGHER, MASKED),
    _row("DAPO, entropy bonus", DAPO, HIGHER, BONUS),
    _row("DAPO, all of these", DAPO, HIGHER, MASKED, KL, DUAL, WEIGHTS, BONUS, temperature=0.7),
    _row("BNPO", BNPO),
    _row("BNPO, KL, truncated left out", BNPO, KL, MASKED),
    _row("Dr.GRPO", DR_GRPO, CENTRED),
    _row("Dr.GRPO, two micro-batches, KL", DR_GRPO, CENTRED, KL, parts=2),
    _row("Dr.GRPO's length, GRPO's advantages", DR_GRPO),
    _row("GSPO", GSPO),
    _row("GSPO, two micro-batches, KL", GSPO, KL, parts=2),
    _row("GSPO, dual clip", GSPO, ({"delta": 1.05}, {"dual_clip": 1.05})),
    _row("GSPO, token mean", GSPO, DAPO),
    _row("CISPO", CISPO),
    _row("CISPO, two micro-batches, KL", CISPO, KL, parts=2),
    _row("CISPO, importance weights, truncated left out", CISPO, WEIGHTS, MASKED),
)

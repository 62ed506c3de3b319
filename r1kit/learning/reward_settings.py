"""Settings of reward-model training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from r1kit.learning.settings import OptimizerSettings
from r1kit.settings import Settings


class RewardTrainingSettings(Settings):
    """Training of a reward model on preference pairs (helpfulness) or on judged responses (harmlessness)."""

    kind: Literal["pairwise", "pointwise"]
    """pairwise: `Preference` records, summaries only. pointwise: `Judged` records, whole responses."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the examples; more than one soon overfits (InstructGPT: 1)."""
    examples_per_batch: int = Field(default=64, ge=1)
    """Pairs or judged responses per optimizer update (InstructGPT: 64 prompts)."""
    optimizer: OptimizerSettings = OptimizerSettings(learning_rate=1e-5, schedule="cosine", min_ratio=0.1)
    """The optimizer."""
    margin: float = Field(default=0.0, ge=0)
    """The pairwise loss asks for a lead of this much (Llama 2); 0 is plain Bradley-Terry."""
    min_score_gap: float = Field(default=0.0, ge=0)
    """Pairs whose data give the chosen response a lead below this are dropped; those without scores stay."""
    max_length_ratio: float = Field(default=4.0, ge=1)
    """Pairs are dropped in which one scored text has more than so many times the characters of the other:
    otherwise the model learns that longer is better."""
    max_tokens: int = Field(default=4096, ge=1)
    """Examples with a longer conversation are dropped, as are those beyond the model's positions."""
    tokens_per_microbatch: int = Field(default=16384, ge=1)
    """Upper bound of conversations x longest one of a forward pass; a longer pair goes through alone."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products; weights and optimizer state stay float32."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a fifth to a third more time."""
    save_every: int = Field(default=100, ge=1)
    """Updates between checkpoints; the last one is always saved."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Newest checkpoints kept."""
    max_skipped_updates: int = Field(default=10, ge=0)
    """The run stops when more than this many updates in a row were not finite."""

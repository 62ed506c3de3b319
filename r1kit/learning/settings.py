"""Settings of the learner and of the two training loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from r1kit.learning.scheduled import SCHEDULED, lifted, replaced, values
from r1kit.rollouts.protocol import SamplingParams
from r1kit.schedules import Schedule
from r1kit.settings import Settings


class OptimizerSettings(Settings):
    """AdamW with decoupled weight decay, a schedule with warm-up, and gradient clipping by global norm."""

    learning_rate: float = Field(default=1e-6, gt=0)
    """Peak learning rate (R1-Zero: 3e-6)."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Shape after the warm-up."""
    warmup_steps: int = Field(default=0, ge=0)
    """Updates over which the rate rises linearly to its peak."""
    min_ratio: float = Field(default=0.0, ge=0, le=1)
    """Learning rate of the last update as a share of the peak (linear and cosine)."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled decay of matrices; norms, biases and (tied or not) embeddings are never decayed."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW's first-moment decay."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """AdamW's second-moment decay."""
    eps: float = Field(default=1e-8, gt=0)
    """AdamW's denominator constant."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this global L2 norm."""


WITHOUT_GROUP_BASELINE = frozenset({"raw", "best_of_n", "gdpo", "gae"})
"""Advantages that the responses of a group with equal total rewards may have."""


class ObjectiveSettings(Settings):
    """Which policy objective: advantages, the loss of a token, aggregation over tokens, KL to a reference."""

    advantage: Literal["grpo", "dr_grpo", "rloo", "opo", "raw", "best_of_n", "gdpo", "gae"] = "grpo"
    """How credit follows from rewards: a name in `objectives.advantages`. 'gdpo' compares each reward term by
    itself; 'gae' (PPO) takes the baseline from a `critic`."""
    whiten: bool = False
    """Bring the advantages of the batch's tokens to mean 0 and standard deviation 1 (REINFORCE++)."""
    loss: Literal["ppo", "gspo", "cispo", "reinforce"] = "ppo"
    """Name in `objectives.policy.POLICY_LOSSES` (GSPO is meant with sequence_mean)."""
    aggregation: Literal["sequence_mean", "token_mean", "constant"] = "sequence_mean"
    """How token losses become one number (GRPO, GSPO: sequence_mean; DAPO, CISPO: token_mean; Dr.GRPO:
    constant, which sums over tokens, as the papers on REINFORCE and RLOO do)."""
    constant_length: int = Field(default=1024, gt=0)
    """Length that `constant` aggregation divides each sequence's token sum by (Dr.GRPO: the length limit)."""
    clip_low: float = Field(default=0.2, ge=0, le=1)
    """The ratio is clipped below at 1 - clip_low (GSPO: 3e-4, of the sequence's ratio; CISPO: 1)."""
    clip_high: float = Field(default=0.2, ge=0)
    """The ratio is clipped above at 1 + clip_high (DAPO: 0.28; GSPO: 4e-4; R1's reasoning RL: 10)."""
    dual_clip: float | None = Field(default=None, gt=1)
    """With a negative advantage a token whose ratio is above this does not push any more (often 3)."""
    importance_cap: float | None = Field(default=None, gt=0)
    """Weigh each token's policy loss by pi_learner / pi_sampler, at most this (truncated importance sampling:
    2). KL, entropy bonus and the critic's loss are not weighed."""
    kl_kind: Literal["k1", "k2", "k3"] = "k3"
    """Estimator of the KL to the reference (in the loss GRPO: k3; in the reward REINFORCE++: k1)."""
    kl_beta: float = Field(default=0.0, ge=0)
    """Weight of the KL; at 0 no reference model is kept (R1-Zero: 0.001)."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Whether the KL is a part of the loss, or of the reward of each token (InstructGPT, REINFORCE++). There
    it is taken from the advantages: it has no baseline, and a group's std does not divide it."""
    reference_refresh: int = Field(default=0, ge=0)
    """The reference becomes the policy every so many steps; 0 = never (R1: 400)."""
    entropy_bonus: float = Field(default=0.0, ge=0)
    """Weight of the entropy of each token's distribution, which the loss rewards."""
    truncated: Literal["train", "leave_out"] = "train"
    """Whether responses cut off at max_new_tokens are trained on. Left out, they still count in their group's
    statistics (DAPO's overlong filtering)."""

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> Self:
        if self.dual_clip is not None and self.loss not in ("ppo", "gspo"):
            raise ValueError(f"dual_clip has no effect on the loss {self.loss!r}; it is for 'ppo' and 'gspo'")
        if self.kl_in == "reward" and self.kl_kind != "k1":
            raise ValueError(
                f"kl_kind {self.kl_kind!r} in the reward: only 'k1' has the gradient of the KL there"
            )
        return self

    @property
    def compares_groups(self) -> bool:
        """Whether the totals of a group are the baseline: equal ones then teach nothing."""
        return self.advantage not in WITHOUT_GROUP_BASELINE


class CriticSettings(Settings):
    """What estimates the value of each token, for the advantage 'gae', and how it learns."""

    kind: Literal["separate", "head"] = "separate"
    """A copy of the policy under a scalar head, with gradients of its own; or a scalar head on the policy's
    hidden states, which costs next to nothing but pulls on the policy too."""
    optimizer: OptimizerSettings | None = None
    """The critic's own optimizer, of the head alone where it is a head; None = the policy's settings at 5
    times its learning rate (Open-Reasoner-Zero, arXiv 2503.24290: 5 times; verl: 10 times)."""
    coefficient: float = Field(default=0.1, ge=0)
    """Of a head: weight of its loss in the policy's (TRL: 0.1); 0 keeps it from the policy's body."""
    gamma: float = Field(default=1.0, gt=0, le=1)
    """Discount of the next token's value."""
    gae_lambda: float = Field(default=1.0, ge=0, le=1)
    """Of the advantages: 1 trusts the rewards, 0 the critic (R1: 1; 0.95 is clearly worse on long chains)."""
    returns_lambda: float | None = Field(default=None, ge=0, le=1)
    """Of what the critic learns, if not `gae_lambda` (VC-PPO, arXiv 2503.01491: 1, beside 0.95)."""
    value_clip: float | None = Field(default=0.5, gt=0)
    """A value is not pulled farther than this from what it was when the rollouts were sampled (verl: 0.5)."""
    pretrain_steps: int = Field(default=0, ge=0)
    """In so many first steps only the critic learns; the policy's learning rate moves on meanwhile."""


class BatchSettings(Settings):
    """How a batch is cut into micro-batches, and in which precision it is computed."""

    tokens_per_microbatch: int = Field(default=16384, gt=0)
    """Upper bound of sequences x longest sequence of one forward pass; the first setting to lower when memory
    runs out. One longer sequence still goes through alone."""
    minibatches: int = Field(default=1, ge=1)
    """Optimizer updates per pass over a batch of rollouts; 1 is strictly on-policy (R1: 16)."""
    rollout_epochs: int = Field(default=1, ge=1)
    """Passes over each batch of rollouts, in other minibatches each time (PPO: several; R1: 1)."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, a fifth to a third more time."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products; weights and optimizer state stay float32."""
    logprob_chunk: int = Field(default=1024, gt=0)
    """Tokens whose logits exist at one time."""
    compile: bool = False
    """Compile the decoder with `torch.compile`. On a CPU it needs a C++ compiler and takes a minute first,
    then trains a small model about twice as fast as the library's layers."""
    written_out: bool = True
    """Compute small Llama, Qwen2 and Qwen3 decoders on a CPU by layers written out (`models/written.py`),
    which is faster and as near to the exact gradients; where sequences are packed or the decoder is compiled,
    and for all other models, it changes nothing."""
    packing: bool = False
    """Lay sequences one after the other in rows of up to `tokens_per_microbatch` tokens, none of which sees
    another: no padding, and fewer and fuller forward passes. Meant for accelerators and flash attention. On
    one CPU thread a small model trained on lengths of 12 to 320 tokens at 0.79 to 0.88 of the speed of padded
    rows (which are sorted by length and waste 6%), on 12 to 1024 at 0.97. Models that would mix the sequences
    are refused."""

    @property
    def writes_layers_out(self) -> bool:
        """Whether layers are written out where the model and the device allow it."""
        return self.written_out and not (self.packing or self.compile)

    @property
    def updates(self) -> int:
        """Optimizer updates per batch of rollouts."""
        return self.minibatches * self.rollout_epochs

    @model_validator(mode="after")
    def _packed_rows_are_not_compiled(self) -> Self:
        if self.packing and self.compile:
            raise ValueError(
                "packing and compile: every micro-batch has other boundaries, for which the decoder would be"
                " compiled anew; set one of them to false"
            )
        return self


class LimitSettings(Settings):
    """What ends a reinforcement-learning run before its last step, or fails it."""

    sampled_tokens: int | None = Field(default=None, ge=1)
    """The run ends well after the step in which so many tokens have been sampled; None = with its steps."""
    unscored_share: float = Field(default=0.2, ge=0, le=1)
    """It fails when more than this share of a step's rollouts could not be scored."""
    skipped_updates: int = Field(default=10, ge=0)
    """It fails when more than this many updates in a row were not finite."""


class RolloutSettings(Settings):
    """How a step of reinforcement learning comes by its rollouts."""

    refill_rounds: int = Field(default=0, ge=0)
    """Groups whose rewards are all equal are left out and as many other questions asked in their place, by
    the step's shares, at most so many times (DAPO's dynamic sampling). What does not come from the reward, KL
    and entropy bonus, is then not learned on them either. 0 trains on the groups as they come."""
    staleness: int = Field(default=0, ge=0, le=1)
    """With 1 a step's rollouts are sampled and graded beside the updates of the step before, from the weights
    before these: for steps that wait for judges or programs. It needs `objective.importance_cap`, takes the
    memory of two more copies of the weights (one where sampling is in another number format anyway) and one
    in each checkpoint, and repeats itself bit by bit as 0 does, where every step waits for rollouts of its
    own weights."""


class RLSettings(Settings):
    """One reinforcement-learning run."""

    steps: int = Field(default=100, ge=1)
    """Rollout-and-update steps."""
    questions_per_step: int = Field(default=32, ge=1)
    """Problems drawn per step (R1: 32)."""
    group_size: int = Field(default=16, ge=1)
    """Completions per problem (R1: 16); 1 only with an advantage that compares none ('gae', 'raw')."""
    template: str = "r1_zero"
    """Prompt template, a name in `text.templates.TEMPLATES`."""
    sampling: SamplingParams = SamplingParams(max_new_tokens=512, temperature=1.0, top_p=1.0, top_k=0)
    """How rollouts are sampled."""
    objective: ObjectiveSettings = ObjectiveSettings()
    """The policy objective."""
    critic: CriticSettings | None = None
    """The critic of the advantage 'gae'; `{}` for the defaults."""
    optimizer: OptimizerSettings = OptimizerSettings()
    """The optimizer."""
    batch: BatchSettings = BatchSettings()
    """Micro-batches and precision."""
    save_every: int = Field(default=20, ge=1)
    """Steps between checkpoints; the last step is always saved."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Newest checkpoints kept."""
    log_rollouts_share: float = Field(default=0.05, ge=0, le=1)
    """Seeded share of the groups that are written to rollouts.jsonl, each with all its rollouts."""
    rollouts: RolloutSettings = RolloutSettings()
    """How a step comes by its rollouts."""
    limits: LimitSettings = LimitSettings()
    """What ends the run, or fails it."""
    schedules: dict[str, Schedule] = Field(default={})
    """Settings that change over the steps, by path. A recipe writes them where the number stands, as
    `{shape, points}`; `learning/scheduled.py` lists which may."""

    @property
    def updates(self) -> int:
        """Optimizer updates of the whole run."""
        return self.steps * self.batch.updates

    @property
    def critic_optimizer(self) -> OptimizerSettings:
        """Those of the critic, its own or as they follow from the policy's."""
        if self.critic is not None and self.critic.optimizer is not None:
            return self.critic.optimizer
        return self.optimizer.model_copy(update={"learning_rate": 5 * self.optimizer.learning_rate})

    def at(self, step: int) -> Self:
        """The settings of one step, counted from 1, with a plain number for every schedule."""
        if not self.schedules:
            return self
        plain = replaced(self.model_dump(), {"schedules": {}, **values(self.schedules, step)})
        return type(self).model_validate(plain)

    def ever(self, path: str) -> float:
        """The largest value that a setting has in the run."""
        written: Any = self.model_dump()
        for name in path.split("."):
            written = written[name]
        schedule = self.schedules.get(path)
        return max(schedule.points.values()) if schedule else float(written)

    @classmethod
    def prepared(cls, data: Any) -> Any:
        """The data with schedules apart from the numbers in whose place they were written."""
        return lifted(data) if isinstance(data, Mapping) else data

    @model_validator(mode="after")
    def _advantage_has_its_baseline(self) -> Self:
        name = self.objective.advantage
        if name == "gae" and self.critic is None:
            raise ValueError(
                "objective.advantage: 'gae' needs a critic; add `critic: {}` beside the objective"
            )
        if name != "gae" and self.critic is not None:
            raise ValueError(
                f"critic: the advantage {name!r} asks none; use the advantage 'gae', or set critic to null"
            )
        if self.critic is not None and self.critic.pretrain_steps >= self.steps:
            raise ValueError(
                f"critic.pretrain_steps: {self.critic.pretrain_steps} of {self.steps} steps leave the policy"
                " none; use fewer"
            )
        if self.group_size == 1 and name not in ("gae", "raw"):
            raise ValueError(
                f"group_size: the advantage {name!r} compares the responses of a group, one alone teaches"
                " nothing; use at least 2, or the advantage 'gae' or 'raw'"
            )
        if self.rollouts.staleness and self.objective.importance_cap is None:
            raise ValueError(
                "rollouts.staleness: rollouts of older weights need objective.importance_cap (2 is usual)"
            )
        if self.rollouts.refill_rounds and not self.objective.compares_groups:
            raise ValueError(
                f"rollouts.refill_rounds: with the advantage {name!r} groups of equal rewards teach too;"
                " use 0"
            )
        return self

    @model_validator(mode="after")
    def _each_step_is_valid(self) -> Self:
        unknown = [path for path in self.schedules if path not in SCHEDULED]
        if unknown:
            raise ValueError(f"schedules: {unknown[0]} has none; these may: {', '.join(SCHEDULED)}")
        for path, schedule in self.schedules.items():
            for step in schedule.points:
                try:
                    self.at(step)
                except ValidationError as error:
                    reason = error.errors()[0]["msg"]
                    raise ValueError(f"{path} at step {step}: {reason}") from None
        return self

    @model_validator(mode="after")
    def _sampling_is_the_trained_distribution(self) -> Self:
        if self.sampling.temperature == 0:
            raise ValueError("sampling.temperature is 0: all samples of a group would be equal; use 1.0")
        if self.sampling.top_p < 1 or self.sampling.top_k > 0:
            raise ValueError(
                "sampling.top_p and sampling.top_k: the policy gradient is that of the unfiltered"
                " distribution, which must be the one drawn from; use top_p 1.0 and top_k 0"
            )
        return self


class SFTSettings(Settings):
    """One supervised run (pre-training, fine-tuning, distillation)."""

    epochs: float = Field(default=1.0, gt=0)
    """Passes over the documents; ignored when `steps` is given."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer updates; None = what `epochs` needs."""
    tokens_per_batch: int = Field(default=16384, gt=0)
    """Real tokens (prompt and response) per optimizer update, reached by adding whole documents."""
    length_window: int = Field(default=1, ge=1)
    """Documents of so many batches are sorted by length before they are cut into batches, which saves
    padding;
    1 = batches of any lengths."""
    optimizer: OptimizerSettings = OptimizerSettings(learning_rate=5e-5, schedule="cosine", min_ratio=0.1)
    """The optimizer."""
    batch: BatchSettings = BatchSettings()
    """Micro-batches and precision."""
    save_every: int = Field(default=200, ge=1)
    """Updates between checkpoints; the last one is always saved."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Newest checkpoints kept."""
    log_every: int = Field(default=10, ge=1)
    """Updates between rows of metrics.jsonl; each row averages the updates since the last one."""
    max_skipped_updates: int = Field(default=10, ge=0)
    """The run stops when more than this many updates in a row were not finite."""

"""What a recipe may say about each kind of stage, and about evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from r1kit.errors import suggestion
from r1kit.learning.algorithms import ALGORITHMS, expanded
from r1kit.learning.difficulty import DifficultySettings
from r1kit.learning.settings import RLSettings, SFTSettings
from r1kit.rewards.learned import TEACHER
from r1kit.rollouts.protocol import SamplingParams, Temperature
from r1kit.schedules import Schedule, value_at
from r1kit.settings import Settings


class EvaluationSettings(Settings):
    """How every model of the run is tested. The problems are the first ones of each task's test split."""

    tasks: tuple[str, ...] = Field(min_length=1)
    """Names from the recipe's `tasks`."""
    problems: int | None = Field(default=100, ge=1)
    """Problems per task, the same ones for every model; null: each task's whole test split."""
    samples: int = Field(default=16, ge=1)
    """Samples per problem: k of pass@1's mean and of cons@k."""
    temperature: Temperature = 0.6
    """R1's evaluation temperature; 0 is greedy."""
    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    """R1's evaluation nucleus."""
    max_new_tokens: int = Field(default=512, ge=1)
    """Longest response, in tokens; a longer one counts as truncated."""
    template: str = "chat"
    """Prompt template, see `text/templates.py`."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the weights while sampling."""
    stages: tuple[str, ...] | None = None
    """The models to test, by stage, `base` among them; all of them without it."""

    def sampling(self) -> SamplingParams:
        """The sampler's own record of these settings."""
        return SamplingParams(
            max_new_tokens=self.max_new_tokens, temperature=self.temperature, top_p=self.top_p, top_k=0
        )


class RewardTerm(Settings):
    """One term of a rubric with its parameters: `{weight: 0.5, params: {max_length: 1000}}`."""

    file: str | None = None
    """A Python file of your own that defines the term (docs/rewards.md); without it, a built-in one."""
    seconds: float = Field(default=10.0, gt=0, le=3600)
    """Of a term from a file: processor time for one sample, or for a batch that is scored as a whole."""
    memory_mb: int = Field(default=2048, ge=16, le=1 << 20)
    """Of a term from a file: MiB of memory that scoring may take beyond what importing the file took."""
    weight: float | Schedule = 1.0
    """Factor of the raw term in the total, or `{shape, points}` over the steps."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the term, see `r1kit rewards`."""
    tasks: tuple[str, ...] | None = None
    """The tasks whose responses it concerns; all of the stage's without it."""
    tags: tuple[str, ...] | None = None
    """Of these, the problems with one of these tags (dialogue: `helpful`, `harmful`)."""
    last_steps: int | None = Field(default=None, ge=1)
    """It counts in so many last steps alone (R1: preference rewards in the last 400 of 1,700)."""
    normalise: Literal["none", "batch"] = "none"
    """batch: its values of a step are brought to mean 0 and standard deviation 1 before the weight."""


class TaskShare(Settings):
    """How much of a stage's questions one task gives."""

    share: float | Schedule = Field(default=1.0)
    """Questions of a step, relative to the other tasks' shares; or `{shape, points}` over the steps."""
    last_steps: int | None = Field(default=None, ge=1)
    """Only in so many last steps (R1: general data in the last 400 of 1,700)."""

    @model_validator(mode="after")
    def _shares_are_positive(self) -> Self:
        values = list(self.share.points.values()) if isinstance(self.share, Schedule) else [self.share]
        if min(values) < 0 or max(values) == 0:
            raise ValueError("share: must not be negative, nor 0 in all steps")
        return self


class RLStageSettings(RLSettings):
    """Reinforcement learning: the loop's settings, the tasks and the rewards."""

    algorithm: str | None = None
    """Published algorithm whose settings hold where the recipe has none; `r1kit algorithms` lists them."""
    tasks: tuple[str, ...] | dict[str, float | TaskShare] = Field(min_length=1)
    """Names from the recipe's `tasks`, their training problems shuffled together; or name -> share of each
    step's questions."""
    rewards: dict[str, float | RewardTerm] = Field(min_length=1)
    """Reward name -> weight, or -> {weight, params, file, seconds, tasks, tags, last_steps, normalise}."""

    difficulty: DifficultySettings | None = None
    """Let the pass rate choose among the tasks, as levels: `{levels: [easy, hard], band: [0.4, 0.7]}`."""

    @classmethod
    def prepared(cls, data: Any) -> Any:
        """The data over the settings of its algorithm, with schedules apart from the numbers."""
        return super().prepared(expanded(data) if isinstance(data, Mapping) else data)

    @field_validator("algorithm")
    @classmethod
    def _algorithm_is_known(cls, name: str | None) -> str | None:
        if name is not None and name not in ALGORITHMS:
            raise ValueError(f"unknown algorithm {name!r}{suggestion(name, ALGORITHMS)}")
        return name

    @model_validator(mode="after")
    def _levels_are_the_tasks(self) -> Self:
        if self.difficulty is None:
            return self
        if isinstance(self.tasks, dict):
            raise ValueError("difficulty: chooses among the tasks itself; list them without shares")
        if set(self.difficulty.levels) != set(self.tasks):
            raise ValueError(
                f"difficulty.levels: must be the stage's tasks, the easiest first: {', '.join(self.tasks)}"
            )
        return self

    @model_validator(mode="after")
    def _single_terms_are_normalised_once(self) -> Self:
        batch = [
            name
            for name, term in self.rewards.items()
            if isinstance(term, RewardTerm) and term.normalise == "batch"
        ]
        if self.objective.advantage == "gdpo" and batch:
            raise ValueError(
                f"rewards.{batch[0]}: normalise 'batch' with the advantage 'gdpo', which normalises each"
                " reward itself; use 'none'"
            )
        return self

    @model_validator(mode="after")
    def _refilling_knows_all_that_is_learned(self) -> Self:
        if not self.rollouts.refill_rounds:
            return self
        if TEACHER in self.rewards:
            raise ValueError(
                "rollouts.refill_rounds: the teacher's reward teaches on every group, none is dead; use 0"
            )
        for name, term in self.rewards.items():
            if isinstance(term, RewardTerm) and term.normalise == "batch":
                raise ValueError(
                    f"rollouts.refill_rounds: rewards.{name} is normalised over a step, but rounds are"
                    " graded alone"
                )
        return self

    @model_validator(mode="after")
    def _credit_comes_from_one_source(self) -> Self:
        if self.critic is not None and TEACHER in self.rewards:
            raise ValueError(
                "critic: the teacher's reward is an advantage of each token already, which a critic does not"
                " judge; use the advantage 'raw' without a critic"
            )
        return self

    @model_validator(mode="after")
    def _every_step_has_a_task(self) -> Self:
        if isinstance(self.tasks, dict):
            shares = [
                task if isinstance(task, TaskShare) else TaskShare(share=task) for task in self.tasks.values()
            ]
            for step in self._steps_of_change(shares):
                left = self.steps - step + 1
                if not any(
                    value_at(task.share, step) > 0 and (task.last_steps is None or left <= task.last_steps)
                    for task in shares
                ):
                    raise ValueError(f"tasks: none has a share of step {step}")
        return self

    def _steps_of_change(self, shares: Sequence[TaskShare]) -> list[int]:
        """Steps that stand for all: between two points a share is positive everywhere or nowhere."""
        points = {1, self.steps}
        for task in shares:
            points |= set(task.share.points) if isinstance(task.share, Schedule) else set()
            points |= {self.steps - task.last_steps + 1} if task.last_steps else set()
        near = {point + offset for point in points for offset in (-1, 0, 1)}
        return sorted(step for step in near if 1 <= step <= self.steps)


class DataPart(Settings):
    """One source of supervised examples in a stage's `data`."""

    limit: int | None = Field(default=None, ge=1)
    """At most so many examples, drawn at random; all of them without it."""
    rows: Literal["messages", "numina", "stratos"] = "messages"
    """How a row is read: conversations, or as NuminaMath-TIR and Bespoke-Stratos-17k publish theirs."""
    skip_bad_rows: bool = False
    """Leave out rows that cannot be read, and count them, instead of refusing the source."""


class LogitDistillation(Settings):
    """Learning from the whole distributions of a teacher that has the same tokenizer."""

    teacher: str
    """The frozen teacher: an earlier stage, `base`, a folder or a hub name."""
    kind: Literal["forward_kl", "reverse_kl", "jsd"] = "forward_kl"
    """Divergence between teacher and student, a name in `objectives.distillation.DIVERGENCES`."""
    temperature: float = Field(default=1.0, gt=0)
    """Of both distributions; the loss is scaled by its square (Hinton et al. 2015)."""
    beta: float = Field(default=0.5, gt=0, lt=1)
    """The teacher's share of the mixture in `jsd`."""
    supervised_weight: float = Field(default=0.0, ge=0, le=1)
    """Share of the text's own cross-entropy in the loss."""


class SFTStageSettings(Settings):
    """Supervised fine-tuning on demonstrations: SFT 1, SFT 2 and distillation."""

    data: dict[str, DataPart] = Field(min_length=1)
    """Stage, file or hub name -> what is taken of it; all parts are shuffled together."""
    template: str = "chat"
    """Prompt template, see `text/templates.py`; the one that the model is used with afterwards."""
    max_tokens: int | None = Field(default=None, ge=2)
    """Longer examples are left out and counted; None = the model's own limit."""
    held_out: int = Field(default=64, ge=0)
    """Examples kept back to measure the loss before and after, at most a tenth of all."""
    training: SFTSettings = SFTSettings()
    """Optimiser, batches, length of training (R1: cosine from 5e-5 to 5e-6, 2-3 epochs)."""
    distillation: LogitDistillation | None = None
    """A teacher whose logits are learned on these examples."""


class ArchitectureSettings(Settings):
    """Shape of a new model, in the field's usual names."""

    kind: Literal["qwen3", "qwen2", "llama"] = "qwen3"
    """The `transformers` architecture."""
    layers: int = Field(default=4, ge=1)
    """Decoder layers."""
    width: int = Field(default=192, ge=8)
    """Hidden size."""
    heads: int = Field(default=6, ge=1)
    """Query heads."""
    kv_heads: int = Field(default=2, ge=1)
    """Key and value heads; `heads` must be a multiple."""
    head_width: int = Field(default=32, ge=4)
    """Width of one head."""
    feed_forward: int = Field(default=512, ge=8)
    """Inner width of the gated feed-forward layer."""
    max_positions: int = Field(default=2048, ge=16)
    """Longest sequence, in tokens."""
    rope_theta: float = Field(default=10000.0, gt=0.0)
    """Base of the rotary frequencies."""
    tie_embeddings: bool = True
    """Whether input embedding and output head are one matrix."""


class CorpusTrainingSettings(Settings):
    """Training on generated pages: which, how many, how, and how the result is examined."""

    mixture: dict[str, float] = Field(min_length=1)
    """Share of each family of pages in the corpus, see `world/corpus.py`."""
    documents: int = Field(ge=1)
    """Training documents."""
    held_out: int = Field(default=500, ge=1)
    """Documents kept back to measure the loss."""
    training: SFTSettings
    """Optimiser, batches, length of training."""
    stored_as: Literal["float32", "bfloat16"] = "float32"
    """Number format of the weights in the checkpoint."""
    probe: EvaluationSettings | None = None
    """How to sample Countdown problems for the measurements of `world/quality.py`; none without it."""


class PretrainStageSettings(CorpusTrainingSettings):
    """A new base model: corpus, tokenizer, architecture, training."""

    tokenizer_documents: int = Field(default=20_000, ge=1)
    """Documents the tokenizer is trained on."""
    vocab_size: int = Field(default=1024, ge=64)
    """Entries of the tokenizer, special tokens included."""
    dialect: Literal["micro", "chatml"] = "micro"
    """Control tokens and chat template, see `world/tokenizer.py`; a continued stage keeps its model's."""
    model: ArchitectureSettings = ArchitectureSettings()
    """Shape of the model."""

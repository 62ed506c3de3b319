"""What a recipe may say about the stages that make data sets."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from r1kit.datasets.filters import FilterSettings
from r1kit.datasets.forms import Form
from r1kit.datasets.refinement import RefinementRules
from r1kit.learning.reward_settings import RewardTrainingSettings
from r1kit.models.openai_client import EndpointSettings
from r1kit.rollouts.protocol import SamplingParams
from r1kit.settings import Settings

EVALUATION_SAMPLING = SamplingParams(max_new_tokens=512, temperature=0.6, top_p=0.95, top_k=0)


class SamplingSettings(Settings):
    """Which problems are asked, and how responses are drawn."""

    problems: int | None = Field(default=None, ge=1)
    """Training problems per task, the first of a seeded order; all of them without it."""
    samples: int = Field(default=4, ge=1)
    """Responses per problem."""
    template: str = "chat"
    """Prompt template, see `text/templates.py`."""
    sampling: SamplingParams = EVALUATION_SAMPLING
    """How responses are drawn."""


class RejectionStageSettings(SamplingSettings):
    """Rejection sampling: many samples, of which the correct and readable ones become a data set."""

    tasks: tuple[str, ...] = Field(min_length=1)
    """Names from the recipe's `tasks`."""
    reject: bool = True
    """Whether wrong and unreadable responses are dropped; off, samples are kept as drawn, for comparison."""
    filters: FilterSettings = FilterSettings()
    """What counts as readable."""
    per_problem: int = Field(default=2, ge=1)
    """At most so many responses of one problem."""
    total: int | None = Field(default=None, ge=1)
    """At most so many responses overall, those of the hardest problems first; without `reject`, of any."""
    form: Literal["tags", "any"] = "tags"
    """tags: responses that are not in `<think>…</think><answer>…</answer>` are dropped."""


class RewardSamplesSettings(SamplingSettings):
    """A model's own samples as data for a reward model, told apart by the tasks' verifiers."""

    rows: Literal["preferences", "judged"]
    """preferences: a right response before a wrong one. judged: single ones, "safe" where they are right."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Names from the recipe's `tasks`."""
    per_problem: int = Field(default=4, ge=1)
    """At most so many pairs of one problem, or judged responses of either side."""
    gold: bool = True
    """preferences: whether the task's gold answer is chosen where none of a problem's samples is right."""


class ColdStartWay(SamplingSettings):
    """One way to make cold-start examples: which model answers, and what is done to its answers."""

    model: str | None = None
    """Who answers: an earlier stage, `base`, a folder or a hub name; else what the stage starts from."""
    restructure: Literal["rules", "model", "none"] = "rules"
    """How the reasoning is rewritten: by `rules`, by the `rewriter`, or not at all."""
    per_problem: int = Field(default=1, ge=1)
    """At most so many examples of one problem."""


class RewriterSettings(Settings):
    """The model that restructures reasoning: a local one, or one behind an OpenAI-compatible address."""

    model: str | None = None
    """An earlier stage, `base`, a folder or a hub name."""
    endpoint: EndpointSettings | None = None
    """Instead: a model behind an address."""
    sampling: SamplingParams = SamplingParams(max_new_tokens=1024, temperature=0.0, top_p=1.0, top_k=0)
    """How the local model answers."""
    template: str = "chat"
    """Prompt template of the local model."""

    @model_validator(mode="after")
    def _is_one_model(self) -> Self:
        if (self.model is None) == (self.endpoint is None):
            raise ValueError("rewriter: give either model or endpoint")
        return self


class ColdStartStageSettings(Settings):
    """Cold-start data: readable long chains of thought, made in up to three ways and reviewed."""

    tasks: tuple[str, ...] = Field(min_length=1)
    """Names from the recipe's `tasks`."""
    ways: dict[Literal["few_shot", "direct", "refine"], ColdStartWay] = Field(min_length=1)
    """few_shot: worked examples before the question. direct: an instruction to reason step by step, reflect
    and verify. refine: R1-Zero's own outputs."""
    rules: RefinementRules = RefinementRules()
    """What restructuring by rules does."""
    glossary: str | None = None
    """For one language: `micro`, or a .tsv file of two columns, headed by their language codes."""
    rewriter: RewriterSettings | None = None
    """For ways with `restructure: model`."""
    shots: str | None = None
    """A .jsonl file of worked examples: `problem`, `reasoning`, `summary`; else the published two."""
    filters: FilterSettings = FilterSettings()
    """What counts as readable."""
    forms: tuple[Form, ...] = Field(default=("tags",), min_length=1)
    """The forms in which each example is written."""
    review: Literal["automatic", "person"] = "automatic"
    """person: the stage stops until `r1kit review` has gone through the queue."""

    @model_validator(mode="after")
    def _rewriter_is_there(self) -> Self:
        if self.rewriter is None and any(way.restructure == "model" for way in self.ways.values()):
            raise ValueError("rewriter: a way has restructure: model, and there is no rewriter")
        return self


class DialogueDataSettings(Settings):
    """Generated dialogue in the micro world's words: general examples for SFT 2, data for reward models."""

    rows: Literal["demonstrations", "preferences", "judged"]
    """demonstrations: replies and kind refusals. preferences: pairs for helpfulness. judged: safe and
    unsafe responses for harmlessness."""
    count: int = Field(default=1000, ge=1)
    """Rows."""
    tagged_share: float = Field(default=1.0, ge=0, le=1)
    """Share of replies in `<think>…</think><answer>…</answer>`, with a short thought."""
    harmful_share: float = Field(default=0.3, ge=0, le=1)
    """Of the demonstrations: share of harmful requests, which are refused."""
    poor_share: float = Field(default=0.0, ge=0, le=1)
    """Of the demonstrations' replies to helpful requests: share of curt, beside the point or repeating ones,
    as unedited text has them; 0: all are good."""
    invented_share: float = Field(default=0.0, ge=0, le=1)
    """Of the demonstrations' and preferences' helpful requests about something, but for translations: share
    of those that are about an invented word ("where is my zorva?"). Who answers those reads the word in the
    request, and will read one that is new to him."""
    languages: dict[str, float] = Field(default={"en": 0.7, "zh": 0.3})
    """Language -> its share."""

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        if self.rows == "judged" and self.invented_share:
            raise ValueError("invented_share: judged rows are about refusals, which need no word")
        return self


class RewardModelStageSettings(Settings):
    """A reward model, trained from a causal model: helpfulness on pairs, harmlessness on judged responses."""

    data: tuple[str, ...] = Field(min_length=1)
    """Earlier stages, files or hub names: preferences for a pairwise model, else judged rows."""
    held_out: int = Field(default=200, ge=0)
    """Rows kept back to measure it before and after, at most a tenth of all."""
    training: RewardTrainingSettings
    """Loss, optimiser, batches, length of training, filters."""

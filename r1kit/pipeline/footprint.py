"""What each stage of a recipe takes of memory, from its settings and the shapes of its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.errors import ModelError
from r1kit.memory import estimate
from r1kit.memory.activations import Arithmetic
from r1kit.memory.estimate import PROCESS, Company, Estimate, Phase
from r1kit.memory.microbatch import Training
from r1kit.memory.rollouts import Draws
from r1kit.memory.shapes import ModelShape, read_config, shape_of
from r1kit.models.packaged import packaged_folder
from r1kit.pipeline.config import BASE, Recipe, StageSpec
from r1kit.rollouts.memory import MOST_ROWS
from r1kit.rollouts.protocol import SamplingParams
from r1kit.settings import Settings
from r1kit.stages.data_settings import (
    ColdStartStageSettings,
    DialogueDataSettings,
    RejectionStageSettings,
    RewardModelStageSettings,
    RewardSamplesSettings,
    SamplingSettings,
)
from r1kit.stages.settings import (
    CorpusTrainingSettings,
    EvaluationSettings,
    PretrainStageSettings,
    RLStageSettings,
    SFTStageSettings,
)

EVALUATION = "evaluation"
_DOCUMENT = (
    512  # bytes of a page of the generated corpus, encoded: about 60 tokens of 4 and three Python objects
)


@dataclass(frozen=True, slots=True)
class Machine:
    """`Machine("cpu", True, 16 << 30, 2)`: what estimates depend on besides the recipe."""

    device: str  # "cpu" or "cuda"
    narrow: bool  # whether precision "auto" is bfloat16 there
    memory: int  # bytes
    threads: int = 1  # of torch

    def arithmetic(self, precision: str = "auto") -> Arithmetic:
        """Of a precision setting."""
        narrow = self.narrow if precision == "auto" else precision == "bfloat16"
        return Arithmetic(2 if narrow else 4, self.device, self.threads)

    @property
    def device_memory(self) -> int | None:
        """Of a CUDA device, from which the sampler takes its share; None on a CPU."""
        return self.memory if self.device == "cuda" else None


def this_machine(device: str, memory: int, threads: int) -> Machine:
    """The machine at hand; `threads` as in a recipe's `run`."""
    import torch

    from r1kit.models.precision import resolve

    narrow = resolve("auto", device).itemsize < 4
    return Machine(device, narrow, memory, threads or torch.get_num_threads())


@dataclass(frozen=True, slots=True)
class Scene:
    """What the estimate of a stage follows from besides its own settings."""

    machine: Machine
    shapes: Mapping[str, ModelShape]  # by stage, and by other sources
    prompt: int  # tokens of the longest prompt

    def shape(self, source: str | None) -> ModelShape:
        """Of a stage's or any other model."""
        assert source is not None
        return self.shapes[source]


def scene_of(recipe: Recipe, machine: Machine, prompt: int) -> Scene:
    """The shapes of all models of a recipe. Raises ModelError where one is unknown or not at hand."""
    shapes: dict[str, ModelShape] = {}
    if recipe.run.base is not None:
        shapes[BASE] = _outside(recipe.run.base, recipe.run.revision)
    for spec in recipe.stages:
        models = [need.source for need in spec.needs if need.makes != "dataset"]
        for source in [*models, *([spec.start] if spec.start else [])]:
            if source not in shapes:
                shapes[source] = _outside(source, None)
        if isinstance(spec.settings, PretrainStageSettings):
            shapes[spec.name] = _new(spec.settings)
        elif spec.start is not None:
            shapes[spec.name] = shapes[spec.start]
    return Scene(machine, shapes, prompt)


def config_of(place: str, revision: str | None = None) -> Mapping[str, Any]:
    """The `config.json` of a packaged, local or cached model. Raises ModelError when it is not at hand."""
    folder = packaged_folder(place) or Path(place).expanduser()
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(place, "config.json", revision=revision or "main")
        if not isinstance(found, str):
            raise ModelError(
                f"{place}: its config.json is not at hand, from which memory is estimated; "
                f"get it with: hf download {place} config.json"
            )
        folder = Path(found).parent
    return read_config(folder, place)


def _outside(place: str, revision: str | None) -> ModelShape:
    return shape_of(config_of(place, revision), place)


def _new(settings: PretrainStageSettings) -> ModelShape:
    model = settings.model
    return ModelShape(
        family=model.kind,
        vocabulary=settings.vocab_size,
        width=model.width,
        feed_forward=model.feed_forward,
        layers=model.layers,
        heads=model.heads,
        kv_heads=model.kv_heads,
        head_width=model.head_width,
        context=model.max_positions,
        tied=model.tie_embeddings,
    )


def stage_estimate(spec: StageSpec, scene: Scene) -> Estimate:
    """The memory of a stage, of its longest batch; of a kind without an entry in `ESTIMATES` the process
    alone."""
    found = (estimated for kind, estimated in ESTIMATES.items() if isinstance(spec.settings, kind))
    return next(found, _nothing)(spec, spec.settings, scene)


def evaluation_estimate(settings: EvaluationSettings, source: str, problems: int, scene: Scene) -> Estimate:
    """The memory of testing a model on `problems` problems of a task, all of whose responses are held."""
    drawn = min(MOST_ROWS, max(1, MOST_ROWS // settings.samples) * settings.samples)
    held = max(0, problems * settings.samples - drawn)
    responses = min(drawn, problems * settings.samples)
    shape, machine = scene.shape(source), scene.machine
    draws = _draws(settings.sampling(), responses, shape, scene.prompt, held, settings.samples)
    return estimate.sampling(shape, draws, machine.arithmetic(settings.precision), machine.device_memory)


def _draws(
    params: SamplingParams, responses: int, shape: ModelShape, prompt: int, held: int = 0, group: int = 1
) -> Draws:
    prompt, new = _within(shape, prompt, params.max_new_tokens)
    filtered = params.temperature > 0 and (params.top_k > 0 or params.top_p < 1)
    warmed = params.temperature not in (0.0, 1.0)
    return Draws(responses, prompt, new, filtered, warmed, held, group)


def _within(shape: ModelShape, prompt: int, new: int) -> tuple[int, int]:
    """Tokens of a prompt and its response: no sequence is longer than the model's context."""
    prompt = max(1, min(prompt, shape.context - 1))
    return prompt, min(new, shape.context - prompt)


def rl_work(settings: RLStageSettings, shape: ModelShape, prompt: int) -> tuple[Draws, Training]:
    """What a step samples and learns from at most; no sequence is longer than the model's context."""
    prompt, new = _within(shape, prompt, int(settings.ever("sampling.max_new_tokens")))
    rollouts = int(settings.ever("questions_per_step") * settings.ever("group_size"))
    warmed = settings.ever("sampling.temperature") != 1.0
    draws = Draws(rollouts, prompt, new, False, warmed, group=int(settings.ever("group_size")))
    batch = settings.batch
    return draws, Training(
        longest=draws.length,
        sequences=-(-rollouts // batch.minibatches),
        budget=batch.tokens_per_microbatch,
        learned=new,
        chunk=batch.logprob_chunk,
        checkpointing=batch.gradient_checkpointing,
        packing=batch.packing,
        few_parts=batch.writes_layers_out,
        written=batch.writes_layers_out,
        # losses of values take one thread, and with a head so does the policy's
        shared=not batch.compile and (settings.critic is None or settings.critic.kind == "separate"),
    )


def _rl(spec: StageSpec, settings: RLStageSettings, scene: Scene) -> Estimate:
    shape, machine = scene.shape(spec.start), scene.machine
    draws, training = rl_work(settings, shape, scene.prompt)
    company = Company(
        reference=settings.ever("objective.kl_beta") > 0,
        critic=settings.critic is not None and settings.critic.kind == "separate",
        older=settings.rollouts.staleness > 0,
        others=[scene.shape(need.source) for need in spec.needs if need.makes != "dataset"],
    )
    arithmetic = machine.arithmetic(settings.batch.precision)
    return estimate.reinforcement(shape, draws, training, arithmetic, company, machine.device_memory)


def sft_work(settings: SFTStageSettings | CorpusTrainingSettings, shape: ModelShape) -> Training:
    """What an update learns from at most: sequences up to the stage's limit or the model's context."""
    training, batch = settings.training, settings.training.batch
    longest = (settings.max_tokens if isinstance(settings, SFTStageSettings) else None) or shape.context
    return Training(
        longest=min(longest, shape.context),
        sequences=training.tokens_per_batch,
        budget=batch.tokens_per_microbatch,
        tokens=training.tokens_per_batch,
        chunk=batch.logprob_chunk,
        checkpointing=batch.gradient_checkpointing,
        packing=batch.packing,
        few_parts=batch.writes_layers_out,
        written=batch.writes_layers_out,
        shared=not batch.compile,
    )


def _supervised(
    spec: StageSpec, settings: SFTStageSettings | CorpusTrainingSettings, scene: Scene
) -> Estimate:
    shape = scene.shape(spec.name)
    arithmetic = scene.machine.arithmetic(settings.training.batch.precision)
    company = Company(others=[scene.shape(need.source) for need in spec.needs if need.makes == "model"])
    pages = settings.documents * _DOCUMENT if isinstance(settings, CorpusTrainingSettings) else 0
    return estimate.supervised(shape, sft_work(settings, shape), arithmetic, company, pages)


def _reward_model(spec: StageSpec, settings: RewardModelStageSettings, scene: Scene) -> Estimate:
    shape, training = scene.shape(spec.start), settings.training
    work = Training(
        longest=min(training.max_tokens, shape.context),
        sequences=training.examples_per_batch * (2 if training.kind == "pairwise" else 1),
        budget=training.tokens_per_microbatch,
        chunk=0,
        checkpointing=training.gradient_checkpointing,
        written=True,
    )
    return estimate.supervised(shape, work, scene.machine.arithmetic(training.precision), Company())


def _sampled(source: str, settings: SamplingSettings, scene: Scene) -> Estimate:
    shape, machine = scene.shape(source), scene.machine
    draws = _draws(settings.sampling, MOST_ROWS, shape, scene.prompt)
    return estimate.sampling(shape, draws, machine.arithmetic(), machine.device_memory)


def _sampling(spec: StageSpec, settings: SamplingSettings, scene: Scene) -> Estimate:
    assert spec.start is not None
    return _sampled(spec.start, settings, scene)


def _cold_start(spec: StageSpec, settings: ColdStartStageSettings, scene: Scene) -> Estimate:
    asked = [(way.model or spec.start or BASE, way) for way in settings.ways.values()]
    return Estimate(tuple(phase for model, way in asked for phase in _sampled(model, way, scene).phases))


def _nothing(spec: StageSpec, settings: Settings, scene: Scene) -> Estimate:
    return Estimate((Phase("writing", {"process": PROCESS[scene.machine.device]}),))


ESTIMATES: Mapping[type[Settings], Callable[[StageSpec, Any, Scene], Estimate]] = {
    RLStageSettings: _rl,
    SFTStageSettings: _supervised,
    CorpusTrainingSettings: _supervised,
    RewardModelStageSettings: _reward_model,
    RejectionStageSettings: _sampling,
    RewardSamplesSettings: _sampling,
    ColdStartStageSettings: _cold_start,
    DialogueDataSettings: _nothing,
}
"""By kind of settings; the first that fits counts."""

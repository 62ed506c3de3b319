"""A recipe: the whole of a run, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import Field

from r1kit.errors import RecipeError, UserError, suggestion
from r1kit.models.packaged import PACKAGED
from r1kit.pipeline.explain import validate
from r1kit.pipeline.merge import Layered, load_layers
from r1kit.rewards.learned import TEACHER
from r1kit.settings import Settings
from r1kit.stages.protocol import Makes, Need
from r1kit.stages.registry import STAGE_KINDS, StageKind
from r1kit.stages.rubrics import term_specs
from r1kit.stages.settings import EvaluationSettings, RewardTerm, RLStageSettings
from r1kit.tasks.protocol import Task
from r1kit.tasks.registry import TASKS
from r1kit.text.templates import TEMPLATES

T = TypeVar("T")
BASE = "base"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class RunSettings(Settings):
    """The top level of a recipe file, before its tasks and stages are looked at one by one."""

    name: str = Field(pattern=f"^{_NAME.pattern}$")
    """Name of the run and of its folder under `runs/`."""
    description: str = ""
    """One line for people."""
    base: str | None = None
    """The model that stages start from: `micro`, `nano`, a local folder, or a hub name."""
    revision: str | None = None
    """Commit, tag or branch of a hub `base`."""
    trust_remote_code: bool = False
    """Whether code that comes with a hub `base` may run on this machine."""
    seed: int = Field(default=1, ge=0)
    """Every random draw follows from it."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where models run; auto takes the accelerator if there is one."""
    threads: int = Field(default=0, ge=0, le=1024)
    """CPU threads of torch; 0 leaves torch's own choice. Results repeat exactly only for one number."""
    tensorboard: bool = False
    """Whether every stage also writes TensorBoard events (needs the extra `tensorboard`)."""
    tasks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Name in this recipe -> {task: registered name, …settings of that task}."""
    evaluation: EvaluationSettings | None = None
    """How every model of the run is tested; without it, none is."""
    stages: dict[str, dict[str, Any]] = Field(min_length=1)
    """Name -> {kind, from, …settings of that kind}, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage of a recipe, checked: `StageSpec("r1_zero", "rl", "base", RLStageSettings(…))`."""

    name: str
    kind: str
    start: str | None  # "base" or an earlier stage; None for a kind that starts from nothing
    settings: Settings

    @property
    def entry(self) -> StageKind:
        """The table entry of this stage's kind."""
        return STAGE_KINDS[self.kind]

    @property
    def task_names(self) -> tuple[str, ...]:
        """The recipe's tasks that this stage uses."""
        return self.entry.tasks(self.settings)

    @property
    def needs(self) -> tuple[Need, ...]:
        """What this stage reads besides the model that it starts from."""
        return self.entry.needs(self.settings)

    @property
    def parents(self) -> dict[str, str]:
        """Role -> earlier stage, "base" or outside place; "model" is what the stage starts from."""
        start = {"model": self.start} if self.start else {}
        return start | {need.role: need.source for need in self.needs}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checked recipe with its tasks built (their problems are made on first use)."""

    run: RunSettings
    stages: tuple[StageSpec, ...]
    tasks: Mapping[str, Task]
    data: Mapping[str, Any]  # the merged file, plain data; what `run.json` records

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run.name

    @property
    def packaged_starts(self) -> frozenset[str]:
        """Packaged models beside the base that stages start from; each is tested before its stage."""
        others = {*PACKAGED} - {spec.name for spec in self.stages} - {self.run.base}
        return frozenset(spec.start for spec in self.stages if spec.start in others)

    def stage(self, name: str) -> StageSpec:
        """The stage of that name. Raises RecipeError that lists the stages."""
        for spec in self.stages:
            if spec.name == name:
                return spec
        raise RecipeError(
            f"recipe {self.name}: no stage {name!r}{suggestion(name, [s.name for s in self.stages])}"
        )


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a packaged name or a .yaml file, with `key=value` overrides laid over it.

    Raises:
        RecipeError: names the file, the key, what was found and what is expected.
    """
    return check_recipe(load_layers(name, overrides))


def check_recipe(layered: Layered) -> Recipe:
    """The merged data as a checked recipe. Raises RecipeError."""
    run = validate(RunSettings, layered.data, (), layered.origin)
    tasks = {name: make_recipe_task(name, layered) for name in run.tasks}
    stages: list[StageSpec] = []
    for name in run.stages:
        spec = _stage(name, [spec.name for spec in stages if spec.entry.makes == "model"], layered)
        _check_stage(spec, run, tasks, layered)
        _check_needs(spec, run, stages, layered)
        stages.append(spec)
    if run.evaluation is not None:
        _check_names("task", run.evaluation.tasks, run.tasks, ("evaluation", "tasks"), layered)
        _check_names("template", [run.evaluation.template], TEMPLATES, ("evaluation", "template"), layered)
    recipe = Recipe(run, tuple(stages), tasks, layered.data)
    if run.evaluation is not None and run.evaluation.stages is not None:
        made = [spec.name for spec in stages if spec.entry.makes == "model"]
        models = [BASE, *made, *recipe.packaged_starts]
        _check_names("model", run.evaluation.stages, models, ("evaluation", "stages"), layered)
    return recipe


def make_recipe_task(name: str, layered: Layered) -> Task:
    """The task under `tasks.NAME`. Raises RecipeError."""
    at = ("tasks", name)
    settings = dict(layered.data["tasks"][name])
    registered = settings.pop("task", None)
    if not isinstance(registered, str):
        raise RecipeError(
            f"{layered.origin(at)}: tasks.{name}: needs `task:`, one of {', '.join(sorted(TASKS))}"
        )
    _check_names("task", [registered], TASKS, (*at, "task"), layered)
    entry = TASKS[registered]
    return entry.build(validate(entry.settings, settings, at, layered.origin, also=("task",)))


def _stage(name: str, earlier: Sequence[str], layered: Layered) -> StageSpec:
    at = ("stages", name)
    where = f"{layered.origin(at)}: stages.{name}"
    data = dict(layered.data["stages"][name])
    kind, start = data.pop("kind", None), data.pop("from", None)
    if not _NAME.fullmatch(name) or name == BASE:
        raise RecipeError(f"{where}: a stage's name is 1-64 of A-Z a-z 0-9 . _ - and not 'base'")
    if not isinstance(kind, str):
        raise RecipeError(f"{where}: needs `kind:`, one of {', '.join(sorted(STAGE_KINDS))}")
    _check_names("stage kind", [kind], STAGE_KINDS, (*at, "kind"), layered)
    entry = STAGE_KINDS[kind]
    if entry.needs_model:
        start = BASE if start is None else start
        if not is_outside(str(start)):
            _check_names("model to start from", [str(start)], [BASE, *earlier], (*at, "from"), layered)
    elif start is not None:
        raise RecipeError(
            f"{layered.origin((*at, 'from'))}: stages.{name}.from: a {kind} stage starts from nothing"
        )
    return StageSpec(
        name, kind, start, validate(entry.settings, data, at, layered.origin, also=("kind", "from"))
    )


def _check_stage(spec: StageSpec, run: RunSettings, tasks: Mapping[str, Task], layered: Layered) -> None:
    at = ("stages", spec.name)
    if spec.start == BASE and run.base is None:
        raise RecipeError(f"{layered.top}: base: stage {spec.name} starts from it and it is not there")
    _check_names("task", spec.task_names, tasks, (*at, "tasks"), layered)
    _check_names("template", spec.entry.templates(spec.settings), TEMPLATES, (*at, "template"), layered)
    settings = spec.settings
    if isinstance(settings, RLStageSettings):
        _located(layered, (*at, "rewards"), lambda: term_specs(settings.rewards))
        _check_terms(settings, at, layered)


def _check_terms(settings: RLStageSettings, at: tuple[str, ...], layered: Layered) -> None:
    """A term's tasks are the stage's, and a teacher's counts everywhere."""
    for name, term in settings.rewards.items():
        if name == TEACHER and isinstance(term, RewardTerm):
            _check_teacher(term, (*at, "rewards", name), layered)
        tasks = term.tasks or () if isinstance(term, RewardTerm) else ()
        _check_names("task of this stage", tasks, tuple(settings.tasks), (*at, "rewards", name), layered)


def _check_teacher(term: RewardTerm, at: tuple[str, ...], layered: Layered) -> None:
    """The reward per token is added to every advantage: nothing narrows it down."""
    for key in ("tasks", "tags", "last_steps", "normalise"):
        if getattr(term, key) != RewardTerm.model_fields[key].default:
            raise RecipeError(
                f"{layered.origin((*at, key))}: {'.'.join(at)}.{key}: the teacher's reward counts for every "
                "token of the stage; it takes weight and params alone"
            )


def _check_needs(spec: StageSpec, run: RunSettings, earlier: Sequence[StageSpec], layered: Layered) -> None:
    """Every other input is an earlier stage that makes the right thing, or a place outside the run."""
    known: dict[str, Makes] = {stage.name: stage.entry.makes for stage in earlier}
    if run.base is not None:
        known[BASE] = "model"
    for need in spec.needs:
        found = known.get(need.source)
        where = f"{layered.origin(('stages', spec.name))}: stages.{spec.name}"
        if found is None and (need.source in run.stages or not is_outside(need.source)):
            fitting = [name for name, makes in known.items() if makes == need.makes]
            raise RecipeError(
                f"{where}: no earlier stage {need.source!r}{suggestion(need.source, fitting)}; "
                "a file is written ./name.jsonl, a hub name owner/name"
            )
        if found is not None and found != need.makes:
            raise RecipeError(
                f"{where}: {need.role} must be a {need.makes.replace('_', ' ')}, but stage {need.source!r} "
                f"makes a {found.replace('_', ' ')}"
            )


def is_outside(source: str) -> bool:
    """Whether a source is meant as a file, a folder, a packaged or a hub name, not as a stage."""
    return source in PACKAGED or "/" in source or source.endswith((".jsonl", ".parquet"))


def _check_names(
    what: str,
    names: Sequence[str],
    known: Sequence[str] | Mapping[str, Any],
    at: tuple[str, ...],
    layered: Layered,
) -> None:
    for name in names:
        if name not in known:
            raise RecipeError(
                f"{layered.origin(at)}: {'.'.join(at)}: unknown {what} {name!r}{suggestion(name, known)}"
            )


def _located(layered: Layered, at: tuple[str, ...], make: Callable[[], T]) -> T:
    """`make()`, its complaint prefixed by the file and the key."""
    try:
        return make()
    except UserError as error:
        raise RecipeError(f"{layered.origin(at)}: {'.'.join(at)}: {error}") from None

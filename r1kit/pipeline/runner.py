"""Takes a recipe through its run folder: skips what is done, resumes what broke off, runs what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.errors import Interrupted, RunFolderError
from r1kit.files import lock, require_space
from r1kit.pipeline.base import checked_model
from r1kit.pipeline.config import BASE, Recipe
from r1kit.pipeline.fingerprint import differences, fingerprint, model_fingerprint, without_secrets
from r1kit.pipeline.machine import choose_device, describe_machine
from r1kit.pipeline.plan import Step, make_plan
from r1kit.pipeline.preflight import require_memory
from r1kit.pipeline.space import bytes_needed
from r1kit.pipeline.store import RunFolder, tidy_run
from r1kit.seeds import derive
from r1kit.stages.protocol import ModelSource, StageContext
from r1kit.tasks.protocol import RunsPrograms
from r1kit.tracking.metrics import RunLog, ScalarWriter
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag

_NO_CHANGE = {
    "description",
    "threads",
    "device",
    "tensorboard",
}  # keys of a recipe that no stage's identity depends on


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How the user asked for a run."""

    resume: bool = False  # go on in a folder with an unfinished run
    rerun_changed: bool = (
        False  # throw away stages whose settings, code or inputs changed, and make them anew
    )
    only: str | None = None  # this stage alone, in a new or existing folder
    ignore_memory: bool = False  # start even where the estimate says that memory clearly does not suffice


def plan_run(recipe: Recipe, out: Path, only: str | None = None) -> list[Step]:
    """What `run_recipe` would do, without doing anything. Raises UserError."""
    folder = RunFolder(out)
    _check_owner(recipe, folder)
    return make_plan(recipe, folder, _base_fingerprint(recipe), only)


def run_recipe(
    recipe: Recipe, out: Path, options: RunOptions, progress: Progress, stop: StopFlag
) -> dict[str, Any]:
    """Run what is missing and return the content of `results.json`.

    Raises:
        RunFolderError: the folder is in use, belongs to another recipe or other settings, holds an unfinished
            run and `resume` was not asked for, or the disk is too small.
        UserError: a stage clearly needs more memory than there is, unless `ignore_memory` was asked for.
        SandboxError: a task runs programs, and nothing on this machine holds them.
        Interrupted: the stop flag was set; the state is saved.
    """
    folder = RunFolder(out)
    _check_owner(recipe, folder)
    base = _base_fingerprint(recipe)
    with lock(out):
        tidy_run(out)
        everything = make_plan(recipe, folder, base)
        _check_folder(recipe, folder, everything, options)
        steps = make_plan(recipe, folder, base, options.only)
        names = list(dict.fromkeys(step.stage for step in everything))
        if not all(step.done for step in steps):
            _check_inputs(recipe, everything, steps, options)
            programs = _protections(recipe)
            missing = [step.stage for step in steps if step.work == "train" and not step.done]
            require_space(out, bytes_needed(recipe, missing))
            run = _Run(recipe, folder, progress, stop)
            if not options.ignore_memory:
                require_memory(recipe, missing, run.device)
            run.go(steps, names, programs)
        return folder.write_results(names)


class _Run:
    """One pass over the steps that are not done."""

    def __init__(self, recipe: Recipe, folder: RunFolder, progress: Progress, stop: StopFlag) -> None:
        self.recipe, self.folder, self.progress, self.stop = recipe, folder, progress, stop
        self.device = choose_device(recipe.run.device, recipe.run.threads)

    def go(self, steps: Sequence[Step], names: Sequence[str], programs: Mapping[str, Any]) -> None:
        """Do the steps in order; `results.json` is brought up to date after each.

        `programs`: of the tasks that run any, what locks them in.
        """
        recipe = self.recipe
        machine = describe_machine(self.device)
        self.folder.write_manifest(
            {"recipe": recipe.data, "seed": recipe.run.seed, "stages": list(names), **machine}
            | ({"programs": programs} if programs else {})
        )
        for step in steps:
            if step.state == "changed":
                self.progress.say(f"{step.stage}: made anew, {step.reason}")
                drop = self.folder.drop_stage if step.work == "train" else self.folder.drop_evaluation
                drop(step.stage)
        for step in steps:
            if not step.done:
                if self.stop.requested:  # during a step that ended before it looked
                    raise Interrupted(f"{step.stage}: stopped before it was begun")
                (self.train if step.work == "train" else self.evaluate)(step)
                self.folder.write_results(names)

    def train(self, step: Step) -> None:
        """Run a stage, from its newest checkpoint if it has one."""
        if step.state in ("damaged", "broken off"):
            self.progress.say(f"{step.stage}: resumed, {step.reason}")
        spec = self.recipe.stage(step.stage)
        folder = self.folder.stage(step.stage)
        datasets = {need.role: need.source for need in spec.needs if need.makes == "dataset"}
        models = {role: parent for role, parent in spec.parents.items() if role not in datasets}
        self.folder.start_stage(step.stage, step.identity, spec.parents)
        with RunLog(folder, self.writers(folder)) as log:
            context = StageContext(
                name=step.stage,
                folder=folder,
                inputs={role: self.model(parent) for role, parent in models.items()},
                datasets={role: self.dataset(parent) for role, parent in datasets.items()},
                tasks=self.recipe.tasks,
                seed=derive(self.recipe.run.seed, "stage", step.stage),
                device=self.device,
                output=self.folder.output(step.stage, spec.entry.makes),
                fingerprint=fingerprint(step.identity),
                log=log,
                progress=self.progress,
                stop=self.stop,
            )
            artifact = spec.entry.build(spec.settings).run(context)
        self.folder.finish_stage(step.stage, step.identity, spec.parents, artifact)

    def writers(self, folder: Path) -> list[ScalarWriter]:
        """Where a stage's numbers go besides its own files."""
        if not self.recipe.run.tensorboard:
            return []
        from r1kit.tracking.tensorboard import TensorBoardWriter  # an extra

        return [TensorBoardWriter(folder / "tensorboard")]

    def evaluate(self, step: Step) -> None:
        """Test a model on the frozen problems."""
        from r1kit.stages.evaluation import evaluate_model  # loads torch and transformers

        settings = self.recipe.run.evaluation
        assert settings is not None, "an evaluation step comes from evaluation settings"
        evaluation = evaluate_model(
            self.model(step.stage),
            self.recipe.tasks,
            settings,
            name=step.stage,
            seed=self.recipe.run.seed,
            device=self.device,
            progress=self.progress,
            stop=self.stop,
        )
        self.folder.write_evaluation(step.stage, step.identity, evaluation.tasks, evaluation.rows)

    def model(self, name: str) -> ModelSource:
        """The base, a stage's output, or a model outside the run."""
        run = self.recipe.run
        if name == BASE:
            return ModelSource(_base_model(self.recipe), run.revision, run.trust_remote_code)
        if name not in run.stages:
            return ModelSource(checked_model(name), None, run.trust_remote_code)
        return ModelSource(str(self.folder.model(name)), None, run.trust_remote_code)

    def dataset(self, name: str) -> str:
        """A stage's data set, or one outside the run."""
        return str(self.folder.output(name, "dataset")) if name in self.recipe.run.stages else name


def _protections(recipe: Recipe) -> dict[str, Any]:
    """Of the tasks that run programs, what locks them in. Raises SandboxError before anything is trained."""
    tasks = recipe.tasks.items()
    return {name: dict(task.protection()) for name, task in tasks if isinstance(task, RunsPrograms)}


def _base_model(recipe: Recipe) -> str:
    assert recipe.run.base is not None, "checked with the recipe"
    return checked_model(recipe.run.base)


def _base_fingerprint(recipe: Recipe) -> str | None:
    if recipe.run.base is None:
        return None
    return model_fingerprint(_base_model(recipe), recipe.run.revision)


def _check_owner(recipe: Recipe, folder: RunFolder) -> None:
    manifest = folder.manifest()
    owner = manifest["recipe"].get("name") if manifest else recipe.name
    if owner != recipe.name:
        raise RunFolderError(
            f"{folder.path}: holds a run of recipe {owner!r}, not of {recipe.name!r}; "
            "choose another folder with --out"
        )


def _check_folder(recipe: Recipe, folder: RunFolder, steps: Sequence[Step], options: RunOptions) -> None:
    manifest = folder.manifest()
    if manifest is None:
        return
    gone = {*manifest["stages"]} - {step.stage for step in steps}
    if (gone or any(step.state == "changed" for step in steps)) and not options.rerun_changed:
        changes = _changes(recipe, manifest, steps)
        more = f" (and {len(changes) - 3} more)" if len(changes) > 3 else ""
        raise RunFolderError(
            f"{folder.path}: was made differently: {'; '.join(changes[:3])}{more}; "
            "choose another folder with --out, or make the changed stages anew with --rerun-changed"
        )
    wanted = options.resume or options.rerun_changed or options.only is not None
    if not wanted and not all(step.done for step in steps):
        raise RunFolderError(
            f"{folder.path}: holds an unfinished run of this recipe; "
            "go on with --resume, or choose another folder with --out"
        )


def _changes(recipe: Recipe, manifest: Mapping[str, Any], steps: Sequence[Step]) -> list[str]:
    """What differs from the recorded run: the recipe's own keys if they tell, else the stages' identities."""
    lines = differences(manifest["recipe"], without_secrets(recipe.data))
    in_recipe = [line for line in lines if line.partition(":")[0] not in _NO_CHANGE]
    changed = [step for step in steps if step.state == "changed"]
    in_code = [f"{s.stage}: {line}" for s in changed for line in s.changes if line.startswith("code.")]
    return in_recipe + in_code or [f"{s.stage}: {line}" for s in changed for line in s.changes or [s.reason]]


def _check_inputs(
    recipe: Recipe, everything: Sequence[Step], steps: Sequence[Step], options: RunOptions
) -> None:
    """With `only`, what the stage starts from must be there."""
    if options.only in (None, BASE):
        return
    missing = {step.stage for step in everything if step.work == "train" and not step.done}
    for parent in recipe.stage(steps[0].stage).parents.values():
        if parent in missing:
            raise RunFolderError(
                f"stage {options.only!r} needs {parent!r}, which is not finished; "
                f"run it first, with --only {parent}"
            )

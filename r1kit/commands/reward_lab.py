"""`r1kit reward-lab`: try to fool rewards, and score a finished run with others."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from r1kit.commands.console import command_console
from r1kit.commands.reward_settings import parse_rewards
from r1kit.errors import RecipeError, UnknownNameError
from r1kit.files import dump_json, write_atomic
from r1kit.pipeline.config import load_recipe
from r1kit.report import lab_tables as tables
from r1kit.report.lab_advantages import compare
from r1kit.report.lab_corpus import Case, corpus, unplayable
from r1kit.report.lab_grading import columns, corpus_hacks, correlations, judge, rollout_hacks
from r1kit.report.lab_questions import QUESTIONS
from r1kit.report.lab_record import corpus_record, rollouts_record
from r1kit.report.lab_rollouts import Origin, origin, rollouts_file, stored_rollouts
from r1kit.report.lab_scoring import rescored
from r1kit.rewards.file_scorers import file_scorers
from r1kit.rewards.registry import Scorer
from r1kit.rewards.rubric import TermSpec, entry_of
from r1kit.stages.rubrics import term_specs
from r1kit.stages.settings import RLStageSettings


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is looked at."""

    specs: list[TermSpec]
    left_out: list[str]  # terms that a model gives
    tasks: Mapping[str, str]  # names of the corpus' tasks -> registered names


def reward_lab(arguments: argparse.Namespace) -> int:
    """Run the lab. Raises UserError."""
    file = rollouts_file(arguments.rollouts) if arguments.rollouts else None
    made = origin(file) if file else Origin()
    subject = _subject(arguments, made)
    scorers = file_scorers(subject.specs)
    console = command_console()
    console.print(tables.rubric_line(subject.specs, subject.left_out), soft_wrap=True)
    not_here = unplayable(subject.tasks)
    for name, reason in not_here.items():
        console.print(tables.plain(f"left out: the completions of {name}: {reason}"), soft_wrap=True)
    record: dict[str, Any] = {
        "rewards": [spec.model_dump(mode="json") for spec in subject.specs],
        "left_out": subject.left_out,
    }
    if not_here:
        record["tasks_left_out"] = not_here
    parts: list[Any] = []
    cases = corpus({name: kind for name, kind in subject.tasks.items() if name not in not_here})
    if cases:
        record["corpus"] = _corpus(cases, subject, scorers, parts)
    if file:
        record["rollouts"] = _rollouts(file, made, arguments, subject, scorers, parts)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))
    if arguments.json:
        write_atomic(arguments.json, dump_json(record, indent=1) + "\n")
    return 0


def _corpus(
    cases: Sequence[Case], subject: _Subject, scorers: Mapping[str, Scorer], parts: list[Any]
) -> dict[str, Any]:
    found = columns(subject.specs, scorers, [case.sample for case in cases])
    judgements = [judge(cases, column) for column in found]
    aspects = found[-1].aspects
    undeserved = corpus_hacks(cases, found[-1], lambda case: not all(case.labels.of(a) for a in aspects))
    wrong = corpus_hacks(cases, found[-1], lambda case: not case.labels.answer)
    matrix = correlations(found)
    parts += [
        tables.earnings_table(cases, found),
        tables.judgement_table(judgements),
        *tables.mistake_lines(cases, judgements),
        *tables.hack_lines(cases, undeserved, wrong),
        tables.correlation_table("correlation between the terms, over the corpus", found, matrix),
    ]
    return corpus_record(cases, found, judgements, undeserved, wrong, matrix)


def _rollouts(
    file: Path,
    made: Origin,
    arguments: argparse.Namespace,
    subject: _Subject,
    scorers: Mapping[str, Scorer],
    parts: list[Any],
) -> dict[str, Any]:
    stored = stored_rollouts(file, made, arguments.task[0] if len(arguments.task) == 1 else None)
    found = rescored(stored, subject.specs, scorers, made.steps)
    hacks = rollout_hacks([row.sample for row in stored], found[-1])
    matrix = correlations(found)
    now = [value if isinstance(value, float) else None for value in found[-1].values]
    change = compare(stored, now, made)
    parts += [
        tables.plain(f"{file}", "bold"),
        tables.means_table(stored, found),
        *tables.rollout_hack_lines(stored, hacks),
        tables.correlation_table("correlation between the terms, over the rollouts", found, matrix),
        *tables.change_lines(change, made.advantage),
    ]
    return rollouts_record(file, stored, found, hacks, matrix, change, made)


def _subject(arguments: argparse.Namespace, made: Origin) -> _Subject:
    tasks: Mapping[str, str] = {name: name for name in QUESTIONS}
    if arguments.recipe:
        if arguments.reward or arguments.set:
            raise RecipeError("--recipe: it brings its rewards; give either it or --rewards, and no --set")
        specs, tasks = _of_recipe(arguments.recipe, arguments.stage)
    elif arguments.reward or made.rewards is None:
        specs, unused = parse_rewards(arguments.reward, arguments.set, arguments.file)
        if unused:
            raise RecipeError(f"--set {unused[0]}: no such reward; write NAME.parameter=value")
    elif arguments.set or arguments.file:
        raise RecipeError("--set and --file: the run brings its rewards; name others with --rewards")
    else:
        specs = term_specs(made.rewards)
    if made.tasks is not None and not arguments.recipe and not arguments.reward:
        tasks = made.tasks
    by_model = [spec.name for spec in specs if entry_of(spec).by_model]
    kept = [spec for spec in specs if spec.name not in by_model]
    if not kept:
        raise RecipeError(f"rewards: a model gives all of them ({', '.join(by_model)}); the lab has no model")
    return _Subject(kept, by_model, _chosen(tasks, arguments.task))


def _of_recipe(name: str, stage: str | None) -> tuple[list[TermSpec], Mapping[str, str]]:
    recipe = load_recipe(name)
    with_rewards = [spec for spec in recipe.stages if isinstance(spec.settings, RLStageSettings)]
    chosen = recipe.stage(stage) if stage else with_rewards[0] if with_rewards else None
    if chosen is None or not isinstance(chosen.settings, RLStageSettings):
        raise RecipeError(f"recipe {name}: {stage or 'no stage'} has no rewards")
    tasks = {task: str(recipe.run.tasks[task]["task"]) for task in chosen.task_names}
    return term_specs(chosen.settings.rewards), tasks


def _chosen(tasks: Mapping[str, str], wanted: Sequence[str]) -> dict[str, str]:
    """Those of the tasks, or of the wanted ones, that the corpus has questions for."""
    for name in wanted:
        if name not in tasks:
            raise UnknownNameError("task", name, tasks, "--task")
    return {
        name: registered
        for name, registered in tasks.items()
        if registered in QUESTIONS and (not wanted or name in wanted)
    }

"""`r1kit tasks`, `r1kit rewards` and `r1kit algorithms`: what a recipe can name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from r1kit.commands.console import command_console
from r1kit.learning.algorithms import ALGORITHMS, expanded
from r1kit.learning.settings import RLSettings
from r1kit.rewards import rubric  # noqa: F401 - registers the built-in terms
from r1kit.rewards.files import file_entries
from r1kit.rewards.registry import describe as describe_rewards
from r1kit.tasks.registry import describe as describe_tasks
from r1kit.tracking.terminal import printable


def tasks(arguments: argparse.Namespace) -> int:
    """List every task with its reference keys and settings."""
    console = command_console()
    for task in describe_tasks():
        _heading(console, task["name"], task["summary"])
        console.print(f"  reference: {', '.join(task['reference_keys'])}", markup=False, soft_wrap=True)
        for setting in task["settings"]:
            console.print(_setting(setting), markup=False, soft_wrap=True)
    return 0


def rewards(arguments: argparse.Namespace) -> int:
    """List every reward term with its bounds, formula, source and parameters; a file's own come first."""
    console = command_console()
    own = [entry for file in arguments.file for entry in file_entries(file).values()]
    for term in describe_rewards(own) + describe_rewards():
        _heading(console, printable(term["name"]), f"{term['low']:g} to {term['high']:g}")
        told = printable(f"  {term['formula']}\n  source: {term['source']}")
        console.print(told, markup=False, soft_wrap=True)
        for parameter in term["parameters"]:
            console.print(_setting(parameter), markup=False, soft_wrap=True)
    return 0


def algorithms(arguments: argparse.Namespace) -> int:
    """List every published algorithm with what it says of credit, its source, and the settings that it sets.

    The first table holds the loss, the second one what goes with it; both are read from the settings
    that a stage would get.
    """
    console = command_console()
    for name, algorithm in ALGORITHMS.items():
        _heading(console, name, algorithm.summary)
        console.print(f"  source: {algorithm.source}", markup=False, soft_wrap=True)
    stages = {name: _stage(name) for name in ALGORITHMS}
    for columns in (_LOSS, _WITH_IT):
        table = Table(box=SIMPLE_HEAD)
        table.add_column("algorithm", no_wrap=True)
        for head in columns:
            table.add_column(head, overflow="fold")
        for name, stage in stages.items():
            table.add_row(name, *(column(stage) for column in columns.values()))
        console.print(table)
    return 0


def _stage(algorithm: str) -> RLSettings:
    settings = expanded({"algorithm": algorithm})
    return RLSettings.model_validate({key: settings[key] for key in settings if key != "algorithm"})


def _clip(stage: RLSettings) -> str:
    low, high = stage.objective.clip_low, stage.objective.clip_high
    return "–" if stage.objective.loss == "reinforce" else f"-{low:g} +{high:g}"


def _kl(stage: RLSettings) -> str:
    objective = stage.objective
    if not objective.kl_beta:
        return "–"
    refresh = f", refresh {objective.reference_refresh}" if objective.reference_refresh else ""
    return f"{objective.kl_kind} × {objective.kl_beta:g} in the {objective.kl_in}{refresh}"


_Column = Callable[[RLSettings], str]
_LOSS: Mapping[str, _Column] = {
    "advantage": lambda stage: stage.objective.advantage + (", whiten" if stage.objective.whiten else ""),
    "loss": lambda stage: stage.objective.loss,
    "aggregation": lambda stage: stage.objective.aggregation,
}
_WITH_IT: Mapping[str, _Column] = {
    "clip": _clip,
    "minibatches": lambda stage: str(stage.batch.minibatches),
    "refill": lambda stage: str(stage.rollouts.refill_rounds),
    "KL": _kl,
}


def _heading(console: Console, name: str, text: str) -> None:
    console.print(f"[bold]{escape(name)}[/bold]  {escape(text)}", soft_wrap=True)


def _setting(setting: Mapping[str, Any]) -> str:
    default = f" = {json.dumps(setting['default'], ensure_ascii=False, default=str)}"
    value = " (must be given)" if setting["required"] else default
    return printable(f"  {setting['name']}{value}   {' '.join((setting['description'] or '').split())}")

"""`r1kit tasks` and `r1kit rewards`: what a recipe can name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from r1kit.commands.console import command_console
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


def _heading(console: Console, name: str, text: str) -> None:
    console.print(f"[bold]{escape(name)}[/bold]  {escape(text)}", soft_wrap=True)


def _setting(setting: Mapping[str, Any]) -> str:
    default = f" = {json.dumps(setting['default'], ensure_ascii=False, default=str)}"
    value = " (must be given)" if setting["required"] else default
    return printable(f"  {setting['name']}{value}   {' '.join((setting['description'] or '').split())}")

"""`r1kit preflight`: what a recipe takes of memory and disk, before anything starts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from r1kit.commands.console import command_console
from r1kit.errors import RecipeError, UserError
from r1kit.memory.estimate import PARTS
from r1kit.memory.limits import Limit, memory_limit
from r1kit.pipeline.config import Recipe, load_recipe
from r1kit.pipeline.footprint import Machine, this_machine
from r1kit.pipeline.preflight import TOLERANCE, Item, Preflight, advice, advice_text, gib
from r1kit.pipeline.preflight import preflight as estimated
from r1kit.pipeline.prompts import longest_prompt

RUNS = Path("runs")
_PROMPT = 512  # tokens, where nothing is known
_WIDTH = 180  # columns of the table in a file or a pipe
Measured = Mapping[str, Mapping[str, int]]  # item -> phase -> bytes


def preflight(arguments: argparse.Namespace) -> int:
    """Print the tables. Raises UserError when memory or disk do not suffice."""
    recipe = load_recipe(arguments.recipe, arguments.overrides)
    out = arguments.out or RUNS / recipe.name
    machine, limit = _machine(recipe, arguments.memory_gib)
    known = arguments.prompt_tokens or longest_prompt(recipe)
    found = estimated(recipe, out, limit, machine, known or _PROMPT)
    if arguments.measure:
        fitting = [item for item in found.items if item not in found.too_large]
        measured = _measure(recipe, fitting, found)
    else:
        measured = {}
    console = command_console()
    if not console.is_terminal:
        console.width = _WIDTH
    _print_memory(console, recipe, found, measured)
    _print_disk(console, recipe, found, out)
    guess = "" if known else ", an assumption (--prompt-tokens)"
    console.print(f"longest prompt   {found.scene.prompt} tokens{guess}", markup=False)
    console.print(f"memory           {gib(limit.size)}, {limit.source}", markup=False)
    if known:
        _require_room(found)
    _require_fit(recipe, found, out)
    return 0


def _machine(recipe: Recipe, memory_gib: int | None) -> tuple[Machine, Limit]:
    """What the recipe's device is, and its memory. With `memory_gib` a device that is not here may be
    meant."""
    from r1kit.pipeline.machine import choose_device

    wanted = recipe.run.device
    elsewhere = memory_gib is not None and wanted == "cuda"
    device = "cuda" if elsewhere else choose_device(wanted, recipe.run.threads)
    if device == "mps":
        raise RecipeError("device: the memory of mps is not estimated; use cpu or cuda")
    limit = Limit(memory_gib << 30, "as given") if memory_gib is not None else memory_limit(device)
    if elsewhere:
        return Machine(device, True, limit.size), limit
    return this_machine(device, limit.size, recipe.run.threads), limit


def _measure(recipe: Recipe, items: list[Item], found: Preflight) -> Measured:
    from r1kit.memory.measure import measure
    from r1kit.pipeline.measured import work_of

    works = {item.name: work_of(recipe, item, found.scene) for item in items}
    return {name: measure(work) for name, work in works.items() if work is not None}


def _print_memory(console: Console, recipe: Recipe, found: Preflight, measured: Measured) -> None:
    phases = [(item, phase) for item in found.items for phase in item.estimate.phases]
    used = [part for part in PARTS if any(phase.parts.get(part) for _, phase in phases)]
    title = escape(f"{recipe.name}: memory of the longest batch, in MiB")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", overflow="fold")
    table.add_column("work")
    for heading in (*used, "peak", *(["measured"] if measured else [])):
        table.add_column(heading, justify="right")
    for item, phase in phases:
        numbers = [_mib(phase.parts.get(part, 0)) for part in used]
        total = _mib(phase.total)
        peak = f"[bold]{total}[/bold]" if phase is item.estimate.peak else total
        row = [escape(item.name), phase.name, *numbers, peak]
        if measured:
            row.append(_mib(measured.get(item.name, {}).get(phase.name, 0)))
        table.add_row(*row)
    console.print(table)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f}" if size else "–"


def _print_disk(console: Console, recipe: Recipe, found: Preflight, out: Path) -> None:
    title = escape(f"disk under {out}, in MiB")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", overflow="fold")
    for heading in ("checkpoints", "model", "logs", "all"):
        table.add_column(heading, justify="right")
    for name, space in found.spaces.items():
        sizes = (space.checkpoints, space.model, space.logs, space.total)
        table.add_row(escape(name), *(_mib(size) for size in sizes))
    console.print(table)
    console.print(f"disk             {gib(found.disk)} at most, {gib(found.free)} free", markup=False)


def _require_room(found: Preflight) -> None:
    """Raise UserError where the longest prompt leaves no room for a response."""
    if found.without_room:
        item = found.without_room[0]
        raise UserError(
            f"{item.prefix}: prompts of {found.scene.prompt} tokens leave no room for a response: its model's"
            f" context is {found.scene.shape(item.model).context} tokens"
        )


def _require_fit(recipe: Recipe, found: Preflight, out: Path) -> None:
    """Say that it fits. Raises UserError otherwise, with what to lower."""
    reasons = []
    for item in found.too_large:
        advised = advice_text(item, *advice(recipe, item, found.scene, found.limit.size))
        reasons.append(f"{item.prefix} needs {gib(item.estimate.peak.total)}: {advised}")
    if found.disk > found.free:
        reasons.append(f"{out}: {gib(found.disk)} of disk, {gib(found.free)} free: make room or use --out")
    if reasons:
        raise UserError(f"does not fit, with {gib(found.limit.size)} of memory: {'; '.join(reasons)}")
    highest = max(found.items, key=lambda item: item.estimate.peak.total)
    peak = highest.estimate.peak.total
    close = peak > found.limit.size * (1 - TOLERANCE)
    verdict = f"fits, but only just: estimates are good to {TOLERANCE:.0%}" if close else "fits"
    command_console().print(f"peak             {gib(peak)}, {highest.name}: {verdict}", markup=False)

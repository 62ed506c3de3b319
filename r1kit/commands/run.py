"""`r1kit run`: a recipe from its file to results, with a table at the end."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from r1kit.commands.console import command_console
from r1kit.errors import Interrupted, UserError
from r1kit.pipeline.config import Recipe, load_recipe
from r1kit.pipeline.plan import Step
from r1kit.pipeline.runner import RunOptions, plan_run, run_recipe
from r1kit.pipeline.store import RunFolder
from r1kit.report.changes import run_changes
from r1kit.report.results_table import terminal_table
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag

RUNS = Path("runs")
PICTURE, STAGES_PICTURE = "training.png", "stages.png"


def run(arguments: argparse.Namespace) -> int:
    """Run, resume or plan a recipe."""
    recipe = load_recipe(arguments.recipe, arguments.overrides)
    out = arguments.out or RUNS / recipe.name
    console = command_console()
    if arguments.dry_run:
        _print_plan(console, recipe, out, plan_run(recipe, out, arguments.only), arguments.rerun_changed)
        return 0
    options = RunOptions(arguments.resume, arguments.rerun_changed, arguments.only, arguments.ignore_memory)
    progress = Progress(quiet=arguments.quiet)
    try:
        with StopFlag() as stop:
            results = run_recipe(recipe, out, options, progress, stop)
    except Interrupted as stopped:
        words = ["r1kit", "run", arguments.recipe, *arguments.overrides, "--out", str(out), "--resume"]
        again = shlex.join(words)
        raise Interrupted(f"{stopped}; everything so far is saved, go on with: {again}") from None
    _print_results(console, out, results)
    return 0


def _print_plan(console: Console, recipe: Recipe, out: Path, steps: list[Step], anew: bool) -> None:
    table = Table(
        title=escape(f"{recipe.name} in {out}"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in ("stage", "work", "what happens", "why"):
        table.add_column(heading, overflow="fold")
    for step in steps:
        table.add_row(escape(step.stage), step.work, _action(step, anew), escape(step.reason))
    console.print(table)


def _action(step: Step, anew: bool) -> str:
    match step.state:
        case "done":
            return "skip"
        case "broken off" | "damaged":
            return "resume"
        case "changed":
            return "make anew" if anew else "refused without --rerun-changed"
        case _:
            return "run"


def _print_results(console: Console, out: Path, results: dict[str, Any]) -> None:
    if results["stages"]:
        console.print(terminal_table(results["stages"]))
        _print_changes(console, out, results)
        console.print(f"results   {RunFolder(out).results_file}", markup=False, soft_wrap=True)
    for name in results["stages"]:
        model = RunFolder(out).model(name)
        if model.is_dir():
            console.print(f"model     {model}   (r1kit chat {model})", markup=False, soft_wrap=True)
    for picture in draw_pictures(out):
        console.print(f"picture   {picture}", markup=False, soft_wrap=True)


def _print_changes(console: Console, out: Path, results: dict[str, Any]) -> None:
    """What each model gained; a damaged file beside the results is told and hides nothing."""
    try:
        console.print(*run_changes(out, results["stages"]))
    except UserError as error:
        console.print(f"no differences: {error}", markup=False, soft_wrap=True)


def draw_pictures(out: Path) -> list[Path]:
    """The picture of the first stage with an accuracy, and that of all models where three are evaluated."""
    from r1kit.report.picture import draw
    from r1kit.report.stage_picture import draw_stages, worth_drawing

    runs, drawn = {out.resolve().name: out}, []
    if any(b'"accuracy' in path.read_bytes() for path in out.glob("stages/*/metrics.jsonl")):
        drawn.append(draw(runs, out / PICTURE))
    if worth_drawing(runs):
        drawn.append(draw_stages(runs, out / STAGES_PICTURE))
    return drawn

"""`r1kit compare`: variants of a stage of reinforcement learning under one budget, over several seeds."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from r1kit.commands.console import command_console
from r1kit.errors import Interrupted, UserError
from r1kit.files import lock, write_atomic, write_json
from r1kit.learning.algorithms import ALGORITHMS
from r1kit.pipeline.comparison import Budget, Member, Variant, prepare, stage_to_compare
from r1kit.pipeline.comparison_runs import run_members
from r1kit.report.comparison import FURTHER, is_finished, markdown, read_curve, summary, table_rows
from r1kit.report.comparison_picture import draw_comparison
from r1kit.tracking.stop import StopFlag
from r1kit.tracking.terminal import printable

ALL = "all"
PICTURE, TABLE, NUMBERS = "comparison.png", "comparison.md", "comparison.json"
_FILES_ALONE = ("entropy", "1000 tokens", "steps")  # a terminal has no room for these columns
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,39}")


def compare(arguments: argparse.Namespace) -> int:
    """Run what is missing of a comparison, then its table, its picture and its numbers."""
    console = command_console()
    overrides = list(arguments.set)
    spec = stage_to_compare(arguments.recipe, arguments.stage, overrides)
    variants = _variants(arguments, spec.name)
    budget = _budget(arguments.budget)
    out: Path = arguments.out or Path("runs") / f"compare-{Path(arguments.recipe).stem}"
    seeds = range(1, arguments.seeds + 1)
    parallel = min(arguments.parallel, len(variants) * len(seeds))
    if parallel > 1 and not any(text.startswith("threads=") for text in overrides):
        overrides.append(f"threads={max(1, (os.cpu_count() or 1) // parallel)}")
    members = prepare(
        arguments.recipe,
        spec,
        variants,
        budget,
        seeds,
        out,
        overrides,
        scale_learning_rate=arguments.scale_learning_rate,
        write=not arguments.report_only,
    )
    console.print(
        f"{len(members)} runs in {out}: {len(variants)} of {spec.name} for each seed, {budget.amount:,}"
        f" {budget.unit} a run",
        markup=False,
        soft_wrap=True,
    )
    failures = [] if arguments.report_only else _run(members, parallel, out, console)
    _report(console, members, spec.name, out, f"{spec.name}: {budget.amount:,} {budget.unit} a run")
    if failures:
        raise UserError(f"{len(failures)} of {len(members)} runs failed:\n" + "\n".join(failures))
    return 0


def _run(members: Sequence[Member], parallel: int, out: Path, console: Console) -> list[str]:
    try:
        with lock(out), StopFlag() as stop:
            return run_members(members, parallel, lambda line: _say(console, line), stop)
    except Interrupted as stopped:
        again = shlex.join(["r1kit", *sys.argv[1:]])
        raise Interrupted(f"{stopped}; go on with: {again}") from None


def _say(console: Console, line: str) -> None:
    console.print(printable(line), markup=False, soft_wrap=True)


def _report(console: Console, members: Sequence[Member], stage: str, out: Path, title: str) -> None:
    there = [member for member in members if is_finished(member.folder, stage)]
    if not there:
        raise UserError(f"{out}: no run of it is finished yet")
    if len(there) < len(members):
        missing = [f"{member.variant}/seed-{member.seed}" for member in members if member not in there]
        _say(console, f"left out, not finished: {', '.join(missing)}")
    curves = [read_curve(member.variant, member.seed, member.folder, stage) for member in there]
    found = summary(curves)
    headings, rows = table_rows(found)
    write_json(out / NUMBERS, {"title": title, "variants": found})
    write_atomic(out / TABLE, markdown(headings, rows))
    draw_comparison(curves, out / PICTURE, title)
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown = [place for place, heading in enumerate(headings) if heading not in _FILES_ALONE]
    for place in shown:
        table.add_column(headings[place], justify="left" if place == 0 else "right", no_wrap=True)
    for row in rows:
        cells = [row[place].split(" ± ")[0] if headings[place] in FURTHER else row[place] for place in shown]
        table.add_row(*map(escape, cells))
    console.print(table)
    if len({member.seed for member in members}) > 1:
        console.print("± is half a 95% interval over the seeds (Student's t)", markup=False)
    console.print(f"{out / PICTURE}, {out / TABLE}, {out / NUMBERS}", markup=False, soft_wrap=True)


def _variants(arguments: argparse.Namespace, stage: str) -> list[Variant]:
    """From --presets, --vary and --variant, in this order. Raises UserError."""
    found: list[Variant] = []
    presets = list(ALGORITHMS) if arguments.presets == [ALL] else arguments.presets or []
    found += [Variant(name, (f"stages.{stage}.algorithm={name}",)) for name in presets]
    for key, *values in arguments.vary or []:
        if not values:
            raise UserError(f"compare: --vary {key}: give its values after it")
        found += [Variant(_plain(f"{key.split('.')[-1]}-{value}"), (f"{key}={value}",)) for value in values]
    found += [Variant(name, tuple(settings)) for name, *settings in arguments.variant or []]
    names = [variant.name for variant in found]
    if not names:
        raise UserError("compare: nothing to compare; give --presets, --vary or --variant")
    for name in names:
        if name.startswith("comparison"):
            raise UserError(f"compare: variant {name!r}: that is the name of the report")
        if not _NAME.fullmatch(name):
            raise UserError(f"compare: variant {name!r}: its name must be 1-40 of A-Z a-z 0-9 . _ -")
        if [other.lower() for other in names].count(name.lower()) > 1:
            raise UserError(f"compare: two variants are named {name!r}")
    return found


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:40]


def _budget(text: str) -> Budget:
    """`tokens=600000` or `steps=30`. Raises UserError."""
    unit, _, amount = text.partition("=")
    digits = amount.replace("_", "")[:16]
    if unit not in ("tokens", "steps") or not digits.isascii() or not digits.isdigit() or int(digits) < 1:
        raise UserError(f"compare: --budget {text!r}: expected tokens=N or steps=N, e.g. tokens=600000")
    return Budget("tokens" if unit == "tokens" else "steps", int(digits))

"""How cost grows: per token with the number of rollouts and with their length; and what a run adds to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from bench.peers.process import ROOT, SideFailedError
from bench.setting import Found
from bench.sides import Bench
from bench.work import SMALL, Work, make_tokenizer, prompts, random_model
from r1kit.models.precision import resolve
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Prompt

ROLLOUTS = (128, 256, 512, 1024, 2048, 4096)
LENGTHS = (64, 128, 256, 512, 1024, 2048)
STEPS = 8  # of the run whose parts are told
_ROWS = 64  # of the measurement by length
_RECIPE = """\
extends: {parent}
name: bench
evaluation: null
stages: {{r1_zero: {{steps: {steps}}}}}
"""


def growth(bench: Bench) -> Found:
    """Microseconds per new token by number and by length of rollouts; seconds of a run by part."""
    sizes = ROLLOUTS[:2] if bench.quick else ROLLOUTS
    lengths = LENGTHS[:2] if bench.quick else LENGTHS
    repeats = 1 if bench.quick else 3
    ragged = [replace(SMALL, prompts=size // SMALL.group_size) for size in sizes]
    fixed = [
        replace(SMALL, prompts=_ROWS // SMALL.group_size, new_tokens=length, mean_tokens=None)
        for length in lengths
    ]
    details = {
        "by rollouts": dict(zip(map(str, sizes), _costs(ragged, repeats), strict=True)),
        "by length": dict(zip(map(str, lengths), _costs(fixed, repeats), strict=True)),
        "of a run": _run("tiny" if bench.quick else "laptop-zero", 2 if bench.quick else STEPS),
    }
    return Found([], [], details)


def _costs(works: Sequence[Work], repeats: int) -> list[list[float]]:
    """Microseconds of wall clock per new token, of each repeat, in turn, after one that is not counted."""
    samplers = [
        LocalSampler(random_model(work), make_tokenizer(work), dtype=resolve("auto", "cpu")) for work in works
    ]
    found: list[list[float]] = [[] for _ in works]
    for repeat in range(repeats + 1):
        for place, (work, sampler) in enumerate(zip(works, samplers, strict=True)):
            asked = [Prompt(tuple(tokens)) for tokens in prompts(work)]
            params = SamplingParams(max_new_tokens=work.new_tokens)
            began = perf_counter()
            drawn = sampler.sample(asked, work.group_size, params, range(repeat, repeat + len(asked)))
            seconds = perf_counter() - began
            if repeat:
                tokens = sum(len(completion.tokens) for group in drawn for completion in group)
                found[place].append(round(1e6 * seconds / tokens, 2))
    return found


def _run(parent: str, steps: int) -> dict[str, Any]:
    """Seconds of a real run of R1-Zero by part.

    "around" is what a finished run still takes when it is taken up again: start, checks, report. "beside" is
    the rest: logging, checkpoints, pictures.
    """
    with TemporaryDirectory(prefix="r1kit-bench-") as folder:
        recipe, out = Path(folder) / "bench.yaml", Path(folder) / "run"
        recipe.write_text(_RECIPE.format(parent=parent, steps=steps), "utf-8")
        whole = _seconds(recipe, out)
        around = _seconds(recipe, out, "--resume")
        rows = (out / "stages" / "r1_zero" / "timings.jsonl").read_text("utf-8").splitlines()
    timings = [json.loads(row) for row in rows]
    return by_part(timings, whole, around)


def by_part(timings: Sequence[dict[str, float]], whole: float, around: float) -> dict[str, Any]:
    """Seconds by part; `share` is what is neither sampling, grading nor learning, without `around`."""
    in_steps = sum(row["seconds"] for row in timings)
    parts = ("seconds/sampling", "seconds/grading", "seconds/learning")
    found = {name.removeprefix("seconds/"): sum(row[name] for row in timings) for name in parts}
    beside = whole - around - in_steps
    return {
        "steps": len(timings),
        "whole": whole,
        **found,
        "around": around,
        "beside": beside,
        "share": beside / (whole - around),
        "median step": median(row["seconds"] for row in timings),
    }


def _seconds(recipe: Path, out: Path, *options: str) -> float:
    command = [sys.executable, "-m", "r1kit", "run", str(recipe), "--out", str(out), "--quiet", *options]
    began = perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SideFailedError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return perf_counter() - began

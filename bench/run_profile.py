"""Where the time of a run of the laptop recipe goes, by looks at its threads."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.icicle import svg
from bench.looks import EVERY, Stack
from bench.peers.process import ROOT, SideFailedError
from bench.run_parts import BESIDE, CLOCK, by_part, timed_as
from bench.setting import Found
from bench.sides import Bench

LAPTOP = (
    "laptop",
    *("stages.r1_zero.steps=30", "stages.reasoning_rl.steps=11", "stages.student_rl.steps=8"),
    *("stages.general_rl.steps=13", "stages.general_rl.tasks.helpful.last_steps=12"),
    "stages.general_rl.tasks.harmless.last_steps=12",
    *(f"stages.general_rl.rewards.{term}.last_steps=12" for term in ("helpfulness", "harmlessness")),
    *("stages.cold_start.ways.refine.problems=175", "stages.cold_start.ways.direct.problems=30"),
    *("stages.reasoning_data.problems=150", "evaluation.samples=8"),
)
"""The laptop recipe and what is laid over it: half the steps of RL, half the samples of the rest."""
QUICK = ("tiny",)


def profile(bench: Bench) -> Found:
    """Seconds of a run by part, and of the steps of its RL stages beside what their own clock says."""
    out = bench.models / "run"
    recipe = [*(QUICK if bench.quick else LAPTOP), f"threads={bench.threads}"]
    looked = _look(recipe, out, bench.models / "looks.json")
    stacks: dict[Stack, float] = {tuple(stack): seconds for seconds, stack in looked["stacks"]}
    details: dict[str, Any] = {"of the run": summary(stacks) | {"looks": looked["looks"], "every": EVERY}}
    details["beside its own clock"] = beside_clock(stacks, _timings(out))
    details["icicle"] = svg(stacks)
    return Found([], [], details)


def summary(stacks: Mapping[Stack, float]) -> dict[str, Any]:
    """Seconds by part, of all, and the share of what a run adds to its work: runner, logging, report."""
    seconds = by_part(stacks)
    whole = sum(seconds.values())
    added = sum(seconds.get(part, 0.0) for part in BESIDE)
    return {"seconds": whole, "by part": seconds, "added": added, "share": added / whole}


def beside_clock(
    stacks: Mapping[Stack, float], timings: Iterable[Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Seconds of the steps of all RL stages, as looks and as rows of `timings.jsonl` have them."""
    found = {name: {"looks": 0.0, "logged": 0.0} for name in CLOCK}
    for stack, seconds in stacks.items():
        if name := timed_as(stack):
            found[name]["looks"] += seconds
    for row in timings:
        for name, both in found.items():
            both["logged"] += row[f"seconds/{name}"]
    return found


def _timings(out: Path) -> list[dict[str, float]]:
    logs = [path.read_text("utf-8").splitlines() for path in out.glob("stages/*/timings.jsonl")]
    rows = [json.loads(line) for log in logs for line in log]
    return [row for row in rows if "seconds/sampling" in row]  # supervised stages log less


def _look(recipe: Sequence[str], out: Path, looks: Path) -> Any:
    """What `bench.profiled` found; the run has a terminal, so that its progress bar costs what it costs."""
    command = [sys.executable, "-m", "bench.profiled", str(looks), "run", *recipe, "--out", str(out)]
    terminal, its = pty.openpty()
    said: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(terminal, said), daemon=True)
    reader.start()
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=its, stdout=its, stderr=its, check=False)
    finally:
        os.close(its)
        reader.join()
        os.close(terminal)
    if done.returncode:
        raise SideFailedError(f"{' '.join(command)}: {b''.join(said)[-2000:].decode('utf-8', 'replace')}")
    return json.loads(looks.read_text("utf-8"))


def _drain(terminal: int, said: list[bytes]) -> None:
    with suppress(OSError):  # what reading says when the other end is closed
        while text := os.read(terminal, 1 << 16):
            said.append(text)
            del said[:-8]

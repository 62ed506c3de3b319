"""The whole recipe, killed with SIGKILL in every stage and in evaluations, ends as if nothing had happened.

Each kill hits a process that has stopped itself at a known place (see paused_run.py), so that none comes too
early or too late. The process that goes on runs until the next place.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from r1kit.files import MANIFEST, read_jsonl
from r1kit.pipeline.config import load_recipe
from r1kit.pipeline.runner import RunOptions, run_recipe
from r1kit.pipeline.store import RunFolder
from r1kit.tracking.metrics import TIMINGS
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag

REPOSITORY = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
PATIENCE = 300  # seconds for one process, on a machine that has other work


@dataclass(frozen=True)
class Moment:
    """Right after the `count`-th `operation` that one process does on `path`, which may be a pattern."""

    operation: str
    path: str  # inside the run folder
    count: int = 1
    damage: Callable[[Path], None] | None = None  # done to the run folder after the kill

    @property
    def stage(self) -> str | None:
        """The stage that is killed; None during an evaluation."""
        parts = Path(self.path).parts
        return parts[1] if parts[0] == "stages" else None


def torn(path: str) -> Callable[[Path], None]:
    """The last line of a log is cut: its last bytes never reached the disk."""

    def cut(run: Path) -> None:
        os.truncate(run / path, (run / path).stat().st_size - 7)

    return cut


def halved(path: str) -> Callable[[Path], None]:
    """The second half of a file never reached the disk."""

    def cut(run: Path) -> None:
        os.truncate(run / path, (run / path).stat().st_size // 2)

    return cut


@dataclass
class Killings:
    """A run that is killed again and again: `recipe` with `overrides` in the folder `here`/runs."""

    here: Path
    recipe: str
    overrides: tuple[str, ...]

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.here / "runs" / Path(self.recipe).stem

    def go(self, number: int, moment: Moment | None) -> str:
        """Start the run or go on, as far as the moment or to the end; what was said on the way."""
        place = [moment.operation, moment.path, str(moment.count)] if moment else ["none", "none", "0"]
        resume = ["--resume"] if number else []
        command = [sys.executable, str(REPOSITORY / "tests/paused_run.py"), str(self.here / "notes"), *place]
        said = self.here / f"said-{number}"
        with said.open("wb") as errors:
            process = subprocess.Popen(
                [*command, "run", self.recipe, *self.overrides, *resume],
                cwd=self.here, env=ENVIRONMENT, stdout=errors, stderr=errors, start_new_session=True,
            )  # fmt: skip
            try:
                if moment is None:
                    assert process.wait(PATIENCE) == 0, said.read_text()
                else:
                    wait_until_stopped(process, said)
                    self.require_unfinished(moment)
                    process.kill()
                    assert process.wait(PATIENCE) == -signal.SIGKILL
                    wait_until_alone(process.pid)
            finally:
                process.kill()
        return said.read_text()

    def require_unfinished(self, moment: Moment) -> None:
        """The process is in the middle of the stage or the evaluation."""
        if moment.stage:
            record = RunFolder(self.run).stage_record(moment.stage)
            assert record is not None
            assert not record.finished
        else:
            results = self.run / "results.json"
            assert not results.exists() or f'"{Path(moment.path).stem}"' not in results.read_text()

    def kill_at(self, moments: list[Moment]) -> None:
        """Kill at each moment in turn, then let the run end; every start goes on where the kill was."""
        before: Moment | None = None
        for number, moment in enumerate([*moments, None]):
            said = self.go(number, moment)
            if before is not None and before.stage:
                assert f"{before.stage}: resumed, started and not finished" in said
                assert ("this checkpoint is passed over" in said) == (before.path == DAMAGED)
            if moment is not None and moment.damage is not None:
                moment.damage(self.run)
            before = moment

    def done(self, operation: str, path: str) -> list[int]:
        """Bytes of each such operation that any of the processes did on `path`, in order."""
        return [size for name, where, size in self.notes() if (name, where) == (operation, path)]

    def notes(self) -> list[tuple[str, str, int]]:
        """Operation, path inside the run folder, bytes."""
        rows = [line.rsplit(" ", 1) for line in (self.here / "notes").read_text().splitlines()]
        parted = [(*row[0].split(" ", 1), int(row[1])) for row in rows]
        return [(name, os.path.relpath(path, self.run), size) for name, path, size in parted]

    def published(self) -> Counter[str]:
        """How often each checkpoint, output and evaluation was published."""
        paths = [Path(where) for name, where, _ in self.notes() if name == "rename"]
        wanted = [p for p in paths if p.name in ("model", "data") or p.match("evaluations/*.json")]
        return Counter(str(p) for p in [*wanted, *(p for p in paths if p.match("checkpoints/step-*"))])


def wait_until_stopped(process: subprocess.Popen[bytes], said: Path) -> None:
    """Return when the process has stopped itself; fail if it ends instead."""
    deadline = time.monotonic() + PATIENCE
    while True:
        pid, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
        if pid:
            assert os.WIFSTOPPED(status), f"ended with {status} before the moment:\n{said.read_text()}"
            return
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.01)


def wait_until_alone(group: int) -> None:
    """No helper process may outlive the killed one for long."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    os.killpg(group, signal.SIGKILL)
    raise AssertionError("processes of a killed run live on")


def files_of(run: Path) -> dict[str, bytes]:
    """Everything in a run folder that the recipe determines.

    Left out: wall-clock times, and in checkpoints the length of their log with what is computed from it.
    """
    found = {}
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = path.relative_to(run).as_posix()
        timed = "checkpoints/" in name and path.name in ("state.json", MANIFEST)
        if path.name not in (TIMINGS, ".lock") and not timed:
            found[name] = path.read_bytes()
    return found


def assert_same_run(run: Path, whole: Path) -> None:
    found, expected = files_of(run), files_of(whole)
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


def assert_every_step_was_timed_once(run: Path) -> None:
    """No step has two times: what was done again was cut from the logs, in order."""
    for path in run.glob("stages/*/timings.jsonl"):
        steps = [row["step"] for row in read_jsonl(path)]
        assert steps == sorted(set(steps)), path


# --- two stages -------------------------------------------------------------------------------------------

SMALL = """
name: small
base: micro
seed: 1
threads: 1
tasks:
  math: {task: math, kinds: {worded: 1}, steps: [1, 2], train_size: 300}
stages:
  samples:
    kind: rejection_sampling
    from: base
    tasks: [math]
    problems: 272
    samples: 4
    sampling: {max_new_tokens: 24}
  tuned:
    kind: sft
    from: base
    data: {samples: {}}
    training: {steps: 3, tokens_per_batch: 512, save_every: 1, log_every: 1}
"""


def go_here(here: Path, monkeypatch: pytest.MonkeyPatch, *, resume: bool) -> None:
    """Take the small recipe to its end in this process; places in its records are relative to `here`."""
    monkeypatch.chdir(here)
    options = RunOptions(resume=resume)
    run_recipe(load_recipe("small.yaml"), Path("runs/small"), options, Progress(quiet=True), StopFlag())


def test_a_run_killed_in_two_stages_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, killings = tmp_path / "whole", Killings(tmp_path / "killed", "small.yaml", ())
    for folder in (whole, killings.here):
        folder.mkdir()
        (folder / "small.yaml").write_text(SMALL)
    go_here(whole, monkeypatch, resume=False)

    samples, timings = "stages/samples/samples.jsonl", killings.run / "stages/tuned/timings.jsonl"
    killings.go(0, Moment("append", samples, 2))
    torn(samples)(killings.run)
    newest = "stages/tuned/checkpoints/step-000002"
    killings.go(1, Moment("rename", newest))
    halved(f"{newest}/model.safetensors")(killings.run)
    first_step = next(read_jsonl(timings))
    go_here(killings.here, monkeypatch, resume=True)

    assert_same_run(killings.run, whole / "runs/small")
    first, second, again = killings.done("append", samples)
    assert second == again < first == (killings.run / samples).stat().st_size - second
    assert_every_step_was_timed_once(killings.run)
    assert next(read_jsonl(timings)) == first_step  # not done again


# --- every stage ------------------------------------------------------------------------------------------

# 144 problems with 8 samples each are two rounds
OVERRIDES = ("threads=1", "stages.reasoning_data.problems=72", "stages.reasoning_data.samples=8")
SAMPLES = "stages/reasoning_data/samples.jsonl"
DIRECT = "stages/cold_start/samples-direct.jsonl"
DAMAGED = "stages/sft2/checkpoints/step-000002"
MOMENTS = [
    Moment("rename", "evaluations/base.jsonl"),
    Moment("append", "stages/r1_zero/metrics.jsonl", 2),  # the second step is done and not saved
    Moment("append", DIRECT, damage=torn(DIRECT)),
    Moment("rename", "stages/cold_start_sft/checkpoints/step-000001"),
    Moment("write", "stages/reasoning_rl/checkpoints/.step-000002.*/manifest.json"),  # while saving
    Moment("append", SAMPLES),
    Moment("append", SAMPLES, damage=torn(SAMPLES)),
    Moment("rename", "stages/general_data/stage.json"),
    Moment("rename", DAMAGED, damage=halved(f"{DAMAGED}/model.safetensors")),
    Moment("rename", "evaluations/sft2.json"),  # measured, and not yet in results.json
    Moment("rename", "stages/pairs/data"),  # published, and not yet recorded as finished
    Moment("rename", "stages/labels/stage.json"),
    Moment("rename", "stages/helpful_model/checkpoints/step-000002"),
    Moment("write", "stages/harmless_model/checkpoints/.step-000003.*/manifest.json"),
    Moment("rename", "stages/general_rl/checkpoints/step-000001"),
    Moment("rename", "stages/distilled/checkpoints/step-000001"),
    Moment("rename", "stages/on_policy/model"),
]
TWICE = {DAMAGED, "stages/pairs/data", "stages/on_policy/model"}  # the damaged, and the unrecorded


@pytest.mark.slow
def test_the_whole_recipe_killed_in_every_stage_ends_the_same(tmp_path: Path) -> None:
    assert {moment.stage for moment in MOMENTS} - {None} == {*load_recipe("tiny-r1").run.stages}
    whole = tmp_path / "whole"
    whole.mkdir()
    command = [sys.executable, "-m", "r1kit", "run", "tiny-r1", *OVERRIDES]
    subprocess.run(command, cwd=whole, env=ENVIRONMENT, check=True, capture_output=True, timeout=PATIENCE)

    killings = Killings(tmp_path / "killed", "tiny-r1", OVERRIDES)
    killings.here.mkdir()
    killings.kill_at(MOMENTS)
    assert_same_run(killings.run, whole / "runs/tiny-r1")
    assert_every_step_was_timed_once(killings.run)

    published = killings.published()
    assert {path for path, times in published.items() if times != 1} == TWICE
    assert all(published[path] == 2 for path in TWICE)
    first, second, again = killings.done("append", SAMPLES)
    assert second == again < first == (killings.run / SAMPLES).stat().st_size - second
    for way, rounds in {"refine": 1, "direct": 2, "few_shot": 1}.items():
        log = f"stages/cold_start/samples-{way}.jsonl"
        assert killings.done("append", log) == [(killings.run / log).stat().st_size] * rounds

"""The layout of a run folder, and what stands in it.

runs/laptop/
  run.json                     recipe, versions, machine: how this run was made
  results.json                 stage -> task -> metrics
  evaluations/base.json        one model's metrics with the fingerprint they belong to
  evaluations/base.jsonl       for each test problem how many samples are right, and one of them
  stages/r1_zero/stage.json    identity, fingerprint, status and summary
  stages/r1_zero/metrics.jsonl, timings.jsonl, rollouts.jsonl, checkpoints/
  stages/r1_zero/model/        (or data/) an ordinary transformers checkpoint with tokenizer and model card
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.errors import RunFolderError
from r1kit.files import LOCK, dump_json, remove_folder, tidy, write_atomic, write_json
from r1kit.pipeline.fingerprint import Identity, fingerprint, without_secrets
from r1kit.stages.protocol import FOLDERS, Makes
from r1kit.types import Artifact

FORMAT = 1  # of run.json and stage.json


@dataclass(frozen=True, slots=True)
class StageRecord:
    """`stage.json`: what a stage in this folder was made from, and how far it got."""

    identity: Identity
    fingerprint: str
    finished: bool
    summary: Mapping[str, Any]


class RunFolder:
    """One run's folder. Reading never changes it; writing is only for the holder of its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        return self.path / "stages" / name

    def output(self, name: str, makes: Makes) -> Path:
        """The finished artifact of a stage."""
        return self.stage(name) / FOLDERS[makes]

    def model(self, name: str) -> Path:
        """The finished model of a stage."""
        return self.output(name, "model")

    @property
    def results_file(self) -> Path:
        """`results.json`."""
        return self.path / "results.json"

    def manifest(self) -> dict[str, Any] | None:
        """`run.json`, or None in a folder that does not exist or is empty.

        Raises:
            RunFolderError: the folder holds something that is not a run.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path}: is a file; choose another folder with --out")
        manifest = _read(self.path / "run.json", {"recipe": dict, "stages": list})
        if manifest is None and self.path.exists():
            strangers = sorted(
                p.name for p in self.path.iterdir() if p.name != LOCK and not p.name.startswith(".run.json")
            )
            if strangers:
                raise RunFolderError(
                    f"{self.path}: is not a run folder and not empty (it holds {strangers[0]}); "
                    "choose another folder with --out"
                )
        return manifest

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write `run.json`, without anything that looks like a secret."""
        write_json(self.path / "run.json", {"format": FORMAT, **without_secrets(manifest)})

    def stage_record(self, name: str) -> StageRecord | None:
        """What `stage.json` says, or None before the stage was started."""
        data = _read(self.stage(name) / "stage.json", {**_IDENTITY, "status": str, "summary": dict})
        if data is None:
            return None
        return StageRecord(
            data["identity"], data["fingerprint"], data["status"] == "finished", data["summary"]
        )

    def start_stage(self, name: str, identity: Identity, parents: Mapping[str, str]) -> None:
        """Note that a stage has begun, and by role what it reads."""
        self._write_stage(name, identity, parents, "started", {})

    def finish_stage(
        self, name: str, identity: Identity, parents: Mapping[str, str], artifact: Artifact
    ) -> None:
        """Note that a stage's output stands."""
        self._write_stage(name, identity, parents, "finished", artifact.summary)

    def _write_stage(
        self,
        name: str,
        identity: Identity,
        parents: Mapping[str, str],
        status: str,
        summary: Mapping[str, Any],
    ) -> None:
        record = {
            "parents": dict(parents),
            "identity": identity,
            "fingerprint": fingerprint(identity),
            "status": status,
            "summary": summary,
        }
        write_json(self.stage(name) / "stage.json", record)

    def drop_stage(self, name: str) -> None:
        """Remove a stage and its evaluation."""
        remove_folder(self.stage(name))
        self.drop_evaluation(name)

    def drop_evaluation(self, name: str) -> None:
        """Remove a model's evaluation."""
        for suffix in ("json", "jsonl"):
            remove_folder(self.path / "evaluations" / f"{name}.{suffix}")

    def evaluation(self, name: str) -> dict[str, Any] | None:
        """`{"identity": …, "fingerprint": …, "tasks": {TASK: metrics}}` of one model, or None."""
        return _read(self.path / "evaluations" / f"{name}.json", {**_IDENTITY, "tasks": dict})

    def write_evaluation(
        self, name: str, identity: Identity, tasks: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]
    ) -> None:
        """Record one model's metrics and its sampled responses."""
        folder = self.path / "evaluations"
        write_atomic(folder / f"{name}.jsonl", "".join(dump_json(row) + "\n" for row in rows))
        record = {"identity": identity, "fingerprint": fingerprint(identity), "tasks": tasks}
        write_atomic(folder / f"{name}.json", dump_json(record, indent=2) + "\n")

    def write_results(self, names: Iterable[str]) -> dict[str, Any]:
        """Gather the evaluations of `names`, in that order, into `results.json`."""
        found = {name: record["tasks"] for name in names if (record := self.evaluation(name)) is not None}
        results = {"stages": found}
        write_atomic(self.results_file, dump_json(results, indent=2) + "\n")  # keeps the order of the stages
        return results


def tidy_run(folder: Path) -> None:
    """Undo interrupted writes anywhere in a run folder. Only for the holder of its lock."""
    stages = sorted((folder / "stages").glob("[!.]*"))
    inside = [path for stage in stages for path in (stage, stage / "checkpoints")]
    for path in (folder, folder / "evaluations", folder / "stages", *inside):
        if path.is_dir():
            tidy(path)


_IDENTITY = {"identity": dict, "fingerprint": str}


def _read(path: Path, fields: Mapping[str, type]) -> dict[str, Any] | None:
    """The object in a JSON file with at least `fields`, None without a file. Raises RunFolderError."""
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        raise RunFolderError(
            f"{path}: damaged, it cannot be read; choose another folder with --out"
        ) from None
    if not isinstance(data, dict):
        raise RunFolderError(f"{path}: damaged, it is not a JSON object; choose another folder with --out")
    for field, kind in fields.items():
        if not isinstance(data.get(field), kind):
            raise RunFolderError(
                f"{path}: damaged, field {field!r} is missing or wrong; choose another folder with --out"
            )
    return data

"""The scorers that a rubric's reward files need, and the copies of the files in a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from r1kit.errors import RunFolderError
from r1kit.files import write_atomic
from r1kit.rewards.files import FileScorer, RewardFile
from r1kit.rewards.registry import Scorer
from r1kit.rewards.rubric import TermSpec


def file_scorers(specs: Sequence[TermSpec], copies: Path | None = None) -> dict[str, Scorer]:
    """The scorers of the terms that reward files define, one process for each file.

    Args:
        specs: checked terms; those without a file are passed over.
        copies: folder that gets a copy of each file, which is what is run from then on: a file that is edited
            while a run goes on cannot change it.

    Raises RecipeError for a file that cannot be imported, RunFolderError where its copy is another text.
    """
    files = list(dict.fromkeys(spec.file for spec in specs if spec.file is not None))
    names = [Path(file).name for file in files]
    processes = {}
    for index, (file, name) in enumerate(zip(files, names, strict=True)):
        place = name if names.count(name) == 1 else f"{index}-{name}"
        processes[file] = RewardFile(_copied(Path(file), copies / place) if copies else file)
    return {
        spec.name: FileScorer(processes[spec.file], spec.name, spec.params, spec.seconds, spec.memory_mb)
        for spec in specs
        if spec.file is not None
    }


def _copied(file: Path, copy: Path) -> Path:
    content = file.read_bytes()
    if not copy.exists():
        write_atomic(copy, content)
    elif copy.read_bytes() != content:
        raise RunFolderError(
            f"{file}: the stage was begun with another text of it, {copy}; repeat it with --rerun-changed"
        )
    return copy

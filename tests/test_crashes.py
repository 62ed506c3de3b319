"""A crash or power cut after any single operation on the disk loses nothing that was acknowledged."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from r1kit.files import (
    JsonlLog,
    disk,
    publish_folder,
    read_jsonl,
    remove_folder,
    tidy,
    verify_folder,
    write_atomic,
)


class PowerLoss(BaseException):
    """The machine stops here; no handler of the program runs any more."""


class DyingDisk(disk.Disk):
    """Performs so many operations, half of the next one, then none; `lose_unsynced` plays a power cut."""

    def __init__(self, operations: int) -> None:
        self.left = operations
        self.unsynced: dict[Path, int] = {}  # file -> bytes that are durable
        self.created: set[Path] = set()  # entries whose folder is not durable yet
        self.synced: set[Path] = set()
        self.renames: list[tuple[Path, Path, bytes | None]] = []  # source, target, replaced content

    def _dies(self) -> bool:
        self.left -= 1
        return self.left < 0

    def write(self, path: Path, data: bytes) -> None:
        self.unsynced[path] = 0
        if not path.exists():
            self.created.add(path)
        if self._dies():
            super().write(path, data[: len(data) // 2])
            raise PowerLoss
        super().write(path, data)

    def append(self, path: Path, data: bytes) -> None:
        self.unsynced.setdefault(path, path.stat().st_size)
        if self._dies():
            super().append(path, data[: len(data) // 2])
            raise PowerLoss
        super().append(path, data)

    def truncate(self, path: Path, size: int) -> None:
        if self._dies():
            raise PowerLoss
        super().truncate(path, size)

    def sync(self, path: Path) -> None:
        if self._dies():
            raise PowerLoss
        super().sync(path)
        self.synced.add(path)
        self.unsynced.pop(path, None)
        self.created = {entry for entry in self.created if entry.parent != path}
        self.renames = [entry for entry in self.renames if entry[1].parent != path]

    def rename(self, source: Path, target: Path) -> None:
        if self._dies():
            raise PowerLoss
        self.renames.append((source, target, target.read_bytes() if target.is_file() else None))
        super().rename(source, target)
        if source.suffix == ".tmp":
            self._expose(source, target)

    def _expose(self, source: Path, target: Path) -> None:
        """What a temporary got without a sync is lost under its final name too."""
        for path in [target, *target.rglob("*")]:
            before = source / path.relative_to(target)
            if before not in self.synced and path.is_file():
                self.unsynced[path] = 0
            elif before not in self.synced:
                self.created |= set(path.iterdir())

    def make_folder(self, path: Path) -> None:
        if self._dies():
            raise PowerLoss
        super().make_folder(path)
        self.created.add(path)

    def remove(self, path: Path) -> None:
        if self._dies():
            for file in [entry for entry in path.rglob("*") if entry.is_file()][:1]:
                file.unlink()
            raise PowerLoss
        super().remove(path)

    def lose_unsynced(self) -> None:
        for source, target, replaced in reversed(self.renames):
            if target.exists() and not source.exists():
                os.rename(target, source)
            if replaced is not None:
                target.write_bytes(replaced)
        for path in self.created:
            disk.Disk.remove(self, path)
        for path, durable in self.unsynced.items():
            if path.exists():
                os.truncate(path, min(durable, path.stat().st_size))


def every_crash(
    monkeypatch: pytest.MonkeyPatch, fresh: Callable[[], Path], action: Callable[[Path], None]
) -> Iterator[tuple[Path, bool]]:
    """Run `action` on a fresh folder, dying after each operation, by a kill and by a power cut.

    Yields the folder left behind and whether the action had returned.
    """
    for power_cut in (False, True):
        for operations in itertools.count():
            folder = fresh()
            dying = DyingDisk(operations)
            finished = True
            with monkeypatch.context() as patch:
                patch.setattr(disk, "current", dying)
                try:
                    action(folder)
                except PowerLoss:
                    finished = False
            if power_cut:
                dying.lose_unsynced()
            yield folder, finished
            if finished:
                assert operations >= 3, "the crash test ran no operation"
                break


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Path]:
    numbers = itertools.count()

    def make() -> Path:
        folder = tmp_path / f"run{next(numbers)}"
        folder.mkdir()
        return folder

    return make


def builder(text: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "weights.bin").write_text(text)
        (folder / "inner" / "state.json").write_text(text * 2)

    return build


def test_crash_during_write_atomic_leaves_the_old_or_the_new_content(
    fresh: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared() -> Path:
        folder = fresh()
        write_atomic(folder / "state.json", "old")
        return folder

    seen = set()
    for folder, finished in every_crash(
        monkeypatch, prepared, lambda f: write_atomic(f / "state.json", "new!")
    ):
        content = (folder / "state.json").read_text()
        assert content in ("old", "new!")
        assert content == "new!" or not finished
        seen.add(content)
    assert seen == {"old", "new!"}


def test_crash_while_saving_always_leaves_a_valid_checkpoint_and_keeps_acknowledged_ones(
    fresh: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared() -> Path:
        folder = fresh()
        publish_folder(builder("one"), folder / "step-1")
        return folder

    def save_next(folder: Path) -> None:
        publish_folder(builder("two"), folder / "step-2")
        (folder / "acknowledged").touch()
        assert verify_folder(folder / "step-2") == []
        remove_folder(folder / "step-1")

    for folder, finished in every_crash(monkeypatch, prepared, save_next):
        tidy(folder)
        valid = [name for name in ("step-1", "step-2") if verify_folder(folder / name) == []]
        assert valid
        if (folder / "acknowledged").exists():
            assert "step-2" in valid
        if finished:
            assert sorted(path.name for path in folder.iterdir()) == ["acknowledged", "step-2"]


def test_crash_while_replacing_a_folder_leaves_one_version_whole(
    fresh: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepared() -> Path:
        folder = fresh()
        publish_folder(builder("old"), folder / "model")
        return folder

    seen = set()
    for folder, finished in every_crash(
        monkeypatch, prepared, lambda f: publish_folder(builder("new"), f / "model")
    ):
        tidy(folder)
        assert verify_folder(folder / "model") == []
        assert [path.name for path in folder.iterdir()] == ["model"]
        content = (folder / "model" / "weights.bin").read_text()
        assert content == "new" or not finished
        seen.add(content)
    assert seen == {"old", "new"}


def test_crash_while_logging_keeps_every_synced_row_and_no_half_row(
    fresh: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_rows(folder: Path) -> None:
        log = JsonlLog(folder / "logs" / "metrics.jsonl")
        for step in range(3):
            log.append({"step": step})
            log.sync()
            (folder / f"synced-{step}").touch()

    for folder, _ in every_crash(monkeypatch, fresh, write_rows):
        log = JsonlLog(folder / "logs" / "metrics.jsonl")
        steps = [row["step"] for row in read_jsonl(log.path)]
        assert steps == list(range(len(steps)))
        assert len(steps) >= len(list(folder.glob("synced-*")))
        log.append({"step": "next"})
        log.sync()
        assert [row["step"] for row in read_jsonl(log.path)] == [*steps, "next"]


def test_killed_process_leaves_a_folder_that_tidy_cleans(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from r1kit.files import publish_folder\n"
        "def build(folder):\n"
        "    (folder / 'weights.bin').write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "publish_folder(build, Path(sys.argv[1]) / 'step-1')\n"
    )
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / "step-1").exists()
    assert len(tidy(tmp_path)) == 1
    assert list(tmp_path.iterdir()) == []

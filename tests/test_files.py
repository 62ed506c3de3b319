"""Durable writes: what damage and a full disk leave behind, and what the logs hold."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.errors import CheckpointError, RunFolderError
from r1kit.files import (
    JsonlLog,
    damaged_files,
    disk,
    dump_json,
    hash_file,
    publish_folder,
    read_jsonl,
    require_space,
    verify_folder,
    write_atomic,
    write_json,
)


def builder(text: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "weights.bin").write_text(text)
        (folder / "inner" / "state.json").write_text(text * 2)

    return build


def published(tmp_path: Path) -> Path:
    publish_folder(builder("weights"), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: (f / "weights.bin").write_text("weighty"), "weights.bin: content differs"),
        (lambda f: (f / "weights.bin").write_text("weigh"), "weights.bin: 5 bytes, expected 7"),
        (lambda f: (f / "inner" / "state.json").unlink(), "inner/state.json: missing"),
        (lambda f: (f / "extra.bin").write_text("x"), "extra.bin: not in the manifest"),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json: missing"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json: damaged"),
        (lambda f: (f / "manifest.json").write_text("[]"), "manifest.json: damaged"),
        (lambda f: (f / "manifest.json").write_bytes(b"\xff\x00"), "manifest.json: damaged"),
    ],
)
def test_damage_is_found_and_the_file_named(
    tmp_path: Path, damage: Callable[[Path], object], problem: str
) -> None:
    folder = published(tmp_path)
    assert verify_folder(folder) == []
    damage(folder)
    problems = verify_folder(folder)
    assert len(problems) == 1
    assert problem in problems[0]


def test_every_flipped_bit_of_a_published_folder_is_found(tmp_path: Path) -> None:
    folder = published(tmp_path)
    for path in [folder / "weights.bin", folder / "inner" / "state.json"]:
        original = path.read_bytes()
        for bit in range(8 * len(original)):
            flipped = bytearray(original)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            assert verify_folder(folder) != []
        path.write_bytes(original)
    assert verify_folder(folder) == []


def test_missing_folder_is_a_problem_not_an_exception(tmp_path: Path) -> None:
    assert verify_folder(tmp_path / "none") == [f"{tmp_path / 'none' / 'manifest.json'}: missing"]


def test_failed_build_leaves_nothing_and_keeps_the_old_folder(tmp_path: Path) -> None:
    folder = published(tmp_path)

    def fail(path: Path) -> None:
        (path / "weights.bin").write_text("partial")
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        publish_folder(fail, folder)
    assert verify_folder(folder) == []
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_hash_is_xxh3_128_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert hash_file(tmp_path / "empty") == "99aa06d3014798d86001c324468d497f"  # xxHash specification


class FullDisk(disk.Disk):
    """Has 1000 bytes; a write that does not fit stores what fits, then fails as the kernel does."""

    def __init__(self) -> None:
        self.free = 1000

    def free_bytes(self, path: Path) -> int:
        return self.free

    def write(self, path: Path, data: bytes) -> None:
        self.append(path, data)

    def append(self, path: Path, data: bytes) -> None:
        super().append(path, data[: self.free])
        self.free = max(0, self.free - len(data))
        if not self.free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    full = FullDisk()
    monkeypatch.setattr(disk, "current", full)
    return full


def test_full_disk_names_path_needed_and_free_bytes_and_keeps_the_old_file(
    tmp_path: Path, full_disk: FullDisk
) -> None:
    target = tmp_path / "results.json"
    write_atomic(target, "old")
    with pytest.raises(RunFolderError) as caught:
        write_atomic(target, b"x" * 2000)
    assert str(caught.value).startswith(f"{target}: disk full: 2000 bytes needed, 0 bytes free")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_while_logging_keeps_whole_rows_and_the_log_can_go_on(
    tmp_path: Path, full_disk: FullDisk
) -> None:
    log = JsonlLog(tmp_path / "rollouts.jsonl")
    log.append({"text": "short"})
    log.sync()
    log.append({"text": "x" * 2000})
    with pytest.raises(RunFolderError, match=r"rollouts\.jsonl: disk full: 2013 bytes needed, 0 bytes free"):
        log.flush()
    assert log.path.read_text() == '{"text": "short"}\n'
    full_disk.free = 10_000
    log.sync()
    assert len(list(read_jsonl(log.path))) == 2


def test_expected_size_is_checked_before_anything_is_built(tmp_path: Path, full_disk: FullDisk) -> None:
    with pytest.raises(RunFolderError, match="5000 bytes needed, 1000 bytes free"):
        publish_folder(lambda folder: pytest.fail("built"), tmp_path / "model", needed=5000)
    with pytest.raises(RunFolderError, match="1001 bytes needed, 1000 bytes free"):
        require_space(tmp_path / "not" / "there" / "yet", 1001)
    require_space(tmp_path, 1000)
    assert list(tmp_path.iterdir()) == []


def test_native_writers_report_of_a_full_disk_becomes_the_same_error(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "weights.bin").write_text("half")
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    with pytest.raises(RunFolderError, match="model: disk full"):
        publish_folder(build, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


REAL_FULL_DISK = """
import sys
from pathlib import Path
from r1kit.errors import RunFolderError
from r1kit.files import JsonlLog, publish_folder, verify_folder

root = Path(sys.argv[1])
publish_folder(lambda f: (f / "w").write_bytes(b"1" * 20_000) and None, root / "step-1")
try:
    publish_folder(lambda f: (f / "w").write_bytes(b"2" * 90_000) and None, root / "step-2")
except RunFolderError as error:
    print(error)
log = JsonlLog(root / "log.jsonl")
log.append({"step": 1})
log.sync()
log.append({"text": "x" * 90_000})
try:
    log.flush()
except RunFolderError as error:
    print(error)
print(verify_folder(root / "step-1"), sorted(p.name for p in root.iterdir()), log.path.read_text().strip())
"""


@pytest.mark.skipif(shutil.which("unshare") is None or os.geteuid() != 0, reason="needs root and unshare")
def test_really_full_file_system_leaves_the_previous_checkpoint_intact(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=64k tmpfs "$1" || exit 77; exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, REAL_FULL_DISK]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if "not permitted" in result.stderr or "permission denied" in result.stderr:
        pytest.skip("mounting is not permitted here")
    assert result.returncode == 0, result.stderr
    model, log, state = result.stdout.splitlines()
    assert model.startswith(f"{tmp_path}/step-2: disk full: ")
    assert log.startswith(f"{tmp_path}/log.jsonl: disk full: 90013 bytes needed, ")
    assert state == "[] ['log.jsonl', 'step-1'] " + '{"step": 1}'


def test_forbidden_folder_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match=r"file/run/a\.json: cannot be written \(Not a directory\)"):
        write_json(tmp_path / "file" / "run" / "a.json", {})


def test_write_json_is_sorted_indented_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b.json", {"b": [1], "a": "思"})
    assert (tmp_path / "a" / "b.json").read_text() == '{\n  "a": "思",\n  "b": [\n    1\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "nan.json", {"loss": float("nan")})


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_string_survives_and_no_control_character_is_written(text: str) -> None:
    written = dump_json({"text": text})
    assert json.loads(written) == {"text": text}
    written.encode()
    assert not any(
        ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c in "\u2028\u2029\u202e\u2066\ufeff" for c in written
    )


def test_log_truncated_to_an_offset_continues_as_if_nothing_had_followed(tmp_path: Path) -> None:
    log = JsonlLog(tmp_path / "log.jsonl")
    log.append({"step": 1})
    log.sync()
    offset = log.offset
    assert offset == len('{"step": 1}\n')
    log.append({"step": 2})
    log.sync()
    log.append({"step": 3})
    again = JsonlLog(log.path)
    again.truncate(offset)
    again.append({"step": 2, "again": True})
    again.close()
    assert log.path.read_text() == '{"step": 1}\n{"step": 2, "again": true}\n'


@pytest.mark.parametrize("offset", [5, 1000, -1])
def test_offset_that_is_no_end_of_row_is_refused(tmp_path: Path, offset: int) -> None:
    log = JsonlLog(tmp_path / "log.jsonl")
    log.append({"step": 1})
    log.sync()
    with pytest.raises(CheckpointError, match=rf"has 12 bytes and no row that ends at byte {offset}"):
        log.truncate(offset)
    assert log.path.read_text() == '{"step": 1}\n'


def test_unfinished_long_last_line_is_dropped_on_open_and_by_readers(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n' + b'{"text": "' + b"x" * 3_000_000)
    assert list(read_jsonl(path)) == [{"step": 1}]
    assert JsonlLog(path).offset == 12
    assert path.read_bytes() == b'{"step": 1}\n'


def test_damaged_files_leaves_strangers_and_other_manifests_alone(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    publish_folder(lambda path: (path / "a").write_text("1") and None, folder)
    (folder / "added").write_text("by a user")
    assert damaged_files(folder) == []
    (folder / "a").write_text("2")
    assert damaged_files(folder) == [f"{folder / 'a'}: content differs from its hash in the manifest"]
    (folder / "manifest.json").write_text('{"files": "another program\'s"}')
    assert damaged_files(folder) == []

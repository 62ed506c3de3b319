"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import xxhash

from r1kit.files import disk
from r1kit.files.disk import FULL, disk_full, make_parents, readable_errors, require_space

MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_serial = itertools.count()


def write_atomic(path: Path, data: bytes | str) -> None:
    """Replace `path` durably by `data`. RunFolderError when the disk is full or nothing may be written."""
    payload = data.encode() if isinstance(data, str) else data
    path = path.absolute()
    with readable_errors(path, len(payload)):
        make_parents(path.parent)
        temporary = _temporary(path)
        try:
            disk.current.write(temporary, payload)
            disk.current.sync(temporary)
            disk.current.rename(temporary, path)
        except OSError:
            _discard(temporary)
            raise
        disk.current.sync(path.parent)


def write_json(path: Path, obj: Any) -> None:
    """`write_atomic` of sorted, indented JSON and a newline. A NaN or infinity in `obj` is a ValueError."""
    write_atomic(path, dump_json(obj, indent=2, sort_keys=True) + "\n")


def dump_json(obj: Any, indent: int | None = None, sort_keys: bool = False) -> str:
    """JSON text in readable Unicode, with everything that could disturb a terminal or an encoder escaped."""
    text = json.dumps(obj, ensure_ascii=False, allow_nan=False, indent=indent, sort_keys=sort_keys)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


# DEL and C1 controls, bidi and line separators, byte-order mark, lone surrogates: only ever inside strings.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def finite_or_none(value: float) -> float | None:
    """`value`, or None where JSON has no number for it (NaN and the infinities)."""
    return value if math.isfinite(value) else None


def hash_file(path: Path) -> str:
    """The xxh3 hash (128 bits, hex) of a file's content."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return str(digest.hexdigest())


def publish_folder(build: Callable[[Path], None], final: Path, needed: int = 0) -> None:
    """Let `build` fill a temporary folder, then give it the name `final`, whole and durable.

    `needed` is the expected size in bytes, checked first. A folder already called `final` is replaced; should
    the machine die between the two renames, `tidy` puts it back. If `build` raises, nothing is left behind.
    """
    final = final.absolute()
    with readable_errors(final, needed):
        make_parents(final.parent)
        require_space(final, needed)
        temporary = _temporary(final)
        disk.current.make_folder(temporary)
    try:
        _build(build, temporary, final, needed)
        with readable_errors(final, max(needed, _size(temporary))):
            _seal(temporary)
            _swap(temporary, final)
    except Exception:
        _discard(temporary)
        raise


def _build(build: Callable[[Path], None], temporary: Path, final: Path, needed: int) -> None:
    try:
        build(temporary)
    except Exception as error:
        # safetensors and other native writers report a full disk in the text of an exception of their own
        if getattr(error, "errno", None) in FULL or "No space left on device" in str(error):
            raise disk_full(final, max(needed, _size(temporary))) from error
        raise


def _seal(folder: Path) -> None:
    """Write the manifest and make everything in `folder` durable."""
    assert not (folder / MANIFEST).exists(), "the manifest is written here, not by the builder"
    names = _members(folder)
    entries = {n: {"bytes": (folder / n).stat().st_size, "xxh3": hash_file(folder / n)} for n in names}
    disk.current.write(folder / MANIFEST, (dump_json({"files": entries}, indent=2) + "\n").encode())
    for name in [*names, MANIFEST]:
        disk.current.sync(folder / name)
    for inner in sorted(path for path in folder.rglob("*") if path.is_dir()):
        disk.current.sync(inner)
    disk.current.sync(folder)


def _swap(temporary: Path, final: Path) -> None:
    displaced = final.with_name(f".{final.name}.old")
    replacing = final.exists()
    if replacing:
        disk.current.remove(displaced)
        disk.current.rename(final, displaced)
    try:
        disk.current.rename(temporary, final)
    except OSError:
        if replacing:
            disk.current.rename(displaced, final)
        raise
    disk.current.sync(final.parent)
    if replacing:
        disk.current.remove(displaced)


def verify_folder(path: Path) -> list[str]:
    """What is wrong with a published folder, one line per fault that names the file; [] when it is whole."""
    manifest = path / MANIFEST
    try:
        expected = _expected(manifest)
    except FileNotFoundError:
        return [f"{manifest}: missing"]
    except _UNREADABLE:
        return [f"{manifest}: damaged, it cannot be read as a manifest"]
    strangers = sorted(set(_members(path)) - expected.keys())
    return _faults(path, expected) + [f"{path / name}: not in the manifest" for name in strangers]


def damaged_files(path: Path) -> list[str]:
    """As `verify_folder`, of the listed files alone; [] for a folder without a manifest of this kind.

    For folders that people may add to, or that another program has made.
    """
    try:
        return _faults(path, _expected(path / MANIFEST))
    except (OSError, *_UNREADABLE):
        return []


_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def _expected(manifest: Path) -> dict[str, tuple[int, str]]:
    """File -> size and hash."""
    entries = json.loads(manifest.read_bytes())["files"]
    return {str(name): (int(entry["bytes"]), str(entry["xxh3"])) for name, entry in entries.items()}


def _faults(folder: Path, expected: dict[str, tuple[int, str]]) -> list[str]:
    """One line for each listed file that is missing or has other content."""
    found = set(_members(folder))
    problems = [f"{folder / name}: missing" for name in sorted(expected.keys() - found)]
    for name in sorted(found & expected.keys()):
        size, digest = expected[name]
        actual = (folder / name).stat().st_size
        if actual != size:
            problems.append(f"{folder / name}: {actual} bytes, expected {size}")
        elif hash_file(folder / name) != digest:
            problems.append(f"{folder / name}: content differs from its hash in the manifest")
    return problems


def remove_folder(path: Path) -> None:
    """Remove a file or folder so that no half-removed one is ever seen under its name."""
    if path.exists():
        doomed = _temporary(path.absolute())
        disk.current.rename(path, doomed)
        disk.current.sync(doomed.parent)
        disk.current.remove(doomed)


def tidy(folder: Path) -> list[str]:
    """Undo what an interrupted write left directly in `folder`; returns one line for each thing done.

    Half-written temporaries are removed; a folder displaced by an unfinished replacement gets its name back.
    Call it only while holding the lock of the run.
    """
    done = []
    for entry in sorted(folder.glob(".*.old")):
        original = entry.with_name(entry.name.removeprefix(".").removesuffix(".old"))
        if original.exists():
            disk.current.remove(entry)
        else:
            disk.current.rename(entry, original)
            disk.current.sync(folder)
            done.append(f"{original}: put back after an interrupted replacement")
    for entry in sorted(path for path in folder.glob(".*.tmp") if _TEMPORARY.fullmatch(path.name)):
        disk.current.remove(entry)
        done.append(f"{entry}: unfinished, removed")
    return done


_TEMPORARY = re.compile(r"\..+\.\d+-\d+\.tmp")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_serial)}.tmp")


def _discard(path: Path) -> None:
    with suppress(OSError):
        disk.current.remove(path)


def _members(folder: Path) -> list[str]:
    """Relative names of the files that a manifest covers, sorted."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(name for path in files if (name := path.relative_to(folder).as_posix()) != MANIFEST)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

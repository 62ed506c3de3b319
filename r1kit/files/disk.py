"""The file-system operations behind every durable write, and their failures as one-line errors."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1kit.errors import RunFolderError

FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


class Disk:
    """The file-system operations that change anything, one method each."""

    def write(self, path: Path, data: bytes) -> None:
        """Create or overwrite a file (not yet durable)."""
        path.write_bytes(data)

    def append(self, path: Path, data: bytes) -> None:
        """Append to a file, creating it (not yet durable)."""
        with path.open("ab") as file:
            file.write(data)

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to `size` bytes."""
        os.truncate(path, size)

    def sync(self, path: Path) -> None:
        """Make a file's content, or a folder's entries, durable."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Rename atomically, replacing a file of that name."""
        os.replace(source, target)

    def make_folder(self, path: Path) -> None:
        """Create one folder; its parent exists."""
        path.mkdir()

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with all it holds."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def free_bytes(self, path: Path) -> int:
        """Bytes that an ordinary user may still write at `path` (which need not exist yet)."""
        while not path.exists():
            path = path.parent
        return shutil.disk_usage(path).free


current = Disk()  # always used as `disk.current.…`, so that a test can put a failing one in its place


def free_bytes(path: Path) -> int:
    """Bytes that an ordinary user may still write at `path`, which need not exist yet."""
    return current.free_bytes(path.absolute())


def require_space(path: Path, needed: int) -> None:
    """RunFolderError naming path, needed and free bytes when fewer than `needed` can be written there."""
    if free_bytes(path) < needed:
        raise disk_full(path, needed)


def disk_full(path: Path, needed: int) -> RunFolderError:
    """The error for a write of `needed` bytes that does not fit at `path`."""
    free = free_bytes(path)
    return RunFolderError(
        f"{path}: disk full: {needed} bytes needed, {free} bytes free;"
        " make room or choose another folder with --out"
    )


@contextmanager
def readable_errors(path: Path, needed: int) -> Iterator[None]:
    """Turn a full disk or a forbidden folder, met while writing `path`, into a RunFolderError."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(path, needed) from error
        if error.errno in _REFUSED:
            raise RunFolderError(
                f"{path}: cannot be written ({error.strerror}); choose another folder with --out"
            ) from error
        raise


def make_parents(folder: Path) -> None:
    """Create `folder` and the folders above it that are missing, durably."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        current.make_folder(path)
        current.sync(path.parent)

"""How loops are compiled: for the types of a first call, without the interpreter's lock, and kept on disk.

Numba keeps what it compiled of a file until that file changes, though it may hold parts of others. Here the
folder is that of the sources of all kernels together: beside them, in the user's cache where that cannot be
written, or where NUMBA_CACHE_DIR says.

Every call of one compiled function in another is inlined. Otherwise a function found on disk calls the copies
that were compiled into it, and one just compiled calls those of this process, which round differently: a run
that goes on in another process would not repeat the first one bit for bit.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from numba import config, njit
from numba.core.caching import FunctionCache

from r1kit.errors import UserError
from r1kit.files.durable import remove_folder

# Sums may be reordered and products fused; NaN and infinity keep their meaning, a diverged model has to show.
_MATHS = {"contract", "reassoc", "nsz", "arcp", "afn"}
_KEPT = 30 * 24 * 3600
_DIGITS = 16  # of the sources' digest, in a folder's name


def _folder() -> str:
    """Where machine code is kept; empty where nothing can be written: each process compiles anew then."""
    here = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(here.glob("*.py")))
    of_user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    chosen = [Path(config.CACHE_DIR)] if config.CACHE_DIR else [here / "__pycache__", of_user / "r1kit"]
    for parent in chosen:
        folder = parent / f"kernels-{hashlib.sha256(sources).hexdigest()[:_DIGITS]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError:
            continue
        _forget_old(folder)
        return str(folder)
    return ""


def _forget_old(folder: Path) -> None:
    """Remove what other sources were compiled into, unless a process used it in the last `_KEPT` seconds."""
    with suppress(OSError):  # another user's, or being removed by another process
        os.utime(folder)
        for other in folder.parent.glob("kernels-" + "[0-9a-f]" * _DIGITS):
            if other != folder and time.time() - other.stat().st_mtime > _KEPT:
                remove_folder(other)


if config.DISABLE_JIT:
    raise UserError("NUMBA_DISABLE_JIT is set, but small models are computed by machine code alone: unset it")
_FOLDER, _LOCK = _folder(), Lock()


class _OnDisk(FunctionCache):  # type: ignore[misc]
    """Machine code on disk; what cannot be read is compiled anew, for power may fail while it is written."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # of unpickling, or of LLVM
            self.flush()
            return None


def compiled(function: Callable[..., Any]) -> Any:
    """`function` as machine code."""
    return _compiled(function, _MATHS)


def compiled_in_order(function: Callable[..., Any]) -> Any:
    """`function` as machine code that adds in the order written, where rounding errors are made to cancel."""
    return _compiled(function, _MATHS - {"reassoc"})


def _compiled(function: Callable[..., Any], maths: set[str]) -> Any:
    with _LOCK:  # threads may import kernels at the same time
        before, config.CACHE_DIR = config.CACHE_DIR, _FOLDER
        try:
            dispatcher = njit(nogil=True, fastmath=maths, error_model="numpy", forceinline=True)(function)
            if _FOLDER:
                dispatcher._cache = _OnDisk(function)
            return dispatcher
        finally:
            config.CACHE_DIR = before

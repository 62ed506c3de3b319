"""How loops are compiled: for the types of their first call, without the interpreter's lock, and kept on disk.

Numba keeps what it compiled of a file until that file changes, though it may hold parts of others. Here the
folder is that of the sources of all kernels together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

# Sums may be reordered and products fused; NaN and infinity keep their meaning, a diverged model has to show.
_MATHS = {"contract", "reassoc", "nsz", "arcp", "afn"}


def _folder() -> Path:
    here = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(here.glob("*.py")))
    chosen = Path(config.CACHE_DIR) if config.CACHE_DIR else here / "__pycache__"
    return chosen / f"kernels-{hashlib.sha256(sources).hexdigest()[:16]}"


_FOLDER = str(_folder())


def compiled(function: Callable[..., Any]) -> Any:
    """`function` as machine code."""
    return _compiled(function, _MATHS)


def compiled_in_order(function: Callable[..., Any]) -> Any:
    """`function` as machine code that adds in the order written, where rounding errors are made to cancel."""
    return _compiled(function, _MATHS - {"reassoc"})


def compiled_for_numbers(function: Callable[..., Any]) -> Any:
    """`function` as machine code that may take for granted that it meets no NaN."""
    return _compiled(function, _MATHS | {"nnan"})


def _compiled(function: Callable[..., Any], maths: set[str]) -> Any:
    before, config.CACHE_DIR = config.CACHE_DIR, _FOLDER
    try:
        return njit(nogil=True, cache=True, fastmath=maths, error_model="numpy")(function)
    except RuntimeError:  # no folder can be written: each process compiles for itself
        return njit(nogil=True, fastmath=maths, error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before

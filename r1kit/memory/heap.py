"""How the C library is told to keep what is freed, where it is GNU's."""

from __future__ import annotations

import ctypes
import os
import sys

OWN_PAGES = 32 << 20
"""Bytes from which a block has pages of its own, which go back to the system when it is freed: the highest
M_MMAP_THRESHOLD that mallopt(3) allows on 64-bit machines."""
_MALLOC = ((-3, OWN_PAGES), (-1, 2**31 - 1))  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD


def keep_freed_memory() -> None:
    """What is freed is not given back to the system, which would have to clear its pages again for the next
    micro-batch; unless the environment sets the C library's own variables.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for parameter, value in _MALLOC:
            library.mallopt(parameter, value)

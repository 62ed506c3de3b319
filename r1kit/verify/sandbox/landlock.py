"""What Landlock is asked for, per version of its interface: numbers from `linux/landlock.h`.

The rule set itself is made inside the zygote (`zygote`), which knows the folders.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_CREATE_RULESET = 444  # on every machine
_VERSION = 1

READ_FILE, READ_DIR = 1 << 2, 1 << 3
_WRITE_FILE, _REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 1, 1 << 4, 1 << 5, 1 << 7, 1 << 8
_REFER, _TRUNCATE = 1 << 13, 1 << 14

# Version -> file rights that exist; the later ones add REFER, TRUNCATE and IOCTL_DEV.
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_SINCE, _SCOPE_SINCE = 4, 6
_NET_RIGHTS = 0b11  # bind and connect of TCP
_SCOPES = 0b11  # abstract sockets and signals


@dataclass(frozen=True, slots=True)
class Request:
    """`struct landlock_ruleset_attr`, and the rights that a program gets."""

    attributes: tuple[int, ...]  # u64 fields that this version knows; everything in them is denied by default
    read: int  # in the standard library's folders
    scratch: int  # in the program's own folder
    null: int  # on /dev/null


def version() -> int:
    """The kernel's version of the interface; 0 where there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return max(0, int(found))


def request(known: int) -> Request:
    """What to ask of version `known` (1 or later) of the interface."""
    handled = _FILE_RIGHTS[max(first for first in _FILE_RIGHTS if first <= known)]
    attributes = [handled]
    if known >= _NET_SINCE:
        attributes.append(_NET_RIGHTS)
    if known >= _SCOPE_SINCE:
        attributes.append(_SCOPES)
    write = _WRITE_FILE | _TRUNCATE
    change = write | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER
    read = READ_FILE | READ_DIR
    return Request(tuple(attributes), read, (read | change) & handled, (READ_FILE | write) & handled)

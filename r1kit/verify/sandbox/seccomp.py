"""The filter of system calls as a classic BPF program: an allowlist, built as bytes.

The layout of instructions and of `seccomp_data` is that of `linux/filter.h` and `linux/seccomp.h`.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.verify.sandbox import syscalls

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

# struct seccomp_data { int nr; u32 arch; u64 instruction_pointer; u64 args[6]; }, little-endian
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_LOAD, _AND, _EQUAL, _GREATER_OR_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_X32 = 0x40000000  # the bit of x86_64's second, 32-bit set of calls

THREAD_FLAGS = (0x3D0F00, 0x7D0F00)
"""The flags of `clone` with which glibc and musl start a thread; every other use makes a process."""

FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. Not F_SETOWN, which sends signals, nor
leases, seals or notices."""

MEMBARRIER_COMMANDS = (0, 8, 16)
"""What is supported, and the barrier among a process's own threads; the others interrupt every processor."""

IOCTL_COMMANDS = (0x5401, 0x5450, 0x5451)
"""TCGETS (`isatty`), FIONCLEX and FIOCLEX."""

_FLAGS_ARGUMENT = {"open": 1, "openat": 2}
_TMPFILE = 0x400000  # the bit of O_TMPFILE that is its own
_SYNCHRONOUS = 0x101000  # O_SYNC, of which O_DSYNC is a part
_MAPPING_FLAGS = 3  # argument of mmap
_SCARCE = 0x2000 | 0x40000  # MAP_LOCKED and MAP_HUGETLB: of memory that user or machine have little of
_ACCESS_MODE, _TRUNCATE = 0o3, 0o1000
_TIMES_ARGUMENT = 2  # of utimensat
_OWN_PROCESS = 0xFFFFFFFF  # stands for the program's own process id until it is known


@dataclass(frozen=True, slots=True)
class Filter:
    """`struct sock_filter[]`, and where in it the program's own process id must be written."""

    code: bytes  # 8 bytes per instruction
    pid_at: int  # offset of the four bytes of the id


def build_filter(machine: str, files: bool) -> Filter:
    """The filter for a machine of `syscalls.MACHINES`.

    Args:
        machine: as `os.uname().machine` names it.
        files: allow the calls that open and change files, which the filter itself cannot tell apart.
    """
    allowed = syscalls.plain(machine) | (syscalls.files(machine) if files else {})
    number = syscalls.checked(machine)
    code = [*_load(_ARCH), *_unless_equal(syscalls.MACHINES[machine], KILL_PROCESS), *_load(_NUMBER)]
    if machine == "x86_64":
        code += [(_GREATER_OR_EQUAL, 0, 1, _X32), (_RETURN, 0, 0, KILL_PROCESS)]
    for nr in allowed.values():
        code += [(_EQUAL, 0, 1, nr), (_RETURN, 0, 0, ALLOW)]
    for nr in syscalls.syncing(machine).values():
        code += [(_EQUAL, 0, 1, nr), (_RETURN, 0, 0, _ERRNO | 0)]
    for nr in syscalls.absent(machine).values():
        code += [(_EQUAL, 0, 1, nr), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    if files:
        for nr in syscalls.silent(machine).values():
            code += [(_EQUAL, 0, 1, nr), (_RETURN, 0, 0, _ERRNO | 0)]
        for nr in syscalls.unsupported(machine).values():
            code += [(_EQUAL, 0, 1, nr), (_RETURN, 0, 0, _ERRNO | errno.EOPNOTSUPP)]
        for name, nr in syscalls.opening(machine).items():
            code += _when(nr, _opening(_FLAGS_ARGUMENT[name]))
        code += _when(number["utimensat"], _silent_unless_null(_TIMES_ARGUMENT))
    code += _when(number["mmap"], _without(_MAPPING_FLAGS, _SCARCE))
    code += _when(number["membarrier"], _argument_in(0, MEMBARRIER_COMMANDS))
    code += _when(number["clone"], _argument_in(0, THREAD_FLAGS))
    code += _when(number["fcntl"], _argument_in(1, FCNTL_COMMANDS))
    code += _when(number["ioctl"], _argument_in(1, IOCTL_COMMANDS))
    code += _when(number["prlimit64"], _argument_in(0, (0,)))  # 0 is the caller
    code += _when(number["tgkill"], _argument_in(0, (_OWN_PROCESS,)))
    code.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    pid_index = code.index((_EQUAL, 0, 1, _OWN_PROCESS))
    return Filter(b"".join(struct.pack("<HBBI", *line) for line in code), 8 * pid_index + 4)


_Line = tuple[int, int, int, int]  # operation, jump if true, jump if false, constant


def _load(offset: int) -> list[_Line]:
    return [(_LOAD, 0, 0, offset)]


def _unless_equal(value: int, result: int) -> list[_Line]:
    return [(_EQUAL, 1, 0, value), (_RETURN, 0, 0, result)]


def _when(number: int, check: Sequence[_Line]) -> list[_Line]:
    """Run `check`, which ends in a return, when the call is `number`."""
    return [(_EQUAL, 0, len(check), number), *check]


def _opening(index: int) -> list[_Line]:
    """Allow unless the flags of an `open` ask for what Landlock does not see.

    A file without a name, of which the file system is said to know nothing. Writing that waits for the disk,
    which may be busy with r1kit's own files. Emptying a file that is only read, and access mode 3, neither
    reading nor writing, with which one can empty it too: the first versions of Landlock have no right for
    that.
    """
    return [
        *_load(_ARGUMENTS + 8 * index),
        *[(_ANY_BIT, 0, 1, _TMPFILE | _SYNCHRONOUS), (_RETURN, 0, 0, _ERRNO | errno.EOPNOTSUPP)],
        *[(_AND, 0, 0, _ACCESS_MODE | _TRUNCATE), (_EQUAL, 0, 1, _TRUNCATE)],
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        *[(_AND, 0, 0, _ACCESS_MODE), (_EQUAL, 0, 1, _ACCESS_MODE), (_RETURN, 0, 0, _ERRNO | errno.EPERM)],
        (_RETURN, 0, 0, ALLOW),
    ]


def _silent_unless_null(index: int) -> list[_Line]:
    """Success that is not done; EPERM when the argument, a pointer, is null: then files are made as well."""
    return [
        *_load(_ARGUMENTS + 8 * index),
        (_EQUAL, 0, 3, 0),
        *_load(_ARGUMENTS + 8 * index + 4),
        *[(_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ERRNO | errno.EPERM)],
        (_RETURN, 0, 0, _ERRNO | 0),
    ]


def _without(index: int, bits: int) -> list[_Line]:
    """Allow when none of the bits is set in an argument, else EPERM."""
    refused = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    return [*_load(_ARGUMENTS + 8 * index), (_ANY_BIT, 0, 1, bits), refused, (_RETURN, 0, 0, ALLOW)]


def _argument_in(index: int, values: Sequence[int]) -> list[_Line]:
    """Allow when an argument's low half is one of `values`, else EPERM.

    The arguments looked at are 32 bits wide for the kernel too, which ignores their high half.
    """
    lines = _load(_ARGUMENTS + 8 * index)
    for value in values:
        lines += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, ALLOW)]
    return [*lines, (_RETURN, 0, 0, _ERRNO | errno.EPERM)]

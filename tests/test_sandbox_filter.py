"""The filter of system calls, run instruction by instruction on both machines that it is made for."""

from __future__ import annotations

import errno
import struct
from functools import cache

import pytest

from r1kit.verify.sandbox import syscalls
from r1kit.verify.sandbox.seccomp import ALLOW, KILL_PROCESS, build_filter

OWN = 4711
ERRNO = 0x00050000
MACHINES = list(syscalls.MACHINES)


filter_of = cache(build_filter)


def verdict(machine: str, number: int, *arguments: int, files: bool = True, arch: int | None = None) -> int:
    """What the filter returns for a call; the interpreter knows the six instructions that it uses."""
    made = filter_of(machine, files)
    code = bytearray(made.code)
    struct.pack_into("=I", code, made.pid_at, OWN)
    arch = syscalls.MACHINES[machine] if arch is None else arch
    six = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", number, arch, 0, *(value % 2**64 for value in six))
    lines = list(struct.iter_unpack("<HBBI", bytes(code)))
    at, accumulator = 0, 0
    while True:
        operation, if_true, if_false, constant = lines[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, constant)
            case 0x54:
                accumulator &= constant
            case 0x15:
                at += if_true if accumulator == constant else if_false
            case 0x35:
                at += if_true if accumulator >= constant else if_false
            case 0x45:
                at += if_true if accumulator & constant else if_false
            case 0x06:
                return constant
            case _:
                raise AssertionError(hex(operation))


# Numbers of calls that must never pass, on x86_64 and aarch64.
FORBIDDEN = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "sendmsg": (46, 211),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "chown": (92, None),
    "fchownat": (260, 54),
    "truncate": (76, 45),
    "symlinkat": (266, 36),
    "linkat": (265, 37),
    "renameat2": (316, 276),
    "open_by_handle_at": (304, 265),
    "prctl": (157, 167),
    "seccomp": (317, 277),
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122),
    "setuid": (105, 146),
    "inotify_init1": (294, 26),
    "timer_create": (222, 107),
    "personality": (135, 92),
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_reaches_beyond_the_program_is_refused(machine: str, name: str) -> None:
    number = FORBIDDEN[name][MACHINES.index(machine)]
    if number is not None:
        assert verdict(machine, number) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_only_threads_can_be_made(machine: str) -> None:
    clone, clone3 = syscalls.checked(machine)["clone"], syscalls.absent(machine)["clone3"]
    assert verdict(machine, clone, 0x3D0F00) == ALLOW
    for flags in (17, 0, 0x3D0F00 | 0x10000000, 0x3D0F00 & ~0x10000, 0x01200011):
        assert verdict(machine, clone, flags) == ERRNO | errno.EPERM
    assert verdict(machine, clone3) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_signals_reach_the_program_alone(machine: str) -> None:
    tgkill = syscalls.checked(machine)["tgkill"]
    assert verdict(machine, tgkill, OWN, OWN, 6) == ALLOW
    for process in (OWN + 1, 1, 0, -1):
        assert verdict(machine, tgkill, process, OWN, 9) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_descriptors_cannot_be_made_to_send_signals(machine: str) -> None:
    fcntl = syscalls.checked(machine)["fcntl"]
    allowed = {
        command
        for command in [*range(64), *range(1020, 1050)]
        if verdict(machine, fcntl, 0, command) == ALLOW
    }
    assert allowed == {0, 1, 2, 3, 4, 1030}  # not F_SETOWN (8), F_SETSIG (10), F_NOTIFY (1026)


@pytest.mark.parametrize("machine", MACHINES)
def test_limits_are_the_own_ones(machine: str) -> None:
    prlimit = syscalls.checked(machine)["prlimit64"]
    assert verdict(machine, prlimit, 0, 7) == ALLOW
    assert verdict(machine, prlimit, OWN + 1, 7) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_files_are_opened_only_where_landlock_guards_them(machine: str) -> None:
    openat = syscalls.opening(machine)["openat"]
    assert verdict(machine, openat, 0, 0, 0o102) == ALLOW
    assert verdict(machine, openat, 0, 0, 0o20200002) == ERRNO | errno.EOPNOTSUPP  # O_TMPFILE
    for number in [*syscalls.files(machine).values(), *syscalls.opening(machine).values()]:
        assert verdict(machine, number, files=False) == ERRNO | errno.EPERM
    for accepted in (0, 1, 2, 0o1001, 0o1102, 0o2000000):  # O_WRONLY | O_TRUNC, O_RDWR | O_CREAT | O_TRUNC
        assert verdict(machine, openat, 0, 0, accepted) == ALLOW
    for refused in (0o1000, 3, 0o1003, 0o2001000):  # emptied without writing, neither reading nor writing
        assert verdict(machine, openat, 0, 0, refused) == ERRNO | errno.EPERM
    utimensat = syscalls.checked(machine)["utimensat"]
    assert verdict(machine, utimensat, 0, 0, 0x7F0000000000) == verdict(machine, utimensat, 0, 0, 8) == ERRNO
    assert verdict(machine, utimensat, 0, 0, 0) == ERRNO | errno.EPERM  # so that `touch` makes the file
    assert verdict(machine, utimensat, 0, 0, 8, files=False) == ERRNO | errno.EPERM
    for number in syscalls.silent(machine).values():
        assert verdict(machine, number) == ERRNO  # success, and nothing is done
        assert verdict(machine, number, files=False) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_waits_for_the_disk(machine: str) -> None:
    assert sorted(syscalls.syncing(machine)) == ["fdatasync", "fsync", "msync"]
    for number in syscalls.syncing(machine).values():
        for files in (True, False):
            assert verdict(machine, number, files=files) == ERRNO  # success, and nothing is done
    openat = syscalls.opening(machine)["openat"]
    for flags in (0o10000, 0o4010000, 0o4010102):  # O_DSYNC, O_SYNC
        assert verdict(machine, openat, 0, 0, flags) == ERRNO | errno.EOPNOTSUPP


@pytest.mark.parametrize("machine", MACHINES)
def test_memory_that_is_scarce_and_barriers_that_reach_others_are_refused(machine: str) -> None:
    mmap, membarrier = syscalls.checked(machine)["mmap"], syscalls.checked(machine)["membarrier"]
    for flags in (0x22, 0x1, 0x2, 0x21, 0x4022):  # private, shared, of a file, without reservation
        assert verdict(machine, mmap, 0, 4096, 3, flags) == ALLOW
    for flags in (0x2022, 0x40022, 0x42022):  # MAP_LOCKED, MAP_HUGETLB
        assert verdict(machine, mmap, 0, 4096, 3, flags) == ERRNO | errno.EPERM
    allowed = [command for command in range(1024) if verdict(machine, membarrier, command) == ALLOW]
    assert allowed == [0, 8, 16]


@pytest.mark.parametrize("machine", MACHINES)
def test_another_set_of_calls_ends_the_program(machine: str) -> None:
    assert verdict(machine, 0, arch=0x40000003) == KILL_PROCESS  # 32-bit x86
    if machine == "x86_64":
        assert verdict(machine, 0x40000000 + 39) == KILL_PROCESS  # x32


@pytest.mark.parametrize("machine", MACHINES)
def test_whatever_is_not_listed_is_refused(machine: str) -> None:
    tables = (
        *(syscalls.plain, syscalls.files, syscalls.opening, syscalls.silent),
        *(syscalls.unsupported, syscalls.absent, syscalls.checked, syscalls.syncing),
    )
    listed = [number for table in tables for number in table(machine).values()]
    assert len(set(listed)) == len(listed)
    others = set(range(600)) - set(listed)
    assert {verdict(machine, number) for number in others} == {ERRNO | errno.EPERM}

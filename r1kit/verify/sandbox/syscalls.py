"""The system calls that a program may make, with their numbers on x86_64 and aarch64.

The first column is the name, the second the number on x86_64, the third that on aarch64 (`-`: does not exist
there). Sources: the kernel's `syscall_64.tbl` and `asm-generic/unistd.h`. Whatever is not listed fails with
EPERM: sockets, processes, signals to others, tracing, mounts, keys, io_uring, bpf, memfd, shared memory, the
changes of files that Landlock does not govern (owner, attributes, truncate by path, links), and renaming,
which can take a file's name away.
"""

from __future__ import annotations

from collections.abc import Mapping

_PLAIN = """
read 0 63; write 1 64; readv 19 65; writev 20 66; pread64 17 67; pwrite64 18 68; preadv 295 69;
pwritev 296 70; close 3 57; close_range 436 436; fstat 5 80; newfstatat 262 79; statx 332 291; lseek 8 62;
stat 4 -; lstat 6 -; access 21 -; faccessat 269 48; faccessat2 439 439;
getcwd 79 17; chdir 80 49; fchdir 81 50; umask 95 166; fadvise64 221 223;
mprotect 10 226; munmap 11 215; mremap 25 216; madvise 28 233; brk 12 214;
futex 202 98; set_robust_list 273 99; set_tid_address 218 96; rseq 334 293;
sched_yield 24 124; sched_getaffinity 204 123; getcpu 309 168; getrandom 318 278;
rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139; rt_sigpending 127 136;
rt_sigtimedwait 128 137; rt_sigsuspend 130 133; sigaltstack 131 132; restart_syscall 219 128; pause 34 -;
alarm 37 -; setitimer 38 103; getitimer 36 102; wait4 61 260; waitid 247 95;
dup 32 23; dup2 33 -; dup3 292 24; pipe 22 -; pipe2 293 59;
select 23 -; pselect6 270 72; poll 7 -; ppoll 271 73;
getpid 39 172; gettid 186 178; getppid 110 173; getpgrp 111 -; getpgid 121 155; getsid 124 156;
getuid 102 174; geteuid 107 175; getgid 104 176; getegid 108 177; getresuid 118 148; getresgid 120 150;
getgroups 115 158; uname 63 160; sysinfo 99 179; times 100 153; getrusage 98 165; getrlimit 97 163;
setrlimit 160 164; clock_gettime 228 113; clock_getres 229 114; clock_nanosleep 230 115; nanosleep 35 101;
gettimeofday 96 169; time 201 -; exit 60 93; exit_group 231 94
"""

_FILES = """
creat 85 -; getdents64 217 61; getdents 78 -; mkdir 83 -; mkdirat 258 34; ftruncate 77 46;
readlink 89 -; readlinkat 267 78
"""

_OPENING = "open 2 -; openat 257 56"

_SILENT = """
unlink 87 -; unlinkat 263 35; rmdir 84 -; chmod 90 -; fchmod 91 52; fchmodat 268 53
"""

_SYNCING = "fsync 74 82; fdatasync 75 83; msync 26 227"

_UNSUPPORTED = "listxattr 194 11; llistxattr 195 12; flistxattr 196 13"

_CHECKED = """
utimensat 280 88; clone 56 220; fcntl 72 25; ioctl 16 29; prlimit64 302 261; tgkill 234 131; mmap 9 222;
membarrier 324 283
"""

_ABSENT = "clone3 435 435; openat2 437 437; copy_file_range 326 285; sendfile 40 71"

MACHINES: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Machine -> the value of `arch` that the kernel hands to a filter (`AUDIT_ARCH_*`)."""


def _table(text: str, machine: str) -> dict[str, int]:
    column = 1 + list(MACHINES).index(machine)
    rows = [entry.split() for entry in text.split(";")]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def plain(machine: str) -> dict[str, int]:
    """Allowed with any arguments: memory, time, own descriptors, own signals, what describes a file."""
    return _table(_PLAIN, machine)


def files(machine: str) -> dict[str, int]:
    """Open and change files, read links. Allowed only where Landlock says which files."""
    return _table(_FILES, machine)


def opening(machine: str) -> dict[str, int]:
    """Allowed where `files` are, unless a file without a name is asked for."""
    return _table(_OPENING, machine)


def silent(machine: str) -> dict[str, int]:
    """Answered with success, where `files` are allowed, and not done.

    A file without a name that is still open, or mapped, takes room that nobody can count: a program could
    fill the disk with such. What a program removes is removed when it has ended. Modes and times of files are
    not Landlock's to guard; ordinary programs set them where they copy.
    """
    return _table(_SILENT, machine)


def syncing(machine: str) -> dict[str, int]:
    """Answered with success and not done, everywhere.

    Nothing of a program's files is kept, and a program cannot be ended while it waits for the disk, which may
    be busy with the caller's own files.
    """
    return _table(_SYNCING, machine)


def unsupported(machine: str) -> dict[str, int]:
    """Answered with ENOTSUP, which whoever copies a file takes for an answer."""
    return _table(_UNSUPPORTED, machine)


def checked(machine: str) -> dict[str, int]:
    """Allowed with certain arguments; see `seccomp`."""
    return _table(_CHECKED, machine)


def absent(machine: str) -> dict[str, int]:
    """Answered with ENOSYS, upon which the C library and Python take an older call."""
    return _table(_ABSENT, machine)

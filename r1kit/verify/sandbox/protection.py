"""How far programs are locked in on this machine: the best tier whose canaries are all refused."""

from __future__ import annotations

import logging
import os
import platform
import sys
import threading
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any

from r1kit.errors import SandboxError
from r1kit.verify.program_run import Runner
from r1kit.verify.programs import SUPPORTED, run_program
from r1kit.verify.sandbox import canaries, landlock, syscalls
from r1kit.verify.sandbox.pool import Pool, cores
from r1kit.verify.sandbox.worker import Plan, Zygote, ZygoteDiedError

SETTING = "allow_unsafe_programs"
"""The setting with which a user accepts programs that are not locked in."""


class Tier(StrEnum):
    """What stands between a program and the machine."""

    FULL = "full"  # Landlock, seccomp and limits
    SECCOMP = (
        "seccomp"  # seccomp and limits; no file can be opened, the standard library's other modules included
    )
    LIMITS = "limits"  # the reduced tier: a process with limits


@dataclass(frozen=True, slots=True)
class Protection:
    """A tier with what is known of it."""

    tier: Tier
    run: Runner | None  # None where programs cannot be run at all
    workers: int  # programs at a time
    breaches: tuple[str, ...]  # what a program could do in this tier
    landlock: int = 0  # version of its interface; 0: not used
    user_dropped: bool = False  # programs have another user than r1kit
    counted_apart: bool = False  # a program's limit of processes counts its own alone, not its user's others
    missing: str = ""  # why the tiers above this one are not in force

    @property
    def safe(self) -> bool:
        """Whether all canaries were refused."""
        return self.run is not None and not self.breaches

    def require(self, allow_unsafe: bool) -> Runner:
        """What runs programs. Raises SandboxError when it is not safe and that was not allowed."""
        if self.run is None:
            raise SandboxError(
                f"the code task is refused on {platform.system()}, which has neither a sandbox for the "
                "programs that the model writes nor a limit on what they use; run it on Linux"
            )
        if self.breaches and not allow_unsafe:
            raise SandboxError(
                f"no sandbox here holds the programs that the model writes ({self.missing}); in the reduced "
                f"tier, a process with limits, one could {', '.join(self.breaches)}; run the code task on "
                f"Linux 5.13 or later with Landlock and seccomp, or accept this with {SETTING}=true (in a "
                "recipe's tasks, or with --set)"
            )
        if self.breaches:
            _warn(", ".join(self.breaches))
        return self.run

    def record(self) -> dict[str, Any]:
        """For `run.json`."""
        return {
            "tier": str(self.tier),
            "landlock": self.landlock,
            "user_dropped": self.user_dropped,
            "counted_apart": self.counted_apart,
            "workers": self.workers,
            "breaches": list(self.breaches),
            "missing": self.missing,
        }


@cache
def _warn(breaches: str) -> None:
    """Say once per process what is not protected."""
    _log.warning(
        "programs that the model writes run without a sandbox, as you allowed; one could %s", breaches
    )


_log = logging.getLogger(__name__)
_found: dict[int, Protection] = {}
_lock = threading.Lock()


def _new_lock() -> None:
    """In a forked copy of the process: the thread that held the lock is not there."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def find_protection(workers: int = 0) -> Protection:
    """The protection of this process for so many programs at a time (0: the cores), found out once."""
    workers = workers or cores()
    with _lock:
        if workers not in _found:
            _found[workers] = _best(workers)
        return _found[workers]


def _best(workers: int) -> Protection:
    if not SUPPORTED:
        return Protection(Tier.LIMITS, None, workers, (), missing="not a POSIX system")
    reasons: list[str] = []
    for tier in (Tier.FULL, Tier.SECCOMP):
        try:
            return replace(try_tier(tier, workers), missing="; ".join(reasons))
        except SandboxError as error:
            reasons.append(f"{tier}: {error}")
    return Protection(
        Tier.LIMITS, run_program, workers, tuple(canaries.breaches(run_program)), missing="; ".join(reasons)
    )


def try_tier(tier: Tier, workers: int) -> Protection:
    """That tier, which must not be LIMITS. Raises SandboxError when it cannot be had here or is breached."""
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in syscalls.MACHINES:
        raise SandboxError(f"needs Linux on {' or '.join(syscalls.MACHINES)}")
    known = landlock.version() if tier is Tier.FULL else 0
    if tier is Tier.FULL and not known:
        raise SandboxError("this kernel has no Landlock")
    if not os.path.exists("/proc/self/mem"):
        raise SandboxError("/proc is not mounted, so that nothing shows whether a program is held from it")
    plan = Plan(machine, known)
    try:
        zygote = Zygote(plan)
        try:
            breaches = canaries.breaches(zygote.run)
        finally:
            zygote.close()
    except (ZygoteDiedError, OSError) as error:
        raise SandboxError(str(error)) from None
    if breaches:
        raise SandboxError(f"a program could {', '.join(breaches)}")
    pool = Pool(plan, workers)
    return Protection(tier, pool, workers, (), known, zygote.user_dropped, zygote.counted_apart)

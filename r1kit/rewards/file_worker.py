"""The process that imports one reward file: JSON lines in, JSON lines out. `files` starts it.

It imports the file once and scores each request in a fork, so that nothing that a term keeps between calls
outlives a step (a resumed run must score as the uninterrupted one did), and that a term which never returns
is ended by its own alarm without importing the file again. `random` is seeded in every fork. On Linux the
memory of a fork is bounded, and that of the import.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import math
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from r1kit.errors import UserError
from r1kit.rewards.boundary import several, single
from r1kit.rewards.registry import REWARDS, RewardEntry, describe
from r1kit.rewards.samples import from_data
from r1kit.tasks.registry import settings_from
from r1kit.types import Failure, Unscored

WALL = 3.0  # seconds on the clock for each allowed second of the processor
IMPORT_BYTES = 8 << 30  # of memory written to while the file is imported; torch takes a tenth
MEMORY_STATUS = 113  # exit status of a fork that ran out of memory; no program's own

Reply = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Import the file that the argument names, then answer requests until the input ends."""
    requests, reply = _requests(), _replies()
    sys.dont_write_bytecode = True
    file = Path(sys.argv[1])
    _bound(resource.RLIMIT_DATA, IMPORT_BYTES)
    entries = _terms(file, reply)
    if entries is None:
        return
    for line in requests:
        request = json.loads(line)
        entry = entries[request["term"]]
        try:
            parameters = settings_from(entry.parameters, request["params"], f"reward {entry.name!r}")
        except UserError as error:
            reply({"fault": str(error)})
            continue
        if "samples" in request:
            reply({"end": _in_fork(functools.partial(_score, entry, parameters, request, reply))})
        else:
            reply({"good": True})


def _terms(file: Path, reply: Reply) -> dict[str, RewardEntry] | None:
    """The terms that importing the file registers, told to the caller; None where something is wrong."""
    built_in = set(REWARDS)
    try:
        spec = importlib.util.spec_from_file_location("reward_file", file)
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file; its name must end in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["reward_file"] = module  # pydantic looks annotations up there
        spec.loader.exec_module(module)
        entries = {name: entry for name, entry in REWARDS.items() if name not in built_in}
        told = [_described(entry) for entry in entries.values()]
    except MemoryError:
        reply({"fault": f"importing it took more than {IMPORT_BYTES >> 30} GiB of memory"})
        return None
    except BaseException as error:  # whatever the file does while it is imported
        reply({"fault": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]})
        return None
    reply({"terms": told})
    return entries


def _described(entry: RewardEntry) -> dict[str, Any]:
    """JSON of one entry."""
    if not isinstance(entry.formula, str) or not isinstance(entry.source, str):
        raise ValueError(f"reward {entry.name!r}: formula and source must be text")
    for bound in (entry.low, entry.high):
        if not isinstance(bound, int | float) or not math.isfinite(bound):
            raise ValueError(f"reward {entry.name!r}: low and high must be finite numbers, found {bound!r}")
    told = {**describe([entry])[0], "about": entry.about, "batch": entry.batch}
    told["parameters"] = [{**found, "default": _plain(found["default"])} for found in told["parameters"]]
    return told


def _plain(default: object) -> Any:
    """A default as JSON has it, or its text."""
    return json.loads(json.dumps(default, default=str))


def _score(entry: RewardEntry, parameters: object, request: Mapping[str, Any], reply: Reply) -> None:
    """Score samples one by one, or as a batch; one reply each."""
    assert entry.function is not None
    _allow_memory(request["memory"])
    random.seed(0)  # a fork draws anew from the system
    samples = [from_data(data) for data in request["samples"]]
    seconds, own = request["seconds"], os.getpid()

    def tell(outcome: float | Unscored) -> None:
        if os.getpid() != own:  # a term forked and its copy returned as well: its values are nobody's
            os._exit(1)
        reply(_outcome(outcome))

    if entry.batch:
        _allow(seconds)
        for outcome in several(entry.name, entry.function, samples, parameters):
            tell(outcome)
        return
    for sample in samples:
        _allow(seconds)
        tell(single(entry.name, entry.function, sample, parameters))


def _outcome(value: float | Unscored) -> dict[str, Any]:
    """JSON of one outcome. Raises MemoryError for a term that did: what it kept would fail the next ones."""
    if isinstance(value, Unscored):
        if value.failure is Failure.OUT_OF_MEMORY:
            raise MemoryError
        return {"failure": value.failure.value, "detail": value.detail}
    return {"value": value}


def _in_fork(work: Callable[[], None]) -> str:
    """Do the work in a child of this process; how that ended: "done", "hung", "memory" or "died"."""
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        ends = {0: "done", MEMORY_STATUS: "memory", -signal.SIGALRM: "hung", -signal.SIGXCPU: "hung"}
        return ends.get(status, "died")
    try:
        work()
        os._exit(0)
    except MemoryError:
        os._exit(MEMORY_STATUS)
    finally:
        os._exit(1)


def _allow(seconds: float) -> None:
    """From now on so much processor time, on the clock `WALL` times as much; then the process is killed."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds * WALL)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(time.process_time() + seconds)
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def _allow_memory(more: int) -> None:
    """From now on so many bytes of address space beyond what this process has, which Linux tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return
    _bound(resource.RLIMIT_DATA, resource.RLIM_INFINITY)
    _bound(resource.RLIMIT_AS, pages * resource.getpagesize() + more)


def _bound(limit: int, value: int) -> None:
    """Set a limit, as far as the one that the process was started with allows it."""
    _, hard = resource.getrlimit(limit)
    fits = hard == resource.RLIM_INFINITY or 0 <= value <= hard
    with contextlib.suppress(ValueError, OSError):  # macOS refuses limits of memory
        resource.setrlimit(limit, (value if fits else hard, hard))


def _requests() -> TextIO:
    """The standard input, of which what the file reads gets nothing."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return requests


def _replies() -> Reply:
    """Writes one line to the standard output, which what the file prints does not reach."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def reply(message: Mapping[str, Any]) -> None:
        print(json.dumps(message), file=output, flush=True)

    return reply


if __name__ == "__main__":
    main()

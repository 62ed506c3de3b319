"""What surrounds r1kit changes nothing for programs: its user's processes, its limits, its forks, /proc."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from r1kit.errors import SandboxError
from r1kit.verify.program_run import Ending, Limits, ProgramRun, Result
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox import canaries, landlock, protection, worker
from r1kit.verify.sandbox.protection import Tier, find_protection, try_tier
from r1kit.verify.sandbox.worker import Plan, Zygote
from r1kit.verify.sandbox.zygote import SOURCE

pytestmark = pytest.mark.skipif(
    find_protection().tier is not Tier.FULL, reason="this machine has no Landlock with seccomp"
)

LIMITS = Limits(seconds=2, wall_seconds=20.0)
PLAN = Plan(os.uname().machine, landlock.version())
ROOT = Path(__file__).parents[1]
ONE_USER = 1073700000  # that no program of another test has
THREADS = (
    "import threading\ndef f(count):\n    done = threading.Event()\n"
    "    made = [threading.Thread(target=done.wait) for _ in range(count)]\n"
    "    for each in made: each.start()\n    done.wait(0.5)\n    done.set()\n"
    "    for each in made: each.join()\n    return count"
)


def one_user(monkeypatch: pytest.MonkeyPatch, namespaces: bool) -> None:
    """Zygotes become one unprivileged user, as those of an r1kit that is not root are."""
    changes = {}
    if os.geteuid() == 0:
        user = f"{ONE_USER}, {ONE_USER}"
        become = f"os.chown(FOLDER, {user}); os.setgroups([]); os.setresgid({user}, {ONE_USER}); "
        changes["USER = choose_user()"] = f"{become}os.setresuid({user}, {ONE_USER})\nUSER = None"
    if not namespaces:
        changes["NAMESPACE = NAMESPACE and APART"] = "APART = NAMESPACE = False"
    source = SOURCE
    for old, new in changes.items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    monkeypatch.setattr(worker, "SOURCE", source)


def together(*works: Callable[[], ProgramRun]) -> list[ProgramRun]:
    found: dict[int, ProgramRun] = {}
    threads = [
        threading.Thread(target=lambda number=number, work=work: found.update({number: work()}))
        for number, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in range(len(works))]


def test_a_namespace_counts_the_processes_of_a_program_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Zygote(PLAN)
    one_user(monkeypatch, namespaces=True)
    shared = Zygote(PLAN)
    one_user(monkeypatch, namespaces=False)
    refused = Zygote(PLAN)
    try:
        if not shared.counted_apart:
            pytest.skip("this machine makes no user namespaces, or its Linux is older than 5.14")
        assert (own.counted_apart, refused.counted_apart) == (True, False)
    finally:
        for made in (own, shared, refused):
            made.close()


@pytest.mark.parametrize("namespaces", [True, False])
def test_programs_of_one_user_leave_each_other_room_for_threads(
    monkeypatch: pytest.MonkeyPatch, namespaces: bool
) -> None:
    one_user(monkeypatch, namespaces)
    zygotes = [Zygote(PLAN) for _ in range(2)]
    few = Limits(seconds=2, wall_seconds=20.0, processes=50)  # 40 threads of another program use them up
    try:
        runs = together(*[lambda z=z: z.run(THREADS, "f", ["[40]"], few) for z in zygotes])
        assert [run.results for run in runs] == [(Result(40),)] * 2
    finally:
        for zygote in zygotes:
            zygote.close()


def test_a_program_that_starts_threads_without_end_leaves_room_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_user(monkeypatch, namespaces=True)
    zygotes = [Zygote(PLAN) for _ in range(2)]
    if not zygotes[0].counted_apart:
        pytest.skip("this machine makes no user namespaces, or its Linux is older than 5.14")
    bomb = (
        "import threading, time\nthreading.stack_size(32768)\ndef f():\n    made = 0\n"
        "    end = time.monotonic() + 1\n    while time.monotonic() < end:\n"
        "        try:\n            threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
        "            made += 1\n        except RuntimeError: time.sleep(0.01)\n    return made"
    )
    try:
        bombed, *others = together(
            lambda: zygotes[0].run(bomb, "f", ["[]"], LIMITS),
            lambda: zygotes[1].run(THREADS, "f", ["[40]", "[40]"], LIMITS),
        )
        assert others[0].results == (Result(40), Result(40))
        assert bombed.results == (Result(63),)
    finally:
        for zygote in zygotes:
            zygote.close()


def test_a_program_has_limits_of_its_own_for_signals_and_stacks() -> None:
    code = (
        "import resource, threading\ndef f():\n    names = ('SIGPENDING', 'STACK')\n"
        "    found = [resource.getrlimit(getattr(resource, 'RLIMIT_' + name))[0] for name in names]\n"
        "    return found + [threading.stack_size()]"
    )
    zygote = Zygote(PLAN)
    try:
        assert zygote.run(code, "f", ["[]"], LIMITS).results == (Result([64, 8 << 20, 8 << 20]),)
    finally:
        zygote.close()


PROBE = """
import json, os, resource, sys
from r1kit.errors import SandboxError
from r1kit.verify.program_run import Limits
from r1kit.verify.sandbox.protection import Tier, try_tier
kind, most = getattr(resource, 'RLIMIT_' + sys.argv[1]), int(sys.argv[2])
resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
code = '''
import threading
def f(x):
    threads = [threading.Thread(target=int) for _ in range(8)]
    for each in threads: each.start()
    for each in threads: each.join()
    return x
'''
try:
    found = try_tier(Tier.FULL, 1)
    print(json.dumps(found.run(code, 'f', ['[7]'], Limits()).results[0].value))
except SandboxError as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.parametrize(
    ("limit", "most", "told"),
    [
        ("NOFILE", 64, 7),
        ("NOFILE", 24, 7),
        ("NOFILE", 7, "[Errno 24] Too many open files"),
        ("STACK", 1 << 30, 7),  # the stacks of eight threads would not fit into a program's memory
    ],
)
def test_limits_of_the_caller_are_borne_or_told(limit: str, most: int, told: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, limit, str(most)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    found = json.loads(done.stdout or json.dumps(done.stderr))
    assert found == told or (isinstance(told, str) and told in found)


FORK = """
import json, os
from r1kit.verify.program_run import Limits
from r1kit.verify.sandbox import landlock
from r1kit.verify.sandbox.pool import Pool
from r1kit.verify.sandbox.worker import Plan

def sockets():
    found = set()
    for name in os.listdir('/proc/self/fd'):
        try: found.add(os.readlink('/proc/self/fd/' + name))
        except OSError: pass
    return {name for name in found if name.startswith('socket:')}

def ask(pool):
    code = 'import os\\ndef f(x): return [os.getppid(), x]'
    return [pool(code, 'f', [f'[{n}]'], Limits()).results[0].value for n in range(20)]

before = sockets()
pool = Pool(Plan(os.uname().machine, landlock.version()), 1)
ask(pool)
held = sockets() - before
reader, writer = os.pipe()
if os.fork() == 0:
    shared = len(held & sockets())
    os.write(writer, json.dumps([shared, ask(pool)]).encode())
    os._exit(0)
os.close(writer)
mine = ask(pool)
with open(reader) as file:
    theirs = json.loads(file.read())
os.wait()
print(json.dumps([len(held), mine, theirs, ask(pool)[0][0]]))
"""


def test_a_forked_copy_of_r1kit_has_zygotes_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    held, mine, (shared, theirs), after = json.loads(done.stdout)
    assert (held, shared) == (1, 0)  # a copy of the socket would keep the zygote alive after r1kit
    assert [value for _, value in mine] == [value for _, value in theirs] == list(range(20))
    (zygote,), (other,) = {process for process, _ in mine}, {process for process, _ in theirs}
    assert zygote != other
    assert after == zygote


def test_what_proc_hides_is_no_proof_and_no_breach() -> None:
    hidden = (1 << 22) + 5  # no process has such a number: as where /proc is mounted with hidepid=2
    zygote = Zygote(PLAN)
    given = [repr(["read_memory_file", hidden, 0, 1])]
    try:
        held = zygote.run(canaries.PROGRAM, "attack", given, LIMITS)
        assert held.results == (Result(["failed", "EACCES"]),)
    finally:
        zygote.close()
    plain = run_program(canaries.PROGRAM, "attack", given, LIMITS)
    assert plain.results == (Result(["failed", errno.errorcode[errno.ENOENT]]),)


def test_a_machine_without_proc_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection.os.path, "exists", lambda path: path != "/proc/self/mem")
    with pytest.raises(SandboxError, match="/proc is not mounted"):
        try_tier(Tier.FULL, 1)


def test_a_script_cannot_sleep_its_next_test_away() -> None:
    zygote, limits = Zygote(PLAN), Limits(seconds=1, wall_seconds=0.3)
    try:
        runs = [
            zygote.run(f"import time\ntime.sleep({0.3 - left / 2000})\nprint(1)", None, ["", ""], limits)
            for left in range(1, 16)
        ]
        assert {run.ending for run in runs} == {Ending.TOO_SLOW}
    finally:
        zygote.close()


def test_the_outputs_of_a_script_share_one_limit_of_size() -> None:
    zygote, limits = Zygote(PLAN), Limits(result_bytes=10_000)
    try:
        run = zygote.run("print('a' * 4000)", None, [""] * 5, limits)
        assert (len(run.results), run.ending) == (3, Ending.TOO_MUCH)
    finally:
        zygote.close()

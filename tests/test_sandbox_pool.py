"""Zygotes in a pool: many at a time, replaced when they die, gone when their caller is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from r1kit.types import Outcome
from r1kit.verify.program_batch import run_batch
from r1kit.verify.program_check import Check, check_programs
from r1kit.verify.program_run import Ending, Limits, ProgramRun, Result
from r1kit.verify.sandbox import landlock
from r1kit.verify.sandbox.pool import Pool
from r1kit.verify.sandbox.protection import Tier, find_protection
from r1kit.verify.sandbox.worker import Plan, Zygote, ZygoteDiedError

pytestmark = pytest.mark.skipif(
    find_protection().tier is not Tier.FULL, reason="this machine has no Landlock with seccomp"
)

LIMITS = Limits(seconds=1, wall_seconds=20.0)
PLAN = Plan(os.uname().machine, landlock.version())


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(PLAN, 2)
    yield made
    made.close()


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    made = Zygote(PLAN)
    yield made
    made.close()


def value(run: ProgramRun) -> object:
    assert run.ending is Ending.FINISHED, run
    return run.results[0].value


def wait_until_gone(process: int) -> None:
    stat, deadline = Path(f"/proc/{process}/stat"), time.monotonic() + 20
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline, f"process {process} lives on"
        time.sleep(0.01)


@pytest.mark.parametrize("version", range(1, max(2, landlock.version() + 1)))
@pytest.mark.parametrize("flags", [os.O_RDONLY | os.O_TRUNC, 3 | os.O_TRUNC, os.O_WRONLY | os.O_TRUNC])
def test_no_version_of_landlock_lets_a_file_outside_be_emptied(
    tmp_path: Path, version: int, flags: int
) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "kept").write_text("text")
    (tmp_path / "kept").chmod(0o666)
    made = Zygote(Plan(os.uname().machine, version))
    try:
        code = f"import os\ndef f(path): os.close(os.open(path, {flags}))"
        run = made.run(code, "f", [repr([str(tmp_path / "kept")])], LIMITS)
        assert run.results[0].error == "PermissionError"
        assert (tmp_path / "kept").read_text() == "text"
    finally:
        made.close()


def test_a_zygote_of_a_caller_with_many_descriptors_keeps_its_own_to_itself() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1600:
        pytest.skip("this machine allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1600, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1200)]
    try:
        made = Zygote(PLAN)
        try:
            code = (
                "import os\ndef f():\n    found = []\n    for n in range(3000):\n"
                "        try: os.fstat(n); found.append(n)\n        except OSError: pass\n    return found"
            )
            assert value(made.run(code, "f", ["[]"], LIMITS)) == [0, 1, 2, 3]
        finally:
            made.close()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


BURN = (
    "import time\nstart = time.process_time()\nwhile time.process_time() - start < 0.4: pass\nprint(input())"
)


def test_the_limit_of_processor_time_is_for_all_tests_of_a_script_together(zygote: Zygote) -> None:
    run = zygote.run(BURN, None, ["1", "2", "3", "4"], LIMITS)
    assert run.ending is Ending.TOO_SLOW
    assert len(run.results) < 4
    check = Check(BURN, None, [{"stdin": "1", "stdout": "1"}] * 3, LIMITS)
    (verdict,) = check_programs([check], zygote.run, 1, 60.0)
    assert verdict.outcome is Outcome.TIMEOUT


def test_a_program_that_ignores_the_signal_of_its_limit_is_too_slow(zygote: Zygote) -> None:
    code = (
        "import signal, time\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
        "def f():\n    while time.process_time() < 1.4: pass\n    return 1"
    )
    run = zygote.run(code, "f", ["[]"], LIMITS)
    assert (run.ending, run.results) == (Ending.TOO_SLOW, (Result(1),))


THREADS = (
    "import threading\ndef f(count):\n    done = threading.Event()\n"
    "    made = [threading.Thread(target=done.wait) for _ in range(count)]\n"
    "    for each in made: each.start()\n    done.wait(0.5)\n    done.set()\n"
    "    for each in made: each.join()\n    return count"
)


def test_a_program_may_have_dozens_of_threads_and_no_more(zygote: Zygote) -> None:
    assert value(zygote.run(THREADS, "f", ["[40]"], LIMITS)) == 40
    many = zygote.run(THREADS, "f", ["[500]"], LIMITS)
    assert not many.results or many.results[0].error


def test_files_are_touched_and_time_zones_known(zygote: Zygote) -> None:
    code = (
        "from pathlib import Path\nimport mmap\ndef f():\n    Path('a').touch()\n"
        "    with open('b', 'wb+') as file:\n        file.write(b'x' * 4096)\n        file.flush()\n"
        "        with mmap.mmap(file.fileno(), 0) as view:\n            view[0:1] = b'y'\n"
        "            view.flush()\n    return [Path('a').exists(), open('b').read()[:2]]"
    )
    assert value(zygote.run(code, "f", ["[]"], LIMITS)) == [True, "yx"]
    if Path("/usr/share/zoneinfo/Europe/Paris").exists():
        code = "import zoneinfo\ndef f(): return str(zoneinfo.ZoneInfo('Europe/Paris'))"
        assert value(zygote.run(code, "f", ["[]"], LIMITS)) == "Europe/Paris"


def test_a_batch_keeps_its_order_whatever_takes_how_long(pool: Pool) -> None:
    codes = [f"import time\ndef f(x):\n    time.sleep({0.1 * (n % 3)})\n    return x + {n}" for n in range(9)]
    runs = run_batch([partial(pool, code, "f", ["[100]"], LIMITS) for code in codes], 2, 60.0)
    assert [value(run) for run in runs if run] == list(range(100, 109))


def test_programs_of_a_batch_run_at_the_same_time(pool: Pool) -> None:
    code = (
        "import time\ndef f(x):\n    began = time.monotonic()\n    time.sleep(x)\n"
        "    return [began, time.monotonic()]"
    )
    for seconds in (0.1, 1.0):  # the first time, zygotes are started
        found = run_batch([partial(pool, code, "f", [f"[{seconds}]"], LIMITS)] * 2, 2, 60.0)
    (began, ended), (began_too, ended_too) = (run.results[0].value for run in found if run)
    assert began < ended_too
    assert began_too < ended


def test_a_batch_ends_in_time_and_says_what_was_not_run(pool: Pool) -> None:
    sleeps = Check("import time\ntime.sleep(60)\nf = 0", "f", [{"args": [0], "expected": 0}], Limits(1, 0.2))
    verdicts = check_programs([sleeps] * 40, pool, 2, 0.7)
    outcomes = [verdict.outcome for verdict in verdicts]
    begun = outcomes.count(Outcome.TIMEOUT)
    assert 2 <= begun <= 8
    assert outcomes == [Outcome.TIMEOUT] * begun + [Outcome.ERROR] * (40 - begun)
    assert verdicts[-1].detail == "40 programs took more than 0.7 s together"


def test_any_thread_may_run_programs(pool: Pool) -> None:
    found: list[object] = []
    jobs = [
        threading.Thread(
            target=lambda n=n: found.append(value(pool(f"def f(x): return {n}", "f", ["[0]"], LIMITS)))
        )
        for n in range(8)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert sorted(map(str, found)) == list("01234567")


def test_a_zygote_that_is_killed_costs_no_result(pool: Pool) -> None:
    assert value(pool("import os\ndef f(x): return os.getppid()", "f", ["[0]"], LIMITS))
    for _ in range(3):
        zygote = value(pool("import os\ndef f(x): return os.getppid()", "f", ["[0]"], LIMITS))
        assert isinstance(zygote, int)
        os.kill(zygote, signal.SIGKILL)
        assert value(pool("def f(x): return 1", "f", ["[0]"], LIMITS)) == 1


def test_a_program_whose_zygotes_keep_dying_is_tried_twice_and_not_graded(pool: Pool) -> None:
    code = "import os, time\ndef f(x):\n    time.sleep(30)"
    killed: list[int] = []

    def killer() -> None:
        while len(killed) < 2:
            for path in Path("/proc").glob("[0-9]*/stat"):
                try:
                    parent = int(path.read_text().rpartition(")")[2].split()[1])
                    command = (path.parent / "cmdline").read_bytes()
                except (OSError, IndexError):
                    continue
                # the child of a zygote, whose parent is this process, is the program
                if b"RESTRICT_SELF" in command and parent != os.getpid() and _parent(parent) == os.getpid():
                    killed.append(parent)
                    os.kill(parent, signal.SIGKILL)
                    time.sleep(0.1)

    thread = threading.Thread(target=killer)
    thread.start()
    run = pool(code, "f", ["[0]"], LIMITS)
    thread.join()
    assert run.ending is Ending.NOT_STARTED
    assert "the sandbox's process has ended" in run.reason
    assert len(set(killed)) == 2
    for zygote in killed:
        wait_until_gone(zygote)


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_zygotes_and_programs_end_with_a_caller_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import threading, sys\n"
        "from r1kit.verify.program_run import Limits\n"
        "from tests_plan import PLAN\n"
        "from r1kit.verify.sandbox.pool import Pool\n"
        "pool = Pool(PLAN, 1)\n"
        "code = 'import os, time\\ndef f(x): return [os.getpid(), os.getppid()]'\n"
        "print(*pool(code, 'f', ['[0]'], Limits()).results[0].value, flush=True)\n"
        "pool('import time\\ndef f(x): time.sleep(600)', 'f', ['[0]'], Limits(wall_seconds=600))\n"
    )
    (tmp_path / "tests_plan.py").write_text(
        f"from r1kit.verify.sandbox.worker import Plan\nPLAN = Plan({PLAN.machine!r}, {PLAN.landlock})\n"
    )
    folders = tmp_path / "tmp"
    folders.mkdir()
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, str(tmp_path)]), "TMPDIR": str(folders)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as caller:
        assert caller.stdout is not None
        zygote = int(caller.stdout.readline().split()[1])
        deadline = time.monotonic() + 20
        while not (sleeping := _children(zygote)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        caller.kill()
    wait_until_gone(zygote)
    for child in sleeping:
        wait_until_gone(child)
    assert list(folders.iterdir()) == []


def _children(process: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_closing_ends_the_zygotes_and_removes_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pool = Pool(PLAN, 2)
    zygote = value(pool("import os\ndef f(x): return os.getppid()", "f", ["[0]"], LIMITS))
    assert len(list(tmp_path.iterdir())) == 1
    pool.close()
    assert not Path(f"/proc/{zygote}").exists()
    assert list(tmp_path.iterdir()) == []


def test_an_interpreter_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(ZygoteDiedError, match="/nowhere/python"):
        Zygote(PLAN)
    monkeypatch.setattr("sys.executable", "/bin/false")
    run = Pool(PLAN, 1)("def f(x): return 1", "f", ["[0]"], LIMITS)
    assert (run.ending, run.reason) == (Ending.NOT_STARTED, "the sandbox's process has ended")
    assert list(tmp_path.iterdir()) == []


def test_processor_time_is_the_kernels_and_cannot_be_denied(zygote: Zygote) -> None:
    code = (
        "import os, threading, time\n"
        "def burn():\n"
        "    end = time.thread_time() + 0.3\n"
        "    while time.thread_time() < end: pass\n"
        "def f(x):\n"
        "    thread = threading.Thread(target=burn)\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "    time.process_time = time.thread_time = time.perf_counter = lambda: 0.0\n"
        "    os.times = lambda: (0.0,) * 5\n"
        "    return x"
    )
    run = zygote.run(code, "f", ["[1]"], LIMITS)
    assert value(run) == 1
    assert 0.3 <= run.cpu_seconds < 1.0
    quick = zygote.run("def f(x): return x", "f", ["[1]"], LIMITS)
    assert quick.cpu_seconds < 0.3


def test_a_script_has_a_process_for_each_test(zygote: Zygote) -> None:
    code = "import os, builtins\nprint(os.getpid(), hasattr(builtins, 'mark'))\nbuiltins.mark = 1"
    run = zygote.run(code, None, ["", "", ""], LIMITS)
    lines = [str(result.value).split() for result in run.results]
    assert len({process for process, _ in lines}) == 3
    assert [mark for _, mark in lines] == ["False"] * 3


def test_the_tests_of_a_script_share_one_limit_of_time(zygote: Zygote) -> None:
    run = zygote.run("import time\ntime.sleep(0.4)", None, [""] * 5, Limits(wall_seconds=1.0))
    assert run.ending is Ending.TOO_SLOW
    assert run.results in ((), (Result(""),), (Result(""), Result("")))


BRIEF = Limits(wall_seconds=600.0, sleep_seconds=0.4)


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(900)",
        "threading.Event().wait()",
        "[threading.Thread(target=time.sleep, args=(900,)).start() for _ in range(9)], time.sleep(900)",
        "while True: time.sleep(0.02)",
    ],
)
def test_a_program_that_does_nothing_is_ended_long_before_the_clock(zygote: Zygote, code: str) -> None:
    run = zygote.run(f"import threading, time\ndef f(x):\n    {code}", "f", ["[0]"], BRIEF)
    assert run.ending is Ending.TOO_SLOW
    assert value(zygote.run("def f(x): return 1", "f", ["[0]"], BRIEF)) == 1


def test_the_tests_of_a_script_share_one_limit_of_sleep(zygote: Zygote) -> None:
    run = zygote.run("import time\ntime.sleep(0.3)", None, [""] * 5, BRIEF)
    assert run.ending is Ending.TOO_SLOW
    assert len(run.results) < 5


def test_who_waits_for_a_thread_that_works_is_not_asleep(zygote: Zygote) -> None:
    code = (
        "import threading, time\ndef f(x):\n    def work():\n"
        "        while time.process_time() < 1: pass\n"
        "    thread = threading.Thread(target=work)\n    thread.start()\n    thread.join()\n    return x"
    )
    assert value(zygote.run(code, "f", ["[7]"], BRIEF)) == 7


def test_programs_that_sleep_leave_the_batch_time_for_the_others(pool: Pool) -> None:
    tests, limits = [{"args": [0], "expected": 0}], Limits(wall_seconds=60.0, sleep_seconds=0.4)
    sleeps = Check("import time\ntime.sleep(900)\nf = abs", "f", tests, limits)
    verdicts = check_programs([*[sleeps] * 6, Check("f = abs", "f", tests, limits)], pool, 2, 50.0)
    assert [verdict.outcome for verdict in verdicts] == [*[Outcome.TIMEOUT] * 6, Outcome.CORRECT]


def test_unseeded_random_numbers_repeat(zygote: Zygote) -> None:
    code = "import random\ndef f(x): return [random.random(), random.randint(0, 10**9)]"
    assert value(zygote.run(code, "f", ["[1]"], LIMITS)) == value(zygote.run(code, "f", ["[1]"], LIMITS))


def test_what_a_program_leaves_is_gone_before_the_next(zygote: Zygote) -> None:
    make = "os.makedirs('a/b')\n    open('a/b/c', 'w').write('x')"
    leave = f"import os\ndef f(x):\n    {make}\n    return os.listdir()"
    assert value(zygote.run(leave, "f", ["[1]"], LIMITS)) == ["a"]
    assert not zygote.spent
    assert value(zygote.run("import os\ndef f(x): return os.listdir()", "f", ["[1]"], LIMITS)) == []


def test_a_program_that_fills_its_folder_is_ended(zygote: Zygote) -> None:
    code = "def f(x):\n    for n in range(10**6): open(str(n), 'wb').write(b'a' * 2**20)"
    run = zygote.run(code, "f", ["[1]"], Limits(seconds=5, wall_seconds=20.0, folder_mb=16))
    assert (run.ending, run.reason) == (Ending.BROKE_OFF, "more than 16 MB or too many files")

"""The processes of the symbolic check: limits, deaths, threads, forks, ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from r1kit.types import Outcome
from r1kit.verify.maths import symbolic
from r1kit.verify.maths.checker import check
from r1kit.verify.maths.declared import Tolerance
from r1kit.verify.maths.trees import Tree

ROOT = Path(__file__).parents[1]


def num(value: int) -> Tree:
    return ("num", Fraction(value))


X: Tree = ("sym", "x")
ONE: Tree = ("add", ("pow", ("fn", "sin", X), num(2)), ("pow", ("fn", "cos", X), num(2)))
ENDLESS: Tree = ("pow", num(9), ("pow", num(9), num(9)))  # the parser refuses it; the limits must hold anyway


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    OTHERS.update(all_children())
    yield
    symbolic.close()
    assert children() == []


OTHERS: set[int] = set()  # processes that earlier tests of other parts have left running


def children() -> list[int]:
    """The symbolic check's processes, dead ones that nobody waited for among them."""
    return [child for child in all_children() if child not in OTHERS]


def all_children() -> list[int]:
    """Process ids of this process's children."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(path.parent.name))
    return found


def test_pairs_are_equal_unequal_or_open() -> None:
    root: Tree = ("root", num(3), num(2))
    pairs = [
        (num(1), ONE),
        (num(2), ONE),
        (root, ("pow", num(2), ("div", num(1), num(3)))),
        (X, ("fn", "abs", X)),
    ]
    assert symbolic.compare(pairs) == [True, False, True, False]


@pytest.mark.parametrize(
    ("answer", "gold", "outcome"),
    [
        (r"\ln(ab)", r"\ln a + \ln b", Outcome.CORRECT),
        (r"\ln a + \ln b", r"\ln(ab)", Outcome.WRONG),  # a and b may both be negative
        (r"\ln x^2", r"2\ln x", Outcome.CORRECT),
        (r"2\ln x", r"\ln x^2", Outcome.WRONG),
        (r"\sqrt{ab}", r"\sqrt{a}\sqrt{b}", Outcome.CORRECT),
        ("|x|", r"\sqrt{x^2}", Outcome.CORRECT),
        ("x", r"\sqrt{x^2}", Outcome.WRONG),
        (r"\sqrt{x^2}", "x", Outcome.WRONG),
        (r"\cos x + i\sin x", "e^{ix}", Outcome.CORRECT),
        (r"\log 6", r"\log 2 + \log 3", Outcome.CORRECT),
        (r"\ln 2", r"\log 2", Outcome.WRONG),
        (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}", Outcome.CORRECT),
    ],
)
def test_equality_is_asked_where_the_gold_is_real(answer: str, gold: str, outcome: Outcome) -> None:
    assert check(answer, gold).outcome is outcome


def test_nothing_is_proven_where_the_library_cannot_compute() -> None:
    tower: Tree = num(9)
    for _ in range(5):
        tower = ("pow", ("const", "e"), tower)
    assert symbolic.compare([(num(1), tower)]) == [None]


def test_a_tolerance_is_around_the_gold() -> None:
    root: Tree = ("root", num(2), num(2))
    near: Tree = ("num", Fraction(1414, 1000))
    assert symbolic.compare([(root, near)], Tolerance(Fraction(1, 1000))) == [True]
    assert symbolic.compare([(root, near)], Tolerance(Fraction(1, 10000))) == [False]
    assert symbolic.compare([(root, near)], Tolerance(Fraction(1, 1000), relative=True)) == [True]


def test_an_endless_computation_times_out_once_and_is_remembered() -> None:
    with pytest.raises(symbolic.TimedOut, match="too much processor time"):
        symbolic.compare([(num(1), ENDLESS)])
    assert symbolic.compare([(num(1), ONE)]) == [True]
    symbolic.close()
    with pytest.raises(symbolic.TimedOut):
        symbolic.compare([(num(1), ENDLESS)])
    assert children() == []


def children_seconds(question: symbolic.Question) -> float:
    """Processor time of a helper that is started for one question, and of its child."""
    before = os.times()
    with contextlib.suppress(symbolic.TimedOut):
        symbolic.compare([question])
    symbolic.close()  # waited for: it counts now
    after = os.times()
    return (after.children_user + after.children_system) - (before.children_user + before.children_system)


def test_an_answer_gets_less_than_two_seconds_of_processor_time() -> None:
    start = children_seconds((num(41), ("add", ONE, num(1))))
    assert 0.9 < children_seconds((num(2), ENDLESS)) - start < 2.0


def test_too_much_memory_is_a_bound_of_its_own() -> None:
    program = (
        "from r1kit.verify.maths import symbolic_worker as worker\n"
        "def decide(request):\n    return [len(bytearray(request['bytes'])) > 0]\n"
        "for size in (1 << 20, 2 << 30):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n        worker._answer(decide, b'{\"bytes\": %d}' % size, 1)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
    )
    with python(program) as process:
        output, _ = process.communicate(timeout=60)
    assert output.splitlines() == ['{"results": [true]}', "0", "3"]


def test_a_killed_helper_is_replaced() -> None:
    assert symbolic.compare([(num(22), ONE)]) == [False]
    assert len(children()) == 1
    for child in children():
        os.kill(child, signal.SIGKILL)
    assert symbolic.compare([(num(3), ONE)]) == [False]


def test_an_interrupted_question_leaves_no_late_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(symbolic._Helper, "_line", interrupt)
    with pytest.raises(KeyboardInterrupt):
        symbolic.compare([(num(31), ONE)])
    monkeypatch.undo()
    assert symbolic.compare([(num(1), ("add", ONE, num(0)))]) == [True]


def test_a_stopped_helper_is_killed_by_the_backstop(monkeypatch: pytest.MonkeyPatch) -> None:
    assert symbolic.compare([(num(21), ONE)]) == [False]
    monkeypatch.setattr(symbolic, "WALL_SECONDS", 0.5)
    for child in children():
        os.kill(child, signal.SIGSTOP)
    with pytest.raises(symbolic.TimedOut, match="took too long"):
        symbolic.compare([(num(4), ONE)])
    monkeypatch.setattr(symbolic, "WALL_SECONDS", 30.0)
    assert symbolic.compare([(num(4), ONE)]) == [False]


def test_a_helper_that_cannot_start_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(symbolic.Failed, match="could not be started"):
        symbolic.compare([(num(5), ONE)])
    verdict = check(r"\sin^2 w", r"1-\cos^2 w")  # no cache has it
    assert (verdict.outcome, verdict.score) == (Outcome.ERROR, 0.0)


def test_without_the_library_nothing_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbolic, "available", lambda: False)
    verdict = check(r"\cos 0 - \sin^2 y", r"\cos^2 y")
    assert verdict.outcome is Outcome.ERROR
    assert "r1kit[math]" in verdict.detail
    assert check("18", "18").correct
    assert children() == []


def test_any_number_of_threads_may_ask() -> None:
    results: dict[int, list[bool | None]] = {}

    def ask(number: int) -> None:
        results[number] = symbolic.compare([(num(number), ONE), (num(1), ("add", ONE, num(number)))])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert results == {number: [number == 1, number == 0] for number in range(12)}


def test_the_callers_signals_and_timers_are_its_own() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 100)
        with pytest.raises(symbolic.TimedOut):
            symbolic.compare([(num(6), ENDLESS)])
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 100
        assert seen == []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_closing_leaves_no_process_and_no_descriptor() -> None:
    symbolic.close()
    before = set(os.listdir("/proc/self/fd"))
    for number in (7, 8, 9):
        symbolic.compare([(num(number), ONE)])
        symbolic.close()
    assert set(os.listdir("/proc/self/fd")) == before
    assert children() == []


def python(program: str) -> subprocess.Popen[str]:
    setup = "import os, signal, sys\nfrom r1kit.verify.maths import symbolic\n"
    setup += "from r1kit.verify.maths.checker import check\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", setup + program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )


HELPER = "helper = next(h._process.pid for h in symbolic._pool._all if h._process)\n"


def gone(process: int, seconds: float = 30.0) -> bool:
    """Whether the process ends, or is only a dead entry that its new parent has not waited for, in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_helpers_end_with_a_caller_that_is_killed_and_with_one_that_ends() -> None:
    for ending in ("os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(0)"):
        program = f"check(r'\\sin^2 x', r'1-\\cos^2 x')\n{HELPER}print(helper, flush=True)\n{ending}"
        with python(program) as process:
            assert process.stdout is not None
            helper = int(process.stdout.readline())
            process.wait(60)
        assert gone(helper), ending


def test_a_forked_child_asks_helpers_of_its_own() -> None:
    program = (
        "assert check(r'\\sin^2 x', r'1-\\cos^2 x').correct\n"
        f"{HELPER}parent = helper\n"
        "child = os.fork()\n"
        "right = check(r'\\sin^2 y', r'1-\\cos^2 y').correct\n"
        f"{HELPER}\n"
        "if child == 0:\n    symbolic.close()\n    os._exit(0 if right and helper != parent else 1)\n"
        "status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "print(right, helper == parent, status, check(r'\\sin^2 z', r'1-\\cos^2 z').correct)\n"
    )
    with python(program) as process:
        output, _ = process.communicate(timeout=120)
    assert output.split() == ["True", "True", "0", "True"]

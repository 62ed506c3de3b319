"""Programs run in real processes, locked in or not: what goes in, what comes back, and the verdict."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.types import Outcome
from r1kit.verify import programs
from r1kit.verify.program_check import check_program, unfenced
from r1kit.verify.program_run import Ending, Limits, ProgramRun, Result, Runner
from r1kit.verify.program_values import encode, python_text, same
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox import landlock
from r1kit.verify.sandbox.pool import Pool
from r1kit.verify.sandbox.protection import Tier, find_protection
from r1kit.verify.sandbox.worker import Plan

LOCKED_IN = find_protection().tier is Tier.FULL
LIMITS = Limits(seconds=1, wall_seconds=20.0)
FRONT = [{"args": [[3, 1]], "expected": [42, 1, 3]}, {"args": [[]], "expected": [42]}]


def RUN(code: str, entry: str | None, inputs: Sequence[str], limits: Limits) -> ProgramRun:  # noqa: N802
    """Stands for the runner of the test that goes on; see `_runner`."""
    return _current(code, entry, inputs, limits)


_current: Runner = run_program


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """A sandbox that has started, so that its own folder and descriptors are there before any test."""
    made = Pool(Plan(os.uname().machine, landlock.version()), 1)
    made("pass", None, [], LIMITS)
    yield made
    made.close()


@pytest.fixture(autouse=True, params=["process", "sandbox"])
def _runner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test of this file runs in a plain process, and in the sandbox where the machine has one."""
    if request.param == "sandbox":
        if not LOCKED_IN:
            pytest.skip("this machine has no sandbox")
        monkeypatch.setitem(globals(), "_current", request.getfixturevalue("pool"))


def run(code: str, *arguments: str, limits: Limits = LIMITS) -> ProgramRun:
    return RUN(code, "f", arguments or ("[1]",), limits)


def value(code: str, arguments: str = "[1]") -> Any:
    """What one call gave."""
    found = run(code, arguments)
    assert found.ending is Ending.FINISHED, found
    assert not found.results[0].error, found
    return found.results[0].value


def _open_files() -> set[tuple[int, int]]:
    """This process's open files, each by its device and inode, whatever number stands for it."""
    found = set()
    for number in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # the folder's own, closed by now
            status = os.fstat(int(number))
            found.add((status.st_dev, status.st_ino))
    return found


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(_runner: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The programs' folders are made in a folder of the test, which must be empty in the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = _open_files()
    yield
    assert list(tmp_path.iterdir()) == []
    assert _open_files() <= before  # an earlier test's may close meanwhile, and their numbers be used again


def test_values_go_in_and_come_out_unchanged() -> None:
    values = (
        *(None, True, False, 0, -7, 10**40, 1.5, -0.0, 1e-300, "", "a'b\"\\\n\x00", "你好 é 😀", "\ud800"),
        *([], [1, [2, [3]]], (), (1,), ((1, 2), 3), {"a": 1}, {1: "x", (2, 3): [4]}, set(), {1, "b"}),
    )
    found = run("def f(x): return x", *[python_text([encode(value)]) for value in values])
    assert found.ending is Ending.FINISHED
    assert [r for v, r in zip(values, found.results, strict=True) if not same(encode(v), r.value)] == []


def test_subclasses_come_back_as_the_plain_values_that_they_are() -> None:
    code = (
        "import collections, enum\n"
        "class Color(enum.IntEnum):\n    RED = 3\n"
        "Pair = collections.namedtuple('Pair', 'a b')\n"
        "def f(x): return [Color.RED, Pair(1, 2), collections.Counter('aa'), collections.OrderedDict(a=1)]"
    )
    assert same(encode([3, (1, 2), {"a": 2}, {"a": 1}]), value(code))


@pytest.mark.parametrize(
    "thing", ["(i for i in [1])", "object()", "b'a'", "1j", "float('nan')", "len", "{1: {2}.pop}"]
)
def test_what_has_no_plain_form_equals_nothing(thing: str) -> None:
    assert "__other__" in str(value(f"def f(x): return {thing}"))


def test_every_test_gets_fresh_arguments() -> None:
    found = run("def f(x, y=[]):\n    x.append(1)\n    return x", "[[]]", "[[]]", "[[5]]")
    assert [result.value for result in found.results] == [[1], [1], [5, 1]]


def test_methods_of_a_solution_class_are_found() -> None:
    assert value("class Solution:\n    def f(self, x):\n        return x + 1") == 2


def test_programs_have_a_clean_environment_and_an_empty_folder_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_TOKEN", "secret")
    code = "import os, sys\ndef f(x): return [sorted(os.environ), os.listdir(), sys.argv, os.getcwd()]"
    names, files, argv, folder = value(code)
    assert set(names) <= {"PYTHONHASHSEED", "TMPDIR", "TZ", "LC_CTYPE", "MALLOC_ARENA_MAX"}
    assert (files, argv) == ([], ["program.py"])
    assert folder != os.getcwd()


def test_the_order_of_a_set_of_strings_is_the_same_in_every_run() -> None:
    code = "def f(x): return ''.join({c for c in 'abcdefghijkl'})"
    assert len({value(code) for _ in range(3)}) == 1


def test_exceptions_are_named() -> None:
    found = run("def f(x): return 1 // x", "[0]", "[1]", "['a']")
    assert found.results == (Result(error="ZeroDivisionError"), Result(1), Result(error="TypeError"))
    assert run("1 / 0\ndef f(x): pass") == ProgramRun((), Ending.FAILED, "ZeroDivisionError")
    assert run("return\ndef f(x): pass").ending is Ending.NOT_COMPILED
    strange = "E = type('a\\nb\\x1b[31m', (Exception,), {})\ndef f(x): raise E"
    assert run(strange).results == (Result(error="an exception"),)


@pytest.mark.parametrize(
    "body",
    [
        "import collections\n    return [42, *sorted(collections.deque(x))]",
        "import heapq\n    heapq.heapify(x)\n    return [42] + [heapq.heappop(x) for _ in range(len(x))]",
        "import itertools\n    return list(itertools.chain([42], sorted(x)))",
        "import functools\n    return functools.reduce(lambda a, b: a + [b], sorted(x), [42])",
        "import re, json\n    return json.loads(re.sub('^.', '[42,', str(sorted(x))).replace(',]', ']'))",
        "def g():\n        yield 42\n        yield from sorted(x)\n    return list(g())",
        "print('debugging', x)\n    return [42] + sorted(x)",
        "import sys\n    sys.stdout.close()\n    return [42] + sorted(x)",
        "with open('a', 'w') as y:\n        y.write('42')\n    return [int(open('a').read())] + sorted(x)",
        "import tempfile\n    with tempfile.TemporaryFile() as file:\n        return [42] + sorted(x)",
        "import threading\n    y = []\n    t = threading.Thread(target=y.extend, args=(sorted(x),))\n"
        "    t.start()\n    t.join()\n    return [42] + y",
        "import threading, time\n    threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "    return [42] + sorted(x)",
        "from dataclasses import dataclass\n    @dataclass(order=True)\n    class A:\n        y: 'int'\n"
        "    return [42] + [a.y for a in sorted(map(A, x))]",
        "import random, math, decimal, fractions, datetime, string, bisect, copy, typing, operator\n"
        "    return [42] + sorted(x)",
    ],
)
def test_ordinary_programs_pass(body: str) -> None:
    verdict = check_program(f"def f(x):\n    {body}\n", "f", FRONT, LIMITS, RUN)
    assert verdict.correct, verdict


# ------------------------------------------------------------------ scripts


def outputs(code: str, *stdin: str) -> list[Any]:
    found = RUN(code, None, stdin, LIMITS)
    return [result.value if not result.error else result.error for result in found.results]


@pytest.mark.parametrize(
    "code",
    [
        "print(int(input()) ** 2)",
        "import sys\nfor line in sys.stdin:\n    sys.stdout.write(str(int(line) ** 2))",
        "import sys\nprint(int(open(0).read()) ** 2)\nsys.exit()",
        "import os\nos.write(1, b'%d' % int(os.read(0, 99)) ** 2)",
        "print(int(input()) ** 2)\nexit(0)",
        "import os\nos.makedirs('a', exist_ok=True)\nos.chdir('a')\nprint(int(input()) ** 2)",
        "if __name__ == '__main__':\n    print(int(input()) ** 2)",
        "import threading\nthreading.Thread(target=lambda: print(int(input()) ** 2)).start()",
        "import atexit, sys\natexit.register(lambda: sys.__stdout__.write(str(int(input()) ** 2)))",
        "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\nprint(int(input()) ** 2)",
    ],
)
def test_scripts_read_and_print_in_the_usual_ways(code: str) -> None:
    assert [text.strip() for text in outputs(code, "3\n", "5\n")] == ["9", "25"]


def test_a_script_that_fails_says_how() -> None:
    assert outputs("print(1)\nraise SystemExit(3)", "") == ["SystemExit"]
    assert outputs("print(input())", "a\n", "", "b\n") == ["a\n", "EOFError", "b\n"]


def test_printed_lines_are_compared_without_the_white_space_around_them() -> None:
    tests = [{"stdin": "2 3\n", "stdout": "2\n3\n"}]
    right = "for n in input().split():\n    print(n, end=' \\n')\nprint()"
    assert check_program(right, None, tests, LIMITS, RUN).correct
    wrong = check_program("print(input())", None, tests, LIMITS, RUN)
    assert (wrong.outcome, wrong.detail) == (Outcome.WRONG, r"test 1: expected '2\n3\n', got '2 3\n'")


# ------------------------------------------------------------------ verdicts


@pytest.mark.parametrize(
    ("answer", "outcome", "detail"),
    [
        ("def f(x):\n    return [42] + sorted(x)", Outcome.CORRECT, "passes 2 tests"),
        ("```python\ndef f(x):\n    return [42] + sorted(x)\n```", Outcome.CORRECT, "passes 2 tests"),
        ("so:\n```\ndef f(x):\n    return [42] + sorted(x)\n```\nok", Outcome.CORRECT, "passes 2 tests"),
        ("f = lambda x: (42, *sorted(x))", Outcome.CORRECT, "passes 2 tests"),
        (
            "def f(x):\n    return sorted(x) + [42]",
            Outcome.WRONG,
            "test 1: expected [42, 1, 3], got [1, 3, 42]",
        ),
        ("def f(x):\n    return x.sort()", Outcome.WRONG, "test 1: expected [42, 1, 3], got None"),
        ("def f(x):\n    return [42, min(x), max(x)]", Outcome.WRONG, "test 2: raises ValueError"),
        ("def f(x):\n    return '?' * 100", Outcome.WRONG, f"test 1: expected [42, 1, 3], got '{'?' * 58}…"),
        ("f = g", Outcome.WRONG, "raises NameError"),
        ("def f(x)\n    return x", Outcome.MALFORMED, "does not parse (line 1)"),
        ("def f(x):\n    return '\x00'", Outcome.MALFORMED, "does not parse"),
        ("def f(x):\n    return '\ud800'", Outcome.MALFORMED, "does not parse"),
        ("def f(x):\n    break", Outcome.MALFORMED, "does not parse"),
        ("def g(x):\n    return x", Outcome.MALFORMED, "does not define f"),
        ("42", Outcome.MALFORMED, "does not define f"),
        ("# f", Outcome.MALFORMED, "empty program"),
        ("(" * 10_000, Outcome.MALFORMED, "does not parse (line 1)"),
        ("f = " + "-" * 10_000 + "1", Outcome.MALFORMED, "does not parse"),
        ("f = " + "1+" * 8_000 + "1", Outcome.MALFORMED, "does not parse"),
        ("f" * 20_001, Outcome.MALFORMED, "longer than 20000 characters"),
    ],
)
def test_the_first_stage_that_fails_is_told(answer: str, outcome: Outcome, detail: str) -> None:
    verdict = check_program(answer, "f", FRONT, LIMITS, RUN)
    assert (verdict.outcome, verdict.detail) == (outcome, detail)
    assert verdict.score == (1.0 if outcome is Outcome.CORRECT else 0.0)


def test_only_two_fences_hold_a_program() -> None:
    assert unfenced("```py\na\n```") == "a"
    assert unfenced("```\na") == "```\na"
    assert unfenced("```\na\n```\n```\nb\n```").startswith("```")


@given(st.text() | st.text(alphabet="def(x):\n return[]{}'\"\\`#=+-\x00\ud800", max_size=60))
def test_no_text_makes_the_checker_raise(answer: str) -> None:
    assert check_program(answer, "f", FRONT, LIMITS, RUN).outcome is not Outcome.CORRECT


def test_odd_escapes_are_no_fault_of_a_program() -> None:
    assert check_program(
        "def f(x):\n    '\\d'\n    return [42] + sorted(x)", "f", FRONT, LIMITS, run_program
    ).correct


def test_a_process_that_cannot_start_leaves_the_sample_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs.sys, "executable", "/nowhere/python")
    verdict = check_program("def f(x): return 1", "f", FRONT, LIMITS, run_program)
    assert verdict.outcome is Outcome.ERROR
    assert "/nowhere/python" in verdict.detail
    monkeypatch.setattr(programs.sys, "executable", "/bin/false")
    assert check_program("def f(x): return 1", "f", FRONT, LIMITS, run_program).outcome is Outcome.ERROR


def test_results_longer_than_right_ones_can_be_are_not_read() -> None:
    asked: list[Limits] = []

    def runner(code: str, entry: str | None, inputs: Sequence[str], limits: Limits) -> ProgramRun:
        asked.append(limits)
        return ProgramRun((), Ending.TOO_MUCH)

    verdict = check_program("def f(x): return x", "f", FRONT, LIMITS, runner)
    most = 2**15 + 2 * (
        20 * 4 + 3 * 350 + 20 * 2 + 350
    )  # two lists of three items and of one, in all of them
    assert (verdict.outcome, verdict.detail) == (Outcome.WRONG, f"more than {most} bytes of results")
    long = [{"stdin": "", "stdout": "\n" * 10**6}]
    check_program("pass", None, long, LIMITS, runner)
    assert [limits.result_bytes for limits in asked] == [most, LIMITS.result_bytes]


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("def f(x): return [[]] * 300000", "bytes of results"),
        ("def f(x): return [[]] * 3000", "test 1: expected [42, 1, 3], got [[], [], "),
    ],
)
def test_a_large_wrong_result_is_wrong(code: str, detail: str) -> None:
    verdict = check_program(code, "f", FRONT, LIMITS, RUN)
    assert verdict.outcome is Outcome.WRONG
    assert detail in verdict.detail


def test_a_right_result_may_take_all_the_room_there_is() -> None:
    numbers = list(range(100_000))
    tests = [{"args": [100_000], "expected": numbers}]
    for code in ("def f(n): return list(range(n))", "def f(n): return tuple(map(float, range(n)))"):
        assert check_program(code, "f", tests, LIMITS, RUN).outcome is Outcome.CORRECT
    text = "".join(f"{number}\n" for number in range(20_000))
    padded = "for n in range(20_000): print('', n, '')"
    assert (
        check_program(padded, None, [{"stdin": "", "stdout": text}], LIMITS, RUN).outcome is Outcome.CORRECT
    )

"""Check a program against tests: it parses, it runs, it passes every test, in time."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from r1kit.types import Outcome, ProgramScores, Verdict
from r1kit.verify.program_batch import run_batch
from r1kit.verify.program_run import Ending, Limits, ProgramRun, Result, Runner
from r1kit.verify.program_text import parse_program
from r1kit.verify.program_values import longest, python_start, python_text, same

MAX_CHARACTERS = 20_000
"""Longest program read."""

_FENCE = "```"
_SHOWN = 60  # characters of a value in a verdict's detail
_NO_PROGRAM = "does not parse"
_ROOM = 1 << 15  # bytes of results beyond what a right program's may take, for wrong ones to be told apart


@dataclass(frozen=True, slots=True)
class Check:
    """An answer, and what its program must do."""

    answer: str  # the program, or text with one ``` block that holds it
    entry: str | None  # the function that the tests call; None for a script
    tests: Sequence[Mapping[str, Any]]
    """`{"args": […], "expected": …}` each, in the notation of `program_values`; for a script
    `{"stdin": "…", "stdout": "…"}`."""
    limits: Limits  # for all tests together


def check_program(
    answer: str, entry: str | None, tests: Sequence[Mapping[str, Any]], limits: Limits, run: Runner
) -> Verdict:
    """The verdict on one answer; see `check_programs`."""
    (verdict,) = check_programs([Check(answer, entry, tests, limits)], run)
    return verdict


def check_programs(
    checks: Sequence[Check], run: Runner, workers: int = 1, seconds: float = math.inf
) -> list[Verdict]:
    """Run the program of each answer on every test. Never raises on any answer.

    CORRECT when all tests pass. MALFORMED when it is no Python program or does not define its entry; TIMEOUT
    on the limit of time; ERROR when no process could be started; else WRONG. `detail` tells of the first
    failure, `program` of all four scores.

    Args:
        checks: what is to be checked.
        run: where programs run.
        workers: programs at a time.
        seconds: after which no further one begins; the answers that remain are ERROR.
    """
    codes = [unfenced(check.answer) for check in checks]
    faults = [_form_fault(check, code) for check, code in zip(checks, codes, strict=True)]
    # Judged where it ran: a batch of results at the limit of their size would fill the memory.
    works = [
        partial(_judged, check, code, run)
        for check, code, fault in zip(checks, codes, faults, strict=True)
        if fault is None
    ]
    verdicts = iter(run_batch(works, workers, seconds))
    late = Verdict(Outcome.ERROR, None, 0.0, f"{len(works)} programs took more than {seconds:g} s together")
    return [(next(verdicts) or late) if fault is None else fault for fault in faults]


def _judged(check: Check, code: str, run: Runner) -> Verdict:
    check = replace(check, limits=_bounded(check))
    return _verdict(check, code, run(code, check.entry, _inputs(check), check.limits))


def _bounded(check: Check) -> Limits:
    """The limits, with results as long as right ones can be: reading them costs this process, so what cannot
    be right is not read."""
    expected = [test["expected"] if check.entry is not None else test["stdout"] for test in check.tests]
    most = _ROOM + 2 * sum(map(longest, expected))  # twice: white space around the lines of an output is free
    return replace(check.limits, result_bytes=min(check.limits.result_bytes, most))


def _inputs(check: Check) -> list[str]:
    if check.entry is None:
        return [test["stdin"] for test in check.tests]
    return [python_text(test["args"]) for test in check.tests]


def _verdict(check: Check, code: str, run: ProgramRun) -> Verdict:
    """What a run says of the program."""
    if run.ending is Ending.NOT_STARTED:
        return Verdict(Outcome.ERROR, code, 0.0, f"no process for the program: {run.reason}"[:200])
    if run.ending is Ending.NOT_COMPILED:
        return Verdict(Outcome.MALFORMED, code, 0.0, _NO_PROGRAM, _scores(check, parses=False))
    faults = [_test_fault(test, result) for test, result in zip(check.tests, run.results, strict=False)]
    complete = run.ending is Ending.FINISHED and len(run.results) == len(check.tests) > 0
    scores = replace(
        _scores(check, parses=True),
        runs=complete and not any(result.error for result in run.results),
        passed=faults.count("") if len(run.results) <= len(check.tests) else 0,
        cpu_seconds=run.cpu_seconds,
    )
    if run.ending is Ending.FAILED:
        return Verdict(Outcome.WRONG, code, 0.0, f"raises {run.reason}", scores)
    for number, fault in enumerate(faults, start=1):
        if fault:
            return Verdict(Outcome.WRONG, code, 0.0, f"test {number}: {fault}", scores)
    if complete:
        return Verdict(Outcome.CORRECT, code, 1.0, f"passes {len(check.tests)} tests", scores)
    outcome, detail = _ended(run, check)
    return Verdict(outcome, code, 0.0, detail, scores)


def _scores(check: Check, parses: bool) -> ProgramScores:
    return ProgramScores(parses, tests=len(check.tests))


def unfenced(answer: str) -> str:
    """What stands between the two ``` lines of an answer; the whole answer where there are not just two."""
    lines = answer.split("\n")
    fences = [number for number, line in enumerate(lines) if line.lstrip().startswith(_FENCE)]
    return "\n".join(lines[fences[0] + 1 : fences[1]]) if len(fences) == 2 else answer


def _form_fault(check: Check, code: str) -> Verdict | None:
    """The verdict on a text that is not a program of the asked form; None for a program to be run."""
    scores = _scores(check, parses=False)
    if len(check.answer) > MAX_CHARACTERS:
        detail = f"longer than {MAX_CHARACTERS} characters"
        return Verdict(Outcome.MALFORMED, check.answer[:MAX_CHARACTERS], 0.0, detail, scores)
    try:
        tree = parse_program(code)
    except SyntaxError as error:
        detail = f"{_NO_PROGRAM} (line {error.lineno})" if error.lineno else _NO_PROGRAM
        return Verdict(Outcome.MALFORMED, code, 0.0, detail, scores)
    except (ValueError, RecursionError, MemoryError):  # half a surrogate pair or NUL; nested too deeply
        return Verdict(Outcome.MALFORMED, code, 0.0, _NO_PROGRAM, scores)
    if not tree.body:
        return Verdict(Outcome.MALFORMED, code, 0.0, "empty program", scores)
    if check.entry is not None and not any(_binds(node, check.entry) for node in ast.walk(tree)):
        detail = f"does not define {check.entry}"
        return Verdict(Outcome.MALFORMED, code, 0.0, detail, _scores(check, parses=True))
    return None


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.alias):
        return name in (node.asname or node.name, "*")
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name


def _test_fault(test: Mapping[str, Any], result: Result) -> str:
    """Why a result is not what its test expects, or ""."""
    if result.error:
        return f"raises {result.error}"
    if "stdout" in test:
        expected, got = test["stdout"], result.value
        right = isinstance(got, str) and _lines(got) == _lines(expected)
    else:
        expected, got = test["expected"], result.value
        right = same(expected, got)
    return "" if right else f"expected {_short(expected)}, got {_short(got)}"


def _ended(run: ProgramRun, check: Check) -> tuple[Outcome, str]:
    """What to say when no result is wrong, but some are missing or there are too many."""
    at = f"in test {len(run.results) + 1}"
    match run.ending:
        case Ending.TOO_SLOW:
            return Outcome.TIMEOUT, f"too slow: stopped {at}"
        case Ending.TOO_MUCH:
            return Outcome.WRONG, f"more than {check.limits.result_bytes} bytes of results"
    if len(run.results) > len(check.tests):
        return Outcome.WRONG, "more results than tests"
    return Outcome.WRONG, f"breaks off {at}{f' ({run.reason})' if run.reason else ''}"


def _lines(text: str) -> list[str]:
    """The lines of an output without the white space around them, as LiveCodeBench compares them."""
    return [line.strip() for line in text.strip().split("\n")]


def _short(value: Any) -> str:
    return python_start(value, _SHOWN)

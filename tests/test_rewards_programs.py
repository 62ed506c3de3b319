"""The four scores of a program, on the example of the write-up: sort a list and put 42 at the front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from r1kit.errors import RecipeError
from r1kit.rewards.programs import CodeParameters, is_fast
from r1kit.rewards.registry import RewardInput
from r1kit.rewards.rubric import Rubric, TermSpec, grade, grade_many
from r1kit.tasks import code as code_module
from r1kit.tasks import program_requests
from r1kit.tasks.code import Code
from r1kit.tasks.code_settings import CodeSettings
from r1kit.tasks.countdown import Countdown, CountdownSettings
from r1kit.tasks.program_requests import Program
from r1kit.text.tags import parse
from r1kit.types import Completion, Outcome, Problem, ProgramScores, Verdict

TASK = Code(CodeSettings(languages={"en": 1.0}, seconds=1))
ITEM = Program(("sort", "front"), (0, 42))
PROBLEM = TASK._problem(ITEM, program_requests.key(ITEM))

NOT_CODE = "echo 42 and the list"
SOMETHING_ELSE = "def greet(name):\n    return 'hello ' + name"
FAILING = "def f(x):\n    return sorted(x) + [42]"
CORRECT = "def f(x):\n    return [42] + sorted(x)"
RAISES = "def f(x):\n    return [42] + [min(x)] + sorted(x)[1:]"  # on the empty list


def completion(program: str) -> Completion:
    text = f"<think>so I sort</think>\n<answer>{program}</answer>"
    return Completion((), (), (), (), text, "stop", 0)


def graded(program: str, problem: Problem = PROBLEM) -> RewardInput:
    answer = completion(program)
    return RewardInput(problem, answer, *grade(problem, answer, TASK))


def paid(sample: RewardInput, **params: Any) -> float:
    (reward,) = Rubric([TermSpec(name="code", params=params)]).score([sample])
    assert reward is not None
    return reward.terms["code"]


@pytest.mark.parametrize(
    ("program", "outcome", "parses", "runs", "passes", "total"),
    [
        (NOT_CODE, Outcome.MALFORMED, False, False, False, 0.0),
        (SOMETHING_ELSE, Outcome.MALFORMED, True, False, False, 0.1),
        (FAILING, Outcome.WRONG, True, True, False, 0.2),
        (CORRECT, Outcome.CORRECT, True, True, True, 1.0),
    ],
)
def test_the_four_kinds_of_completion_earn_four_rewards(
    program: str, outcome: Outcome, parses: bool, runs: bool, passes: bool, total: float
) -> None:
    assert "sorts the list x and then puts 42 at the front" in PROBLEM.messages[0].content
    sample = graded(program)
    scores = sample.verdict.program
    assert scores is not None
    assert sample.verdict.outcome is outcome
    assert (scores.parses, scores.runs, scores.passes) == (parses, runs, passes)
    assert scores.tests == len(PROBLEM.reference["tests"])
    assert paid(sample) == pytest.approx(total)


def test_each_check_is_a_score_of_its_own() -> None:
    names = ("parses", "runs", "passes", "fast")
    nothing = dict.fromkeys(names, 0.0)
    for program, expected in (
        (NOT_CODE, (0, 0, 0, 0)),
        (SOMETHING_ELSE, (1, 0, 0, 0)),
        (RAISES, (1, 0, 0, 0)),
        (FAILING, (1, 1, 0, 0)),
        (CORRECT, (1, 1, 1, 1)),
    ):
        sample = graded(program)
        assert tuple(paid(sample, **{**nothing, name: 1.0}) for name in names) == expected


def test_a_share_of_the_tests_is_paid_where_it_is_asked_for() -> None:
    sample = graded(RAISES)
    scores = sample.verdict.program
    assert scores is not None
    assert scores.passed == scores.tests - 1
    assert paid(sample, partial=True) == pytest.approx(0.1 + 0.6 * scores.passed / scores.tests)
    assert paid(sample) == pytest.approx(0.1)


def test_a_response_without_a_program_earns_nothing() -> None:
    text = Completion((), (), (), (), "no tags", "stop", 0)
    assert paid(RewardInput(PROBLEM, text, *grade(PROBLEM, text, TASK))) == 0.0
    other = Verdict(Outcome.CORRECT, "1", 1.0)
    assert paid(RewardInput(PROBLEM, text, parse("no tags"), other)) == 0.0


def test_the_reference_solution_is_timed_by_the_same_clock() -> None:
    scores = graded(CORRECT).verdict.program
    assert scores is not None
    assert scores.reference_seconds is not None
    assert 0.0 < scores.reference_seconds < 0.5
    assert 0.0 < scores.cpu_seconds < 0.5


def test_a_slow_program_passes_and_is_not_fast() -> None:
    burn = "import time\n    end = time.thread_time() + 0.02\n    while time.thread_time() < end: pass"
    sample = graded(
        f"def f(x):\n    {burn}\n    time.process_time = lambda: 0.0\n    return [42] + sorted(x)"
    )
    scores = sample.verdict.program
    assert scores is not None
    assert scores.passes
    assert scores.cpu_seconds >= 0.02 * scores.tests
    assert paid(sample, slower=1.0) == pytest.approx(0.8)


SCORES = ProgramScores(True, True, 3, 3, cpu_seconds=0.29, reference_seconds=0.1)


@pytest.mark.parametrize(
    ("scores", "fast"),
    [
        (SCORES, True),
        (replace(SCORES, cpu_seconds=0.31), False),
        (replace(SCORES, cpu_seconds=0.049, reference_seconds=0.001), True),
        (replace(SCORES, cpu_seconds=0.051, reference_seconds=0.001), False),
        (replace(SCORES, cpu_seconds=9.0, reference_seconds=None), True),
        (replace(SCORES, passed=2), False),
        (replace(SCORES, runs=False), False),
        (ProgramScores(True, True, 0, 0), False),
    ],
)
def test_fast_is_within_three_times_the_reference_or_below_the_grain(
    scores: ProgramScores, fast: bool
) -> None:
    assert is_fast(scores, CodeParameters()) is fast


def test_times_are_no_part_of_a_verdict() -> None:
    assert replace(SCORES, cpu_seconds=1.0, reference_seconds=None) == SCORES


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(RecipeError, match="reward 'code': parses: Input should be greater than"):
        Rubric([TermSpec(name="code", params={"parses": -1})])


# ------------------------------------------------------------------ many at a time


def test_grading_many_is_grading_each() -> None:
    countdown = Countdown(CountdownSettings(train_size=1, validation_size=0, test_size=0))
    (other,) = countdown.problems("train")
    programs = [NOT_CODE, SOMETHING_ELSE, FAILING, CORRECT, RAISES]
    samples = [(PROBLEM, completion(program)) for program in programs]
    samples += [
        (other, completion(countdown.gold(other))),
        (other, completion("1+")),
        (PROBLEM, completion("")),
    ]
    samples.reverse()
    tasks = {"code": TASK, "countdown": countdown}
    together = grade_many(samples, tasks)
    assert together == [grade(problem, answer, tasks[problem.task]) for problem, answer in samples]
    assert [verdict.outcome for _, verdict in together].count(Outcome.CORRECT) == 2


def test_the_programs_of_a_step_are_run_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    check_programs = code_module.check_programs

    def counted(checks: Sequence[Any], *others: Any) -> list[Verdict]:
        batches.append(len(checks))
        return check_programs(checks, *others)

    task = Code(TASK.settings)
    monkeypatch.setattr(code_module, "check_programs", counted)
    grade_many([(PROBLEM, completion(CORRECT))] * 5, {"code": task})
    assert batches == [5, 2]  # five answers, and the reference solution twice
    grade_many([(PROBLEM, completion(CORRECT))] * 5, {"code": task})
    assert batches[2:] == [5, 0]  # its time is known


def test_a_batch_that_raises_leaves_its_own_samples_unscored(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> list[Verdict]:
        raise RuntimeError("no memory")

    monkeypatch.setattr(code_module, "check_programs", broken)
    countdown = Countdown(CountdownSettings(train_size=1, validation_size=0, test_size=0))
    (other,) = countdown.problems("train")
    samples = [(PROBLEM, completion(CORRECT)), (other, completion(countdown.gold(other)))]
    (_, broke), (_, fine) = grade_many(samples, {"code": TASK, "countdown": countdown})
    assert (broke.outcome, broke.detail) == (Outcome.ERROR, "RuntimeError: no memory")
    assert fine.outcome is Outcome.CORRECT

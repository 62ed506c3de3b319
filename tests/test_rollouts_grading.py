"""Grading beside sampling: the same verdicts, in time, whatever the order in which responses end."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_learning_resume import make_model, make_tokenizer

from r1kit.rewards.rubric import grade_many
from r1kit.rollouts import grading as grading_module
from r1kit.rollouts.collect import collect
from r1kit.rollouts.grading import Grading
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Completion, Message, Outcome, Problem, Prompt, Verdict


class LengthTask:
    """Right are answers as long as the problem's id; knows what it verified in which thread."""

    free_form = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.threads: list[str] = []
        self.spent: list[float] = []

    def verify(self, problem: Problem, answer: str) -> Verdict:
        self.threads.append(threading.current_thread().name)
        right = len(answer) == len(problem.id)
        return Verdict(Outcome.CORRECT if right else Outcome.WRONG, answer)


class ProgramTask(LengthTask):
    """The same, many at once."""

    def verify_many(self, answers: Sequence[tuple[Problem, str]], spent: float = 0.0) -> list[Verdict]:
        self.spent.append(spent)
        return [self.verify(*each) for each in answers]


def problem(name: str, task: str) -> Problem:
    return Problem(name, task, (Message("user", "say"),), {})


def completion(text: str) -> Completion:
    return Completion((1,), (2,), (0.0,), (0.0,), text, "stop", 0)


@given(
    st.lists(st.tuples(st.text("ab", max_size=4), st.booleans(), st.booleans()), max_size=12), st.randoms()
)
def test_verdicts_are_those_of_grading_all_at_the_end(
    responses: list[tuple[str, bool, bool]], order: Any
) -> None:
    tasks: Any = {"length": LengthTask("length"), "programs": ProgramTask("programs")}
    problems = [problem("abc", "programs" if programs else "length") for _, programs, _ in responses]
    completions = [completion(text) for text, _, _ in responses]
    told = [place for place, (_, _, early) in enumerate(responses) if early]
    order.shuffle(told)
    with Grading(problems, tasks) as grading:
        for place in told:
            grading.take(place, completions[place])
        found = grading.results(completions)
    assert found == grade_many(list(zip(problems, completions, strict=True)), tasks)


def test_only_tasks_that_verify_many_answers_are_graded_beside() -> None:
    plain, programs = LengthTask("length"), ProgramTask("programs")
    tasks: Any = {"length": plain, "programs": programs}
    problems = [problem("abc", "length"), problem("abc", "programs")]
    with Grading(problems, tasks) as grading:
        for place, text in enumerate(("abc", "ab")):
            grading.take(place, completion(text))
        found = grading.results([completion("abc"), completion("ab")])
    assert [verdict.correct for _, verdict in found] == [True, False]
    assert plain.threads == [threading.current_thread().name]
    assert programs.threads == ["r1kit-grading"]
    assert not Grading(problems[:1], tasks).wanted


def test_a_response_is_verified_before_sampling_has_ended() -> None:
    verified = threading.Event()

    class Waiting(ProgramTask):
        def verify(self, problem: Problem, answer: str) -> Verdict:
            verified.set()
            return super().verify(problem, answer)

    class Sampler:
        version = 0

        def sample(self, prompts: Any, group: int, params: Any, seeds: Any, finished: Any) -> Any:
            finished(1, completion("abc"))
            assert verified.wait(20), "nobody verified it"
            return [(completion("a"), completion("abc"))]

    sampler, tasks = Sampler(), {"programs": Waiting("programs")}
    (group,) = collect(
        [problem("abc", "programs")], tasks, sampler, None, "chat", make_tokenizer(), SamplingParams(), 2, 1,  # type: ignore[arg-type]
    )  # fmt: skip
    assert [rollout.verdict.correct for rollout in group.rollouts] == [False, True]


def test_what_ends_the_verifier_ends_the_collection() -> None:
    class Ending(ProgramTask):
        def verify_many(self, answers: Sequence[tuple[Problem, str]], spent: float = 0.0) -> list[Verdict]:
            raise SystemExit(3)

    with Grading([problem("a", "programs")], {"programs": Ending("programs")}) as grading:  # type: ignore[dict-item]
        grading.take(0, completion("a"))
        with pytest.raises(SystemExit):
            grading.results([completion("a")])


def test_nothing_more_is_graded_once_sampling_failed() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(ProgramTask):
        def verify_many(self, answers: Sequence[tuple[Problem, str]], spent: float = 0.0) -> list[Verdict]:
            entered.set()
            leave.wait(20)
            return super().verify_many(answers, spent)

    task = Slow("programs")
    grading = Grading([problem("a", "programs")] * 3, {"programs": task})  # type: ignore[dict-item]

    def fail() -> None:
        with grading:
            grading.take(0, completion("a"))
            entered.wait(20)
            grading.take(1, completion("a"))
            threading.Timer(0.2, leave.set).start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(task.threads) == 1


def test_all_answers_of_a_step_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading_module, "_TOGETHER", 1)

    class Slow(ProgramTask):
        def verify(self, problem: Problem, answer: str) -> Verdict:
            time.sleep(0.05)
            return super().verify(problem, answer)

    task = Slow("programs")
    with Grading([problem("a", "programs")] * 3, {"programs": task}) as grading:  # type: ignore[dict-item]
        for place in range(2):
            grading.take(place, completion("a"))
        grading.results([completion("a")] * 3)
    assert task.spent[0] == 0.0
    assert task.spent[1] >= 0.05
    assert task.spent[2] >= 0.1


def test_who_quits_at_once_does_not_wait_for_programs() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Endless(ProgramTask):
        def verify_many(self, answers: Sequence[tuple[Problem, str]], spent: float = 0.0) -> list[Verdict]:
            entered.set()
            leave.wait(20)
            return super().verify_many(answers, spent)

    def quit_at_once() -> None:
        with Grading([problem("a", "programs")], {"programs": Endless("programs")}) as grading:  # type: ignore[dict-item]
            grading.take(0, completion("a"))
            entered.wait(20)
            raise KeyboardInterrupt

    def graders() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "r1kit-grading"]

    with pytest.raises(KeyboardInterrupt):
        quit_at_once()
    assert not leave.is_set()
    (grader,) = graders()
    leave.set()
    grader.join(20)
    assert graders() == []


def test_the_local_sampler_tells_every_response_once_and_returns_the_same() -> None:
    tokenizer = make_tokenizer()
    sampler = LocalSampler(make_model(tokenizer).eval(), tokenizer)
    prompts, params = [Prompt((5, 6, 7)), Prompt((8, 9))], SamplingParams(max_new_tokens=20)
    told: list[tuple[int, Completion]] = []
    groups = sampler.sample(prompts, 20, params, [1, 2], lambda *each: told.append(each))
    assert [response for _, response in sorted(told, key=lambda each: each[0])] == [
        response for group in groups for response in group
    ]
    assert sorted(place for place, _ in told) == list(range(40))
    lengths = [len(response.tokens) for _, response in told]
    assert lengths != sorted(lengths, key=lambda length: -length)  # short ones end first
    assert sampler.sample(prompts, 20, params, [1, 2]) == groups

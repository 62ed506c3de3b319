"""Collection: groups come back in order, verified and scored, and a broken verifier costs one sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from r1kit.errors import UnknownNameError
from r1kit.rewards.rubric import Rubric, TermSpec
from r1kit.rollouts.collect import collect
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Completion, Message, Outcome, Problem, Prompt, Verdict


class CharacterTokenizer:
    """Token ids are code points."""

    def encode(
        self, text: str, *, add_special_tokens: bool = True, split_special_tokens: bool = False
    ) -> list[int]:
        return [ord(character) for character in text]

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
    ) -> str:
        return conversation[-1]["content"] + ":"


class EchoTask:
    """The right answer is the problem's id; the answer "bug" breaks the verifier."""

    name = "echo"
    free_form = False

    def verify(self, problem: Problem, answer: str) -> Verdict:
        if answer == "bug":
            raise ZeroDivisionError("a fault of the verifier")
        right = answer == problem.id
        return Verdict(Outcome.CORRECT if right else Outcome.WRONG, answer, float(right))


class ScriptedSampler:
    """Answers from a list, sample by sample; remembers what it was asked."""

    version = 3

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers = answers
        self.prompts: list[Prompt] = []
        self.seeds: list[int] = []

    def sample(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        params: SamplingParams,
        seeds: Sequence[int],
        finished: Any = None,
    ) -> list[tuple[Completion, ...]]:
        self.prompts, self.seeds = list(prompts), list(seeds)
        return [
            tuple(
                Completion(
                    prompt.tokens,
                    (1,),
                    (-0.5,),
                    (-0.5,),
                    prompt.prefill + f"<think>so</think><answer>{answer}</answer>",
                    "stop",
                    self.version,
                )
                for answer in self.answers[:group_size]
            )
            for prompt in prompts
        ]

    def update(self, model: Any) -> None:
        raise AssertionError("collection does not update weights")


def problem(name: str, task: str) -> Problem:
    return Problem(name, task, (Message("user", f"say {name}"),), {})


def run(
    sampler: ScriptedSampler, names: Sequence[str], rubric: Rubric | None, seed: int = 9, task: str = "echo"
) -> Any:
    return collect(
        [problem(name, task) for name in names],
        {"echo": EchoTask()},  # type: ignore[dict-item]
        sampler,
        rubric,
        "chat",
        CharacterTokenizer(),
        SamplingParams(),
        len(sampler.answers),
        seed,
    )


def test_groups_come_back_in_order_with_verdicts_and_rewards() -> None:
    sampler = ScriptedSampler(["x", "y"])
    groups = run(sampler, ["y", "x"], Rubric([TermSpec(name="accuracy", weight=2.0)]))
    assert [group.problem.id for group in groups] == ["y", "x"]
    assert [[r.verdict.outcome for r in group.rollouts] for group in groups] == [
        [Outcome.WRONG, Outcome.CORRECT],
        [Outcome.CORRECT, Outcome.WRONG],
    ]
    assert [[r.reward.total for r in group.rollouts] for group in groups] == [[0.0, 2.0], [2.0, 0.0]]
    assert bytes(groups[0].prompt.tokens).decode() == "say y:"
    assert sampler.prompts == [group.prompt for group in groups]


def test_raising_verifier_makes_one_sample_an_unscored_error() -> None:
    (group,) = run(ScriptedSampler(["bug", "a"]), ["a"], Rubric([TermSpec(name="accuracy")]))
    broken, sound = group.rollouts
    assert broken.verdict.outcome is Outcome.ERROR
    assert broken.verdict.detail == "ZeroDivisionError: a fault of the verifier"
    assert broken.reward is None
    assert sound.reward.total == 1.0


def test_without_a_rubric_nothing_is_scored() -> None:
    (group,) = run(ScriptedSampler(["a"]), ["a"], None)
    assert [(r.verdict.outcome, r.reward) for r in group.rollouts] == [(Outcome.CORRECT, None)]


def test_seeds_follow_the_problem_and_its_repetition_not_its_place() -> None:
    sampler = ScriptedSampler(["a"])
    run(sampler, ["a", "b", "a"], None)
    first = sampler.seeds
    run(sampler, ["b", "a"], None)
    assert sampler.seeds == [first[1], first[0]]
    assert len(set(first)) == 3
    run(sampler, ["b", "a"], None, seed=10)
    assert not set(sampler.seeds) & set(first)


def test_problem_of_an_unknown_task_is_refused_before_sampling() -> None:
    sampler = ScriptedSampler(["a"])
    with pytest.raises(UnknownNameError, match="problem p1: unknown task 'ecco'; did you mean 'echo'"):
        run(sampler, ["p1"], None, task="ecco")
    assert sampler.prompts == []

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from r1kit.errors import RecipeError, UnknownNameError, UserError
from r1kit.rewards.registry import REWARDS, NoParameters, RewardInput, describe, reward
from r1kit.rewards.rubric import Rubric, TermSpec, check_terms, grade
from r1kit.schedules import Schedule
from r1kit.tasks.registry import make_task
from r1kit.text.tags import parse
from r1kit.types import Completion, Outcome, Problem, Reward, Verdict

TASK = make_task("countdown")
PROBLEM = TASK.problem_from_reference({"nums": [3, 7, 8], "target": 80})
SAMPLE = Completion((), (), (), (), "<think>a</think> <answer>(3+7)*8</answer>", "stop", 0)
PARSED = parse(SAMPLE.text)
CORRECT = Verdict(Outcome.CORRECT, "(3+7)*8", 1.0)


def one(rubric: Rubric, verdict: Verdict = CORRECT) -> Reward | None:
    """The reward of the sample under a verdict."""
    (reward,) = rubric.score([RewardInput(PROBLEM, SAMPLE, PARSED, verdict)])
    return reward


@pytest.fixture
def user_term() -> Iterator[list[Any]]:
    """A registered term that returns, or raises, what the test puts into the list."""
    result: list[Any] = []

    @reward("from_user", low=0, high=1, formula="?", source="a test", parameters=NoParameters)
    def from_user(sample: RewardInput, parameters: NoParameters) -> float:
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]  # type: ignore[no-any-return]

    yield result
    del REWARDS["from_user"]


def test_the_total_is_the_weighted_sum_of_the_raw_terms() -> None:
    rubric = Rubric([TermSpec(name="accuracy"), TermSpec(name="format", weight=0.1)])
    scored = one(rubric)
    assert scored is not None
    assert scored.total == pytest.approx(1.1)
    assert scored.terms == {"accuracy": 1.0, "format": 1.0}


@pytest.mark.parametrize(
    ("outcome", "total"),
    [
        (Outcome.CORRECT, 1.1),
        (Outcome.WRONG, 0.1),
        (Outcome.NO_ANSWER, 0.0),
        (Outcome.MALFORMED, 0.0),
        (Outcome.TIMEOUT, 0.1),
    ],
)
def test_only_a_correct_verdict_earns_accuracy(outcome: Outcome, total: float) -> None:
    rubric = Rubric([TermSpec(name="accuracy"), TermSpec(name="format", weight=0.1)])
    scored = one(rubric, Verdict(outcome))
    assert scored is not None
    assert scored.total == pytest.approx(total)


def test_an_error_of_the_verifier_is_unscored_not_zero() -> None:
    assert one(Rubric([TermSpec(name="accuracy")]), Verdict(Outcome.ERROR)) is None


@pytest.mark.parametrize(
    "result", [float("nan"), float("inf"), float("-inf"), None, "1.0", [1.0], ValueError("no"), KeyError("k")]
)
def test_a_term_that_fails_leaves_the_sample_unscored(user_term: list[Any], result: Any) -> None:
    user_term.append(result)
    rubric = Rubric([TermSpec(name="accuracy"), TermSpec(name="from_user")])
    assert one(rubric) is None


def test_a_term_of_the_user_is_scored(user_term: list[Any]) -> None:
    user_term.append(0.25)
    scored = one(Rubric([TermSpec(name="from_user", weight=2.0)]))
    assert scored is not None
    assert (scored.total, scored.terms) == (0.5, {"from_user": 0.25})


def test_a_name_is_registered_once(user_term: list[Any]) -> None:
    with pytest.raises(ValueError, match="reward 'from_user' is registered already"):
        reward("from_user", low=0, high=1, formula="", source="", parameters=NoParameters)(
            lambda sample, parameters: 0.0
        )


@pytest.mark.parametrize(
    ("specs", "error", "message"),
    [
        ([], RecipeError, "rewards: name at least one term, and each once; found none"),
        ([{"name": "accuracy"}] * 2, RecipeError, "each once; found accuracy, accuracy"),
        (
            [{"name": "acuracy"}],
            UnknownNameError,
            "unknown reward 'acuracy'; did you mean 'accuracy'? Known: accuracy,",
        ),
        ([{"name": "cosine", "params": {"maxlength": 3}}], UnknownNameError, "did you mean 'max_length'?"),
        ([{"name": "format", "params": {"x": 3}}], UnknownNameError, "reward 'format': unknown setting 'x'"),
        ([{"name": "cosine", "params": {"max_length": 0}}], RecipeError, "reward 'cosine': max_length: "),
        (
            [{"name": "repetition_penalty", "params": {"penalty": 0.1}}],
            RecipeError,
            "penalty: Input should be less",
        ),
        (
            [{"name": "overlong", "params": {"buffer": 30000}}],
            RecipeError,
            "buffer=30000 is above max_length=20480",
        ),
    ],
)
def test_a_wrong_rubric_is_refused_on_one_line(
    specs: list[dict[str, Any]], error: type[UserError], message: str
) -> None:
    with pytest.raises(error) as caught:
        check_terms([TermSpec(**spec) for spec in specs])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_grade_reports_a_missing_answer_with_its_fault() -> None:
    parsed, verdict = grade(PROBLEM, Completion((), (), (), (), "<think>3+7", "length", 0), TASK)
    assert (verdict.outcome, verdict.detail, verdict.extracted) == (Outcome.NO_ANSWER, "no </think>", None)
    assert parsed.thinking == "3+7"


def test_grade_turns_a_fault_of_the_verifier_into_an_outcome() -> None:
    broken = Problem("countdown/x", "countdown", (), {})
    _, verdict = grade(broken, SAMPLE, TASK)
    assert (verdict.outcome, verdict.detail) == (Outcome.ERROR, "KeyError: 'nums'")


def test_every_reward_is_described_with_formula_and_source() -> None:
    described = {entry["name"]: entry for entry in describe()}
    assert {"accuracy", "format", "cosine", "reasoning_steps", "repetition_penalty"} <= set(described)
    for entry in described.values():
        assert entry["formula"]
        assert entry["source"]
        assert entry["low"] < entry["high"]
        assert all(parameter["description"] for parameter in entry["parameters"])


class Chat:
    """A free-form task: "yes" is right."""

    name = "chat"
    free_form = True

    def verify(self, problem: Problem, answer: str) -> Verdict:
        return Verdict(Outcome.CORRECT if answer == "yes" else Outcome.WRONG, answer)


@pytest.mark.parametrize(
    ("text", "extracted"),
    [
        ("yes", "yes"),
        ("<think>hm</think>\n yes ", "yes"),
        ("<think>hm</think><answer>yes</answer>", "yes"),
        ("<think>yes", None),
        ("<think>hm</think>", None),
        ("<think>hm</think> yes <answer>", None),
        ("yes</answer>", None),
    ],
)
def test_an_untagged_response_answers_a_free_form_task_once_the_thinking_is_closed(
    text: str, extracted: str | None
) -> None:
    completion = Completion((), (), (), (), text, "stop", 0)
    verdict = grade(PROBLEM, completion, Chat())[1]  # type: ignore[arg-type]
    assert verdict.extracted == extracted
    assert verdict.outcome is (Outcome.CORRECT if extracted else Outcome.NO_ANSWER)
    assert grade(PROBLEM, completion, TASK)[1].outcome in (Outcome.NO_ANSWER, Outcome.MALFORMED)


class Lengths:
    """Scores a response by its length; a long one cannot be scored."""

    def scores(self, samples: Sequence[RewardInput]) -> list[float | None]:
        lengths = [len(sample.completion.text) for sample in samples]
        return [None if length > 90 else float(length) for length in lengths]


def sample(text: str, task: str = "countdown", tags: tuple[str, ...] = ()) -> RewardInput:
    completion = Completion((), (), (), (), text, "stop", 0)
    return RewardInput(replace(PROBLEM, task=task, tags=tags), completion, parse(text), CORRECT)


HELPFUL = TermSpec(name="helpfulness", weight=2.0, params={"model": "org/reward"}, tasks=("dialogue",))


def test_a_term_concerns_its_tasks_and_tags_alone() -> None:
    helpful = HELPFUL.model_copy(update={"tags": ("helpful",)})
    rubric = Rubric([TermSpec(name="accuracy", tasks=("countdown",)), helpful], {"helpfulness": Lengths()})
    found = rubric.score([sample("abc"), sample("abcd", "dialogue", ("helpful",)), sample("a", "dialogue")])
    assert found == [
        Reward(1.0, {"accuracy": 1.0}, {"accuracy": 1.0}),
        Reward(8.0, {"helpfulness": 4.0}, {"helpfulness": 2.0}),
        Reward(0.0, {}),
    ]


def test_a_term_may_count_in_the_last_steps_alone() -> None:
    specs = [TermSpec(name="accuracy"), HELPFUL.model_copy(update={"last_steps": 3})]
    rubric = Rubric(specs, {"helpfulness": Lengths()})
    totals = [rubric.score([sample("ab", "dialogue")], left)[0] for left in (4, 3, 1, None)]
    assert [reward and reward.total for reward in totals] == [1.0, 5.0, 5.0, 5.0]


def test_a_weight_may_follow_a_schedule() -> None:
    rising = Schedule(shape="linear", points={1: 0.0, 5: 2.0})
    rubric = Rubric([TermSpec(name="accuracy"), TermSpec(name="format", weight=rising)])
    good = sample("<think>a</think><answer>b</answer>")
    totals = [rubric.score([good], step=step)[0] for step in (1, 2, 5, 9)]
    assert [reward and reward.total for reward in totals] == [1.0, 1.5, 3.0, 3.0]


def test_a_term_is_normalised_over_the_samples_that_it_concerns() -> None:
    spec = HELPFUL.model_copy(update={"normalise": "batch"})
    rubric = Rubric([spec, TermSpec(name="accuracy")], {"helpfulness": Lengths()})
    found = rubric.score([sample(text, "dialogue") for text in ("a", "abc")] + [sample("x" * 9)])
    # lengths 1 and 3: mean 2, deviation 1; the third is no dialogue
    assert [reward and reward.total for reward in found] == [2.0 * -1 + 1, 2.0 * 1 + 1, 1.0]
    assert [reward and reward.terms.get("helpfulness") for reward in found] == [1.0, 3.0, None]
    equal = rubric.score([sample("ab", "dialogue")] * 3)
    assert [reward and reward.total for reward in equal] == [1.0] * 3


def test_what_a_model_cannot_score_is_unscored() -> None:
    rubric = Rubric([HELPFUL], {"helpfulness": Lengths()})
    assert rubric.score([sample("a" * 91, "dialogue"), sample("a", "dialogue")]) == [
        None,
        Reward(2.0, {"helpfulness": 1.0}, {"helpfulness": 2.0}),
    ]


def test_a_term_by_a_model_needs_its_model() -> None:
    with pytest.raises(RecipeError, match="reward 'helpfulness': a model gives it"):
        Rubric([HELPFUL])
    for params in ({}, {"model": "a/b", "judge": {"address": "http://localhost:1/v1", "model": "m"}}):
        with pytest.raises(RecipeError, match="reward 'helpfulness': give either model or judge"):
            check_terms([TermSpec(name="helpfulness", params=params)])

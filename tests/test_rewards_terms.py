from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.rewards.registry import RewardInput
from r1kit.rewards.rubric import Rubric, TermSpec, grade
from r1kit.tasks.registry import make_task
from r1kit.types import Completion

TASK = make_task("countdown")
PROBLEM = TASK.problem_from_reference({"nums": [3, 7, 8], "target": 80})
GOOD = "<think>3+7 is 10.</think>\n<answer>(3+7)*8</answer>"


def completion(text: str, tokens: int = 0) -> Completion:
    return Completion((), (1,) * tokens, (0.0,) * tokens, (0.0,) * tokens, text, "stop", 0)


def term(name: str, text: str, tokens: int = 0, **params: Any) -> float:
    sample = completion(text, tokens)
    rubric = Rubric([TermSpec(name=name, params=params)])
    (reward,) = rubric.score([RewardInput(PROBLEM, sample, *grade(PROBLEM, sample, TASK))])
    assert reward is not None
    assert reward.total == reward.terms[name]
    return reward.terms[name]


def thinking(text: str) -> str:
    return f"<think>{text}</think>\n<answer>(3+7)*8</answer>"


@pytest.mark.parametrize(
    ("text", "accuracy", "form"),
    [
        (GOOD, 1.0, 1.0),
        (GOOD.replace("(3+7)*8", "3+7*8"), 0.0, 1.0),
        (GOOD.replace("(3+7)*8", "80"), 0.0, 1.0),
        ("<answer>(3+7)*8</answer>", 1.0, 0.0),
        (GOOD + " done", 1.0, 0.0),
        (GOOD + GOOD, 1.0, 0.0),
        (GOOD + "<think>", 1.0, 0.0),
        ("<think></think><answer></answer>", 0.0, 0.0),
        ("<think></think>\n<answer>(3+7)*8</answer>", 1.0, 0.0),
        (GOOD.replace("(3+7)*8", "(1"), 0.0, 0.0),
        (GOOD.replace("(3+7)*8", "9**99**98"), 0.0, 0.0),
        (GOOD.replace("(3+7)*8", "0x50"), 0.0, 0.0),
        (GOOD.replace("(3+7)*8", "8e1"), 0.0, 0.0),
        ("<think>so <answer>(3+7)*8</answer>", 0.0, 0.0),
        ("<think>so <answer>(3+7)*8</answer></think>\n<answer>3+7+8</answer>", 0.0, 0.0),
        ("<think>a</think> <answer>(3+7)*8</answer> <answer>3+7+8</answer>", 0.0, 0.0),
        (GOOD.removeprefix("<think>"), 1.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_accuracy_and_format(text: str, accuracy: float, form: float) -> None:
    assert (term("accuracy", text), term("format", text)) == (accuracy, form)
    assert term("accuracy", text, needs_format=True) == accuracy * form


def test_the_prompts_own_example_is_no_answer() -> None:
    sample = completion("<think>the form is <answer> (1 + 2) / 3 </answer>, so")
    assert grade(PROBLEM, sample, TASK)[1].outcome == "no_answer"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("First,First,First,", 1 / 3),
        ("First, 3+7. Second, times 8. Finally, 80.", 1.0),
        ("Step 1: a\nStep 2: b", 2 / 3),
        ("Step 1: a\nStep 1: b", 1 / 3),
        ("1. a\n2. b\n3. c\n4. d", 1.0),
        ("so\n- a\n* b", 2 / 3),
        ("-\n-\n-\n", 0.0),
        ("- a\n- a\n- a", 1 / 3),
        ("no step", 0.0),
    ],
)
def test_reasoning_steps_count_different_marks(text: str, value: float) -> None:
    assert term("reasoning_steps", text) == pytest.approx(value)


def padded(length: int, answer: str) -> str:
    text = f"<answer>{answer}</answer>"
    return text + " " * (length - len(text))


@pytest.mark.parametrize(
    ("length", "answer", "value"),
    [
        (500, "(3+7)*8", 0.9),
        (1000, "(3+7)*8", 0.8),
        (1500, "(3+7)*8", 0.8),
        (2000, "(3+7)*8", 0.8),
        (500, "3+7+8", -0.3),
        (1000, "3+7+8", -0.1),
        (2000, "3+7+8", -0.1),
    ],
)
def test_cosine_is_flat_beyond_its_maximum(length: int, answer: str, value: float) -> None:
    assert term("cosine", padded(length, answer)) == pytest.approx(value)


def test_cosine_starts_at_its_ends_and_can_count_tokens() -> None:
    assert term("cosine", "") == pytest.approx(-0.5)
    assert term("cosine", GOOD, 0, unit="tokens") == pytest.approx(1.0)
    assert term("cosine", GOOD, 50, unit="tokens", max_length=100) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0.0),
        ("a b", 0.0),
        ("a b c d", 0.0),
        ("no no no no no", -0.1 * (1 - 1 / 3)),
        ("A b C a B c", -0.1 * (1 - 3 / 4)),
    ],
)
def test_repetition_is_penalised_by_its_share(text: str, value: float) -> None:
    assert term("repetition_penalty", text) == pytest.approx(value)
    assert str(term("repetition_penalty", "a b c d")) == "0.0"


def test_repetition_takes_parameters() -> None:
    assert term("repetition_penalty", "a a a", n=1, penalty=-1.0) == pytest.approx(-2 / 3)


def test_thought_length_sees_thinking_over_many_lines() -> None:
    assert term("thought_length", thinking("line\n" * 201)) == 1.0  # 1004 characters
    assert term("thought_length", thinking("x" * 1000)) == 0.0
    assert term("thought_length", "x" * 2000) == 0.0
    assert term("thought_length", thinking("\u200b" * 2000)) == 0.0  # of which nothing is seen


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (thinking("try 3+7 again"), 1.0),
        (thinking("try 3+7 试试"), 1 / 3),
        (thinking("试试"), 0.0),
        (thinking("3+7=10"), 0.0),
        (thinking(""), 0.0),
        ("only words without tags", 0.0),
    ],
)
def test_language_consistency_is_of_the_thinking(text: str, value: float) -> None:
    assert term("language_consistency", text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (GOOD, 1.0),
        (GOOD.replace("\n", " "), 0.0),
        (GOOD.replace("\n", "\n\n"), 0.0),
        (GOOD + "\n", 0.0),
        (GOOD.replace("(3+7)*8", "(1"), 0.0),
        (GOOD.replace("3+7 is 10.", ""), 0.0),
    ],
)
def test_countdown_format_wants_one_line_break(text: str, value: float) -> None:
    assert term("countdown_format", text) == value


def test_countdown_equation_wants_the_bare_expression() -> None:
    assert term("countdown_equation", GOOD) == 1.0
    assert term("countdown_equation", GOOD.replace("*8", "*8 = 80")) == 0.0
    assert term("countdown_equation", GOOD.replace("(3+7)*8", "9**99**98")) == 0.0


@pytest.mark.parametrize(
    ("tokens", "value"), [(0, 0.0), (80, 0.0), (85, -0.25), (90, -0.5), (100, -1.0), (300, -1.0)]
)
def test_overlong_falls_linearly(tokens: int, value: float) -> None:
    assert term("overlong", "x", tokens, max_length=100, buffer=20) == pytest.approx(value)


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "(3+7)*8", " ", "\n", "x", "- "])
    )
)
def test_format_pays_only_for_text_that_the_verifier_reads(parts: list[str]) -> None:
    sample = completion("".join(parts))
    parsed, verdict = grade(PROBLEM, sample, TASK)
    if term("format", sample.text):
        assert verdict.outcome in ("correct", "wrong")
        assert parsed.thinking

"""Each known fault of published rewards from both sides: the default is free of it, `published` has it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from r1kit.rewards import published
from r1kit.rewards.registry import RewardInput
from r1kit.rewards.rubric import Rubric, TermSpec, grade
from r1kit.tasks.registry import make_task
from r1kit.types import Completion, Failure, Unscored

TASK = make_task("countdown")
PROBLEM = TASK.problem_from_reference({"nums": [3, 7, 8], "target": 80})
GOOD = "<think>3+7 is 10.</think>\n<answer>(3+7)*8</answer>"


def outcome(name: str, text: str, **params: Any) -> float | Unscored:
    completion = Completion((), (), (), (), text, "stop", 0)
    rubric = Rubric([TermSpec(name=name, params=params)])
    (found,) = rubric.outcomes([RewardInput(PROBLEM, completion, *grade(PROBLEM, completion, TASK))])
    return found if isinstance(found, Unscored) else found.total


def both(name: str, text: str, **params: Any) -> tuple[object, object]:
    """The term by default and as published."""
    return outcome(name, text, **params), outcome(name, text, published=True, **params)


@pytest.mark.parametrize(
    "text",
    [
        "<think></think><answer></answer>",
        "<think></think>\n<answer></answer>",
        GOOD + GOOD,
        GOOD + "\nand more",
        "<think>a</think><answer>b</answer>\n<answer>c</answer>",
        GOOD.replace("(3+7)*8", "give me points"),
    ],
)
def test_published_format_takes_empty_tags_two_blocks_and_text_after_the_end(text: str) -> None:
    assert both("format", text) == (0.0, 1.0)


@pytest.mark.parametrize(
    "text",
    ["", "<answer>(3+7)*8</answer>", GOOD + " and more", "x" + GOOD, "<think>a</think>b<answer>c</answer>"],
)
def test_both_formats_refuse_what_both_refuse(text: str) -> None:
    assert both("format", text) == (0.0, 0.0)
    assert both("format", GOOD) == (1.0, 1.0)


def test_published_reasoning_steps_pay_one_mark_three_times() -> None:
    assert both("reasoning_steps", "First,First,First,") == (1 / 3, 1.0)
    assert both("reasoning_steps", "Step 1: a Step 1: a") == (1 / 3, 2 / 3)
    assert both("reasoning_steps", "so\n-\n*\n1.") == (0.0, 1.0)


def padded(length: int, answer: str) -> str:
    text = f"<answer>{answer}</answer>"
    return text + " " * (length - len(text))


@pytest.mark.parametrize(
    ("length", "flat", "wrapped"), [(1000, 0.8, 0.8), (1500, 0.8, 0.9), (2000, 0.8, 1.0)]
)
def test_published_cosine_rises_again_beyond_its_maximum(length: int, flat: float, wrapped: float) -> None:
    assert both("cosine", padded(length, "(3+7)*8")) == pytest.approx((flat, wrapped))


def test_published_cosine_punishes_a_wrong_answer_of_twice_the_length_as_the_shortest() -> None:
    assert both("cosine", padded(2000, "3+7+8")) == pytest.approx((-0.1, -0.5))


@pytest.mark.parametrize(
    "text",
    [
        "<think></think>\n<answer>(3+7)*8</answer>",
        "<think>a</think>\n<answer></answer>",
        "<think>a</think>\n<answer>b</answer>\n<answer>c</answer>",
        GOOD + "\n",
    ],
)
def test_published_countdown_format_looks_at_the_ends_alone(text: str) -> None:
    assert both("countdown_format", text) == (0.0, 1.0)


def test_a_prefilled_think_counts_for_both_countdown_formats() -> None:
    generated = GOOD.removeprefix("<think>")
    assert both("countdown_format", "<think>" + generated) == (1.0, 1.0)
    assert both("countdown_format", generated) == (0.0, 0.0)


def test_published_equation_is_read_from_the_thinking_and_by_tolerance() -> None:
    assert both("countdown_equation", "<think><answer>(3+7)*8</answer></think>") == (0.0, 1.0)
    first = "<think>x <answer>(3+7)*8</answer></think>\n<answer>3+7+8</answer>"
    assert both("countdown_equation", first) == (0.0, 1.0)
    assert both("countdown_equation", "<answer>(3+7)\n*8</answer>")[1] == 0.0  # its dot matched no line break


@pytest.mark.parametrize(
    ("equation", "paid"),
    [
        ("+(3+7)*8", True),
        ("-(3+7)*-8", True),
        ("(3+7)*8.", True),
        ("(3+7)*8 = 80", False),
        ("8e1", False),
        ("0x50", False),
        ("3_7*8", False),
        ("3.78", False),
        ("(3+7)*8+", False),
        ("(" * 200 + "(3+7)*8", False),
        ("3/(8-8)", False),
    ],
)
def test_published_equation_is_computed_and_never_evaluated(equation: str, paid: bool) -> None:
    assert published.solves_countdown(f"<answer>{equation}</answer>", [3, 7, 8], 80) is paid


def test_published_equation_uses_the_digits_of_a_decimal_and_whole_division() -> None:
    assert published.solves_countdown("<answer>1.5*2</answer>", [1, 5, 2], 3)
    assert published.solves_countdown("<answer>7//2</answer>", [7, 2], 3)
    assert published.solves_countdown("<answer>1/3*3</answer>", [1, 3, 3], 1)


@pytest.mark.parametrize("equation", ["9**99**98", "9**9**9**9", "3**7"])
def test_a_power_hangs_neither_side(equation: str) -> None:
    start = time.process_time()
    numbers = [int(n) for n in equation.split("**")]
    assert not published.solves_countdown(f"<answer>{equation}</answer>", numbers, 1)
    assert both("countdown_equation", f"<answer>{equation}</answer>") == (0.0, 0.0)
    assert time.process_time() - start < 1.0


def test_published_thought_length_misses_thinking_over_several_lines() -> None:
    lines, line = "word\n" * 201, "x" * 1001
    assert both("thought_length", f"<think>{lines}</think>") == (1.0, 0.0)
    assert both("thought_length", f"<think>{line}</think>") == (1.0, 1.0)
    assert both("thought_length", f"<think>{line[1:]}</think>") == (0.0, 0.0)


def test_a_function_where_a_number_belongs_is_no_score() -> None:
    """The published repetition factory returned itself."""
    from r1kit.rewards.boundary import single

    def factory(sample: object, parameters: object) -> object:
        return factory

    found = single("repetition_penalty", factory, None, None)
    assert found == Unscored("repetition_penalty", Failure.WRONG_TYPE, "expected a number, found function")


@pytest.mark.parametrize(
    ("text", "strict", "loose"),
    [
        (GOOD, 1.0, 1.0),
        ("<think></think><answer></answer>", -1.0, 1.0),
        ("so " + GOOD + " done", -1.0, 1.0),
        (GOOD + "<think>", -1.0, -1.0),
        (GOOD + GOOD, -1.0, -1.0),
        ("(3+7)*8", -1.0, -1.0),
        ("", -1.0, -1.0),
    ],
)
def test_logic_format_is_plus_or_minus_one(text: str, strict: float, loose: float) -> None:
    assert both("logic_format", text) == (strict, loose)


@pytest.mark.parametrize(
    ("text", "value", "anywhere"),
    [
        (GOOD, 2.0, 2.0),
        (GOOD.replace("*8<", "-8<"), -1.5, -1.5),
        (GOOD.replace("(3+7)*8", "eighty"), -2.0, -2.0),
        ("<answer>(3+7)*8</answer>", -2.0, 2.0),
        ("no answer", -2.0, -2.0),
        (GOOD + "<think>", -2.0, 2.0),
    ],
)
def test_logic_answer_pays_right_wrong_and_unreadable(text: str, value: float, anywhere: float) -> None:
    assert outcome("logic_answer", text) == value
    assert outcome("logic_answer", text, needs_format=False) == anywhere


def test_logic_answer_takes_other_values() -> None:
    assert outcome("logic_answer", GOOD, right=5.0) == 5.0
    assert outcome("logic_answer", "so " + GOOD, published=True) == 2.0


@pytest.mark.parametrize(
    "piece", ["<think>", "</think><answer>", "</think> <answer>x", "</answer>\n", "Step 1", "\n-"]
)
def test_published_terms_read_a_megabyte_in_linear_time(piece: str) -> None:
    text = "<think>" + piece * (1_000_000 // len(piece))
    for name in (
        "format",
        "reasoning_steps",
        "countdown_format",
        "countdown_equation",
        "thought_length",
        "logic_format",
    ):
        start = time.process_time()
        outcome(name, text, published=True)
        assert time.process_time() - start < 2.0

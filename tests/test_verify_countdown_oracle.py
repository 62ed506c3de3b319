"""Countdown against an oracle of its own: a parser and evaluator written here, over exact fractions."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1kit.types import Outcome
from r1kit.verify.arithmetic import MAX_CHARACTERS, MAX_NESTING, check_countdown

SIGNS = {"×": "*", "÷": "/", "−": "-", "（": "(", "）": ")", "\\times": "*", "\\cdot": "*", "\\div": "/"}


class Oracle:
    """`sum := product (+|- product)*`, `product := atom (*|/ atom)*`, `atom := digits | ( sum )`."""

    def __init__(self, text: str) -> None:
        for sign, plain in SIGNS.items():
            text = text.replace(sign, plain)
        self.tokens = re.findall(r"[0-9]+|[+\-*/()]|[^ ]", text.strip())
        self.spaced = re.findall(r"[0-9] +(?=[0-9])", text)
        self.numbers: list[int] = []

    def value(self) -> Fraction | None:
        """The value, or None for what is no expression or has none."""
        if not self.tokens or self.spaced:
            return None
        try:
            value = self.sum(0)
        except (ValueError, IndexError, ZeroDivisionError):
            return None
        return None if self.tokens else value

    def sum(self, depth: int) -> Fraction:
        value = self.product(depth)
        while self.tokens and self.tokens[0] in "+-":
            sign = self.tokens.pop(0)
            right = self.product(depth)
            value = value + right if sign == "+" else value - right
        return value

    def product(self, depth: int) -> Fraction:
        value = self.atom(depth)
        while self.tokens and self.tokens[0] in "*/":
            sign = self.tokens.pop(0)
            right = self.atom(depth)
            value = value * right if sign == "*" else value / right
        return value

    def atom(self, depth: int) -> Fraction:
        token = self.tokens.pop(0)
        if token == "(" and depth < MAX_NESTING:
            value = self.sum(depth + 1)
            if self.tokens.pop(0) != ")":
                raise ValueError
            return value
        if not re.fullmatch("0|[1-9][0-9]*", token):
            raise ValueError
        self.numbers.append(int(token))
        return Fraction(int(token))


def right(answer: str, nums: Sequence[int], target: int) -> bool:
    """Whether the answer is right, as the oracle says."""
    if len(answer) > MAX_CHARACTERS:
        return False
    expression, claimed, claim = answer.strip().partition("=")
    if claimed and not (re.fullmatch(r"\s*-?[0-9]{1,20}\s*", claim) and int(claim) == target):
        return False
    oracle = Oracle(expression)
    value = oracle.value()
    return value == target and Counter(oracle.numbers) == Counter(nums)


def expression(rng: random.Random, nums: list[int]) -> str:
    """A random expression of all numbers, with spaces, needless brackets and typeset signs."""
    terms = [str(number) for number in nums]
    rng.shuffle(terms)
    while len(terms) > 1:
        left, other = terms.pop(rng.randrange(len(terms))), terms.pop(rng.randrange(len(terms)))
        sign = rng.choice(["+", "-", "*", "/", "×", "÷", "−", " \\times ", " + "])
        joined = f"{left}{sign}{other}"
        terms.append(rng.choice(["{}", "({})", "({})", "（{}）", " {} "]).format(joined))
    return terms[0]


MUTATIONS = [
    *"0123456789+-*/()=. ×÷−（）_ex\n\x00\u200b\ud800３٣",
    "**",
    "//",
    "--",
    "= 80",
    " = 7",
    "1e3",
    "0x1",
    "\\times",
]


def mutated(rng: random.Random, text: str) -> str:
    """One or two pieces put in, taken out, doubled or swapped."""
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(len(text) + 1)
        piece = rng.choice([*MUTATIONS, text[place : place + 1], ""])
        text = text[:place] + piece + text[place + rng.randint(0, 1) :]
    return text


@settings(max_examples=400)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_an_answer_is_correct_if_and_only_if_the_oracle_says_so(rng: random.Random, nums: list[int]) -> None:
    text = expression(rng, nums)
    value = Oracle(text).value()
    whole = value is not None and value.denominator == 1
    target = int(value) if whole and value is not None else rng.randint(-5, 40)
    written = check_countdown(text, nums, target)
    assert written.correct == whole
    for answer in (f"{text} = {target}", f"{text} = {target + 1}", *(mutated(rng, text) for _ in range(8))):
        verdict = check_countdown(answer, nums, target)
        assert verdict.correct == right(answer, nums, target), (answer, nums, target, verdict)
        for other in (target + 1, -target, 0):
            assert check_countdown(answer, nums, other).correct == right(answer, nums, other)


@settings(max_examples=200)
@given(st.lists(st.sampled_from([*MUTATIONS, "3", "7", "8"]), max_size=16).map("".join))
def test_random_rows_of_signs_are_graded_as_the_oracle_says(answer: str) -> None:
    for nums, target in (([3, 7, 8], 80), ([3], 3), ([0, 8], 8), ([8, 8], 1)):
        assert check_countdown(answer, nums, target).correct == right(answer, nums, target)


@pytest.mark.parametrize(
    "piece", ["(", ")", "1+", "1", "=", "= ", "×", "\\times", "\\", " ", "\x00", "\ud800", "٣", "-", "(1+"]
)
def test_the_longest_answers_and_megabytes_take_little_time(piece: str) -> None:
    start = time.process_time()
    for length in (MAX_CHARACTERS, 1_000_000):
        assert check_countdown(piece * (length // len(piece)), [1], 1).outcome is not Outcome.CORRECT
    assert time.process_time() - start < 0.2

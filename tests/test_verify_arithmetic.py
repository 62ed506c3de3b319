from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.types import Outcome
from r1kit.verify.arithmetic import ArithmeticSyntaxError, check_countdown, evaluate


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(3+7)*8", Fraction(80)),
        ("3+7*8", Fraction(59)),
        ("8-7-3", Fraction(-2)),
        ("(1 + 2) / 6", Fraction(1, 2)),
        ("1/3+1/3+1/3", Fraction(1)),
        ("0", Fraction(0)),
        ("3 × (8 − 6) ÷ 2", Fraction(3)),
        (r"3 \times 4 \div 2 \cdot 5", Fraction(30)),
        ("（3+7）*8", Fraction(80)),
    ],
)
def test_an_expression_has_its_exact_value(text: str, value: Fraction) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "9**99**98", "2**3", "8//3", "8%3", "××", "3××4", "÷÷", "3÷÷4", r"3\times\times4"),
        *("0x10", "1e3", "1E3", "1_0", "0b1", "0o7", "007", "00", "3.0", "3.", ".5", "1j"),
        *(
            "-3",
            "+3",
            "3--4",
            "3+-4",
            "3*-4",
            "-(3+4)",
            "~3",
            "not 3",
            "3 4",
            "3(4)",
            "(3)(4)",
            "(3,4)",
            "()",
        ),
        *(
            "3+",
            "*3",
            "(3+4",
            "3+4)",
            "3<4",
            "3+4 # 29",
            "3;4",
            "3\n+4",
            "3\t+4",
            "3\\\n+4",
            "3+4\x00",
        ),
        *("３+4", "٣+4", "3+Ⅳ", "__import__('os')", "a", "[3]", "'3'", "f'3'", "3 if 3 else 4", "(x:=3)"),
        *("(" * 17 + "1" + ")" * 17, "(" * 250, "1" * 257, "1+" * 200 + "1", ")" * 200 + "("),
    ],
)
def test_anything_but_plain_arithmetic_is_malformed(text: str) -> None:
    with pytest.raises(ArithmeticSyntaxError):
        evaluate(text)
    verdict = check_countdown(text, [3, 4], 7)
    assert (verdict.outcome, verdict.score) == (Outcome.MALFORMED, 0.0)
    assert 0 < len(verdict.detail) < 60


def test_parentheses_nest_sixteen_deep() -> None:
    assert evaluate("(" * 16 + "5" + ")" * 16) == 5


def test_the_longest_sum_is_computed() -> None:
    assert evaluate("+".join(["1"] * 128)) == 128


@pytest.mark.parametrize(
    ("answer", "nums", "target", "outcome", "detail"),
    [
        ("(3+7)*8", [3, 7, 8], 80, Outcome.CORRECT, "makes 80"),
        (" 8 * (7 + 3) ", [3, 7, 8], 80, Outcome.CORRECT, "makes 80"),
        ("3+7+8", [3, 7, 8], 80, Outcome.WRONG, "makes 18, not 80"),
        ("8/3", [3, 8], 2, Outcome.WRONG, "makes 8/3, not 2"),
        ("8*10", [3, 7, 8], 80, Outcome.WRONG, "10 is not among the given numbers"),
        ("80", [3, 7, 8], 80, Outcome.WRONG, "80 is not among the given numbers"),
        ("37+43", [3, 7, 43], 80, Outcome.WRONG, "37 is not among the given numbers"),
        ("3+7", [3, 7, 8], 10, Outcome.WRONG, "8 is not used"),
        ("3+7+7", [3, 7, 8], 17, Outcome.WRONG, "7 is used twice, given once"),
        ("3*8", [3, 3, 8], 24, Outcome.WRONG, "3 is not used twice"),
        ("3+3*8", [3, 3, 8], 27, Outcome.CORRECT, "makes 27"),
        ("8/(7-7)", [7, 7, 8], 8, Outcome.WRONG, "divides by zero"),
        ("1/3*3", [1, 3, 3], 1, Outcome.CORRECT, "makes 1"),
        ("3+7*8-8*7", [3, 7, 8], 3, Outcome.WRONG, "8 is used twice, given once"),
    ],
)
def test_the_verdict_says_why(
    answer: str, nums: list[int], target: int, outcome: Outcome, detail: str
) -> None:
    verdict = check_countdown(answer, nums, target)
    assert (verdict.outcome, verdict.detail) == (outcome, detail)
    assert verdict.score == (1.0 if outcome is Outcome.CORRECT else 0.0)
    assert verdict.extracted == answer.strip()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("(3+7)*8 = 80", Outcome.CORRECT),
        ("(3+7)*8=80", Outcome.CORRECT),
        ("(3+7)*8 = 81", Outcome.WRONG),
        ("3+7+8 = 80", Outcome.WRONG),
        ("3+7+8 = 18", Outcome.WRONG),
        ("80 = 80", Outcome.WRONG),
        ("= 80", Outcome.MALFORMED),
        ("(3+7)*8 = 80 = 80", Outcome.MALFORMED),
        ("80 = (3+7)*8", Outcome.MALFORMED),
        ("(3+7)*8 == 80", Outcome.MALFORMED),
        ("(3+7)*8 =", Outcome.MALFORMED),
        ("(3+7)*8 = 8e1", Outcome.MALFORMED),
    ],
)
def test_one_trailing_claim_is_allowed_and_never_believed(answer: str, outcome: Outcome) -> None:
    assert check_countdown(answer, [3, 7, 8], 80).outcome is outcome


def test_megabytes_are_refused_at_once() -> None:
    start = time.perf_counter()
    for text in ("1+" * 500_000 + "1", "(" * 1_000_000, "\x00" * 1_000_000, " " * 1_000_000, "٣" * 1_000_000):
        verdict = check_countdown(text, [1], 1)
        assert verdict.outcome is Outcome.MALFORMED
        assert len(verdict.extracted or "") <= 256
    assert time.perf_counter() - start < 0.5


@given(st.text(alphabet="0123456789+-*/() =×.e_x\n\x00٣", max_size=60) | st.text(max_size=300))
def test_no_text_raises_and_only_right_expressions_are_correct(text: str) -> None:
    verdict = check_countdown(text, [3, 7, 8], 80)
    if verdict.correct:
        assert sorted(character for character in text if character in "378") >= ["3", "7", "8"]
    else:
        assert verdict.outcome in (Outcome.WRONG, Outcome.MALFORMED)


trees = st.recursive(
    st.integers(1, 99).map(lambda n: (str(n), Fraction(n))),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda t: (
            f"({t[0][0]} {t[1]} {t[2][0]})",
            {"+": t[0][1] + t[2][1], "-": t[0][1] - t[2][1], "*": t[0][1] * t[2][1]}[t[1]],
        )
    ),
    max_leaves=6,
)


@given(trees)
def test_nested_expressions_evaluate_as_built(tree: tuple[str, Fraction]) -> None:
    assert evaluate(tree[0]) == tree[1]

"""What is read besides formulas: numbers in words, options, approximations, congruences, names and values."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.types import Outcome
from r1kit.verify.maths.approximate import rounds_to
from r1kit.verify.maths.checker import check
from r1kit.verify.maths.choice import letter_of
from r1kit.verify.maths.declared import Declared
from r1kit.verify.maths.forms import Assignments, Congruence, Expression, Figure, Infinity
from r1kit.verify.maths.numerals import number_in_words
from r1kit.verify.maths.reader import read
from r1kit.verify.maths.signs import in_latex
from r1kit.verify.maths.trees import Unreadable

ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
ENGLISH = [*ONES.split(), "seventeen", "eighteen", "nineteen"]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def english(number: int) -> str:
    if number < 20:
        return ENGLISH[number]
    if number < 100:
        return TENS[number // 10] + ("-" + ENGLISH[number % 10] if number % 10 else "")
    for size, name in ((10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            return f"{english(number // size)} {name}" + (f" {english(rest)}" if rest else "")
    raise AssertionError(number)


def chinese(number: int) -> str:
    """Below 100,000,000, with 零 for places that are skipped."""
    if number >= 10**4:
        rest = number % 10**4
        return (
            chinese(number // 10**4)
            + "万"
            + ("零" if 0 < rest < 1000 else "")
            + (chinese(rest) if rest else "")
        )
    text = ""
    for size, place in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // size % 10
        if digit:
            text += "零一二三四五六七八九"[digit] + place
        elif text and text[-1] != "零":
            text += "零"
    return text.rstrip("零") or "零"


@given(st.integers(0, 10**9 - 1))
def test_numbers_in_english_words_are_read(number: int) -> None:
    assert number_in_words(english(number)) == number
    assert check(english(number).capitalize(), str(number)).correct
    assert not check(english(number), str(number + 1)).correct


@given(st.integers(0, 10**8 - 1))
def test_numbers_in_chinese_words_are_read(number: int) -> None:
    assert number_in_words(chinese(number)) == number
    assert not check(chinese(number), str(number + 1)).correct


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("minus three", Fraction(-3)),
        ("two-thirds", Fraction(2, 3)),
        ("three halves", Fraction(3, 2)),
        ("one hundred and five", Fraction(105)),
        ("负三分之二", Fraction(-2, 3)),
        *((text, None) for text in ("twelve twelve", "one two", "hundred", "two third", "half", "and five")),
        *((text, None) for text in ("a dozen", "twelve or thirteen", "not twelve", "")),
        *((text, None) for text in ("一百五", "一万五", "一二", "百", "一千二十", "零分之三")),
    ],
)
def test_words_that_say_two_numbers_or_none_are_no_number(text: str, value: Fraction | None) -> None:
    assert number_in_words(text) == value


def test_signs_are_written_as_in_latex() -> None:
    assert in_latex("2√12·x¹⁰⁻ⁿ") == r"2\sqrt{12}*x^{10-n}"
    assert in_latex("1⅔ – x₁₂") == r"1\frac{2}{3} - x_{12}"


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("D", "D"),
        ("(D)", "D"),
        ("D)", "D"),
        (r"\textbf{(D)}\ 12", "D"),
        ("The correct option is (D).", "D"),
        ("D. none of these", "D"),
        ("故选：D", "D"),
        *((text, None) for text in ("D or E", "D. E", "(D)(E)", "not D", "DE", "d", "D. d", "Dan", "D, 12")),
        *((text, None) for text in ("D. not sure", "D: 12, or the second", "选D或E", "不选D", "D. Д", "12")),
    ],
)
def test_an_option_is_named_once_and_alone(text: str, letter: str | None) -> None:
    assert letter_of(text) == letter


@pytest.mark.parametrize(
    ("text", "written", "holds"),
    [
        (r"\sqrt{2}", "1.41", True),
        (r"\sqrt{2}", "1.42", False),
        (r"\frac{2}{3}", "0.67", True),
        (r"\frac{2}{3}", "0.66", True),  # cut off
        (r"\frac{2}{3}", "0.68", False),
        (r"-\pi", "-3.1416", True),
        (r"\ln 2", "0.693", True),
        (r"\sqrt[3]{2}", "1.26", True),
        (r"\sqrt{-1}", "1", False),
        ("x", "1", False),
        (r"9^{999}\cdot 9^{999}", "1", False),
    ],
)
def test_a_decimal_is_an_approximation_to_its_last_digit(text: str, written: str, holds: bool) -> None:
    found = read(text)
    assert isinstance(found, Expression)
    assert rounds_to(found.tree, written) is holds


def test_forms_of_their_own_are_read() -> None:
    assert read(r"x \equiv \pm 1 \pmod{8}") == Congruence("x", frozenset({1, 7}), 8)
    assert read("n = 10 (mod 7)") == Congruence("n", frozenset({3}), 7)
    assert read(r"\triangle BCA") == read("triangle ABC") == Figure("triangle", "ABC")
    assert read("negative infinity") == Infinity(negative=True)
    found = read("x = y = 2")
    assert isinstance(found, Assignments)
    assert [item.name for item in found.items] == ["x", "y"]
    for text in (r"10 \bmod 7", r"x \equiv 3", r"3 \pmod{1}", r"\pmod 7", r"\frac12 \pmod 7", "x=1 or y=2"):
        with pytest.raises(Unreadable):
            read(text)


@pytest.mark.parametrize(
    ("gold", "answer", "outcome"),
    [
        (r"y=\frac{x+1}{x-1}", "y(x-1)=x+1", Outcome.CORRECT),
        (r"y=\frac{x+1}{x-1}", "2xy-2y-2x-2=0", Outcome.CORRECT),
        ("xy=1", r"y=\frac{1}{x}", Outcome.CORRECT),
        ("y=x+1", "y(x-1)=x^2-1", Outcome.WRONG),  # all of x = 1 too
        (r"y=\frac{x^2-1}{x-1}", "y(x-1)=x^2-1", Outcome.WRONG),
        (r"y=\frac{1}{x}", "x^2y=x", Outcome.WRONG),
        (r"\frac1x+\frac1y=1", "x+y=xy", Outcome.WRONG),  # (0, 0) too
        ("x^2+y^2=1", "(x^2+y^2-1)^2=0", Outcome.WRONG),  # the same points, which no rule here proves
    ],
)
def test_denominators_are_cleared_only_where_no_solution_comes_or_goes(
    gold: str, answer: str, outcome: Outcome
) -> None:
    assert check(answer, gold).outcome is outcome


@pytest.mark.parametrize("word", ["eggs", "dollars", "square units", "eggs per day", "个鸡蛋", "minutes"])
def test_a_unit_that_the_gold_lacks_counts_unless_units_are_optional(word: str) -> None:
    assert check(f"18 {word}", "18").outcome is Outcome.MALFORMED
    assert check(f"18 {word}", "18", Declared(units="optional")).outcome is Outcome.CORRECT
    assert not check(f"19 {word}", "18", Declared(units="optional")).correct


@pytest.mark.parametrize(
    "word", ["dozen", "thousand", "percent", "wrong", "not", "or 19", "minus 1", "off by 1"]
)
def test_a_word_that_changes_the_number_is_no_unit(word: str) -> None:
    assert not check(f"18 {word}", "18", Declared(units="optional")).correct


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\$12.50", "12 dollars and 50 cents"),
        (r"\$12.50", "12 dollars, 50 cents"),
        ("1.5 hours", "1 hour 30 minutes"),
        ("80 minutes", "1 hour and 20 minutes"),
        ("2 hours 30 minutes", "2.5 hours"),
        (r"2\text{ hours }30\text{ minutes}", "2 h 30 min"),
        ("63 inches", "5 feet 3 inches"),
        ("90 min", "1h 30min"),
        ("1.5小时", "1小时30分钟"),
        ("12.5元", "12元5角"),
        ("50%", "百分之五十"),
        ("百分之十二", "12%"),
    ],
)
def test_an_amount_in_two_units_and_per_cent_in_words_are_read(gold: str, answer: str) -> None:
    assert check(answer, gold).outcome is Outcome.CORRECT
    assert check(gold, answer).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\$12.50", "12 dollars and 5 cents"),
        (r"\$12.50", "12 dollars or 50 cents"),
        (r"\$12.50", "12 dollars and 50 euros"),
        (r"\$12.50", "50 cents and 12 dollars"),
        ("2.5 hours", "1 hour 90 minutes"),
        ("1.5 hours", "1 hour 30 seconds"),
        ("1.5 hours", "-1 hour 30 minutes"),
        ("1.5 hours", "1 hour 30 meters"),
        ("1.5 hours", "1 hour 30 minutes 10 seconds"),
        ("1.5", "1 hour 30 minutes"),
        ("90", "1 hour 30 minutes"),
        ("1 hour 30 minutes", "1.3 hours"),
        ("50%", "百分之五"),
        ("1/2", "百分之五十"),
    ],
)
def test_another_amount_in_two_units_is_refused(gold: str, answer: str) -> None:
    assert check(answer, gold).outcome in (Outcome.WRONG, Outcome.MALFORMED)


@given(st.integers(0, 200), st.integers(0, 59), st.integers(0, 12_000))
def test_hours_with_minutes_are_that_many_minutes(hours: int, minutes: int, gold: int) -> None:
    said = f"{hours} hours {minutes} minutes"
    assert check(said, f"{60 * hours + minutes} minutes").correct
    assert check(said, f"{gold} minutes").correct is (gold == 60 * hours + minutes)

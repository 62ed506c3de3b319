from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.types import Outcome
from r1kit.verify.numbers import equal, parse_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", Fraction(18)),
        (" 18. ", Fraction(18)),
        ("-5", Fraction(-5)),
        ("−5", Fraction(-5)),
        ("+5", Fraction(5)),
        ("007", Fraction(7)),
        ("1,234.50", Fraction(2469, 2)),
        ("1,000,000", Fraction(1_000_000)),
        ("1 000", Fraction(1000)),
        (r"1\,000", Fraction(1000)),
        ("$1,250", Fraction(1250)),
        ("-$5", Fraction(-5)),
        ("$-5", Fraction(-5)),
        (r"\$42", Fraction(42)),
        ("$42$", Fraction(42)),
        ("$$42$$", Fraction(42)),
        (r"\(42\)", Fraction(42)),
        (r"\boxed{42}", Fraction(42)),
        (r"$\boxed{\frac{1}{2}}$.", Fraction(1, 2)),
        (r"\boxed{\$1,000}", Fraction(1000)),
        (r"-\dfrac{3}{4}", Fraction(-3, 4)),
        (r"\text{7}", Fraction(7)),
        ("**7**", Fraction(7)),
        ("1/3", Fraction(1, 3)),
        ("2 / 6", Fraction(1, 3)),
        ("0.125", Fraction(1, 8)),
        (".5", Fraction(1, 2)),
        ("1" + "0" * 200, Fraction(10**200)),
    ],
)
def test_a_number_is_read_exactly(text: str, value: Fraction) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "-",
            "$",
            "\\boxed{}",
            "five",
            "3=4",
            r"\boxed{3=4}",
            "5 cm",
            "5 m",
            "x=5",
            "1e3",
            "0x10",
            "1_000",
        ),
        *(
            "1/0",
            "1//2",
            "1/2/3",
            "--5",
            "+-5",
            "-$-5",
            "1,23",
            "1,2345",
            "12 34",
            "0,5",
            "1.2.3",
            "5..",
            "18 19",
        ),
        *(
            "{1,2}",
            "(1,2)",
            "1 or 2",
            "9^{9^9}",
            "10!",
            "٣",
            "３",
            "Ⅳ",
            "1\x00",
            "inf",
            "nan",
            "100%",
            r"50\%",
            "5 6/7",
        ),
        *("1" * 257, "{" * 1000, r"\boxed{" * 30 + "5" + "}" * 30),
    ],
)
def test_anything_else_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("answer", "gold", "outcome"),
    [
        ("18", "18", Outcome.CORRECT),
        ("18.0", "18", Outcome.CORRECT),
        ("$18", "18", Outcome.CORRECT),
        ("1/2", "0.5", Outcome.CORRECT),
        ("1000", "1,000", Outcome.CORRECT),
        ("100%", "100%", Outcome.CORRECT),
        (r"100\%", "100%", Outcome.CORRECT),
        ("100%", "100", Outcome.WRONG),
        ("100%", "1", Outcome.WRONG),
        ("1", "100%", Outcome.WRONG),
        ("0.3333333", "1/3", Outcome.WRONG),
        ("-18", "18", Outcome.WRONG),
        ("18 or 19", "18", Outcome.MALFORMED),
        ("18, 19", "18", Outcome.MALFORMED),
        ("18 eggs", "18", Outcome.MALFORMED),
        ("18", "eighteen", Outcome.ERROR),
    ],
)
def test_equality_is_exact(answer: str, gold: str, outcome: Outcome) -> None:
    verdict = equal(answer, gold)
    assert verdict.outcome is outcome
    assert verdict.score == (1.0 if outcome is Outcome.CORRECT else 0.0)


def test_megabytes_are_refused_at_once() -> None:
    start = time.perf_counter()
    for piece in ("1", "1,000,", "{", "\\boxed{", "$", "*", " ", "\x00", "1/"):
        verdict = equal(piece * 500_000, "1")
        assert verdict.outcome is Outcome.MALFORMED
        assert len(verdict.extracted or "") <= 257
    assert time.perf_counter() - start < 1.0


@given(st.text(alphabet="0123456789.,/$%\\{}boxedfrac *-+\n", max_size=260))
def test_no_text_raises(text: str) -> None:
    assert equal(text, "1").outcome in (Outcome.CORRECT, Outcome.WRONG, Outcome.MALFORMED)


@given(st.fractions())
def test_every_fraction_is_read_back(value: Fraction) -> None:
    assert parse_number(str(value)) == value
    sign = "-" if value < 0 else ""
    assert parse_number(rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}") == value


@given(st.integers(-(10**30), 10**30))
def test_thousands_separators_do_not_change_the_value(value: int) -> None:
    assert parse_number(f"{value:,}") == value

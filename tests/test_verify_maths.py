"""Reading mathematical answers, and comparing them exactly."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.types import Outcome
from r1kit.verify.maths.checker import check, needs_symbolic, read_gold
from r1kit.verify.maths.clean import MAX_CHARACTERS
from r1kit.verify.maths.declared import STRICT, Declared, Tolerance, read_tolerance
from r1kit.verify.maths.forms import (
    Assignment,
    Choice,
    Expression,
    Form,
    Interval,
    Ordered,
    Quantity,
    Union,
    Unordered,
    Words,
)
from r1kit.verify.maths.reader import read
from r1kit.verify.maths.trees import Unreadable


def rational(text: str) -> Fraction | None:
    found = read(text)
    assert isinstance(found, Expression)
    return found.value.rational


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", Fraction(2469, 2)),
        ("1 000 000", Fraction(10**6)),
        (r"1{,}000", Fraction(1000)),
        ("1.5e3", Fraction(1500)),
        (r"2.5 \times 10^{-4}", Fraction(1, 4000)),
        (r"-1.5\cdot10^2", Fraction(-150)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        (r"1\frac{1}{2}", Fraction(3, 2)),
        (r"-1\frac12", Fraction(-3, 2)),
        ("2 3/4", Fraction(11, 4)),
        (r"\frac12", Fraction(1, 2)),
        (r"\frac{1}2", Fraction(1, 2)),
        ("6/2*3", Fraction(9)),
        ("12/2/3", Fraction(2)),
        ("-2^2", Fraction(-4)),
        ("(-2)^2", Fraction(4)),
        (r"\sqrt{\frac{9}{4}}", Fraction(3, 2)),
        (r"\sqrt[3]{-8}", Fraction(-2)),
        ("4^{1/2}", Fraction(2)),
        ("2^{-3}", Fraction(1, 8)),
        ("5!", Fraction(120)),
        (r"\binom{5}{2}", Fraction(10)),
        ("|-3|", Fraction(3)),
        (r"\sqrt2\sqrt8", Fraction(4)),
        (r"\frac{1}{\sqrt2-1}-\sqrt2", Fraction(1)),
        ("i^2", Fraction(-1)),
        (r"(2+i)(2-i)", Fraction(5)),
        ("x-x", Fraction(0)),
        (r"\frac{2\pi}{\pi}", Fraction(2)),
    ],
)
def test_exact_values_are_worked_out(text: str, value: Fraction) -> None:
    found = read(text)
    assert isinstance(found, Expression)
    assert check(text, str(value), Declared(form="expression")).outcome is Outcome.CORRECT
    if found.value.rational is not None:
        assert found.value.rational == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "-",
            "1/0",
            "1//2",
            "--5",
            "2--3",
            "1/2x",
            "2^3^4",
            "5!!",
            "12 34",
            "1,23 4",
            "5..",
            "3=4",
            "1+1=2",
        ),
        *(
            "x=3=4",
            "1<x>2",
            "[2,1]",
            r"(\infty,1)",
            r"[1,\infty]",
            "x<1 and x>2",
            "(1,2",
            "1)",
            "{",
            "|x",
            "x_",
            "^2",
        ),
        *(
            "9^{9^9}",
            "(9^{999})^{999}",
            "5001!",
            "1e301",
            "x^{10001}",
            "2011^{12000}",
            "(2^{9999})^{2}",
            "(x+y+z+w)^{99}",
            "(-1)!",
            "sin",
            r"\log_",
        ),
        *(
            "7\x00",
            "7\u200b",
            "\u202e7",
            "7\x1b[0m",
            "7\ue000",
            "1" * (MAX_CHARACTERS + 1),
            "(" * 50 + "1" + ")" * 50,
        ),
        *(
            "not 5",
            "about 5",
            "5?",
            "five apples and three pears",
            "1 or",
            ", 1",
            "1,,2",
        ),
        *(
            r"\boxed{1} \boxed{2}",
            r"\boxed{1} apples",
            r"not \boxed{1}",
            r"\boxed{",
            r"\begin{pmatrix}1&2\\3\end{pmatrix}",
        ),
    ],
)
def test_what_is_no_answer_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(Unreadable) as reason:
        read(text)
    assert str(reason.value)


def number(value: int) -> Expression:
    return Expression(("num", Fraction(value)))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("(1,2)", Ordered((number(1), number(2)))),
        ("(1, 2, 3)", Ordered((number(1), number(2), number(3)))),
        ("[1,2]", Union((Interval(number(1), number(2), True, True),))),
        ("(1,2]", Union((Interval(number(1), number(2), False, True),))),
        (r"(-\infty,2)", Union((Interval(None, number(2), False, False),))),
        ("x>2", Union((Interval(number(2), None, False, False),), "x")),
        (r"\{1,2\}", Unordered((number(1), number(2)), braces=True)),
        ("1, 2", Unordered((number(1), number(2)), braces=False)),
        ("1,000, 2", Unordered((number(1000), number(2)), braces=False)),
        ("x=3", Assignment("x", number(3))),
        ("3=x_{1}", Assignment("x_1", number(3))),
        ("x=1 or x=2", Assignment("x", Unordered((number(1), number(2)), braces=False))),
        ("(C)", Choice("C")),
        (r"\text{No solution}", Words("no solution")),
    ],
)
def test_texts_have_one_form(text: str, form: Form) -> None:
    found = read(text)
    if isinstance(found, Ordered | Unordered | Union | Assignment):
        assert repr(found).replace("'mixed'", "'num'") == repr(form)
    else:
        assert found == form


def test_units_have_a_size_and_a_dimension() -> None:
    for text, size, dimension in (
        ("5 cm", Fraction(1, 100), (("m", 1),)),
        (r"5\text{ cm}^2", Fraction(1, 10000), (("m", 2),)),
        ("5 square inches", Fraction(1), (("in", 2),)),
        ("36 km/h", Fraction(1000, 3600), (("m", 1), ("s", -1))),
        ("5立方米", Fraction(1), (("m", 3),)),
        ("5 apples", Fraction(1), (("apple", 1),)),
        ("50%", Fraction(1), (("percent", 1),)),
    ):
        found = read(text)
        assert isinstance(found, Quantity), text
        assert (found.unit.size, found.unit.dimension) == (size, dimension), text


@pytest.mark.parametrize(
    ("answer", "gold", "declared", "outcome"),
    [
        ("3+5", "8", STRICT, Outcome.MALFORMED),
        ("3+5", "8", Declared(form="expression"), Outcome.CORRECT),
        ("3+5", "4+4", STRICT, Outcome.CORRECT),
        ("1<x<2", "(1,2)", STRICT, Outcome.MALFORMED),
        ("1<x<2", "(1,2)", Declared(form="interval"), Outcome.CORRECT),
        ("[1,2]", "(1,2)", Declared(form="tuple"), Outcome.CORRECT),
        ("50%", "50", STRICT, Outcome.WRONG),
        ("50%", "50", Declared(percent="number"), Outcome.CORRECT),
        ("50%", "0.5", Declared(percent="fraction"), Outcome.CORRECT),
        ("0.5", "50%", Declared(percent="fraction"), Outcome.CORRECT),
        ("5", "5 cm", STRICT, Outcome.MALFORMED),
        ("5", "5 cm", Declared(units="optional"), Outcome.CORRECT),
        ("5 cm", "5", Declared(units="optional"), Outcome.CORRECT),
        ("5 m", "5 cm", Declared(units="optional"), Outcome.WRONG),
        ("3.14", r"\pi", STRICT, Outcome.WRONG),
        ("3.14", r"\pi", Declared(tolerance=Tolerance(Fraction(1, 100))), Outcome.CORRECT),
        ("3.1", r"\pi", Declared(tolerance=Tolerance(Fraction(1, 100))), Outcome.WRONG),
        ("(1.001, 2)", "(1,2)", Declared(tolerance=Tolerance(Fraction(1, 100))), Outcome.CORRECT),
        ("anything at all", "Anything  at all.", Declared(form="words"), Outcome.CORRECT),
        ("选C", "c", Declared(form="choice"), Outcome.CORRECT),
        ("8", "no gold: at ? all", STRICT, Outcome.ERROR),
    ],
)
def test_the_data_set_says_what_else_is_right(
    answer: str, gold: str, declared: Declared, outcome: Outcome
) -> None:
    assert check(answer, gold, declared).outcome is outcome


@pytest.mark.parametrize(
    ("given", "tolerance"),
    [
        (None, None),
        (0.01, Tolerance(Fraction(1, 100))),
        ("0.5", Tolerance(Fraction(1, 2))),
        (1e-6, Tolerance(Fraction(1, 10**6))),
        ("2%", Tolerance(Fraction(1, 50), relative=True)),
    ],
)
def test_a_tolerance_is_a_number_or_a_share(given: object, tolerance: Tolerance | None) -> None:
    assert read_tolerance(given) == tolerance


@pytest.mark.parametrize("given", [0, -1, "", "1/2", True, "x%", [1], float("inf"), float("nan"), "1e400"])
def test_other_tolerances_are_refused(given: object) -> None:
    with pytest.raises(ValueError, match="a tolerance is a number above 0"):
        read_tolerance(given)


def test_golds_that_need_the_symbolic_check_are_known() -> None:
    for gold in (
        "18",
        r"\sqrt{2}",
        "x^2+1",
        r"\frac{3\pi}{4}",
        r"\{1, \sqrt{3}\}",
        "[1,2)",
        "y=2x",
        "5 cm",
        "C",
    ):
        assert not needs_symbolic(read_gold(gold)), gold
    for gold in (r"\sqrt[3]{2}", r"(1, \ln 2)", r"\sin x", "2^n", r"[0, \log_2 3]", r"\{e\pi\}", "y = |x|"):
        assert needs_symbolic(read_gold(gold)), gold


ALPHABET = "0123456789xyie+-*/^_=<>(){}[]|\\ .,;:!%&$°±π∞∪∈或、。frac sqrt pm text cm or and boxed infty"


@given(
    st.text(alphabet=ALPHABET, max_size=60), st.sampled_from(["7", "x^2", "(1,2)", "[1,2)", "5 cm", "x=1"])
)
def test_no_text_raises(text: str, gold: str) -> None:
    assert check(text, gold).outcome in tuple(Outcome)


@given(st.text(max_size=40))
def test_no_unicode_raises(text: str) -> None:
    assert check(text, "7").outcome is not Outcome.ERROR


@given(st.fractions(max_denominator=10**6))
def test_every_fraction_is_read_back_in_every_spelling(value: Fraction) -> None:
    sign, top, bottom = "-" if value < 0 else "", abs(value.numerator), value.denominator
    for text in (
        str(value),
        rf"{sign}\frac{{{top}}}{{{bottom}}}",
        rf"\boxed{{{sign}\dfrac{{{top}}}{{{bottom}}}}}",
    ):
        assert check(text, str(value)).correct
        assert not check(text, str(value + Fraction(1, 10**9))).correct


@given(st.integers(-(10**12), 10**12))
def test_thousands_do_not_change_a_number(value: int) -> None:
    for mark in (",", " ", "{,}", r"\,"):
        assert rational(f"{value:,}".replace(",", mark)) == value


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=5), st.lists(st.integers(-9, 9), min_size=1, max_size=5)
)
def test_polynomials_are_equal_as_their_coefficients_are(one: list[int], other: list[int]) -> None:
    def written(coefficients: list[int]) -> str:
        return "x+" + "+".join(f"({c})x^{{{power}}}" for power, c in enumerate(coefficients))

    def trimmed(coefficients: list[int]) -> list[int]:
        while coefficients and not coefficients[-1]:
            coefficients = coefficients[:-1]
        return coefficients

    assert check(written(one), written(other)).correct is (trimmed(one) == trimmed(other))


@given(st.permutations(["1", r"\frac{1}{2}", "-3", r"\sqrt{2}"]))
def test_order_counts_in_tuples_and_not_in_sets(items: list[str]) -> None:
    gold = r"1, \frac{1}{2}, -3, \sqrt{2}"
    text = ", ".join(items)
    assert check(rf"\{{{text}\}}", rf"\{{{gold}\}}").correct
    assert check(text, gold).correct
    assert check(f"({text})", f"({gold})").correct is (text == gold)


@given(st.integers(2, 400), st.integers(2, 400))
def test_square_roots_are_simplified_exactly(a: int, b: int) -> None:
    assert check(rf"\sqrt{{{a}}}\cdot\sqrt{{{b}}}+x", rf"\sqrt{{{a * b}}}+x").correct
    assert not check(rf"\sqrt{{{a}}}+\sqrt{{{b}}}+x", rf"\sqrt{{{a + b}}}+x").correct


def test_megabytes_are_refused_at_once() -> None:
    start = time.process_time()
    for piece in ("1", "1,000,", "{", "\\boxed{", "$", "(1,", " ", "\x00", "x=", "\\frac"):
        verdict = check(piece * 500_000, "1")
        assert verdict.outcome is Outcome.MALFORMED
        assert len(verdict.extracted or "") <= MAX_CHARACTERS + 1
    assert time.process_time() - start < 2.0

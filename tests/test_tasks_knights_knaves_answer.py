"""Answers to knights and knaves: every way to list who is what counts, nothing else does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from r1kit.tasks.knights_knaves import KnightsKnaves, KnightsKnavesSettings
from r1kit.tasks.knights_knaves_answer import (
    MAX_CHARACTERS,
    AnswerSyntaxError,
    check_assignment,
    read_assignment,
)
from r1kit.tasks.knights_knaves_tokens import is_name
from r1kit.types import Message, Outcome, Problem

CLAIMS = [
    "{} is a {}",
    "{} is {}",
    "{}: {}",
    "{} = {}",
    "{} - {}",
    "{} → {}",
    "**{}** is a **{}**",
    "`{}` is the {}",
    '"{}": "{}"',
    "{}是{}",
    "{} 是{}",
    "{}是一名{}",
    "{}为{}",
    "{}：{}",
]
SEPARATORS = [
    ", ",
    "; ",
    ". ",
    "\n",
    "\n\n",
    ", and ",
    " and ",
    " while ",
    ",",
    "，",
    "；",
    "。",
    "、",
    "而",
    "\n- ",
]
WORDS = [
    ("knight", "knave"),
    ("KNIGHT", "KNAVE"),
    ("Knight", "Knave"),
    ("骑士", "骗子"),
    ("骑士", "无赖"),
]
FRAMES = ["{}", "{}.", "- {}", "  {}\r\n", "So {}.", "The answer is: {}", "答案是{}。", "所以{}", "{{{}}}"]
NAMES = [
    ("A", "B"),
    ("A", "B", "C"),
    tuple("ABCDEFGH"),
    ("Zoey", "Oliver", "An"),
    ("小明", "小红", "O'Brien"),
]
NUMBERS = ["", "({}) ", "{}. ", "{}) ", "（{}）", "{}、", "{}: "]


def problem(names: Sequence[str], solution: Sequence[bool], language: str = "en") -> Problem:
    reference = {"names": list(names), "solution": list(solution)}
    return Problem("knights_knaves/x", "knights_knaves", (Message("user", ""),), reference, language)


@st.composite
def assignments(draw: st.DrawFn) -> tuple[tuple[str, ...], list[bool]]:
    names = draw(st.sampled_from(NAMES))
    return names, draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))


@st.composite
def lists(draw: st.DrawFn) -> tuple[tuple[str, ...], list[bool], Callable[[Sequence[bool]], str]]:
    """Names, a solution, and a way to write any assignment of them."""
    names, solution = draw(assignments())
    claim, separator, words, frame, number, case = (
        draw(st.sampled_from(options))
        for options in (CLAIMS, SEPARATORS, WORDS, FRAMES, NUMBERS, (str, str.lower, str.upper))
    )

    def write(kinds: Sequence[bool]) -> str:
        claims = [
            number.format(place) + claim.format(case(name), words[not kind])
            for place, (name, kind) in enumerate(zip(names, kinds, strict=True), start=1)
        ]
        return frame.format(separator.join(claims))

    return names, solution, write


@given(lists(), st.data())
def test_a_list_in_any_words_passes_and_one_person_turned_fails(
    written: tuple[tuple[str, ...], list[bool], Callable[[Sequence[bool]], str]], data: st.DataObject
) -> None:
    names, solution, write = written
    assert check_assignment(write(solution), names, solution).outcome is Outcome.CORRECT
    turned = list(solution)
    person = data.draw(st.integers(0, len(names) - 1))
    turned[person] = not turned[person]
    verdict = check_assignment(write(turned), names, solution)
    assert (verdict.outcome, verdict.detail) == (Outcome.WRONG, f"wrong about {names[person]}")
    assert read_assignment(write(turned), names) == turned


@given(assignments(), st.sampled_from(["en", "zh"]), st.sampled_from(["brief", "full"]))
def test_the_gold_answer_passes(
    assignment: tuple[tuple[str, ...], list[bool]], language: str, wording: str
) -> None:
    task = KnightsKnaves(KnightsKnavesSettings(wording=wording))  # type: ignore[arg-type]
    asked = problem(*assignment, language)
    assert task.verify(asked, task.gold(asked)).correct


@given(assignments(), st.data())
def test_a_person_left_out_or_named_as_both_is_malformed(
    assignment: tuple[tuple[str, ...], list[bool]], data: st.DataObject
) -> None:
    names, solution = assignment
    claims = [
        f"{name} is a {'knight' if kind else 'knave'}" for name, kind in zip(names, solution, strict=True)
    ]
    person = data.draw(st.integers(0, len(names) - 1))
    left_out = ", ".join(claims[:person] + claims[person + 1 :])
    verdict = check_assignment(left_out, names, solution)
    assert (verdict.outcome, verdict.detail) == (Outcome.MALFORMED, f"{names[person]} is missing")
    both = f"{', '.join(claims)}. {names[person]} is a {'knave' if solution[person] else 'knight'}"
    verdict = check_assignment(both, names, solution)
    assert (verdict.outcome, verdict.detail) == (Outcome.MALFORMED, f"{names[person]} is named as both")


HEDGES = [
    "not",
    "or",
    "maybe",
    "if",
    "no",
    "n't",
    "?",
    "/",
    "neither",
    "unless",
    "except",
    "不",
    "或",
    "可能",
]
HEDGES += ["如果", "非", "吗", "D is a knave", "\x00", "\u200b", "\ud800", "Ａ", "А", "\u0301"]


@given(assignments(), st.sampled_from(HEDGES), st.integers(0, 200), st.sampled_from(["en", "zh"]))
def test_a_right_answer_with_a_word_of_doubt_anywhere_is_not_accepted(
    assignment: tuple[tuple[str, ...], list[bool]], hedge: str, place: int, language: str
) -> None:
    names, solution = assignment
    if "D" in names and hedge.startswith("D"):
        return
    task = KnightsKnaves(KnightsKnavesSettings())
    gold = task.gold(problem(names, solution, language))
    place %= len(gold) + 1
    hedged = f"{gold[:place]} {hedge} {gold[place:]}"
    outcome = check_assignment(hedged, names, solution).outcome
    assert outcome is Outcome.MALFORMED or (outcome is Outcome.WRONG and hedge == "not")


GRAMMAR = [
    "A",
    "B",
    "a",
    "is",
    "are",
    "knight",
    "knave",
    "knights",
    "knaves",
    ":",
    ",",
    ".",
    "and",
    "both",
    "the",
]
GRAMMAR += [
    "none",
    "是",
    "都是",
    "骑士",
    "骗子",
    "无",
    "和",
    "一个",
    "\n",
    "-",
    "(1)",
    "2.",
    "so",
    "answer:",
    "not",
    "both",
    "everyone",
    "but",
    "except",
    "only",
    "the others",
    "nobody",
    "neither",
    "nor",
    "respectively",
    "不是",
    "其余",
    "除",
    "外",
    "分别",
    "都不是",
    "|",
    *("'s a", "so is", "lies", "tells the truth", "does not", "never", "except A", "but B", "[]", "\n-"),
    *("说谎", "都说真话", "没有", "以外", "knights:\n", "knave", "has", "有"),
]


@given(st.lists(st.sampled_from(GRAMMAR), max_size=14).map(" ".join))
@example("B is a knight and a knave, A is a knave")
def test_any_row_of_words_has_at_most_one_reading(text: str) -> None:
    outcomes = [check_assignment(text, "AB", kinds).outcome for kinds in ((True, True), (True, False))]
    outcomes += [check_assignment(text, "AB", kinds).outcome for kinds in ((False, True), (False, False))]
    malformed = outcomes.count(Outcome.MALFORMED)
    assert (malformed, outcomes.count(Outcome.CORRECT)) in {(4, 0), (0, 1)}


@given(st.text(st.characters(codec=None), max_size=300))
def test_random_text_never_raises_and_is_never_an_assignment(text: str) -> None:
    assert check_assignment(text, "AB", (True, False)).outcome is Outcome.MALFORMED


@pytest.mark.parametrize(
    "text",
    [
        "A and B are knights and C is a knave",
        "A, B are knights; C is a knave",
        "both A and B are knights, while C is a knave.",
        "A and B are both knights. C is the knave.",
        "A、B是骑士,C是骗子",
        "A和B都是骑士，C是骗子。",
        "A 是骑士；B 是骑士；C 是恶棍",
        "A是骑士B是骑士C是骗子",
        "knights: A, B. knave: C",
        "Knights: A and B\nKnaves: C",
        "- Knights: A, B\n- Knave: C",
        "The knights are A and B, and the knave is C.",
        "骑士:A、B;骗子:C",
        "骑士是A和B,骗子是C",
        '{"A": "knight", "B": "knight", "C": "knave"}',
        "1. **A** is a knight 2. **B** is a knight 3. **C** is a knave",
        "a is a knight, b is a knight, c is a knave",
        "A IS A KNIGHT, B IS A KNIGHT, C IS A KNAVE",
        "A is a knight. B is a knight. C is a knave. A and B are knights, and C is a knave.",
        "Final answer: A is a knight, B is a knight, C is a knave",
    ],
)
def test_groups_and_headings_are_read(text: str) -> None:
    assert read_assignment(text, "ABC") == [True, True, False]


def test_a_heading_may_have_nobody_below_it() -> None:
    assert read_assignment("knights: none, knaves: A, B", "AB") == [False, False]
    assert read_assignment("骑士:A、B;骗子:无", "AB") == [True, True]
    assert read_assignment("knights: none", "AB") == [False, False]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no claim"),
        ("(1) (2)", "no claim"),
        ("A is a knight, B is a knight", "C is missing"),
        ("A is a knight, B is not, C is a knave", "',' where knight or knave should be"),
        ("A and B are not both knights, C is a knave", "a negation of a group"),
        ("everyone is not a knight", "a negation of a group"),
        ("A is not a knight but a knight", "a negation that is taken back"),
        ("both are knaves", "'both' of 3"),
        ("A and B are a knight and a knave, respectively, B is a knight", "B is named as both"),
        ("A, B and C are a knight and a knave, respectively", "2 kinds for 3 names"),
        ("A is a knight, the other three are knaves", "the rest is 2 of 3"),
        ("the others are knaves", "the rest is 3 of 3"),
        ("A is a knight, everyone else is a knave, C is a knight", "C is named as both"),
        ("A is only a knight", "'only' without 'the'"),
        ("only A, B and C are knights", "nobody is left"),
        ("A is a knight or a knave, B is a knight, C is a knave", "'or' is no part of a list"),
        ("A isn't a knight", "B, C is missing"),
        ("A is a knight? B is a knight. C is a knave", "'?' is no part of a list"),
        ("knights: A, B and C are knaves", "'are' where the list of names should end"),
        ("knight: A, C; knight: none; B: knave", "A is named as both"),
        ("knaves: none; knights: A, B; C is a knave", "C is named as both"),
        ("knights: A, a knave: C", "'knave' where the list of names should end"),
        ("骑士:没有A,B;骗子:C", "'A' where the list of names should end"),
        ("A B are knights, C is a knave", "'B' where link or dash or bracket should be"),
        ("A knight, B knight, C knave", "'knight' where link or dash or bracket should be"),
        ("A is B", "'B' where knight or knave should be"),
        ("are knights", "'are' where name should be"),
        ("A is a knight, B is a knight, C is a knave because A said so", "'because' is no part of a list"),
        ("Dave is a knight", "'Dave' is no part of a list"),
        ("\u0410 is a knight", r"'\u0410' is no part of a list"),  # Cyrillic
        ("A is a \u212anight", r"'\u212a' is no part of a list"),  # the Kelvin sign
        ("A i\u017f a knight", "'i' is no part of a list"),  # the long s
    ],
)
def test_anything_else_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(AnswerSyntaxError) as error:
        read_assignment(text, "ABC")
    assert str(error.value).startswith(reason)


@pytest.mark.parametrize(
    "text",
    [
        "A is a knight, " * 70_000,
        "A" * 10**6,
        " " * 10**6 + "A",
        "(" * 10**6,
        "so" + " " * 10**6,
        "A and " * 170_000,
    ],
)
def test_a_megabyte_takes_no_time(text: str) -> None:
    start = time.process_time()
    verdict = check_assignment(text, "AB", (True, False))
    assert time.process_time() - start < 0.1
    assert verdict.outcome is Outcome.MALFORMED
    assert len(verdict.extracted or "") <= MAX_CHARACTERS


def test_names_are_words_that_no_answer_uses_otherwise() -> None:
    good = [
        "A",
        "a",
        "Zoey",
        "Zoë",
        "小明",
        "和平",
        "O'Brien",
        "Mary Ann",
        "Jean-Luc",
        "Isaac",
        "Solomon",
        "Anderson",
    ]
    bad = [
        "",
        "and",
        "The",
        "knight",
        "骑士",
        "是",
        "So",
        "Answer",
        "所以",
        "A1",
        "Bob\n",
        "x" * 41,
        "Mary and",
        "A ",
    ]
    assert [name for name in good if not is_name(name)] == []
    assert [name for name in bad if is_name(name)] == []

from __future__ import annotations

import json
import time
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from r1kit.datasets.filters import (
    FILTERS,
    Candidate,
    FilterSettings,
    Name,
    Sampled,
    Screen,
    active,
    line_repetition,
)
from r1kit.datasets.funnel import Funnel
from r1kit.types import Demonstration, Message

GOOD = "<think>First, seven times eight is fifty-six.</think>\n<answer>56</answer>"


def candidate(
    response: str,
    question: str = "Seven times eight?",
    task: str = "math",
    language: str = "en",
    **sampled: Any,
) -> Candidate:
    messages = (Message("user", question), Message("assistant", response))
    demonstration = Demonstration("math/1", task, messages, "rejection", language)
    return Candidate(demonstration, Sampled(**sampled) if sampled else None)


def thinking(text: str) -> str:
    return f"<think>{text}</think>\n<answer>56</answer>"


def why(item: Candidate, **settings: Any) -> str | None:
    return Screen(FilterSettings(**settings)).reason(item)


def test_a_readable_response_passes_every_filter() -> None:
    assert why(candidate(GOOD, finish="stop", tokens=20)) is None
    assert why(candidate(GOOD)) is None
    assert why(candidate("<|special_token|>Seven times eight is fifty-six.<|special_token|>56")) is None
    assert why(candidate(thinking("七乘八等于五十六。"), "七乘八?", language="zh")) is None


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (candidate(" "), "unreadable: the assistant's message is empty"),
        (candidate(thinking("a\0")), "unreadable: the assistant's message holds a NUL character"),
        (candidate(GOOD, question="\ud800"), "unreadable: the user's message holds a lone surrogate U+D800"),
        (candidate(GOOD, finish="length", tokens=512), "truncation: cut off after 512 tokens"),
        (candidate("<think>First, seven"), "truncation: <think> is not closed"),
        (candidate(thinking("so")[:-3]), "truncation: <answer> is not closed"),
        (
            candidate(thinking("First, 七乘八等于五十六.")),
            "mixed_language: 11% of the words are en, at least 90% must be",
        ),
        (
            candidate(GOOD, language="zh"),
            "mixed_language: 0% of the words are zh, at least 90% must be",
        ),
        (
            candidate(thinking("so " * 300)),
            "long_paragraphs: a paragraph of 302 words, at most 300",
        ),
        (
            candidate(thinking("!" * 2000)),
            "long_paragraphs: a paragraph of 2015 characters, at most 2000",
        ),
        (candidate(thinking("so\n```python\n7 * 8\n```")), "code_blocks: fenced code in the thinking"),
        (
            candidate("<|special_token|>so\n```\n7 * 8\n```<|special_token|>56"),
            "code_blocks: fenced code in the thinking",
        ),
        (
            candidate(thinking("try one and then two, but it does not fit at all.\n" * 3)),
            "repetition: 47% of the 10-grams occurred before",
        ),
        (candidate(thinking("so\nyes\nno.\nyes\nno.\nyes\nno.")), None),
    ],
)
def test_each_fault_is_named(item: Candidate, reason: str | None) -> None:
    assert why(item) == reason


def test_repeated_lines_count_by_their_length() -> None:
    assert line_repetition("a long line\n a long line \nb\n\n") == pytest.approx(11 / 23)
    assert line_repetition("\n \n") == 0.0
    item = candidate(thinking("\nit is seven.\nit is seven.\nit is seven.\nit is seven.\n"))
    assert why(item) == "repetition: 44% of the text is in repeated lines"
    assert why(item, max_line_repetition=0.6) is None


def test_code_tasks_may_think_in_code_and_answer_with_it() -> None:
    answer = "<think>{}</think>\n<answer>def double(numbers): return numbers</answer>"
    item = candidate(answer.format("先写```f(x)```,再写。"), "写函数f", "code", "zh")
    assert why(item) is None
    assert why(candidate(answer.format("first 写 it"), "写函数f", "code", "zh")) is not None
    assert why(item, code_tasks=(), off=("code_blocks",)) is not None


def test_a_language_whose_words_are_not_told_passes() -> None:
    assert why(candidate(GOOD, language="tlh")) is None


def test_bounds_are_settings() -> None:
    paragraph = candidate(thinking("one two three four"))
    assert why(paragraph, max_paragraph_words=6) is None
    assert why(paragraph, max_paragraph_words=5) == "long_paragraphs: a paragraph of 6 words, at most 5"
    chinese = candidate(thinking("七" * 10), language="zh")
    assert why(chinese, max_paragraph_words=9) == "long_paragraphs: a paragraph of 12 words, at most 9"
    mixed = candidate(thinking("so it is 五十六"))
    assert why(mixed, min_consistency=0.5) is None
    repeated = candidate(thinking("one two one two one two"))
    assert why(repeated, repetition_n=2, max_ngram_repetition=0.3) is not None
    assert why(repeated, repetition_n=2, max_ngram_repetition=0.5) is None


@pytest.mark.parametrize("name", [name for name in FILTERS if name != "unreadable"])
def test_every_filter_but_one_can_be_switched_off(name: Name) -> None:
    faulty: dict[Name, Candidate] = {
        "truncation": candidate("<think>First"),
        "mixed_language": candidate("七乘八"),
        "long_paragraphs": candidate("!" * 2001),
        "code_blocks": candidate(thinking("so ```7```")),
        "repetition": candidate("so " * 20),
        "overlap": candidate(GOOD, question="Seven times nine?"),
        "duplicates": candidate(GOOD),
    }
    for off in (False, True):
        screen = Screen(FilterSettings(off=(name,) if off else ()), ["Seven times nine?"])
        screen.reason(candidate(GOOD))
        assert (screen.reason(faulty[name]) or "none").startswith("none" if off else f"{name}: ")
        assert (name in screen.funnel.dropped) is not off


def test_settings_name_filters_that_exist() -> None:
    assert list(FILTERS) == list(get_args(Name)) == active(FilterSettings())
    with pytest.raises(ValidationError, match="off"):
        FilterSettings(off=("spelling",))  # type: ignore[arg-type]
    assert (why(candidate("a\0")) or "").startswith("unreadable: ")
    with pytest.raises(ValidationError, match="unreadable stays on"):
        FilterSettings(off=("unreadable",))


def test_overlap_looks_at_questions_and_responses() -> None:
    evaluation = ["Use 3, 7, 8 to make 29.", "A baker fills 4 trays with 6 rolls each and sells 5 rolls."]
    screen = Screen(FilterSettings(), evaluation)
    copied = candidate(GOOD, "use 3 7 8 to make 29")
    assert screen.reason(copied) == "overlap: evaluated: 'use 3 7 8 to make 29'"
    leak = thinking("It is like: a baker fills 4 trays with 6 rolls each and sells 5 rolls.")
    assert screen.reason(candidate(leak)) == (
        "overlap: evaluated: 'a baker fills 4 trays with 6 rolls each and'"
    )
    assert screen.reason(candidate(GOOD, "Use 3, 7, 8 to make 28.")) is None
    part = candidate(thinking("a baker fills 4 trays with 6 rolls each and rests."))
    assert screen.reason(part) is None
    assert Screen(FilterSettings(overlap_share=0.0), evaluation).reason(part) is not None


def test_duplicates_are_told_per_question_or_overall() -> None:
    other = candidate(GOOD.upper().replace("THINK", "think").replace("ANSWER", "answer") + "\n", "8 * 7?")
    screen = Screen(FilterSettings())
    assert [screen.reason(item) for item in (candidate(GOOD), other, other)] == [
        None,
        None,
        "duplicates: seen before for this question",
    ]
    screen = Screen(FilterSettings(duplicates="overall"))
    assert [screen.reason(item) for item in (candidate(GOOD), other)] == [None, "duplicates: seen before"]


def test_a_dropped_sample_does_not_hide_its_copy() -> None:
    screen = Screen(FilterSettings())
    assert screen.reason(candidate(GOOD, finish="length", tokens=9)) is not None
    assert screen.reason(candidate(GOOD, finish="stop", tokens=9)) is None


def test_the_funnel_counts_every_row_once_in_the_order_of_the_filters() -> None:
    funnel = Funnel(["wrong", *active(FilterSettings(off=("code_blocks",))), "per_problem"])
    screen = Screen(FilterSettings(off=("code_blocks",)), funnel=funnel)
    items = [candidate(GOOD), candidate(GOOD), candidate(GOOD, language="zh"), candidate("<think>七")]
    assert list(screen.keep(items)) == items[:1]
    funnel.enter(5)
    funnel.drop("wrong", 5)
    assert funnel.rows() == [
        {"step": "in", "dropped": 0, "left": 9},
        {"step": "wrong", "dropped": 5, "left": 4},
        {"step": "unreadable", "dropped": 0, "left": 4},
        {"step": "truncation", "dropped": 1, "left": 3},
        {"step": "mixed_language", "dropped": 1, "left": 2},
        {"step": "long_paragraphs", "dropped": 0, "left": 2},
        {"step": "repetition", "dropped": 0, "left": 2},
        {"step": "overlap", "dropped": 0, "left": 2},
        {"step": "duplicates", "dropped": 1, "left": 1},
        {"step": "per_problem", "dropped": 0, "left": 1},
    ]
    assert funnel.rows_out == 1


def test_a_funnel_survives_json() -> None:
    funnel = Funnel(["truncation", "overlap"])
    funnel.enter(3)
    funnel.drop("overlap")
    again = Funnel.from_json(json.loads(json.dumps(funnel.to_json())))
    again.enter()
    again.drop("truncation")
    assert again.to_json() == {"in": 4, "dropped": {"truncation": 1, "overlap": 1}, "out": 2}
    with pytest.raises(KeyError, match="spelling"):
        funnel.drop("spelling")
    with pytest.raises(AssertionError, match="more rows dropped than went in"):
        funnel.drop("overlap", 3)


MARKS = ["<think>", "</think>", "<answer>", "```", "\n", "七", "<|special_token|>"]
TEXTS = st.lists(st.one_of(st.sampled_from(MARKS), st.text()), max_size=12).map("".join)


@given(TEXTS, TEXTS, st.sampled_from(["en", "zh", "xx"]), st.sampled_from(["math", "code"]))
def test_every_filter_is_total(response: str, question: str, language: str, task: str) -> None:
    item = candidate(response, question, task, language)
    for name in FILTERS:
        others = tuple(other for other in FILTERS if other not in (name, "unreadable"))
        reason = Screen(FilterSettings(off=others), [question[:9]]).reason(item)
        assert reason is None or reason.startswith((f"{name}: ", "unreadable: "))


@pytest.mark.parametrize("piece", ["so it is ", "七", "<think>", "```", "a\n", "$", "\u0300\u0316", "`"])
def test_filters_take_linear_time_on_a_megabyte(piece: str) -> None:
    bounds = {"max_ngram_repetition": 1.0, "max_line_repetition": 1.0, "min_consistency": 0.0}
    unbounded = {"max_paragraph_words": 10**9, "max_paragraph_characters": 10**9}
    screen = Screen(FilterSettings(**bounds, **unbounded, off=("truncation",)))  # type: ignore[arg-type]
    start = time.process_time()
    screen.reason(candidate(thinking(piece * (1_000_000 // len(piece)))))
    assert time.process_time() - start < 5

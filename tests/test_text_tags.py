from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.text.tags import boxed, final_part, parse

GOOD = "<think>3+7 is 10.</think> <answer>(3+7)*8</answer>"


@pytest.mark.parametrize(
    "response",
    [
        GOOD,
        f"\n {GOOD}\n",
        GOOD.replace("> <", "><"),
        GOOD.replace("> <", ">\n\n<"),
        GOOD.replace("3+7 is", "3+7\n< > <b> is"),
    ],
)
def test_the_strict_form_is_well_formed(response: str) -> None:
    parsed = parse(response)
    assert (parsed.well_formed, parsed.fault, parsed.answer) == (True, "", "(3+7)*8")


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        ("", "no <think>"),
        ("<answer>5</answer>", "no <think>"),
        ("<think>a <answer>5</answer>", "no </think>"),
        ("<think>a</think> 5", "no <answer>"),
        ("<think>a</think> <answer>5", "no </answer>"),
        ("<think></think> <answer>5</answer>", "empty thinking"),
        ("<think> \n</think> <answer>5</answer>", "empty thinking"),
        ("<think>\u200b\u2800\u3164\ufe0f</think> <answer>5</answer>", "empty thinking"),
        ("<think>a</think> <answer> </answer>", "empty answer"),
        ("<think>a</think> <answer>\u2060\x00</answer>", "empty answer"),
        ("so <think>a</think> <answer>5</answer>", "text before <think>"),
        ("<think>a</think> so <answer>5</answer>", "text between </think> and <answer>"),
        ("<think>a</think> <answer>5</answer>.", "text after </answer>"),
        ("<think>a</think> <answer>5</answer> <answer>5</answer>", "<answer> appears 2 times"),
        ("<think>a</think> <think>b</think> <answer>5</answer>", "<think> appears 2 times"),
        ("<think>a</think> <answer>5</answer><think>", "<think> appears 2 times"),
        ("<think>a</think></think> <answer>5</answer>", "</think> appears 2 times"),
        ("<answer>5</answer> <think>a</think>", "tags out of order"),
        ("<think>a <answer>5</answer></think>", "tags out of order"),
        ("<THINK>a</THINK> <answer>5</answer>", "no <think>"),
    ],
)
def test_every_other_form_is_refused_with_its_fault(response: str, fault: str) -> None:
    parsed = parse(response)
    assert (parsed.well_formed, parsed.fault) == (False, fault)


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<answer>5</answer>", "5"),
        ("so it is <answer> 5 </answer> I think", "5"),
        ("<think>a</think> <answer>5</answer> <answer> 5</answer>", "5"),
        ("<think>a</think> <answer>5</answer> <answer>6</answer>", None),
        ("<think>a</think> <answer></answer>", None),
        ("<think>a</think> <answer>5", None),
        ("<think>maybe <answer>5</answer>", None),
        ("<think>maybe <answer>5</answer></think>", None),
        ("<think>maybe <answer>5</answer></think> <answer>6</answer>", "6"),
        ("<think>a</think> <answer>5</answer> <think>b</think> <answer>6</answer>", "6"),
        ("<think>a</think> <answer>5</answer> <think>no, <answer>6</answer>", "5"),
        ("a</think> <answer>5</answer>", "5"),
        ("<think>a</think> It is \\boxed{5}.", "5"),
        ("<think>a</think> \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("<think>a</think> \\boxed{5} or \\boxed{6}", None),
        ("<think>a</think> \\boxed{5}, so \\boxed{ 5 }", "5"),
        ("<think>\\boxed{5}", None),
        ("<think>\\boxed{5}</think> done", None),
        ("<think>a</think> \\boxed{5} <answer>6</answer>", "6"),
        ("<think>a</think> \\boxed{5} <answer></answer>", None),
        ("5", None),
    ],
)
def test_the_answer_is_the_one_final_answer_outside_the_thinking(response: str, answer: str | None) -> None:
    assert parse(response).answer == answer


@pytest.mark.parametrize(
    ("response", "thinking"),
    [
        ("no tags", None),
        ("<think> a\nb </think>c", "a\nb"),
        ("<think>cut of", "cut of"),
        ("x<think>a</think><think>b</think>", "a"),
        ("<think></think>", ""),
        ("a</think>b", None),
    ],
)
def test_thinking_runs_from_the_first_tag_to_its_end(response: str, thinking: str | None) -> None:
    assert parse(response).thinking == thinking


def test_a_prefilled_think_counts_when_it_is_passed_with_the_text() -> None:
    generated = "3+7 is 10.</think>\n<answer>(3+7)*8</answer>"
    assert not parse(generated).well_formed
    assert parse("<think>\n" + generated).well_formed


def test_final_part_is_empty_while_thinking_is_open() -> None:
    assert final_part("<think>a <answer>5</answer>") == ""
    assert final_part("<think>a</think>b") == "b"
    assert final_part("b") == "b"


def test_boxed_groups_are_matched_by_their_braces() -> None:
    assert list(boxed(r"\boxed{a{b}c} \boxed{} \boxed{\}} \boxed{open")) == ["a{b}c", "", r"\}"]


pieces = st.sampled_from(
    ["<think>", "</think>", "<answer>", "</answer>", "\\boxed{", "{", "}", "\\", "5", " ", "\n", "\x00", "题"]
)
texts = st.lists(pieces, max_size=40).map("".join) | st.text()


@given(texts)
def test_any_text_is_parsed_consistently(text: str) -> None:
    parsed = parse(text)
    assert parsed.well_formed == (parsed.fault == "")
    if parsed.well_formed:
        assert parsed.thinking
        assert parsed.answer
    if parsed.answer is not None:
        assert parsed.answer == parsed.answer.strip() != ""
        assert parsed.answer in final_part(text)


@given(texts, texts)
def test_whatever_is_in_an_open_think_is_no_answer(before: str, inside: str) -> None:
    inside = inside.replace("</think>", "")
    assert parse("<think>" + before.replace("</think>", "") + inside).answer is None


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "<answer>5</answer>",
        "\\boxed{",
        "\\boxed{5}",
        "{",
        "<",
        "a\x00",
    ],
)
def test_megabytes_of_one_piece_take_linear_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    start = time.perf_counter()
    parse(text)
    parse("<think>a</think>" + text)
    assert time.perf_counter() - start < 3.0  # quadratic time would be minutes

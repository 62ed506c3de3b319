"""The tag parser against an independent reading, look-alike tags and megabytes of hostile text."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from r1kit.text.tags import boxed, final_part, parse

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
LOOK_ALIKES = (
    *(
        "＜think＞",
        "<ｔｈｉｎｋ>",
        "<тhink>",
        "<thinк>",
        "<th\u200bink>",
        "<think\u200b>",
        "<\u2060think>",
        "<think >",
    ),
    *(
        "< think>",
        "<Think>",
        "<THINK>",
        "<think/>",
        "<thi\u00adnk>",
        "<think\x00>",
        "‹think›",
        "&lt;think&gt;",
    ),
)
PIECES = (
    *TAGS,
    *(
        "\\boxed{",
        "{",
        "}",
        "\\",
        "\\{",
        "5",
        "6",
        " ",
        "\n",
        "\x00",
        "\u200b",
        "\ud800",
        "题",
        "<",
        ">",
        "/",
        "think",
    ),
    *(look.replace("think", "answer") for look in LOOK_ALIKES),
    *LOOK_ALIKES,
)
texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(st.characters(codec=None))


def strict_by_split(text: str) -> bool:
    """The strict form by splitting at every tag: tags in order, text in the blocks, white space around."""
    parts = re.split("(</?(?:think|answer)>)", text)
    around, inside = parts[::4], parts[2::4]
    return parts[1::2] == list(TAGS) and not "".join(around).strip() and all(map(seen, inside))


def seen(text: str) -> bool:
    """Whether some character is neither white space nor, for Unicode, a control or format character."""
    return any(not (char.isspace() or unicodedata.category(char) in ("Cc", "Cf")) for char in text)


def answers_by_scan(text: str) -> set[str]:
    """The final answers, by one walk over the tags in the text after the last `</think>`."""
    tail = re.split("</think>", text)[-1]
    tail = re.split("<think>", tail)[0]
    inside: str | None = None
    found = []
    for part in re.split("(</?answer>)", tail):
        if part == "<answer>" and inside is None:
            inside = ""
        elif part == "</answer>" and inside is not None:
            found.append(inside)
            inside = None
        elif inside is not None:
            inside += part
    return {answer.strip() for answer in found if seen(answer)}


@settings(max_examples=400)
@given(texts)
@example("<think>a</think> <answer>5</answer>")
@example("<answer>5<answer>6</answer></answer>")
@example("<think>\u200b</think><answer>5</answer>")
@example("<think>a</think><answer>\x00\u2060</answer>")
@example("<think>a</think><answer>5</answer><think><answer>6</answer>")
def test_every_text_is_read_as_an_independent_reading_says(text: str) -> None:
    parsed = parse(text)
    assert parsed.well_formed == strict_by_split(text)
    if "<answer>" in final_part(text):
        answers = answers_by_scan(text)
        assert parsed.answer == (answers.pop() if len(answers) == 1 else None)


@given(texts, st.sampled_from(TAGS), st.data())
def test_a_tag_more_anywhere_breaks_the_strict_form(text: str, tag: str, data: st.DataObject) -> None:
    inner = re.sub("</?(?:think|answer)>", "", text) + "x"
    good = f"<think>{inner}</think>\n<answer>{inner}</answer>"
    if not parse(good).well_formed:  # removing tags can join others from their halves
        return
    place = data.draw(st.integers(0, len(good)))
    assert not parse(good[:place] + tag + good[place:]).well_formed


@pytest.mark.parametrize("look_alike", LOOK_ALIKES)
def test_a_look_alike_tag_is_text(look_alike: str) -> None:
    good = "<think>a</think> <answer>5</answer>"
    assert not parse(good.replace("<think>", look_alike)).well_formed
    close = look_alike.replace("<", "</", 1) if look_alike.startswith("<") else f"/{look_alike}"
    inside = f"<think>a{close}<answer>5</answer>"
    assert parse(inside).answer is None  # the thinking is not closed, whatever it shows
    answer = look_alike.replace("think", "answer").replace("ｔｈｉｎｋ", "ａｎｓｗｅｒ")
    assert parse(f"<think>a</think>{answer}5</answer>").answer is None
    assert parse(f"<think>a {look_alike} b</think> <answer>5</answer>").well_formed


@given(texts)
def test_nothing_inside_the_thinking_is_the_answer(inside: str) -> None:
    inside = re.sub("</?think>", "", inside)
    if "think>" in inside:
        return
    assert parse(f"<think>{inside}<answer>5</answer></think>").answer is None
    assert parse(f"<think>{inside}\\boxed{{5}}</think> <answer>6</answer>").answer == "6"


@pytest.mark.parametrize(
    "piece",
    [
        *TAGS,
        *("<think></think>", "<answer>5", "<answer>5</answer>", "<answer></answer>", "</answer><answer>"),
        *(
            "\\boxed{",
            "\\boxed{5}",
            "\\boxed{5}}",
            "\\boxed{{",
            "{",
            "\\",
            "\\\\",
            "\\{",
            "<",
            "</",
            "<answer",
            "\\boxed",
        ),
        *("<think>\\boxed{", "\x00", "\ud800", "\u0301", "題", " ", "\n"),
    ],
)
def test_every_reader_of_tags_takes_linear_time(piece: str) -> None:
    def seconds(length: int) -> float:
        text, best = piece * (length // len(piece)), float("inf")
        for _ in range(3):
            start = time.process_time()
            parse(text)
            parse(f"<think>a</think>{text}")
            list(boxed(text))
            best = min(best, time.process_time() - start)
        return best

    assert seconds(400_000) < 8 * max(seconds(100_000), 1e-3)

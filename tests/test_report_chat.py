import io

import pytest
from rich.console import Console

from r1kit.errors import ModelError
from r1kit.report.chat import converse, show_response, split_parts


def parts(*pieces):
    joined = []
    for part, text in split_parts(pieces):
        if joined and joined[-1][0] == part:
            joined[-1] = (part, joined[-1][1] + text)
        else:
            joined.append((part, text))
    return joined


def console(color=False):
    return Console(
        file=io.StringIO(), force_terminal=color, color_system="standard" if color else None, width=40
    )


def printed(*pieces, color=False):
    screen = console(color)
    show_response(iter(pieces), screen)
    return screen.file.getvalue()


RESPONSE = "ok <think> 3<7 </think> \n <answer>3+7</answer> bye"
PARTS = [
    ("text", "ok "),
    ("thinking", " 3<7 "),
    ("text", " \n "),
    ("answer", "3+7"),
    ("text", " bye"),
]


def test_parts_are_told_apart_however_the_stream_is_cut():
    assert parts(RESPONSE) == PARTS
    for size in range(1, 9):
        pieces = [RESPONSE[i : i + size] for i in range(0, len(RESPONSE), size)]
        assert parts(*pieces) == PARTS


def test_text_that_only_begins_like_a_tag_is_kept():
    assert parts("a <th", "e> <answe") == [("text", "a <the> <answe")]


def test_text_is_passed_on_at_once_and_not_held_until_the_end():
    def pieces():
        yield "<think>one "
        raise AssertionError("asked for more before showing what it had")

    assert next(split_parts(pieces())) == ("thinking", "one ")


def test_thinking_and_answer_stand_under_headings_of_their_own():
    assert printed("<think> hm", " yes </think> <answer> 3", "+7 </answer>") == (
        "── thinking ──\nhm yes \n── answer ──\n3+7 \n\n"
    )


def test_thinking_is_dim_and_answer_bold_on_a_terminal():
    text = printed("<think>hm</think><answer>7</answer>", color=True)
    assert "\x1b[2mhm" in text
    assert "\x1b[1m7" in text


def test_control_characters_of_the_model_never_reach_the_terminal():
    text = printed("<answer>a\x1b[31mb\x1b]0;title\x07c\x00\u202e", "\x1b", "[2Jd</answer>")
    assert not set(text) & set("\x1b\x07\x00\u202e")


def test_markup_in_a_response_is_shown_as_text():
    assert "[bold]x[/bold]" in printed("[bold]x[/bold]")


def test_ctrl_c_stops_the_answer_and_the_chat_goes_on():
    def answer(question, turn):
        yield f"<answer>{question} "
        if question == "first":
            raise KeyboardInterrupt
        yield "done</answer>"

    screen = console()
    converse(["first", "second"], answer, screen, forgiving=True)
    text = screen.file.getvalue()
    assert "first  (stopped)" in text
    assert "second done" in text


def test_quit_leaves_and_empty_lines_are_skipped():
    asked = []

    def answer(question, turn):
        asked.append((question, turn))
        yield "x"

    converse(["a\n", "\n", "b\n", "/quit\n", "c\n"], answer, console(), forgiving=False)
    assert asked == [("a", 0), ("b", 2)]


def test_error_ends_a_piped_chat_but_not_an_interactive_one():
    def answer(question, turn):
        raise ModelError("prompt too long")
        yield

    screen = console()
    converse(["a", "b"], answer, screen, forgiving=True)
    assert screen.file.getvalue() == "error: prompt too long\n" * 2
    with pytest.raises(ModelError, match="prompt too long"):
        converse(["a"], answer, screen, forgiving=False)

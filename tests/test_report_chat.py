import io

import pytest
from rich.console import Console

from r1kit.errors import ModelError
from r1kit.report.chat import chat, converse, show_response, split_parts


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


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from r1kit.models.load import save_model
    from r1kit.world.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(["try 3+7=10 yes <think> </think> <answer> 3+7 </answer>"] * 4, 300)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    save_model(Qwen3ForCausalLM(config), tokenizer, folder)
    return folder


def test_piped_lines_are_answered_the_same_for_the_same_seed(tiny_model, monkeypatch, capsys):
    def answers(seed):
        monkeypatch.setattr("sys.stdin", io.StringIO("3 4 make 7\n\nagain\n"))
        chat(str(tiny_model), template="chat_think", max_new_tokens=12, temperature=1.0, seed=seed)
        return capsys.readouterr().out

    first = answers(1)
    assert first.count("── thinking ──") == 2
    assert first == answers(1)
    assert first != answers(2)


def test_chat_with_a_missing_model_is_a_one_line_error():
    with pytest.raises(ModelError, match="nowhere"):
        chat("./nowhere")

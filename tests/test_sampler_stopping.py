"""Where responses end and which text is kept."""

from __future__ import annotations

import pytest
from test_sampler import END, flat, generated, make_model, make_tokenizer, prompts

from r1kit.kernels import ENDS, MAY_STOP
from r1kit.rollouts import stopping
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams

TOKENIZER = make_tokenizer()


def ids(*pieces: str) -> list[int]:
    return [TOKENIZER.convert_tokens_to_ids(piece) for piece in pieces]


def test_stop_string_across_token_boundaries_ends_the_response_and_cuts_the_text() -> None:
    model, asked = make_model("llama"), prompts(1, 9, 4, 17)
    expected = [generated(model, prompt, 40) for prompt in asked]
    for prompt, tokens in zip(asked, expected, strict=True):
        text = TOKENIZER.decode(tokens, skip_special_tokens=True)
        stop = text[4:7]
        params = SamplingParams(max_new_tokens=40, temperature=0.0, stop=(stop, "unseen"))
        (completion,) = flat(LocalSampler(model, TOKENIZER).sample([prompt], 1, params, [0]))
        assert completion.finish == "stop"
        assert completion.text == text[: text.index(stop) + 3]
        assert completion.tokens == tokens[: len(completion.tokens)]
        assert stop not in TOKENIZER.decode(completion.tokens[:-1])


@pytest.mark.parametrize(
    ("pieces", "stop", "found"),
    [
        (["a", "b."], ("b.",), True),
        (["a", "b.", "c"], ("ab.",), True),
        (["ab", "c!"], ("bc",), True),
        (["ab", "c"], ("bd",), False),
        (["d", "def"], ("dde",), True),
    ],
)
def test_stopped_finds_strings_that_begin_and_end_inside_tokens(
    pieces: list[str], stop: tuple[str, ...], found: bool
) -> None:
    assert stopping.stopped(TOKENIZER, ids("x"), ids(*pieces), stop) is found


def test_table_marks_every_token_that_can_complete_a_stop_string() -> None:
    table = stopping.code_table(TOKENIZER, 80, frozenset({END}), ("abc",))
    marked = {TOKENIZER.convert_ids_to_tokens(i) for i in range(72) if table[i] == MAY_STOP}
    assert marked == {"c", "c!"}
    assert table[END] == ENDS


def test_cut_keeps_the_stop_string_that_ends_first() -> None:
    assert stopping.cut("one two three", ("three", "two", "e t")) == "one t"
    assert stopping.cut("one two", ("xyz",)) == "one two"


def test_end_tokens_come_from_generation_settings_config_and_tokenizer() -> None:
    model = make_model("llama")
    model.generation_config.eos_token_id = [5, 6]
    model.config.eos_token_id = 7
    assert stopping.end_tokens(model, TOKENIZER) == {5, 6, 7, END}


def test_end_token_is_kept_in_tokens_and_dropped_from_text() -> None:
    model = make_model("llama")
    (prompt,) = prompts(6)
    third = generated(model, prompt, 5)[2]
    model.generation_config.eos_token_id = third
    params = SamplingParams(max_new_tokens=5, temperature=0.0)
    (completion,) = flat(LocalSampler(model, TOKENIZER).sample([prompt], 1, params, [0]))
    assert completion.finish == "stop"
    assert completion.tokens[-1] == third

"""The tokenizers of the packaged bases, and the corpus in each one's own chat form."""

import hashlib
from itertools import islice
from typing import get_args

import pytest

from r1kit.errors import ModelError
from r1kit.pipeline.config import load_recipe
from r1kit.stages.settings import PretrainStageSettings
from r1kit.world.corpus import pages
from r1kit.world.forms import ChatForm, form_of
from r1kit.world.tokenizer import DIALECTS, TAGS, train_tokenizer

MICRO = DIALECTS["micro"].form
TEXTS = ["Use the numbers 3, 7, 8 to make 29. try (3+7)*8=80 vs 29 no\n用数字3、7、8算出29。80比29不对" * 3]


@pytest.fixture(params=sorted(DIALECTS))
def dialect(request):
    return request.param


@pytest.fixture
def tokenizer(dialect):
    return train_tokenizer(TEXTS, 300, dialect)


def test_the_settings_name_every_dialect():
    assert set(get_args(PretrainStageSettings.model_fields["dialect"].annotation)) == set(DIALECTS)


@pytest.mark.parametrize(
    ("stage", "digest"),
    [
        ("web", "9ce9a440b79b7ae66ee0c904af4cc8539c456313937329ffcd905adb1f18a5a1"),
        ("micro", "bef7aee7b7ec83479242974f422c50492c44693e4f6b764ae61bcc96f19319e7"),
    ],
)
def test_the_pages_of_the_packaged_micro_base_stay_as_they_were(stage, digest):
    mixture = load_recipe("micro-base").stage(stage).settings.mixture
    found = hashlib.sha256()
    for page in islice(pages(mixture, 1, MICRO), 300):
        found.update(repr((page.prompt, page.response)).encode())
    assert found.hexdigest() == digest


def test_another_dialect_changes_what_stands_around_the_words_alone():
    mixture = {"countdown": 0.7, "prose": 0.3}
    forms = [DIALECTS[name].form for name in ("micro", "chatml")]
    for one, other in islice(zip(*(pages(mixture, 5, form) for form in forms), strict=True), 50):
        words = one.response.removesuffix(forms[0].end)
        assert other.response == words + forms[1].end
        question = one.prompt.removeprefix(MICRO.before).removesuffix(MICRO.between)
        assert other == (forms[1].page("" if one.prompt == MICRO.begin else question, words))


def test_a_page_is_written_as_the_tokenizers_own_chat_template_renders_it(dialect, tokenizer):
    assert form_of(tokenizer) == DIALECTS[dialect].form
    messages = [{"role": "user", "content": " 7*8? "}, {"role": "assistant", "content": "56"}]
    page = form_of(tokenizer).page(" 7*8? ", "56")
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert rendered.rstrip("\n") == page.prompt + page.response


def test_chatml_spells_roles_and_closes_every_turn():
    tokenizer = train_tokenizer(TEXTS, 400, "chatml")
    messages = [{"role": role, "content": role[:1]} for role in ("system", "user", "assistant", "user")]
    assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
        "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        None,
        "<|im_end|>",
        "<|endoftext|>",
    )


def test_text_without_a_question_starts_as_its_family_starts_text():
    assert DIALECTS["micro"].form.page("", "a story").prompt == "<|begin|>"
    assert DIALECTS["chatml"].form.page("", "a story").prompt == ""


def test_control_tokens_come_first_and_tags_are_single_ordinary_tokens(dialect, tokenizer):
    control = DIALECTS[dialect].control_tokens
    assert tokenizer.convert_ids_to_tokens(list(range(len(control)))) == list(control)
    assert len(tokenizer) == 300
    for text in (*control, *TAGS):
        assert len(tokenizer.encode(text)) == 1
    shown = tokenizer.decode(tokenizer.encode("".join(control) + "".join(TAGS)), skip_special_tokens=True)
    assert shown == "".join(TAGS)


@pytest.mark.parametrize("text", ["<think>80 vs 29 no\n</think> 3+7, 用数字。", " \n\n a  b\t\r\n", "🙂<|x"])
def test_text_comes_back_whole_and_digits_and_signs_stay_single(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text
    pieces = tokenizer.tokenize("(37+8)*2=90")
    assert pieces == list("(37+8)*2=90")


def test_the_dialects_differ_in_vocabulary_and_merges():
    one, other = (train_tokenizer(TEXTS, 400, name).get_vocab() for name in ("micro", "chatml"))
    assert one != other
    assert {"<|im_start|>", "<|im_end|>"} <= other.keys() - one.keys()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ raise_exception('no') }}", "the chat template failed: no"),
        ("hello", "shows a question 0 times"),
        ("{{ messages[0]['content'] }}{{ messages[0]['content'] }}", "shows a question 2 times"),
    ],
)
def test_a_chat_template_that_shows_no_question_is_refused(tokenizer, template, message):
    tokenizer.chat_template = template
    with pytest.raises(ModelError, match=message):
        form_of(tokenizer)


def test_a_tokenizer_without_begin_and_end_has_pages_without_them(tokenizer):
    tokenizer.bos_token = tokenizer.eos_token = None
    tokenizer.chat_template = "Q: {{ messages[0]['content'] }}\nA: "
    assert form_of(tokenizer) == ChatForm("Q: ", "\nA: ", "", "")

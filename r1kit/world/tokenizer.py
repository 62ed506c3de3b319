"""The micro world's tokenizer: a byte-level BPE with single digits, saved as an ordinary fast tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BEGIN, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL = "<|special_token|>"  # the published separator of cold-start data
CONTROL_TOKENS = (PAD, BEGIN, END, SYSTEM, USER, ASSISTANT, SPECIAL)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")  # single tokens, yet ordinary text when decoded

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    + ASSISTANT
    + "{{ message['content'] }}"
    + END
    + "{%- else -%}"
    "{{ '<|' + message['role'] + '|>' + message['content'] }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}" + ASSISTANT + "{%- endif -%}"
)

# One token a digit and an operator; words keep the space before them; Han never merges with Latin.
PIECES = r"\p{N}|[-+*/=()]| ?[A-Za-z]+|\p{Han}+|[^\p{L}\p{N}\-+*/=()]+|\p{L}+"


def render(question: str, response: str) -> tuple[str, str]:
    """A page as (prompt, response) text: the chat form, or plain text where nobody asked anything."""
    prompt = f"{USER}{question}{ASSISTANT}" if question else BEGIN
    return prompt, response + END


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Trains a BPE of `vocab_size` entries, control tokens and tags included, on raw `texts`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(TAGS),
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast

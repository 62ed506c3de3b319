"""The work that all sides are given: random models, prompts, and how long responses are.

The small one is the one of the laptop's kind of run: its end-of-sequence token has nearly the same
probability at every position, so that lengths are about geometric, as an untrained policy's are.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from r1kit import seeds

END, PAD = 0, 1  # token ids; the draw finds the end first, whatever the rest of the distribution


@dataclass(frozen=True, slots=True)
class Work:
    """A model's shape and what it is asked to sample."""

    name: str
    layers: int
    width: int
    heads: int
    feed_forward: int
    vocabulary: int
    prompts: int
    shortest_prompt: int
    longest_prompt: int
    group_size: int
    new_tokens: int  # at most
    mean_tokens: float | None = None  # of a response; None: each has `new_tokens`

    @property
    def rows(self) -> int:
        """Responses of one repeat."""
        return self.prompts * self.group_size


SMALL = Work("0.86 M parameters", 4, 128, 4, 384, 55, 32, 16, 20, 16, 220, 46.0)
MEDIUM = Work("5 M parameters", 6, 256, 8, 704, 512, 16, 100, 100, 8, 300)


def end_probability(mean: float, most: int) -> float:
    """That of a geometric length, cut off at `most`, whose mean is `mean`: (1 - (1-p)^most) / p = mean."""
    low, high = 1e-9, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        expected = -math.expm1(most * math.log1p(-middle)) / middle
        low, high = (middle, high) if expected > mean else (low, middle)
    return (low + high) / 2


def random_model(work: Work, seed: int = 0) -> LlamaForCausalLM:
    """A random float32 Llama; its generation config names an end token only where responses may end."""
    torch.manual_seed(seed)
    ends = None if work.mean_tokens is None else END
    config = LlamaConfig(
        vocab_size=work.vocabulary,
        hidden_size=work.width,
        intermediate_size=work.feed_forward,
        num_hidden_layers=work.layers,
        num_attention_heads=work.heads,
        num_key_value_heads=work.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=ends,
        pad_token_id=PAD,
    )
    model = LlamaForCausalLM(config).eval()
    if work.mean_tokens is not None:
        _set_end_probability(model, end_probability(work.mean_tokens, work.new_tokens))
    return model


@torch.no_grad()
def _set_end_probability(model: Any, wanted: float) -> None:
    """Give the end token `wanted` on average over random contexts, by a feature that no layer changes.

    Dimension 0 of the residual stream is the same for every token and layer; the end token's row of the
    (tied) head reads this dimension alone.
    """
    table = model.model.embed_tokens.weight
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight[0] = 0.0
        layer.mlp.down_proj.weight[0] = 0.0
    table[:, 0] = 0.02
    table[END, 1:] = 0.0
    contexts = torch.randint(2, len(table), (64, 64), generator=torch.Generator().manual_seed(1))
    for _ in range(20):
        hidden = model.model(input_ids=contexts).last_hidden_state[:, 16:]
        found = float(model.lm_head(hidden).softmax(-1)[..., END].mean())
        table[END, 0] += (_logit(wanted) - _logit(found)) / float(hidden[..., 0].mean())


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def make_tokenizer(work: Work) -> PreTrainedTokenizerFast:
    """A word for each token id: `<end>`, `<pad>`, "t2", "t3", …; `<end>` ends only where responses may."""
    words = {"<end>": END, "<pad>": PAD} | {f"t{index}": index for index in range(2, work.vocabulary)}
    end = None if work.mean_tokens is None else "<end>"
    plain = Tokenizer(WordLevel(words, unk_token="<pad>"))
    plain.pre_tokenizer = WhitespaceSplit()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token=end)


def prompts(work: Work) -> list[list[int]]:
    """Random tokens, neither end nor padding."""
    random = seeds.generator("bench", "prompts", work.name)
    return [
        [random.randrange(2, work.vocabulary) for _ in range(random.randint(*_bounds(work)))]
        for _ in range(work.prompts)
    ]


def _bounds(work: Work) -> tuple[int, int]:
    return work.shortest_prompt, work.longest_prompt


def save(work: Work, folder: Path) -> Path:
    """Write model and tokenizer as an ordinary checkpoint."""
    random_model(work).save_pretrained(folder)
    make_tokenizer(work).save_pretrained(folder)
    return folder


def described(work: Work) -> dict[str, Any]:
    """For the results: its fields and the number of parameters."""
    return asdict(work) | {"parameters": random_model(work).num_parameters()}

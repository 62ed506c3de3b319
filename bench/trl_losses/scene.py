"""What both sides are given: rollouts with their rewards, and one small model in three states.

The model is of Qwen2's kind, random, in float64. Its first state is the reference, the second sampled the
rollouts, the third is trained: far enough from the second that ratios leave every clip range, on both sides.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

PAD, END = 0, 1
VOCABULARY = 40
GROUP = 4
STYLE_WEIGHT = 0.5
LONGEST = 12  # new tokens; whoever reaches it was cut off
PROMPT_LENGTHS = (3, 6, 4)
LENGTHS = ((5, 12, 2, 7), (12, 3, 9, 4), (6, 1, 8, 2))
STYLE = ((0.2, 0.9, 0.9, 0.0), (1.0, 0.0, 0.0, 0.5), (0.1, 0.1, 0.4, 0.7))
REWARDS = ((1.0, 0.0, 0.25, 1.1), (0.0, 1.0, 0.1, 0.0), (0.5, 0.5, 0.5, 0.5))  # the last group is dead


@dataclass(frozen=True, slots=True)
class Sample:
    """One rollout: `Sample(0, (7, 9, 30), (8, 22, 1), (-3.1, -2.9, -3.4), 1.0, 0.2)`."""

    problem: int
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]  # ends with END unless it was cut off
    logprobs: tuple[float, ...]  # as a sampler with other arithmetic saw them
    reward: float | None  # None could not be scored
    style: float  # a second reward, where a comparison has two


@dataclass(frozen=True, slots=True)
class Scene:
    """The samples of one comparison, group after group."""

    samples: tuple[Sample, ...]

    def with_unscored(self, rows: tuple[int, ...]) -> Scene:
        """The same, where the rewards of these rows are not known."""
        changed = (replace(s, reward=None) if row in rows else s for row, s in enumerate(self.samples))
        return Scene(tuple(changed))

    def share(self, rows: list[int]) -> float:
        """The share of the samples that these are."""
        return len(rows) / len(self.samples)

    def token_share(self, rows: list[int]) -> float:
        """The share of all tokens that these rows have."""
        lengths = [len(sample.tokens) for sample in self.samples]
        return sum(lengths[row] for row in rows) / sum(lengths)


def cut_off(sample: Sample) -> bool:
    """Whether the response was cut off at the length limit."""
    return sample.tokens[-1] != END


@cache
def states(folder: Path) -> dict[str, dict[str, Tensor]]:
    """The weights "reference", "old" and "now"; the reference is saved in `folder` too, as a checkpoint."""
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True,
        pad_token_id=PAD, bos_token_id=None, eos_token_id=END,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config).double()
    for parameter in model.parameters():
        parameter.data.mul_(3.0)  # a distribution that is not flat
    model.save_pretrained(folder)
    found = {"reference": copy.deepcopy(model.state_dict())}
    for name in ("old", "now"):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.03 * torch.randn_like(parameter))
        found[name] = copy.deepcopy(model.state_dict())
    return found


def load(folder: Path, state: str) -> Any:
    """The model in one of its states, in float64."""
    weights = states(folder)[state]
    model = Qwen2ForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="sdpa")
    model.load_state_dict(weights)
    return model


def make_scene(folder: Path) -> Scene:
    """Ragged prompts and responses of random tokens, two of them cut off."""
    generator = torch.Generator().manual_seed(2)

    def draw(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(2, VOCABULARY, (count,), generator=generator).tolist())

    model, samples = load(folder, "old"), []
    for problem, (width, *columns) in enumerate(zip(PROMPT_LENGTHS, LENGTHS, REWARDS, STYLE, strict=True)):
        prompt = draw(width)
        for length, reward, style in zip(*columns, strict=True):
            tokens = draw(length) if length == LONGEST else (*draw(length - 1), END)
            ids = torch.tensor([[*prompt, *tokens]])
            with torch.no_grad():
                logprobs_TV = model(input_ids=ids).logits[0].log_softmax(-1)
            exact_T = logprobs_TV[width - 1 : -1].gather(1, ids[0, width:, None]).squeeze(1)
            noise_T = 0.3 * torch.randn(length, generator=generator, dtype=torch.float64)
            seen = tuple((exact_T + noise_T).float().tolist())
            samples.append(Sample(problem, prompt, tokens, seen, reward, style))
    return Scene(tuple(samples))


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A word for each token id: "t0", "t1", …; `<end>` is 1."""
    words = {"<pad>": PAD, "<end>": END} | {f"t{index}": index for index in range(2, VOCABULARY)}
    plain = Tokenizer(WordLevel(words, unk_token="<pad>"))
    plain.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<end>")

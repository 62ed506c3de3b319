"""New tokens per second of `LocalSampler` and of `transformers`' `generate`.

Both get the same weights in the same number format, prompts, group size, temperature and limit. "fixed" has
no end-of-sequence token, so every response has the limit's length; "natural" lets responses end as the model
says, and counts tokens up to and including the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bench.setting import Measurement, Shape, alternate, without_ends
from r1kit.models.precision import resolve
from r1kit.rollouts.local import LocalSampler, converted_copy
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Completion, Prompt


class Endless:
    """A tokenizer that names no end-of-sequence token."""

    eos_token_id = None

    def __init__(self, tokenizer: Any) -> None:
        self.batch_decode = tokenizer.batch_decode


def measure(model: Any, tokenizer: Any, prompts: Sequence[Prompt], shape: Shape) -> list[Measurement]:
    fixed = _both_sides("rollouts, fixed length", without_ends(model), Endless(tokenizer), prompts, shape)
    return [fixed, _both_sides("rollouts, natural length", model, tokenizer, prompts, shape)]


def draw(
    sampler: LocalSampler, prompts: Sequence[Prompt], shape: Shape, seed: int
) -> list[tuple[Completion, ...]]:
    params = SamplingParams(max_new_tokens=shape.new_tokens)
    return sampler.sample(prompts, shape.group_size, params, [seed * 1000 + p for p in range(len(prompts))])


def _both_sides(
    name: str, model: Any, tokenizer: Any, prompts: Sequence[Prompt], shape: Shape
) -> Measurement:
    dtype = resolve("auto", model.device)
    sampler, plain_model = LocalSampler(model, tokenizer, dtype=dtype), converted_copy(model, dtype)
    pad = model.config.pad_token_id or 0
    longest = max(len(prompt.tokens) for prompt in prompts)
    tokens = torch.tensor([[pad] * (longest - len(p.tokens)) + list(p.tokens) for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p.tokens)) + [1] * len(p.tokens) for p in prompts])

    def ours(repeat: int) -> int:
        return sum(len(c.tokens) for group in draw(sampler, prompts, shape, repeat + 1) for c in group)

    def plain(repeat: int) -> int:
        torch.manual_seed(repeat + 1)
        out = plain_model.generate(  # type: ignore[operator]
            tokens,
            attention_mask=mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=shape.new_tokens,
            num_return_sequences=shape.group_size,
            pad_token_id=pad,
        )
        return _counted(out[:, longest:], model.generation_config.eos_token_id)

    return alternate(name, "new tokens/s", shape.repeats, ours, plain)


def _counted(new_BT: torch.Tensor, ends: int | list[int] | None) -> int:
    """Tokens up to and including each row's first end token."""
    if ends is None:
        return new_BT.numel()
    ended_BT = torch.isin(new_BT, torch.tensor(ends))
    return int((ended_BT.cumsum(-1) - ended_BT.long() == 0).sum())

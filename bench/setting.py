"""What is measured, the laptop recipe's model and shape of work, and how its speeds are told."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from r1kit import seeds
from r1kit.models.load import load_model, load_tokenizer
from r1kit.tasks.registry import make_task
from r1kit.text.templates import render
from r1kit.types import Prompt


@dataclass(frozen=True, slots=True)
class Shape:
    """How much work one repeat is."""

    prompts: int = 24
    group_size: int = 16
    new_tokens: int = 256  # most new tokens of a response
    repeats: int = 3


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is done per second by both sides, one number per repeat, measured in turn."""

    name: str
    unit: str
    ours: list[float]
    other: list[float]  # empty where there is nothing to set beside it
    beside: str = "transformers"
    limit: float | None = None  # what the machine's arithmetic alone would allow r1kit
    missing: str = ""  # why the other side was not run, where it should have been

    def row(self) -> dict[str, Any]:
        ours, other = median(self.ours), median(self.other) if self.other else None
        return {
            "name": self.name,
            "unit": self.unit,
            "r1kit": round(ours, 1),
            "beside": self.beside if self.other or self.missing else None,
            "other": round(other, 1) if other else None,
            "ratio": round(ours / other, 2) if other else None,
            "limit": round(self.limit, 1) if self.limit else None,
            "share_of_limit": round(ours / self.limit, 3) if self.limit else None,
            "r1kit_spread": spread(self.ours),
            "other_spread": spread(self.other),
            "not_run": self.missing or None,
            "r1kit_repeats": [round(value, 1) for value in self.ours],
            "other_repeats": [round(value, 1) for value in self.other],
        }


def spread(values: Sequence[float]) -> float | None:
    """The distance from the least to the largest as a share of the median."""
    return round((max(values) - min(values)) / median(values), 3) if values else None


@dataclass(slots=True)
class Found:
    """What a part of the benchmark found."""

    measurements: list[Measurement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what could not be measured
    details: dict[str, Any] = field(default_factory=dict)  # settings and whatever is no row, by name

    def __iadd__(self, other: Found) -> Found:
        self.measurements += other.measurements
        self.notes += other.notes
        self.details |= other.details
        return self


def alternate(
    name: str, unit: str, repeats: int, ours: Callable[[int], int], plain: Callable[[int], int]
) -> Measurement:
    """Both sides in turn, after one repeat each that is not counted; a side returns its number of tokens."""
    found: dict[Callable[[int], int], list[float]] = {ours: [], plain: []}
    for repeat in range(-1, repeats):
        for side, speeds in found.items():
            began = perf_counter()
            tokens = side(repeat)
            if repeat >= 0:
                speeds.append(tokens / (perf_counter() - began))
    return Measurement(name, unit, found[ours], found[plain])


def load_setting(name: str, shape: Shape) -> tuple[Any, Any, list[Prompt]]:
    """Model (float32), tokenizer, and Countdown prompts as the tokenizer's chat template renders them."""
    model, tokenizer = load_model(name, torch.float32, "cpu"), load_tokenizer(name)
    problems = make_task("countdown").problems("train")
    chosen = seeds.generator("bench").sample(range(len(problems)), shape.prompts)
    return model, tokenizer, [render("chat", problems[i], tokenizer) for i in chosen]


def random_setting(tokenizer: Any, shape: Shape) -> tuple[Any, Any, list[Prompt]]:
    """A random model of the laptop's size (4 layers of width 192) with random prompts of 16 to 24 tokens."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    random = seeds.generator("bench", "prompts")
    prompts = [
        Prompt(tuple(random.randrange(2, len(tokenizer)) for _ in range(random.randint(16, 24))))
        for _ in range(shape.prompts)
    ]
    return LlamaForCausalLM(config).eval(), tokenizer, prompts


def without_ends(model: Any) -> Any:
    """A copy that never stops early, so that both sides draw responses of equal length."""
    copied = copy.deepcopy(model)
    copied.generation_config.eos_token_id = None
    copied.config.eos_token_id = None
    return copied

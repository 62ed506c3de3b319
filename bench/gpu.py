"""Sampling and learning on a CUDA device, with random weights at the shapes of published models.

Sampling is told beside `transformers`' `generate` (bfloat16, `sdpa`, a growing cache) and beside the time
that reading alone would take: in each step all weights once, and the keys and values of each row so far, at
the measured rate of copying. Learning is told beside the products of its matrices alone, forward and twice
backward, each at its measured least time. Attention, norms, drawing and the optimizer are free in both, and
prompts are read once for each of their rows. All responses have the same length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from bench.limits import Product, training_seconds, wait
from bench.setting import Found, Measurement, alternate
from r1kit import seeds
from r1kit.learning.batch import EncodedDocument, make_batch
from r1kit.learning.learner import Learner
from r1kit.learning.losses import policy_loss
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings
from r1kit.memory.shapes import ModelShape, config_for
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Prompt

GIB = 1 << 30
NARROW = torch.bfloat16
NONE = "no CUDA device here: sampling and learning on one were not measured"
_COPIES = 10


@dataclass(frozen=True, slots=True)
class Task:
    """A model's shape and what it is asked to do."""

    name: str
    shape: ModelShape
    prompts: int = 32
    group_size: int = 16
    prompt_tokens: int = 256
    new_tokens: int = 1024
    sequences: int = 32  # of an update
    length: int = 2048  # tokens of each
    copied: int = 2 * GIB  # bytes, to measure the rate of copying

    @property
    def rows(self) -> int:
        """Responses of one repeat."""
        return self.prompts * self.group_size


TASKS = (
    Task("Qwen2.5-0.5B", ModelShape("qwen2", 151936, 896, 4864, 24, 14, 2, 64, 32768, True)),
    Task("Qwen2.5-1.5B", ModelShape("qwen2", 151936, 1536, 8960, 28, 12, 2, 128, 32768, True)),
)
QUICK = (Task("tiny", ModelShape("qwen2", 80, 32, 64, 2, 4, 2, 8, 128, True), 2, 4, 9, 8, 4, 32, 1 << 20),)


def measure(repeats: int, quick: bool) -> Found:
    """All tasks; quick: little work, on a CPU where there is no CUDA device."""
    there = torch.cuda.is_available()
    if not (there or quick):
        return Found(notes=[NONE])
    device, found = torch.device("cuda" if there else "cpu"), Found()
    for task in QUICK if quick else TASKS:
        found += _measured(task, device, repeats)
    found.notes.append(f"{_named(device)}; random weights, bfloat16 products, responses of equal length.")
    return found


def _measured(task: Task, device: torch.device, repeats: int) -> Found:
    copying = copy_rate(device, task.copied)
    told: dict[str, Any] = {"bytes copied per second": copying, "bytes of a repeat": bytes_read(task)}
    limit = task.rows * task.new_tokens / (bytes_read(task) / copying)
    _start(device)
    sampling = _sampling(task, device, repeats, limit)
    told["peak bytes of sampling, both sides"] = sampled = _peak(device)
    _start(device)
    ways = (False, True) if device.type == "cuda" else (False,)  # on a CPU it compiles for a minute
    learning = [_learning(task, device, repeats, compile_decoder=way) for way in ways]
    told["peak bytes of learning"] = learned = _peak(device)
    note = (
        f"{task.name}: copying moves {copying / 1e9:,.0f} GB/s, a repeat reads"
        f" {bytes_read(task) / 1e9:,.0f} GB; {sampled / GIB:.1f} GiB allocated at most by sampling (both"
        f" sides, in turn), {learned / GIB:.1f} by learning."
    )
    return Found([sampling, *learning], [note], {task.name: told})


def bytes_read(task: Task) -> int:
    """Bytes that the steps of a repeat have to read: of each step all weights, and the keys and values of
    each row so far.
    """
    size, shape = NARROW.itemsize, task.shape
    first = task.prompt_tokens
    positions = sum(range(first, first + task.new_tokens))  # of a row, over all steps
    return size * (
        task.new_tokens * shape.parameters + task.rows * positions * 2 * shape.layers * shape.kv_width
    )


def copy_rate(device: torch.device, size: int) -> float:
    """Bytes per second that a copy reads and writes, at its best."""
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    least = float("inf")
    for _ in range(_COPIES):
        least = min(least, _seconds(lambda: target.copy_(source), device))
    return 2 * size / least


def products(shape: ModelShape) -> list[Product]:
    """The matrix products of one token: inputs, outputs, how many of it."""
    width, between = shape.width, shape.feed_forward
    layer = [
        (width, shape.query_width + 2 * shape.kv_width),
        (shape.query_width, width),
        (width, 2 * between),
        (between, width),
    ]
    return [*((i, o, shape.layers) for i, o in layer), (width, shape.vocabulary, 1)]


def _model(task: Task, device: torch.device, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    given = config_for(task.shape)
    config = AutoConfig.for_model(given.pop("model_type"), **given, bos_token_id=None, eos_token_id=None)
    with device:
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    model.generation_config.eos_token_id = None
    return model


class _Wordless:
    """A tokenizer for tokens that mean nothing."""

    eos_token_id = None

    def batch_decode(self, batch: list[list[int]], **_: Any) -> list[str]:
        return [""] * len(batch)


def _sampling(task: Task, device: torch.device, repeats: int, limit: float) -> Measurement:
    model = _model(task, device, NARROW)
    random = seeds.generator("bench", "gpu", task.name)
    asked = [random.choices(range(task.shape.vocabulary), k=task.prompt_tokens) for _ in range(task.prompts)]
    sampler, missing = LocalSampler(model, _Wordless()), ""
    params, prompts = SamplingParams(max_new_tokens=task.new_tokens), [Prompt(tuple(p)) for p in asked]

    def ours(repeat: int) -> int:
        drawn = sampler.sample(
            prompts, task.group_size, params, [repeat * 1000 + p for p in range(len(asked))]
        )
        return sum(len(c.tokens) for group in drawn for c in group)

    tokens = torch.tensor(asked, device=device)

    def plain(repeat: int) -> int:
        nonlocal missing
        torch.manual_seed(repeat + 1)
        try:
            out = model.generate(
                tokens, attention_mask=torch.ones_like(tokens), do_sample=True, temperature=1.0, top_k=0,
                top_p=1.0, max_new_tokens=task.new_tokens, num_return_sequences=task.group_size,
                pad_token_id=0,
            )  # fmt: skip
        except torch.OutOfMemoryError:
            missing = "out of memory"
            return 0
        return int(out[:, task.prompt_tokens :].cpu().numel())

    found = alternate(f"{task.name}, sampling", "new tokens/s", repeats, ours, plain)
    other = [] if missing else found.other
    return Measurement(found.name, found.unit, found.ours, other, "transformers generate", limit, missing)


def _learning(task: Task, device: torch.device, repeats: int, *, compile_decoder: bool) -> Measurement:
    seconds = training_seconds(products(task.shape), task.length * 4, NARROW, device)
    limit = task.length * 4 / seconds
    batch_settings = BatchSettings(precision="bfloat16", compile=compile_decoder)
    model = _model(task, device, torch.float32)
    learner = Learner(model, OptimizerSettings(), batch_settings, total_updates=100)
    random, start = seeds.generator("bench", "gpu", "learning"), task.length // 8
    documents = [
        EncodedDocument(random.choices(range(task.shape.vocabulary), k=task.length), start)
        for _ in range(task.sequences)
    ]
    signs = [1.0 if row % 2 else -1.0 for row in range(len(documents))]
    drawn: Sequence[Sequence[float]] = [[-1.0] * (task.length - start) for _ in documents]
    batch, loss = (
        make_batch(documents, advantages=signs, sampler_logprobs=drawn),
        policy_loss(ObjectiveSettings()),
    )
    count, speeds = task.length * task.sequences, []
    for repeat in range(-1, repeats):
        took = _seconds(lambda: learner.update(batch, loss), device)
        if repeat >= 0:
            speeds.append(count / took)
    name = f"{task.name}, an update on {task.length:,}-token sequences"
    name += ", decoder compiled" if compile_decoder else ""
    return Measurement(name, "tokens/s", speeds, [], limit=limit)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long it takes until the device has done it."""
    wait(device)
    began = perf_counter()
    work()
    wait(device)
    return perf_counter() - began


def _start(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(device: torch.device) -> int:
    """Bytes of tensors at most since `_start`; 0 on a CPU, which does not count them."""
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else 0


def _named(device: torch.device) -> str:
    if device.type == "cpu":
        return "On a CPU, to see that it runs"
    at = torch.cuda.get_device_properties(device)
    kind = f"{at.name}, {at.total_memory / GIB:.0f} GiB, capability {at.major}.{at.minor}"
    return f"{kind}, CUDA {torch.version.cuda}"

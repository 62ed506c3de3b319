"""What each part of a piece of work takes, part by part, and its peak.

Bytes of a parameter: 4 for its float32 weight, 4 for each copy of its gradient, 8 for AdamW's two moments
(Rajbhandari et al. 2020, arXiv 1910.02054, section 3.1, with float32 where they have 16 bits), e for the copy
that a sampler decodes with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from r1kit.memory import rollouts
from r1kit.memory.activations import Arithmetic
from r1kit.memory.microbatch import Cost, Micro, Training, largest
from r1kit.memory.rollouts import Draws
from r1kit.memory.shapes import ModelShape

MIB = 1 << 20
WEIGHT, GRADIENT, MOMENTS = 4, 4, 8
PROCESS = {"cpu": 380 * MIB, "cuda": 600 * MIB}
"""The interpreter with torch and transformers, resident; of a CUDA device its context and libraries'
workspaces."""
_LOOPS, _THREAD = 90 * MIB, 45 * MIB
"""What small models add to it on a CPU: compiled loops with the library that compiles them and the products
of MKL, and of each further thread that learns its own buffers and code; measured."""
_BATCH_TOKEN = (
    25  # bytes of a padded token of a batch: id 8, mask 1, advantage and three log-probabilities 16
)

_LEFT = 0.5
"""Of what an update took on a CPU beyond weights, moments and the learner's blocks (`models/blocks.py`), how
much the C library's heaps still have when the next rollouts are sampled; fitted (docs/memory.md)."""

PARTS = (
    *("process", "weights", "gradients", "optimizer", "reference", "older", "critic", "other models"),
    *("sampler", "cache", "activations", "logits", "rollouts"),
)
"""The names of parts, in the order in which they are shown."""
BESIDE = "sampling beside learning"
"""The one phase of reinforcement learning whose rollouts are sampled during updates."""
_COPIES = ("reference", "older")


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a stage's work, with what it holds at its largest moment."""

    name: str
    parts: Mapping[str, int]  # of PARTS; bytes

    @property
    def total(self) -> int:
        """Its peak in bytes."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Estimate:
    """The phases of a stage, of which the largest makes the peak."""

    phases: tuple[Phase, ...]

    @property
    def peak(self) -> Phase:
        """The largest phase."""
        return max(self.phases, key=lambda phase: phase.total)


@dataclass(frozen=True, slots=True)
class Company:
    """What stands beside the model that is trained or sampled."""

    reference: bool = False
    critic: bool = False  # a separate one; a head costs next to nothing
    older: bool = False  # the weights of the step before, of which rollouts are sampled during an update
    others: Sequence[ModelShape] = field(default=())  # teacher and reward models, in the numbers of products


def sampling(shape: ModelShape, draws: Draws, arithmetic: Arithmetic, device_memory: int | None) -> Estimate:
    """A model that only samples."""
    held = {"process": process(shape, arithmetic), "weights": shape.parameters * arithmetic.number}
    rows = rollouts.rows_at_once(shape, draws, arithmetic, device_memory)
    return Estimate((_sampling(shape, draws, rows, arithmetic, held),))


def supervised(
    shape: ModelShape, training: Training, arithmetic: Arithmetic, company: Company, examples: int = 0
) -> Estimate:
    """Supervised training, or that of a reward model; `examples` are bytes of its data."""
    micro, found = largest(shape, training, arithmetic)
    tokens = training.tokens or training.sequences * training.longest
    data = {"rollouts": examples + _BATCH_TOKEN * max(tokens, training.longest)}
    held = _models(shape, company, arithmetic)
    return Estimate((Phase("learning", _learning(shape, micro, found, held) | data),))


def reinforcement(
    shape: ModelShape,
    draws: Draws,
    training: Training,
    arithmetic: Arithmetic,
    company: Company,
    device_memory: int | None,
) -> Estimate:
    """Sampling and learning in turn, with one sampler that shares or copies the learner's weights; or beside
    each other where there are older weights.
    """
    micro, found = largest(shape, training, arithmetic)
    held = _models(shape, company, arithmetic)
    if company.critic:
        held["critic"] += found.held  # a learner with blocks of its own
    if arithmetic.narrow or company.older:
        held["sampler"] = shape.parameters * arithmetic.number
    rows = rollouts.rows_at_once(shape, draws, arithmetic, device_memory)
    drawn = _sampling(shape, draws, rows, arithmetic, held)
    batch = _BATCH_TOKEN * draws.responses * draws.length
    data = {"rollouts": rollouts.HELD_TOKEN * draws.responses * draws.new + batch}
    if company.older:
        both = _learning(shape, micro, found, drawn.parts)
        both["logits"] += drawn.parts["logits"]
        both["rollouts"] += data["rollouts"]
        return Estimate((Phase(BESIDE, both),))
    if arithmetic.device == "cpu":
        left = {"activations": found.held + round(_LEFT * (found.total - found.held))}
        drawn = Phase(drawn.name, {**drawn.parts, **left})
    learning = _learning(shape, micro, found, held) | data
    for name, size in rollouts.kept(shape, draws, rows, arithmetic).items():
        learning[name] = learning.get(name, 0) + size
    return Estimate((drawn, Phase("learning", learning)))


def process(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of the interpreter with all that it loads to work with such a model."""
    own = _LOOPS + _THREAD * (arithmetic.threads - 1) if arithmetic.is_small(shape) else 0
    return PROCESS[arithmetic.device] + own


def _models(shape: ModelShape, company: Company, arithmetic: Arithmetic) -> dict[str, int]:
    """What is there from the first update to the last."""
    count = shape.parameters
    weights = {"weights": WEIGHT * count, "optimizer": MOMENTS * count}
    found = {"process": process(shape, arithmetic), **weights}
    found |= {name: WEIGHT * count for name in _COPIES if getattr(company, name)}
    if company.critic:
        found["critic"] = (WEIGHT + MOMENTS) * count
    if company.others:
        found["other models"] = sum(other.parameters * arithmetic.number for other in company.others)
    return found


def _learning(shape: ModelShape, micro: Micro, found: Cost, held: Mapping[str, int]) -> dict[str, int]:
    # each thread has the sum so far, and the gradients of the micro-batch that it is at
    copies = 2 * micro.shares if micro.shares > 1 else 1
    work = {
        "gradients": GRADIENT * shape.parameters * copies,
        "activations": found.activations,
        "logits": found.logits,
    }
    return {**held, **work}


def _sampling(
    shape: ModelShape, draws: Draws, rows: int, arithmetic: Arithmetic, held: Mapping[str, int]
) -> Phase:
    work = {
        "sampler": held.get("sampler", 0) + rollouts.joined(shape, arithmetic),
        "cache": rollouts.cache(shape, draws, rows, arithmetic),
        "logits": rollouts.drawing(shape, draws, rows, arithmetic),
        "rollouts": rollouts.results(draws, rows),
    }
    return Phase("sampling", {**held, **work})

"""Bytes that sampling takes: the cache, the tables of a draw, the finished responses.

Shapes: B rows decoded at once, T positions, V vocabulary, L layers, K width of all keys of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.memory.activations import Arithmetic
from r1kit.memory.shapes import ModelShape
from r1kit.models.llama_like import MOST_PARAMETERS
from r1kit.rollouts.cache import most_capacity
from r1kit.rollouts.memory import MOST_ROWS, ROWS_MEMORY, rows_within

HELD_TOKEN = 104
"""Bytes of one token of a finished response: three places in tuples, an int and two floats, as CPython
3.11-3.13 has them (8 each, 32, 24 each)."""
_RECORD = 16  # bytes on the device for one token drawn: its id and two float32
_WIDTHS = 16  # positions attended to are a multiple of it


@dataclass(frozen=True, slots=True)
class Draws:
    """`Draws(384, 60, 480)`: one call of a sampler."""

    responses: int
    prompt: int  # tokens of the longest prompt
    new: int  # most new tokens
    filtered: bool = False  # whether top-k or top-p filters what is drawn
    warmed: bool = False  # whether the temperature is another one than 1
    held: int = 0  # responses that are held besides, of earlier calls

    @property
    def length(self) -> int:
        """Tokens of the longest sequence."""
        return self.prompt + self.new


def position(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of one position of one row: keys and values of all layers, 2eLK."""
    return 2 * arithmetic.number * shape.layers * shape.kv_width


def rows_at_once(shape: ModelShape, draws: Draws, arithmetic: Arithmetic, device_memory: int | None) -> int:
    """Rows that the sampler decodes at once; `device_memory` is that of a CUDA device in bytes."""
    memory = ROWS_MEMORY if device_memory is None else device_memory // 4
    within = rows_within(memory, position(shape, arithmetic), draws.length, shape.vocabulary)
    return min(within, MOST_ROWS, draws.responses)


def capacities(draws: Draws) -> tuple[int, int]:
    """Positions of a row for which there is room at the end, and before the last growth (0 without one).

    A prompt is stored but for its last token, and what is drawn but for the last one.
    """
    held, before = max(draws.prompt - 1, most_capacity(0)), 0
    for width in range(_WIDTHS, draws.length - 1 + _WIDTHS, _WIDTHS):
        if width > held:
            held, before = max(width, most_capacity(held)), held
    return held, before


def cache(shape: ModelShape, draws: Draws, rows: int, arithmetic: Arithmetic) -> int:
    """Bytes of the cache at its largest: all of it, and the keys of one layer twice while they grow."""
    last, before = capacities(draws)
    return rows * (position(shape, arithmetic) * last + arithmetic.number * shape.kv_width * before)


def drawing(shape: ModelShape, draws: Draws, rows: int, arithmetic: Arithmetic) -> int:
    """Bytes for the next tokens of all rows: logits (e), and float32 logits, distances to the largest,
    weights and their sums (16); 4 more at other temperatures than 1. With top-k or top-p, where every token
    may stay: two tables of 64-bit places, and two of 32 bits. And one layer's activations, e(4D + 3F).
    """
    e = arithmetic.number
    numbers = e + 16 + (4 if draws.warmed else 0) + (24 if draws.filtered else 0)
    layer = e * (4 * shape.width + 3 * shape.feed_forward)
    return rows * (numbers * shape.vocabulary + layer)


def results(draws: Draws, rows: int) -> int:
    """Bytes of the responses of this call and of those held, and of what is recorded of the rows decoded at
    once."""
    return HELD_TOKEN * (draws.responses + draws.held) * draws.new + _RECORD * rows * draws.new


def joined(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of the weights that decoding small models on a CPU joins: queries, keys, values; gate and up."""
    if arithmetic.device != "cpu" or shape.parameters > MOST_PARAMETERS or shape.family == "mistral":
        return 0
    joined_layer = shape.width * (shape.query_width + 2 * shape.kv_width + 2 * shape.feed_forward)
    return arithmetic.number * shape.layers * joined_layer

"""Bytes that sampling takes: the cache, the tables of a draw, the finished responses.

Shapes: B rows decoded at once, T positions, V vocabulary, L layers, K width of all keys of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.kernels import BLOCK
from r1kit.memory.activations import Arithmetic
from r1kit.memory.shapes import ModelShape
from r1kit.rollouts.cache import most_capacity
from r1kit.rollouts.memory import MOST_ROWS, ROWS_MEMORY, rows_within

HELD_TOKEN = 104
"""Bytes of one token of a finished response: three places in tuples, an int and two floats, as CPython
3.11-3.13 has them (8 each, 32, 24 each)."""
_RECORD = 16  # bytes on the device for one token drawn: its id and two float32
_WIDTHS = 16  # positions attended to are a multiple of it
_HEAD_MULTIPLE = 8  # head widths of the compiled step
_VALUE_MULTIPLE = 16  # numbers of a value that it stores


@dataclass(frozen=True, slots=True)
class Draws:
    """`Draws(384, 60, 480)`: one call of a sampler."""

    responses: int
    prompt: int  # tokens of the longest prompt
    new: int  # most new tokens
    filtered: bool = False  # whether top-k or top-p filters what is drawn
    warmed: bool = False  # whether the temperature is another one than 1
    held: int = 0  # responses that are held besides, of earlier calls
    group: int = 1  # responses to the same prompt

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
    within = rows_within(memory, position(shape, arithmetic), most_capacity(draws.length), shape.vocabulary)
    return min(within, MOST_ROWS, draws.responses)


def is_compiled(shape: ModelShape, arithmetic: Arithmetic) -> bool:
    """Whether a decoding step is one compiled call (`rollouts/compiled.py`), on a processor with MKL."""
    return arithmetic.is_small(shape) and shape.family != "mistral" and shape.head_width % _HEAD_MULTIPLE == 0


def capacities(draws: Draws) -> tuple[int, int]:
    """Positions of a row for which there is room at the end, and before the last growth (0 without one).

    A prompt is stored but for its last token, and what is drawn but for the last one.
    """
    held, before = max(draws.prompt - 1, most_capacity(0)), 0
    for width in range(_WIDTHS, draws.length - 1 + _WIDTHS, _WIDTHS):
        if width > held:
            held, before = max(width, most_capacity(held)), held
    return held, before


def blocks(draws: Draws, rows: int) -> int:
    """Blocks of a compiled step's cache: each row's own, for what is drawn, and each prompt's once.

    Where responses wait for rows, those in flight may be the last of many groups.
    """
    prompts = min(rows, -(-draws.responses // draws.group))
    return rows * -(-draws.new // BLOCK) + prompts * -(-(draws.prompt - 1) // BLOCK)


def block(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of a block: keys and values of all layers at `BLOCK` positions, values in whole vectors."""
    widths = shape.head_width + -(-shape.head_width // _VALUE_MULTIPLE) * _VALUE_MULTIPLE
    return arithmetic.number * shape.layers * shape.kv_heads * BLOCK * widths


def cache(shape: ModelShape, draws: Draws, rows: int, arithmetic: Arithmetic) -> int:
    """Bytes of the cache at its largest: with a compiled step all blocks, otherwise all rows, and while they
    grow one layer's keys twice."""
    if is_compiled(shape, arithmetic):
        return blocks(draws, rows) * block(shape, arithmetic)
    last, before = capacities(draws)
    return rows * (position(shape, arithmetic) * last + arithmetic.number * shape.kv_width * before)


def drawing(shape: ModelShape, draws: Draws, rows: int, arithmetic: Arithmetic) -> int:
    """Bytes for the next tokens of all rows: logits (e), and float32 logits, distances to the largest,
    weights and their sums (16); 4 more at other temperatures than 1. With top-k or top-p, where every token
    may stay: two tables of 64-bit places, and two of 32 bits. And one layer's activations, e(4D + 3F).

    A compiled step has float32 logits, from which it draws row by row, and what one
    layer multiplies in (e) and out (4).
    """
    e, vocabulary = arithmetic.number, shape.vocabulary
    of_draw = 16 + (4 if draws.warmed else 0) + (24 if draws.filtered else 0)
    if not is_compiled(shape, arithmetic):
        layer = e * (4 * shape.width + 3 * shape.feed_forward)
        return rows * ((e + of_draw) * vocabulary + layer)
    layer = (4 + e) * (shape.width + shape.query_width + 2 * shape.kv_width)
    layer += (8 + e) * shape.feed_forward
    return rows * (4 * vocabulary + layer)


def results(draws: Draws, rows: int) -> int:
    """Bytes of the responses of this call and of those held, and of what is recorded of the rows decoded at
    once."""
    return HELD_TOKEN * (draws.responses + draws.held) * draws.new + _RECORD * rows * draws.new


def joined(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of the weights that decoding small models on a CPU lays out anew: all matrices, and the head."""
    if not is_compiled(shape, arithmetic):
        return 0
    return arithmetic.number * (shape.layers * shape.layer_matrices + shape.vocabulary * shape.width)

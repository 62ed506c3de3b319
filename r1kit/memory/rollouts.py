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
from r1kit.rollouts.paged_attention import PAGE, width_fits
from r1kit.rollouts.pages import row_pages

HELD_TOKEN = 104
"""Bytes of one token of a finished response: three places in tuples, an int and two floats, as CPython
3.11-3.13 has them (8 each, 32, 24 each)."""
_RECORD = 16  # bytes on the device for one token drawn: its id and two float32
_DRAW = 16  # bytes of a draw's float32 tables, for each row and token of the vocabulary
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
    paged = is_paged(shape, arithmetic)
    capacity = row_pages(draws.length, PAGE) * PAGE if paged else most_capacity(draws.length)
    within = rows_within(memory, position(shape, arithmetic), capacity, shape.vocabulary)
    return min(within, MOST_ROWS, draws.responses)


def is_compiled(shape: ModelShape, arithmetic: Arithmetic) -> bool:
    """Whether a decoding step is one compiled call (`rollouts/compiled.py`), on a processor with MKL."""
    return arithmetic.is_small(shape) and shape.family != "mistral" and shape.head_width % _HEAD_MULTIPLE == 0


def is_paged(shape: ModelShape, arithmetic: Arithmetic) -> bool:
    """Whether the sampler decodes on pages (`rollouts/paged.py`), as on a newer CUDA device in 16 bits."""
    narrow_device = arithmetic.device == "cuda" and arithmetic.narrow
    return narrow_device and shape.family != "mistral" and width_fits(shape.head_width)


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


def pages(draws: Draws, rows: int) -> int:
    """Pages of a paged cache: each row's own, those that are a prompt's throughout once, and nobody's."""
    shared, prompts = (draws.prompt - 1) // PAGE, min(rows, -(-draws.responses // draws.group))
    return 1 + rows * (row_pages(draws.length, PAGE) - shared) + prompts * shared


def block(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of a block: keys and values of all layers at `BLOCK` positions, values in whole vectors."""
    widths = shape.head_width + -(-shape.head_width // _VALUE_MULTIPLE) * _VALUE_MULTIPLE
    return arithmetic.number * shape.layers * shape.kv_heads * BLOCK * widths


def cache(shape: ModelShape, draws: Draws, rows: int, arithmetic: Arithmetic) -> int:
    """Bytes of the cache at its largest: with a compiled step all blocks, with a paged one all pages,
    otherwise all rows, and while they grow one layer's keys twice."""
    if is_compiled(shape, arithmetic):
        return blocks(draws, rows) * block(shape, arithmetic)
    if is_paged(shape, arithmetic):
        return pages(draws, rows) * PAGE * position(shape, arithmetic)
    last, before = capacities(draws)
    return rows * (position(shape, arithmetic) * last + arithmetic.number * shape.kv_width * before)


def drawing(shape: ModelShape, draws: Draws, rows: int, arithmetic: Arithmetic) -> int:
    """Bytes for the next tokens of all rows: logits (e), and float32 logits, distances to the largest,
    weights and their sums (16); 4 more at other temperatures than 1. With top-k or top-p, where every token
    may stay: two tables of 64-bit places, and two of 32 bits. And one layer's activations, e(4D + 3F).

    A compiled step has float32 logits, from which it draws row by row, and what one layer multiplies in (e)
    and out (4). A paged one takes it twice, since the first step of each number of rows is no graph.
    """
    e, vocabulary = arithmetic.number, shape.vocabulary
    if not is_compiled(shape, arithmetic):
        filtering = 24 * vocabulary * rows if draws.filtered else 0
        return _logits_and_draw(shape, draws, rows, e) + filtering + captured(shape, draws, rows, arithmetic)
    layer = (4 + e) * (shape.width + shape.query_width + 2 * shape.kv_width)
    layer += (8 + e) * shape.feed_forward
    return rows * (4 * vocabulary + layer)


def captured(shape: ModelShape, draws: Draws, rows: int, arithmetic: Arithmetic) -> int:
    """Bytes that the graphs of paged steps have for themselves: those of the largest number of rows. A draw
    from filtered tokens is in none.
    """
    if not is_paged(shape, arithmetic):
        return 0
    e = arithmetic.number
    whole, of_draw = _logits_and_draw(shape, draws, rows, e), _of_draw(draws) * shape.vocabulary * rows
    return whole - of_draw if draws.filtered else whole


def _logits_and_draw(shape: ModelShape, draws: Draws, rows: int, e: int) -> int:
    layer = e * (4 * shape.width + 3 * shape.feed_forward)
    return rows * ((e + _of_draw(draws)) * shape.vocabulary + layer)


def _of_draw(draws: Draws) -> int:
    return _DRAW + (4 if draws.warmed else 0)


def kept(shape: ModelShape, draws: Draws, rows: int, arithmetic: Arithmetic) -> dict[str, int]:
    """Bytes, by the parts of an estimate, that a sampler keeps between its calls: of a paged one all pages,
    joined weights and graphs, so that the graphs stay true.
    """
    if not is_paged(shape, arithmetic):
        return {}
    return {
        "sampler": joined(shape, arithmetic),
        "cache": cache(shape, draws, rows, arithmetic),
        "logits": captured(shape, draws, rows, arithmetic),
    }


def results(draws: Draws, rows: int) -> int:
    """Bytes of the responses of this call and of those held, and of what is recorded of the rows decoded at
    once."""
    return HELD_TOKEN * (draws.responses + draws.held) * draws.new + _RECORD * rows * draws.new


def joined(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of the weights that decoding small models on a CPU lays out anew: all matrices, and the head; and
    of those that a paged step joins: of queries, keys and values, of gate and up.
    """
    if is_paged(shape, arithmetic):
        outputs = shape.query_width + 2 * shape.kv_width + 2 * shape.feed_forward
        return arithmetic.number * shape.layers * shape.width * outputs
    if not is_compiled(shape, arithmetic):
        return 0
    return arithmetic.number * (shape.layers * shape.layer_matrices + shape.vocabulary * shape.width)

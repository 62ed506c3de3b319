"""Bytes that a micro-batch takes in the layers written out (`models/written.py`), tensor by tensor.

Letters: those of `activations`, but N tokens are without padding, while M are those of rows with it.
"""

from __future__ import annotations

from r1kit.memory.activations import Arithmetic, kept_scores
from r1kit.memory.shapes import ModelShape
from r1kit.models.attention import LONGEST


def is_written(shape: ModelShape, length: int, arithmetic: Arithmetic) -> bool:
    """Whether a learner that may write layers out (`models/written_decoder.py`) does so for such rows."""
    known = shape.family in ("llama", "qwen2") and not shape.attention_bias
    return known and arithmetic.is_small(shape) and length <= LONGEST


def kept_by_layer(
    shape: ModelShape, tokens: int, rows: int, length: int, arithmetic: Arithmetic
) -> list[int]:
    """Bytes of each tensor that is kept of one layer, of `tokens` in so many rows of `length`.

    The residual stream before attention and after it in float32 (4ND each), of two norms the result and a
    root (eND, 4N), queries, keys and values (eMQ, eMK, eMK), what attention mixed (eNQ), gate and up (2eNF),
    and the probabilities.
    """
    e, padded = arithmetic.number, rows * length
    stream = [tokens * size for size in (4 * shape.width, e * shape.width, 4)] * 2
    heads = [e * padded * width for width in (shape.query_width, shape.kv_width, shape.kv_width)]
    others = [e * tokens * width for width in (shape.query_width, 2 * shape.feed_forward)]
    return stream + heads + others + _probabilities(shape, rows, length, arithmetic)


def kept(shape: ModelShape, tokens: int, rows: int, length: int, arithmetic: Arithmetic) -> int:
    """Bytes of all layers, with the weights that their products read and the last norm's input (4ND, 4N)."""
    layer = sum(kept_by_layer(shape, tokens, rows, length, arithmetic)) + layer_weights(shape, arithmetic)
    return shape.layers * layer + tokens * (4 * shape.width + 4)


def layer_weights(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of a layer's matrices as products read them: all where they are cast, else those joined."""
    others = 0 if arithmetic.narrow else shape.width * (shape.query_width + shape.feed_forward)
    return arithmetic.number * (shape.layer_matrices - others)


def weight_gradients(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of all layers' gradients of these matrices, which come out together."""
    return arithmetic.number * shape.layers * shape.layer_matrices


def passing_back(shape: ModelShape, tokens: int, rows: int, length: int, arithmetic: Arithmetic) -> int:
    """Bytes of the gradients on their way through a layer: of the residual stream (4ND, eND), silu(gate) x up
    and the gradients of it, gate and up (4eNF), or those of queries, keys and values and two blocks of the
    scores'.
    """
    e = arithmetic.number
    heads = rows * length * (2 * shape.query_width + 2 * shape.kv_width)
    heads += tokens * (shape.query_width + 2 * shape.kv_width)
    scores = 2 * max(_probabilities(shape, rows, length, arithmetic))
    return tokens * (4 + e) * shape.width + max(4 * e * tokens * shape.feed_forward, e * heads + scores)


def _probabilities(shape: ModelShape, rows: int, length: int, arithmetic: Arithmetic) -> list[int]:
    return [rows * length * size for size in kept_scores(shape, length, arithmetic)]

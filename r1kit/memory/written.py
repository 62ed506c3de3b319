"""Bytes that a micro-batch takes in the layers written out (`models/written.py`), tensor by tensor.

Letters: those of `activations`, but N tokens are without padding; T positions has the longest of them.
"""

from __future__ import annotations

from r1kit.kernels import HANDFUL, QUERIES, TOKENS_BACK
from r1kit.memory.activations import Arithmetic
from r1kit.memory.shapes import ModelShape


def is_written(shape: ModelShape, arithmetic: Arithmetic) -> bool:
    """Whether a learner that may write layers out (`models/written_decoder.py`) does so."""
    known = shape.family in ("llama", "qwen2", "qwen3") and not shape.attention_bias
    return known and arithmetic.is_small(shape)


def kept_by_layer(shape: ModelShape, tokens: int, arithmetic: Arithmetic) -> list[int]:
    """Bytes of each tensor that is kept of one layer, of `tokens` in all.

    The residual stream before attention and after it in float32 (4ND each), queries, keys and values
    (eN(Q + 2K); where heads are normalised, as they were before), a sum for each head (4NH), what attention
    mixed (eNQ), gate and up (2eNF).
    """
    e = arithmetic.number
    heads = e * (shape.query_width + 2 * shape.kv_width)
    sizes = (4 * shape.width, heads, 4 * shape.heads, e * shape.query_width, 4 * shape.width)
    return [tokens * size for size in (*sizes, 2 * e * shape.feed_forward)]


def in_block(shape: ModelShape, tokens: int, arithmetic: Arithmetic, *, checkpointing: bool) -> int:
    """Bytes of the block (`models/blocks.py`) in which the layers of a micro-batch keep what they keep.

    With gradient checkpointing that is what came into each (4ND), and the rest of one layer.
    """
    of_input, *others = kept_by_layer(shape, tokens, arithmetic)
    return shape.layers * of_input + (1 if checkpointing else shape.layers) * sum(others)


def kept(shape: ModelShape, tokens: int, arithmetic: Arithmetic, *, checkpointing: bool) -> tuple[int, int]:
    """Bytes of all layers, with the weights that their products read and the last norm's input (4ND, 4N).

    When the forward pass is done, and at most while gradients are passed back, when a layer that is computed
    again needs room for what comes out (4ND).
    """
    of_stream = tokens * 4 * shape.width
    ended = in_block(shape, tokens, arithmetic, checkpointing=checkpointing)
    ended += shape.layers * layer_weights(shape, arithmetic) + of_stream + 4 * tokens
    return ended, ended + (of_stream if checkpointing else 0)


def layer_weights(shape: ModelShape, arithmetic: Arithmetic) -> int:
    """Bytes of a layer's matrices as products read them: all where they are cast, else those joined."""
    others = 0 if arithmetic.narrow else shape.width * (shape.query_width + shape.feed_forward)
    return arithmetic.number * (shape.layer_matrices - others)


def weight_gradients(shape: ModelShape) -> int:
    """Bytes of all layers' gradients of these matrices, which come out together, in float32."""
    return 4 * shape.layers * shape.layer_matrices


def passing_back(shape: ModelShape, tokens: int, length: int, arithmetic: Arithmetic) -> int:
    """Bytes of the gradients on their way through a layer: of the residual stream (4ND), and of what is
    computed of some tokens at once: norms, gates and their gradients; heads and their gradients, those of
    one sequence in float32, and of normalised heads what attention read of that sequence; and four tables of
    scores, two of them in float32.
    """
    e, joined = arithmetic.number, shape.query_width + 2 * shape.kv_width
    of_token = (2 * e + 4) * shape.width + (3 * e + 4) * shape.feed_forward + 4 * shape.query_width
    of_one = (4 + (e if shape.normalises_heads else 0)) * joined
    heads = max(HANDFUL, length) * e * (shape.query_width + joined) + length * of_one
    return tokens * 4 * shape.width + TOKENS_BACK * of_token + heads + QUERIES * length * (8 + 2 * e)

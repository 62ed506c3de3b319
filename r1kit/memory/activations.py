"""Bytes that a micro-batch takes on its way through a decoder and back.

The terms are what autograd keeps of the library's Llama-like layers, tensor by tensor; tests compare them
with what is really kept. The method is that of Korthikanti et al. 2022 (arXiv 2205.05198, section 4), for
other layers.

Letters: e bytes of a number in matrix products (2 under bfloat16 autocast, 4 in float32), D width, Q and K
widths of all queries and of all keys, F inner width, H query heads, G key-value heads, T positions of a row,
V vocabulary, N tokens of the micro-batch with their padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.memory.shapes import ModelShape
from r1kit.models.attention import LONGEST
from r1kit.models.causal import BLOCK
from r1kit.models.llama_like import MOST_PARAMETERS

_OWN_PAGES = 32 << 20  # bytes; M_MMAP_THRESHOLD's largest own choice on 64-bit machines, mallopt(3)
_HOLES, _HOLES_WRITTEN = 3.5, 2.0
"""So many times what one layer keeps lies idle in the C library's heaps where the library's layers keep it,
and where layers are written out, whose tensors lie in blocks of their own; fitted (docs/memory.md)."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """In which number format, on which kind of device and by how many threads products are computed."""

    number: int  # bytes of a number in matrix products: 2 or 4
    device: str = "cpu"
    threads: int = 1  # of torch

    @property
    def narrow(self) -> bool:
        """Whether weights and activations are cast for the products."""
        return self.number < 4

    def is_small(self, shape: ModelShape) -> bool:
        """Whether a model's batches are shared out among threads, and its passes may be compiled loops."""
        return self.device == "cpu" and shape.parameters <= MOST_PARAMETERS


def kept_by_layer(shape: ModelShape, length: int, arithmetic: Arithmetic) -> list[int]:
    """Bytes for each token of each tensor that is kept of one layer for its derivative, in rows of `length`;
    weights apart.

    Each of two norms keeps its float32 input and the normalised one, and a root (4D, 4D, 4). The inputs of
    q, k and v are one tensor in float32, and a cast for each under autocast (3 of eD); likewise those of
    gate and up (2 of eD). Attention keeps queries, output, keys and values (eQ, eQ, eK, eK), the
    feed-forward layer gate, silu(gate), up and their product (4 of eF).
    """
    e, width = arithmetic.number, shape.width
    norms = [4 * width, 4 * width, 4] * 2 + [e * width] * (5 if arithmetic.narrow else 2)
    attention = [e * shape.query_width] * 2 + [e * shape.kv_width] * 2
    kept = norms + attention + [e * shape.feed_forward] * 4
    return kept + _kept_by_head_norms(shape, arithmetic) + kept_scores(shape, length, arithmetic)


def _kept_by_head_norms(shape: ModelShape, arithmetic: Arithmetic) -> list[int]:
    """Qwen3: of queries and keys the float32 input, what is normalised (in e bytes), and a root for each
    head."""
    if not shape.normalises_heads:
        return []
    sides = ((shape.query_width, shape.heads), (shape.kv_width, shape.kv_heads))
    return [size for width, heads in sides for size in (4 * width, arithmetic.number * width, 4 * heads)]


def kept_scores(shape: ModelShape, length: int, arithmetic: Arithmetic) -> list[int]:
    """Of attention's scores: on a CPU up to `LONGEST` tokens the probabilities of each block of queries;
    else a sum per head.
    """
    if arithmetic.device != "cpu" or length > LONGEST:
        return [4 * shape.heads]
    blocks = [(begin, min(begin + BLOCK, length)) for begin in range(0, length, BLOCK)]
    scale = arithmetic.number * shape.heads
    return [-(-scale * (end - begin) * end // length) for begin, end in blocks]


def kept(
    shape: ModelShape,
    tokens: int,
    length: int,
    arithmetic: Arithmetic,
    *,
    checkpointing: bool,
) -> tuple[int, int]:
    """Bytes that autograd keeps of a micro-batch of `tokens` in rows of `length`: when its forward pass is
    done, and while its last layer passes gradients back.

    Every layer's own and the last norm's, and once the weights as they were cast for the products. With
    gradient checkpointing it is each layer's float32 input; one layer is computed again before it passes
    gradients back.
    """
    layer = tokens * sum(kept_by_layer(shape, length, arithmetic))
    layer += arithmetic.number * shape.layer_matrices if arithmetic.narrow else 0
    last = tokens * (8 * shape.width + 4)
    if not checkpointing:
        return shape.layers * layer + last, shape.layers * layer
    inputs = tokens * shape.layers * 4 * shape.width
    return inputs + last, inputs + layer


def passing_back(shape: ModelShape, tokens: int, arithmetic: Arithmetic) -> int:
    """Bytes for the gradients on their way through one layer: those of the residual stream in float32,
    before and after it is added to (8D), of gate, up and their product (3eF) and of their inputs (2eD); and
    one matrix's gradient, before and after it is made float32.
    """
    e = arithmetic.number
    largest = shape.width * shape.feed_forward
    return tokens * (8 * shape.width + 3 * e * shape.feed_forward + 2 * e * shape.width) + (4 + e) * largest


def head_forward(shape: ModelShape, predicted: int, chunk: int, arithmetic: Arithmetic, loops: bool) -> int:
    """Bytes for log-probabilities and entropies of `predicted` tokens, `chunk` at a time, without gradient.

    Four float32 tables of chunk x V exist where the entropy is summed, with compiled loops
    (`kernels/heads.py`) the logits alone; the head is cast (eVD); hidden states are eD.
    """
    e = arithmetic.number
    cast = e * shape.vocabulary * shape.width if arithmetic.narrow else 0
    table = (e if loops else 16) * min(chunk, predicted) * shape.vocabulary
    return table + cast + predicted * e * shape.width


def head_backward(shape: ModelShape, predicted: int, chunk: int, arithmetic: Arithmetic, loops: bool) -> int:
    """Bytes for the head's gradients: two tables of chunk x V, the float32 gradient of the head (4VD) with a
    chunk's share of it (eVD), the head cast twice, and hidden states with their gradients.
    """
    e, matrix = arithmetic.number, shape.vocabulary * shape.width
    tables = (2 * e if loops else 4 + e) * min(chunk, predicted) * shape.vocabulary
    casts = 2 * e * matrix if arithmetic.narrow else 0
    return tables + (4 + e) * matrix + casts + 2 * predicted * e * shape.width


def holes(sizes: Sequence[int], arithmetic: Arithmetic, *, written: bool) -> int:
    """Bytes that lie idle on a CPU between the tensors of a micro-batch, of which one layer keeps `sizes`.

    The GNU C library takes blocks that have no pages of their own from heaps, where those of different lives
    and sizes leave gaps.
    """
    if arithmetic.device != "cpu":
        return 0
    factor = _HOLES_WRITTEN if written else _HOLES
    return round(factor * sum(size for size in sizes if size < _OWN_PAGES))

"""A layer of a Llama-like decoder over whole sequences, and its derivative, each in one call.

Tokens go through it a handful at a time, so that what lies between the matrix products stays in the
processor's cache. Products are computed in the number format of the weights given (P: float32, or bfloat16 as
uint16), the residual stream and everything else in float32.

Shapes: R sequences of N tokens together, one after the other, D width, H query heads, K key-value heads, W
head width, F width of the feed-forward layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from r1kit.kernels import HANDFUL, TOKENS, TOKENS_BACK
from r1kit.kernels.causal import attend_to_sequence_back, attend_to_sequences, room_for
from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import store_row, widen
from r1kit.kernels.products import multiply
from r1kit.kernels.training import gate_and_keep, gate_back, normalise, normalise_back
from r1kit.kernels.turning import turn, turn_back, turn_normed, turn_normed_back


class Numbers(NamedTuple):
    """The constants of all layers."""

    product: int  # address, see `products.multiply`
    query_heads: int
    epsilon: float  # of the norms
    scaling: Any  # float32, of the attention's scores


class Weights(NamedTuple):
    """A layer's: gains and bias in float32, matrices in the format of products."""

    gain: Any  # (D,), before attention
    heads: Any  # ((H + 2 K) W, D): queries, keys, values
    heads_bias: Any  # ((H + 2 K) W,), or (0,) without: so with gains of heads
    head_gains: Any  # (2 W,), of each head of queries, and of keys; or (0,) without
    output: Any  # (D, H W)
    feed_forward_gain: Any  # (D,)
    gate_up: Any  # (2 F, D)
    down: Any  # (D, F)


class Kept(NamedTuple):
    """What a layer's derivative reads."""

    x: Any  # (N, D) float32, what came in
    heads: Any  # (N, (H + 2 K) W) P: queries, keys, values as attention reads them, or before a norm of each
    logs: Any  # (N, H) float32, logarithms of attention's sums
    mixed: Any  # (N, H W) P
    middle: Any  # (N, D) float32, the residual stream between the halves
    gate_up: Any  # (N, 2 F) P


class _Room(NamedTuple):
    """Memory for what lies between the products of TOKENS tokens."""

    scales: Any  # (tokens,) float32
    normed: Any  # (tokens, D) P
    joined: Any  # (tokens, (H + 2 K) W) float32
    gate_up: Any  # (tokens, 2 F) float32
    active: Any  # (tokens, F) P
    turned: Any  # (T, (H + 2 K) W) P, of normalised heads that go through attention together; or (0, …)


@compiled
def layer(
    numbers: Any, weights: Any, lengths: Any, shared: Any, positions: Any, cosine: Any, sine: Any,
    kept: Any, out: Any,
) -> None:  # fmt: skip
    """out (N, D) = the residual stream after the layer that `kept.x` goes into; fills the rest of `kept`.

    lengths and shared (R,), see `causal`; positions (N,), cosine and sine (T, W / 2).
    """
    dtype, normed = kept.mixed.dtype, len(weights.head_gains) > 0
    room = _Room(
        np.empty(TOKENS, np.float32), np.empty((TOKENS, out.shape[1]), dtype),
        np.empty((TOKENS, kept.heads.shape[1]), np.float32),
        np.empty((TOKENS, weights.gate_up.shape[0]), np.float32),
        np.empty((TOKENS, weights.down.shape[1]), dtype),
        np.empty((_together(lengths, shared) if normed else 0, kept.heads.shape[1]), dtype),
    )  # fmt: skip
    of_attention = room_for(lengths, shared, kept.mixed, 2 * cosine.shape[1])
    row, first = 0, 0
    while row < lengths.shape[0]:
        until, end = _handful(lengths, shared, row, first)
        part = _cut(kept, first, end)
        turned = room.turned[: end - first] if normed else part.heads
        _to_attention(numbers, weights, room, positions[first:end], cosine, sine, part, turned)
        attend_to_sequences(
            numbers.product,
            turned,
            lengths[row:until],
            shared[row:until],
            of_attention,
            part.logs,
            part.mixed,
        )
        _from_attention(numbers, weights, room, part, out[first:end])
        row, first = until, end


@compiled
def _handful(lengths: Any, shared: Any, row: Any, first: Any) -> Any:
    """Where the next sequences end, and their tokens: about HANDFUL of them, or one group with more."""
    until, end = _group(lengths, shared, row, first)
    while until < lengths.shape[0]:
        after, further = _group(lengths, shared, until, end)
        if further - first > HANDFUL:
            break
        until, end = after, further
    return until, end


@compiled
def _group(lengths: Any, shared: Any, row: Any, first: Any) -> Any:
    """Where a sequence and those that share its tokens end, and their tokens."""
    until, end = row + 1, first + lengths[row]
    while until < lengths.shape[0] and shared[until]:
        until, end = until + 1, end + lengths[until]
    return until, end


@compiled
def _together(lengths: Any, shared: Any) -> Any:
    """Most tokens of sequences that go through attention together, at least 1."""
    most, row, first = 1, 0, 0
    while row < lengths.shape[0]:
        row, end = _handful(lengths, shared, row, first)
        most, first = max(most, end - first), end
    return most


@compiled
def _cut(kept: Any, begin: Any, end: Any) -> Any:
    """Of some tokens alone."""
    return Kept(
        kept.x[begin:end], kept.heads[begin:end], kept.logs[begin:end], kept.mixed[begin:end],
        kept.middle[begin:end], kept.gate_up[begin:end],
    )  # fmt: skip


@compiled
def _to_attention(
    numbers: Any, weights: Any, room: Any, positions: Any, cosine: Any, sine: Any, kept: Any, turned: Any
) -> None:
    """From what comes in to queries, keys and values."""
    tokens = len(positions)
    for begin in range(0, tokens, TOKENS):
        end = min(begin + TOKENS, tokens)
        normed, joined = room.normed[: end - begin], room.joined[: end - begin]
        normalise(kept.x[begin:end], weights.gain, numbers.epsilon, normed, room.scales)
        multiply(numbers.product, normed, False, weights.heads, True, joined, 0)
        heads, places, to = kept.heads[begin:end], positions[begin:end], turned[begin:end]
        if len(weights.head_gains):
            _store_rows(joined, heads)
            turn_normed(heads, weights.head_gains, places, cosine, sine, numbers, to)
        else:
            turn(joined, weights.heads_bias, places, cosine, sine, numbers, to)


@compiled
def _from_attention(numbers: Any, weights: Any, room: Any, kept: Any, out: Any) -> None:
    """From what attention mixed to what goes out."""
    address, tokens = numbers.product, out.shape[0]
    for begin in range(0, tokens, TOKENS):
        end = min(begin + TOKENS, tokens)
        middle, to, normed = kept.middle[begin:end], out[begin:end], room.normed[: end - begin]
        gate_up, active = room.gate_up[: end - begin], room.active[: end - begin]
        _store_rows(kept.x[begin:end], middle)
        multiply(address, kept.mixed[begin:end], False, weights.output, True, middle, 1)
        normalise(middle, weights.feed_forward_gain, numbers.epsilon, normed, room.scales)
        multiply(address, normed, False, weights.gate_up, True, gate_up, 0)
        gate_and_keep(gate_up, kept.gate_up[begin:end], active)
        _store_rows(middle, to)
        multiply(address, active, False, weights.down, True, to, 1)


class _RoomBack(NamedTuple):
    """Memory for the derivative of TOKENS_BACK tokens, and of as many as go through attention together."""

    scales: Any  # (tokens,) float32
    back: Any  # (tokens, D) P, the gradient in the format of products
    normed: Any  # (tokens, D) P
    of_normed: Any  # (tokens, D) float32
    active: Any  # (tokens, F) P
    of_active: Any  # (tokens, F) float32
    of_gate_up: Any  # (tokens, 2 F) P
    of_mixed: Any  # (tokens, H W) float32
    of_attention: Any  # (T, H W) P
    turned: Any  # (L, (H + 2 K) W) P, of normalised heads, L tokens of the longest sequence; or (0, …)
    of_turned: Any  # (L, (H + 2 K) W) float32
    theirs: Any  # (S, (H + 2 K) W) P, of normalised heads, of the tokens that others share; or (0, …)
    of_theirs: Any  # (S, (H + 2 K) W) float32
    of_joined: Any  # (T, (H + 2 K) W) P


@compiled
def _room_back(weights: Any, lengths: Any, shared: Any, dtype: Any) -> Any:
    width, feed_forward = weights.down.shape
    joined, mixed = weights.heads.shape[0], weights.output.shape[1]
    together, longest, most = _together(lengths, shared), 1, 0
    for row in range(lengths.shape[0]):
        longest, most = max(longest, lengths[row]), max(most, shared[row])
    normed = len(weights.head_gains) > 0
    return _RoomBack(
        np.empty(TOKENS_BACK, np.float32),
        np.empty((TOKENS_BACK, width), dtype), np.empty((TOKENS_BACK, width), dtype),
        np.empty((TOKENS_BACK, width), np.float32), np.empty((TOKENS_BACK, feed_forward), dtype),
        np.empty((TOKENS_BACK, feed_forward), np.float32), np.empty((TOKENS_BACK, 2 * feed_forward), dtype),
        np.empty((TOKENS_BACK, mixed), np.float32), np.empty((together, mixed), dtype),
        np.empty((longest if normed else 0, joined), dtype), np.empty((longest, joined), np.float32),
        np.empty((most if normed else 0, joined), dtype), np.empty((most, joined), np.float32),
        np.empty((together, joined), dtype),
    )  # fmt: skip


@compiled
def layer_back(
    numbers: Any, weights: Any, lengths: Any, shared: Any, positions: Any, cosine: Any, sine: Any,
    kept: Any, grad: Any, of_weights: Any,
) -> None:  # fmt: skip
    """The derivative of `layer`: `grad` (N, D) float32 becomes the gradient of what came in, and that of the
    weights, which have the shapes of `weights`, is added to `of_weights` (float32, of vectors float64).
    """
    room = _room_back(weights, lengths, shared, kept.mixed.dtype)
    of_scores = room_for(lengths, shared, kept.mixed, 2 * cosine.shape[1])
    row, first = 0, 0
    while row < lengths.shape[0]:
        until, end = _handful(lengths, shared, row, first)
        part = _cut(kept, first, end)
        _from_attention_back(numbers, weights, room, part, grad[first:end], of_weights)
        begin = 0
        while row < until:
            after, ended = _group(lengths, shared, row, begin)
            _group_back(
                numbers, weights, room, lengths[row:after], shared[row:after], positions[first:end], begin,
                part, cosine, sine, of_scores, of_weights,
            )  # fmt: skip
            row, begin = after, ended
        _to_attention_back(numbers, weights, room, part.x, grad[first:end], of_weights)
        first = end


@compiled
def _group_back(
    numbers: Any, weights: Any, room: Any, lengths: Any, shared: Any, positions: Any, first: Any, kept: Any,
    cosine: Any, sine: Any, of_scores: Any, of_weights: Any,
) -> None:  # fmt: skip
    """`_attention_back` of a sequence, its tokens from `first` on, and before it of those that share its."""
    most = 0
    for r in range(lengths.shape[0]):
        most = max(most, shared[r])
    of_theirs = room.of_theirs[:most]
    of_theirs[:] = 0
    if most and len(weights.head_gains):
        theirs, places = room.theirs[:most], positions[first : first + most]
        heads = kept.heads[first : first + most]
        turn_normed(heads, weights.head_gains, places, cosine, sine, numbers, theirs)
    else:
        theirs = kept.heads[first : first + most]
    after = first + lengths.sum()
    for r in range(lengths.shape[0] - 1, -1, -1):
        begin = after - lengths[r]
        _attention_back(
            numbers, weights, room, kept.heads[begin:after], theirs[: shared[r]], kept.logs[begin:after],
            room.of_attention[begin:after], positions[begin:after], cosine, sine, of_scores, of_weights,
            of_theirs[: shared[r]], of_theirs[: 0 if r else most], room.of_joined[begin:after],
        )  # fmt: skip
        after = begin


@compiled
def _from_attention_back(
    numbers: Any, weights: Any, room: Any, kept: Any, grad: Any, of_weights: Any
) -> None:
    """The derivative of `_from_attention`; `grad` becomes that of the stream, `room.of_attention` that of
    what attention mixed.
    """
    address, tokens = numbers.product, grad.shape[0]
    for begin in range(0, tokens, TOKENS_BACK):
        end = min(begin + TOKENS_BACK, tokens)
        count = end - begin
        of, middle, back, normed = (
            grad[begin:end],
            kept.middle[begin:end],
            room.back[:count],
            room.normed[:count],
        )
        active, of_active, of_gate_up = room.active[:count], room.of_active[:count], room.of_gate_up[:count]
        of_normed, of_mixed = room.of_normed[:count], room.of_mixed[:count]
        _store_rows(of, back)
        multiply(address, back, False, weights.down, False, of_active, 0)
        gate_back(of_active, kept.gate_up[begin:end], active, of_gate_up)
        multiply(address, back, True, active, False, of_weights.down, 1)
        normalise(middle, weights.feed_forward_gain, numbers.epsilon, normed, room.scales)
        multiply(address, of_gate_up, True, normed, False, of_weights.gate_up, 1)
        multiply(address, of_gate_up, False, weights.gate_up, False, of_normed, 0)
        normalise_back(
            of, of_normed, middle, room.scales, weights.feed_forward_gain, of_weights.feed_forward_gain, back
        )
        multiply(address, back, True, kept.mixed[begin:end], False, of_weights.output, 1)
        multiply(address, back, False, weights.output, False, of_mixed, 0)
        _store_rows(of_mixed, room.of_attention[begin:end])


@compiled
def _attention_back(
    numbers: Any, weights: Any, room: Any, heads: Any, theirs: Any, logs: Any, of_mixed: Any, positions: Any,
    cosine: Any, sine: Any, of_scores: Any, of_weights: Any, of_theirs: Any, of_shared: Any, of_joined: Any,
) -> None:  # fmt: skip
    """From the gradient of what attention mixed of one sequence to that of its queries, keys and values.

    theirs, of_theirs: see `attend_to_sequence_back`; of_shared: what others found for its first tokens.
    """
    length, normed = len(heads), len(weights.head_gains) > 0
    of_turned = room.of_turned[:length]
    turned = room.turned[:length] if normed else heads
    if normed:
        turn_normed(heads, weights.head_gains, positions, cosine, sine, numbers, turned)
    attend_to_sequence_back(numbers.product, turned, theirs, logs, of_mixed, of_scores, of_turned, of_theirs)
    keys = numbers.query_heads * 2 * cosine.shape[1]
    for t in range(of_shared.shape[0]):
        of_turned[t, keys:] += of_shared[t, keys:]
    if normed:
        turn_normed_back(
            of_turned, heads, weights.head_gains, positions, cosine, sine, numbers, of_weights.head_gains,
            of_joined,
        )  # fmt: skip
    else:
        turn_back(of_turned, positions, cosine, sine, numbers, of_joined)


@compiled
def _to_attention_back(numbers: Any, weights: Any, room: Any, x: Any, grad: Any, of_weights: Any) -> None:
    """The derivative of `_to_attention`, from `room.of_joined`."""
    address, tokens, of_bias = numbers.product, grad.shape[0], of_weights.heads_bias
    for begin in range(0, tokens, TOKENS_BACK):
        end = min(begin + TOKENS_BACK, tokens)
        of, normed = room.of_joined[begin:end], room.normed[: end - begin]
        of_normed = room.of_normed[: end - begin]
        normalise(x[begin:end], weights.gain, numbers.epsilon, normed, room.scales)
        multiply(address, of, True, normed, False, of_weights.heads, 1)
        for n in range(of.shape[0]):
            row = of[n]
            for d in range(of_bias.shape[0]):
                of_bias[d] += widen(row[d])
        multiply(address, of, False, weights.heads, False, of_normed, 0)
        normalise_back(
            grad[begin:end], of_normed, x[begin:end], room.scales, weights.gain, of_weights.gain, room.back
        )


@compiled
def _store_rows(of: Any, to: Any) -> None:
    """The rows of `of`, float32, in the format of `to`."""
    for n in range(of.shape[0]):
        store_row(of[n], to[n])

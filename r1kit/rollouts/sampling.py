"""One step of sampling: counter-based uniforms, temperature, top-k, top-p, inverse-CDF draw.

Shapes: B rows (sequences), V vocabulary. A draw is a pure function of the row's logits, its seed and the
position in its response, so it needs no generator state and does not depend on the other rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from r1kit.rollouts.protocol import SamplingParams

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # splitmix64's increment and multipliers, as signed 64-bit integers
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


class Draw(NamedTuple):
    """One token per row with its log-probabilities in nats."""

    tokens: Tensor  # (B,) int64
    logprobs: Tensor  # (B,) float32, temperature 1 and the full vocabulary
    sampling_logprobs: Tensor  # (B,) float32, the distribution really drawn from; 0 when greedy


def uniforms(seeds_B: Tensor, positions_B: Tensor) -> Tensor:
    """float32 numbers in [0, 1), one per row: the top 24 bits of splitmix64's output number `position`.

    Source: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators" (splitmix64).
    """
    z = seeds_B + (positions_B + 1) * _GOLDEN
    z = (z ^ _shift_right(z, 30)) * _MIX_1
    z = (z ^ _shift_right(z, 27)) * _MIX_2
    z = z ^ _shift_right(z, 31)
    return _shift_right(z, 40).to(torch.float32) * 2.0**-24


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """Logical (zero-filling) right shift of signed 64-bit integers."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def draw(logits_BV: Tensor, uniforms_B: Tensor, params: SamplingParams) -> Draw:
    """Draw one token per row.

    Args:
        logits_BV: any floating type; computed with in float32.
        uniforms_B: float32 numbers in [0, 1).
        params: temperature, top-k and top-p.
    """
    logits_BV = logits_BV.float()
    peaks_B1 = logits_BV.amax(dim=-1, keepdim=True)
    shifted_BV = logits_BV - peaks_B1
    if params.temperature == 0.0:
        tokens_B1 = shifted_BV.argmax(dim=-1, keepdim=True)
        logprobs_B1 = shifted_BV.gather(1, tokens_B1) - shifted_BV.exp().sum(-1, keepdim=True).log()
        return Draw(tokens_B1[:, 0], logprobs_B1[:, 0], torch.zeros_like(logprobs_B1[:, 0]))
    plain = params.temperature == 1.0
    scaled_BV = shifted_BV if plain else shifted_BV / params.temperature
    weights_BV = scaled_BV.exp()
    if params.top_k or params.top_p < 1.0:
        kept_BV = keep_mask(weights_BV, params.top_k, params.top_p)
        drawn_BV = weights_BV.masked_fill(~kept_BV, 0.0)
        plain_total_B1: Tensor | None = (weights_BV if plain else shifted_BV.exp()).sum(-1, keepdim=True)
    else:
        drawn_BV = weights_BV
        plain_total_B1 = None if plain else shifted_BV.exp().sum(-1, keepdim=True)
    tokens_B1, total_B1 = _inverse_cdf(drawn_BV, uniforms_B)
    sampling_B1 = scaled_BV.gather(1, tokens_B1) - total_B1.log()
    if plain_total_B1 is None:
        return Draw(tokens_B1[:, 0], sampling_B1[:, 0], sampling_B1[:, 0])
    logprobs_B1 = shifted_BV.gather(1, tokens_B1) - plain_total_B1.log()
    return Draw(tokens_B1[:, 0], logprobs_B1[:, 0], sampling_B1[:, 0])


def _inverse_cdf(weights_BV: Tensor, uniforms_B: Tensor) -> tuple[Tensor, Tensor]:
    """The first token whose cumulative weight exceeds `uniform * total`, and the total; both of shape (B, 1).

    A token of weight 0 is never drawn: the cumulative sum does not rise there. A uniform of 24 bits below 1
    times the total rounds to less than the total, so there always is such a token.
    """
    cumulative_BV = weights_BV.cumsum(dim=-1)
    total_B1 = cumulative_BV[:, -1:].contiguous()
    tokens_B1 = torch.searchsorted(cumulative_BV, uniforms_B[:, None] * total_B1, right=True)
    # NaN compares with nothing and would give an index past the end; its log-probability tells (see engine)
    return tokens_B1.clamp_(max=weights_BV.shape[-1] - 1), total_B1


def keep_mask(weights_BV: Tensor, top_k: int, top_p: float) -> Tensor:
    """Which tokens stay after top-k, then top-p on the renormalised rest. Equal weights rank by lower token
    id.

    Top-p keeps the smallest number of leading tokens whose probability sum reaches `top_p`
    (Holtzman et al. 2020, arXiv 1904.09751); the first always stays.
    """
    if top_p >= 1.0:
        return _ranked_mask(weights_BV, top_k, top_p)
    peaks_B, first_B = weights_BV.max(dim=-1)
    kept_BV = torch.zeros(weights_BV.shape, dtype=torch.bool, device=weights_BV.device)
    kept_BV.scatter_(1, first_B[:, None], True)
    # sorting costs more than all else of a draw, and most rows are sure of their next token
    (unsure_U,) = (peaks_B < top_p * weights_BV.sum(-1)).nonzero(as_tuple=True)
    if len(unsure_U):
        kept_BV[unsure_U] = _ranked_mask(weights_BV[unsure_U], top_k, top_p)
    return kept_BV


def _ranked_mask(weights_BV: Tensor, top_k: int, top_p: float) -> Tensor:
    """`keep_mask` by sorting the tokens that may stay.

    Tokens lighter than (1 - top_p) of the mean weight hold less than 1 - top_p of the mass between them, so
    that the others reach `top_p` without them; half of that leaves room for rounding.
    """
    limited = 0 < top_k < weights_BV.shape[-1]
    if limited:
        least_B1 = weights_BV.topk(top_k).values[:, -1:]
    else:
        least_B1 = weights_BV.mean(-1, keepdim=True) * ((1.0 - top_p) / 2)
    most = int((weights_BV >= least_B1).sum(-1).max())
    # in the order of their ids, for the stable sort
    candidates_BC = weights_BV.topk(most, sorted=False).indices.sort(-1).values
    ranked_BC, order_BC = weights_BV.gather(1, candidates_BC).sort(dim=-1, descending=True, stable=True)
    if limited:
        ranked_BC[:, top_k:] = 0.0
    kept_BC = ranked_BC > 0.0
    if top_p < 1.0:
        cumulative_BC = ranked_BC.cumsum(dim=-1)
        total_B1 = cumulative_BC[:, -1:] if limited else weights_BV.sum(-1, keepdim=True)
        kept_BC &= (cumulative_BC - ranked_BC) < top_p * total_B1
        kept_BC[:, 0] = True
    kept_BV = torch.zeros(weights_BV.shape, dtype=torch.bool, device=weights_BV.device)
    return kept_BV.scatter_(1, candidates_BC.gather(1, order_BC), kept_BC)

"""One sampling step: uniforms, inverse CDF, top-k and top-p, against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch

from r1kit.rollouts.protocol import SamplingParams
from r1kit.rollouts.sampling import draw, keep_mask, uniforms


def splitmix64(seed: int, position: int) -> int:
    """The published algorithm on Python integers."""
    mask = (1 << 64) - 1
    z = (seed + (position + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_uniforms_are_splitmix64() -> None:
    assert splitmix64(0, 0) == 0xE220A8397B1DCDAF  # first output of the reference implementation for seed 0
    seeds = [0, 1, 2**62 + 12345, 2**63 - 1]
    positions = [0, 3, 1000, 77]
    expected = [(splitmix64(s, p) >> 40) / 2**24 for s, p in zip(seeds, positions, strict=True)]
    assert uniforms(torch.tensor(seeds), torch.tensor(positions)).tolist() == pytest.approx(
        expected, abs=0, rel=0
    )


def test_inverse_cdf_gives_each_token_its_softmax_share_exactly() -> None:
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0, -30.0, 1.1])
    count = 200_000
    grid = (torch.arange(count) + 0.5) / count
    for params in (SamplingParams(), SamplingParams(temperature=0.5), SamplingParams(top_k=3, top_p=0.9)):
        drawn = draw(logits.expand(count, -1), grid, params)
        shares = torch.bincount(drawn.tokens, minlength=6) / count
        expected = torch.zeros(6).scatter(0, drawn.tokens, drawn.sampling_logprobs.exp())
        torch.testing.assert_close(shares, expected, atol=2e-5, rtol=0)
        if params.top_k == 0:
            torch.testing.assert_close(shares, (logits / params.temperature).softmax(0), atol=2e-5, rtol=0)


def test_draws_from_seeds_pass_a_chi_square_test() -> None:
    logits = torch.linspace(-2, 2, 12)
    count = 60_000
    numbers = uniforms(torch.arange(count) * 7919, torch.arange(count) % 300)
    tokens = draw(logits.expand(count, -1), numbers, SamplingParams()).tokens
    expected = logits.softmax(0) * count
    chi_square = ((torch.bincount(tokens, minlength=12) - expected) ** 2 / expected).sum().item()
    assert chi_square < 31.3  # 99.9% quantile, 11 degrees of freedom


def test_greedy_takes_the_first_of_the_most_probable_tokens() -> None:
    drawn = draw(torch.tensor([[0.0, 5.0, 5.0]]), torch.tensor([0.99]), SamplingParams(temperature=0.0))
    assert drawn.tokens.tolist() == [1]
    assert drawn.logprobs.item() == pytest.approx(-math.log(2 + math.exp(-5)), abs=1e-6)
    assert drawn.sampling_logprobs.item() == 0.0


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (0, 0.4, [1]),
        (0, 0.41, [1, 3]),
        (0, 0.7, [1, 3]),  # 0.4 + 0.3 reaches 0.7 exactly
        (0, 0.71, [1, 3, 0]),
        (1, 1.0, [1]),
        (3, 1.0, [1, 3, 0]),  # equal weights: the lower token id comes first
        (2, 0.57, [1]),  # renormalised after top-k: 0.4 / 0.7 = 0.571
        (99, 1.0, [0, 1, 2, 3, 4]),
        (0, 1e-9, [1]),
    ],
)
def test_top_k_and_top_p_keep_exactly_the_tokens_worked_out_by_hand(
    top_k: int, top_p: float, kept: list[int]
) -> None:
    weights = torch.tensor([[2.0, 8.0, 2.0, 6.0, 2.0]])  # probabilities 0.1 0.4 0.1 0.3 0.1
    assert keep_mask(weights, top_k, top_p)[0].nonzero()[:, 0].tolist() == sorted(kept)


def test_excluded_tokens_are_never_drawn_at_the_ends_of_the_unit_interval() -> None:
    logits = torch.tensor([[-torch.inf, 1.0, 0.0, -torch.inf]]).expand(2, -1)
    edges = torch.tensor([0.0, 1 - 2.0**-24])
    assert draw(logits, edges, SamplingParams()).tokens.tolist() == [1, 2]


def plain_keep_mask(weights: list[float], top_k: int, top_p: float) -> list[bool]:
    """The definition, token by token: the heaviest first, until their share of top-k reaches top-p."""
    ranked = sorted(range(len(weights)), key=lambda i: (-weights[i], i))[: top_k or None]
    total, mass, kept = math.fsum(weights[i] for i in ranked), 0.0, [False] * len(weights)
    for place, token in enumerate(ranked):
        kept[token] = place == 0 or (weights[token] > 0 and (top_p >= 1 or mass < top_p * total))
        mass += weights[token]
    return kept


@pytest.mark.parametrize("scale", [0.5, 3.0, 12.0])  # from nearly equal weights to rows sure of one token
def test_top_k_and_top_p_agree_with_their_definition_where_many_weights_are_equal(scale: float) -> None:
    generator = torch.Generator().manual_seed(int(scale * 10))
    # steps of an eighth: ties are everywhere, at the boundaries too
    logits = (torch.randn(48, 300, generator=generator) * scale * 8).round() / 8
    weights = (logits - logits.amax(-1, keepdim=True)).double().exp()
    weights[5, 7:] = 0.0
    for top_k, top_p in [(0, 0.95), (0, 0.5), (0, 0.999), (20, 1.0), (20, 0.9), (1, 0.9), (400, 0.95)]:
        expected = [plain_keep_mask(row, top_k, top_p) for row in weights.tolist()]
        assert keep_mask(weights, top_k, top_p).tolist() == expected, (top_k, top_p)

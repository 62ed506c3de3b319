"""Compiled loops against NumPy, PyTorch and float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from r1kit.kernels import ENDS, FULL, GOES_ON, MAY_STOP, decoding, drawing, floats, heads
from r1kit.kernels.arrays import as_array, call
from r1kit.kernels.compiler import compiled
from r1kit.kernels.products import product, product_address
from r1kit.rollouts import sampling
from r1kit.rollouts.protocol import SamplingParams

INTEGERS_64 = st.integers(-(2**63), 2**63 - 1)


@compiled
def exponentials(numbers: Any, out: Any) -> None:
    for place in range(len(numbers)):
        out[place] = floats.exponential(numbers[place])


@compiled
def rounded(numbers: Any, out: Any) -> None:
    for place in range(len(numbers)):
        floats.store(out, place, numbers[place])


@compiled
def widened(numbers: Any, out: Any) -> None:
    for place in range(len(numbers)):
        out[place] = floats.widen(numbers[place])


@compiled
def uniform_numbers(seeds: Any, positions: Any, out: Any) -> None:
    for place in range(len(out)):
        out[place] = drawing.uniform(seeds[place], positions[place])


def exponentials_of(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    out = np.full(len(numbers), -1.0, np.float32)
    exponentials(numbers, out)
    return out


def test_the_exponential_is_two_units_in_the_last_place_off_at_most() -> None:
    rng = np.random.default_rng(0)
    spread = np.linspace(-87, 88, 200_001)[1:-1]
    near = np.concatenate([rng.normal(0, scale, 20_000) for scale in (1e-6, 1e-3, 1.0)])
    borders = np.log(2) * (np.arange(-250, 251) / 2)  # where the power of two changes
    around = np.concatenate([borders * (1 + shift) for shift in (-1e-7, 0, 1e-7)])
    numbers = np.concatenate([spread, near, around[np.abs(around) < 86.9]]).astype(np.float32)
    exact = np.exp(numbers.astype(np.float64))
    units = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert float((np.abs(exponentials_of(numbers) - exact) / units).max()) <= 2.0


def test_the_exponential_ends_where_it_says_and_keeps_nan() -> None:
    inf, nan, tiny = np.inf, np.nan, np.float32(1e-45)
    numbers = np.array(
        [-inf, -1e30, -87.5, -87.0, 0.0, -0.0, tiny, -tiny, 88.0, 100.0, inf, nan, -nan], np.float32
    )
    top = np.exp(np.float64(88.0))
    expected = [0, 0, 0, 0, 1, 1, 1, 1, top, top, top, nan, nan]
    np.testing.assert_allclose(exponentials_of(numbers), expected, rtol=3e-7)
    # in every lane of a vector
    for place in range(37):
        many = np.zeros(37, np.float32)
        many[place] = nan
        assert np.isnan(exponentials_of(many)).nonzero()[0].tolist() == [place]


def hostile_floats() -> NDArray[np.float32]:
    """Random bits, ties, denormals, the largest, infinities and NaN."""
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**32, 200_000, dtype=np.uint32)
    ties = (rng.integers(0, 2**16, 20_000, dtype=np.uint32) << np.uint32(16)) | np.uint32(0x8000)
    denormals = rng.integers(0, 0x800000, 20_000, dtype=np.uint32)
    edges = np.array([0, 0x7F7FFFFF, 0x7F7F7FFF, 0x7F7F8000, 0x7F800000, 0x7F800001, 0x7FFFFFFF], np.uint32)
    every = np.concatenate([bits, ties, ties - np.uint32(1), ties + np.uint32(1), denormals, edges])
    return np.concatenate([every, every | np.uint32(1 << 31)]).view(np.float32)


def test_bfloat16_is_rounded_as_pytorch_rounds_it_bit_for_bit() -> None:
    numbers = hostile_floats()
    out = np.zeros(len(numbers), np.uint16)
    rounded(numbers, out)
    theirs = as_array(torch.from_numpy(numbers).bfloat16())
    nan = np.isnan(numbers)
    assert 1000 < nan.sum() < len(numbers) / 10
    assert np.array_equal(out[~nan], theirs[~nan])
    assert torch.from_numpy(out).view(torch.bfloat16).isnan().numpy().tolist() == nan.tolist()


def test_every_bfloat16_is_widened_to_the_float_it_is() -> None:
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16)
    out = np.zeros(2**16, np.float32)
    widened(every.numpy(), out)
    expected = every.view(torch.bfloat16).float().numpy()
    assert np.array_equal(out.view(np.uint32), expected.view(np.uint32))


def test_the_highest_number_is_found_wherever_it_is_and_infinity_is_one() -> None:
    for size in (1, 2, 7, 8, 31, 64, 67):
        for place in range(size):
            numbers = np.full(size, -np.inf, np.float32)
            numbers[place] = -3.0
            assert floats.highest(numbers) == -3.0
            numbers[place] = np.inf
            assert floats.highest(numbers) == np.inf
    assert floats.highest(np.full(5, -np.inf, np.float32)) == -np.inf


@given(st.lists(st.tuples(INTEGERS_64, st.integers(0, 2**40)), min_size=1, max_size=20))
def test_uniform_numbers_are_the_samplers_bit_for_bit(pairs: list[tuple[int, int]]) -> None:
    seeds, positions = torch.tensor(pairs, dtype=torch.int64).T.contiguous()
    out = torch.full((len(pairs),), -1.0)
    call(uniform_numbers, seeds, positions, out)
    assert torch.equal(out, sampling.uniforms(seeds, positions))


def drawn(
    logits: Tensor, seeds: Tensor, counts: Tensor, temperature: float, top_k: int = 0, top_p: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, and the records of tokens and log-probabilities; 7 and -1 stand where nothing was written."""
    rows, columns = len(logits), int(counts.max()) + 2
    tokens, record = torch.zeros(rows, dtype=torch.int64), torch.full((rows, columns), 7)
    logprobs = torch.full((rows, columns, 2), -1.0)
    slots = torch.arange(rows).flip(0)  # the first row's are the last
    params = temperature, top_k, top_p
    call(drawing.draw, logits.flip(0), slots, seeds, counts, params, tokens, record, logprobs)
    return tokens, record, logprobs


@given(
    rows=st.integers(1, 9),
    vocabulary=st.sampled_from([1, 2, 3, 55, 80, 512, 4099]),
    spread=st.sampled_from([0.0, 0.3, 4.0, 60.0]),
    temperature=st.sampled_from([0.05, 0.7, 1.0, 1.5, 10.0]),
    narrow=st.booleans(),
    impossible=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=150)
def test_a_draw_is_the_samplers(
    rows: int, vocabulary: int, spread: float, temperature: float, narrow: bool, impossible: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, vocabulary, generator=generator) * spread
    if impossible:
        logits[:, 1::2] = -torch.inf
    logits = logits.bfloat16() if narrow else logits
    seeds = torch.randint(-(2**62), 2**62, (rows,), generator=generator)
    counts = torch.randint(0, 5, (rows,), generator=generator)
    tokens, record, logprobs = drawn(logits, seeds, counts, temperature)
    # float64 keeps the reference's own rounding out: its cumulative sums in float32 pick a neighbour at times
    wide = logits.double()
    weights = ((wide - wide.amax(1, keepdim=True)) / np.float32(temperature)).exp()
    cumulative = weights.cumsum(1)
    wanted = sampling.uniforms(seeds, counts).double() * cumulative[:, -1]
    place = torch.arange(rows)
    below = cumulative[place, tokens] - weights[place, tokens]
    slack = 1e-5 * cumulative[:, -1]
    assert bool((below <= wanted + slack).all())
    assert bool((wanted <= cumulative[place, tokens] + slack).all())
    assert bool((weights[place, tokens] > 0).all())
    theirs = sampling.draw(logits, sampling.uniforms(seeds, counts), SamplingParams(temperature=temperature))
    assert int((tokens != theirs.tokens).sum()) <= (vocabulary > 1000)
    exact = torch.stack(
        [part.log_softmax(1)[place, tokens] for part in (wide, wide / np.float32(temperature))], 1
    )
    torch.testing.assert_close(logprobs[place, counts].double(), exact, atol=2e-5, rtol=1e-5)
    assert torch.equal(record[place, counts], tokens)
    untouched = torch.ones_like(record, dtype=torch.bool)
    untouched[place, counts] = False
    assert bool((record[untouched] == 7).all())
    assert bool((logprobs[untouched] == -1.0).all())


@given(
    vocabulary=st.sampled_from([1, 2, 7, 55, 512]),
    spread=st.sampled_from([0.0, 0.5, 3.0, 20.0]),
    top_k=st.sampled_from([0, 1, 2, 5, 40, 600]),
    top_p=st.sampled_from([1e-9, 0.3, 0.8, 0.95, 0.999, 1.0]),
    ties=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=200)
def test_tokens_left_out_are_the_samplers(
    vocabulary: int, spread: float, top_k: int, top_p: float, ties: bool, seed: int
) -> None:
    logits = torch.randn(6, vocabulary, generator=torch.Generator().manual_seed(seed)) * spread
    weights = (logits.round() if ties else logits).softmax(1)
    weights /= weights.amax(1, keepdim=True)
    wide = weights.double()
    ours = weights.clone()
    for row in range(6):
        total = drawing.leave_out(ours[row].numpy(), float(wide[row].sum()), top_k, top_p)
        assert total == pytest.approx(float(ours[row].double().sum()), rel=1e-12)
    assert bool(((ours == weights) | (ours == 0)).all())
    kept = sampling.keep_mask(wide, top_k, top_p)
    differs = (ours > 0) != kept
    # sums may fall on either side of top-p where they meet it to the last digits
    ranked = wide.sort(dim=1, descending=True, stable=True).values
    if 0 < top_k < vocabulary:
        ranked[:, top_k:] = 0.0
    near = ((ranked.cumsum(1) - top_p * ranked.sum(1, keepdim=True)).abs() < 1e-9).any(1)
    assert not differs[~near].any()
    assert bool((differs.sum(1) <= 1).all())


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (0, 0.5, [1, 1, 0, 0, 0]),  # two of 4: the sum reaches the half with the second
        (0, 0.500001, [1, 1, 1, 0, 0]),
        (2, 0.5, [1, 0, 0, 0, 0]),  # one of the 2 that top-k leaves
        (3, 0.9, [1, 1, 1, 0, 0]),
        (0, 1e-9, [1, 0, 0, 0, 0]),
        (0, 1.0, [1, 1, 1, 1, 1e-4]),
    ],
)
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_k: int, top_p: float, kept: list[float]) -> None:
    weights = np.array([1, 1, 1, 1, 1e-4], np.float32)
    total = 4.0 if top_p < 1 else float(weights.astype(np.float64).sum())
    assert drawing.leave_out(weights, total, top_k, top_p) == pytest.approx(sum(kept), rel=1e-9)
    assert weights.tolist() == pytest.approx(kept)


def test_a_row_ends_by_its_token_before_it_ends_by_its_limit() -> None:
    columns = 6
    numbers = np.zeros((5, columns), np.int64)
    rows = decoding.Rows(*numbers, np.full(columns, 9, np.uint8))
    rows.tokens[:], rows.limits[:] = [0, 1, 2, 0, 1, 2], [1, 1, 1, 2, 2, 2]
    slots = np.array([5, 0, 1, 2, 3])  # slot 4 has no row
    codes = np.array([GOES_ON, ENDS, MAY_STOP], np.uint8)
    assert decoding.advance(rows, slots, codes) == (3, 2)
    assert slots[:3].tolist() == [5, 2, 3]
    assert rows.fates.tolist() == [FULL, ENDS, MAY_STOP, GOES_ON, 9, MAY_STOP]
    assert rows.counts.tolist() == rows.lengths.tolist() == [1, 1, 1, 1, 0, 1]


@pytest.mark.parametrize("settings", [(5, 1.0), (0, 0.8), (9, 0.9), (1, 1.0)])
@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_a_draw_from_some_tokens_is_the_samplers(settings: tuple[int, float], temperature: float) -> None:
    logits = torch.randn(200, 55, generator=torch.Generator().manual_seed(3)) * 2
    logits[:5] *= 20  # sure of one token
    seeds, counts, places = torch.arange(200), torch.arange(200) % 4, torch.arange(200)
    tokens, _, logprobs = drawn(logits, seeds, counts, temperature, *settings)
    params = SamplingParams(temperature=temperature, top_k=settings[0], top_p=settings[1])
    theirs = sampling.draw(logits, sampling.uniforms(seeds, counts), params)
    assert torch.equal(tokens, theirs.tokens)
    torch.testing.assert_close(logprobs[places, counts, 0], theirs.logprobs, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(logprobs[places, counts, 1], theirs.sampling_logprobs, atol=2e-6, rtol=1e-5)
    assert float((theirs.sampling_logprobs - theirs.logprobs).max()) > 0.01


@pytest.mark.parametrize("vocabulary", [1, 2, 55, 512])
def test_at_temperature_0_the_first_of_the_likeliest_is_drawn(vocabulary: int) -> None:
    logits = torch.randn(40, vocabulary, generator=torch.Generator().manual_seed(1)).mul(2).round()  # ties
    logits[1] = -torch.inf
    logits[1, vocabulary // 2] = -3.0
    counts = torch.arange(40) % 3
    tokens, record, logprobs = drawn(logits, torch.arange(40), counts, 0.0)
    theirs = sampling.draw(logits, torch.zeros(40), SamplingParams(temperature=0.0))
    assert torch.equal(tokens, logits.argmax(1))
    assert torch.equal(tokens, theirs.tokens)
    assert torch.equal(record[torch.arange(40), counts], tokens)
    exact = logits.double().log_softmax(1).gather(1, tokens[:, None])[:, 0]
    torch.testing.assert_close(logprobs[torch.arange(40), counts, 0].double(), exact, atol=2e-6, rtol=1e-6)
    assert torch.equal(logprobs[torch.arange(40), counts, 1], torch.zeros(40))


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_not_finite_have_log_probabilities_that_are_not(
    bad: float, temperature: float
) -> None:
    for vocabulary in (1, 5, 80):
        logits = torch.randn(vocabulary, vocabulary)
        logits.fill_diagonal_(bad)
        zeros = torch.zeros(vocabulary, dtype=torch.int64)
        for left_out in ((0, 1.0), (3, 1.0), (0, 0.9)):
            tokens, _, logprobs = drawn(logits, zeros, zeros, temperature, *left_out)
            assert not logprobs[:, 0, 0].isfinite().any()
            assert bool(((tokens >= 0) & (tokens < vocabulary)).all())


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0, -torch.inf])
    count = 40_000
    tokens, _, _ = drawn(
        logits.expand(count, 5).contiguous(), torch.arange(count), torch.zeros(count, dtype=torch.int64), 0.8
    )
    shares = torch.bincount(tokens, minlength=5) / count
    torch.testing.assert_close(shares, (logits / np.float32(0.8)).softmax(0), atol=0.01, rtol=0)
    assert shares[4] == 0


HEADS = [
    (temperature, impossible, dtype)
    for temperature in (0.6, 1.0, 1.7)
    for impossible in (False, True)
    for dtype in (torch.float32, torch.bfloat16)
]


def head_logits(impossible: bool, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(33, 157, generator=generator) * torch.logspace(-2, 2, 33)[:, None]
    targets = torch.randint(0, 157, (33,), generator=generator)
    if impossible:
        hidden = torch.rand(33, 157, generator=generator) < 0.4
        hidden[torch.arange(33), targets] = False
        logits[hidden] = -torch.inf
    return logits.to(dtype), targets


def exact_head(logits: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    log_p = (logits / temperature).log_softmax(-1)
    possible = torch.where(log_p.isfinite(), log_p, 0.0)
    return log_p.gather(1, targets[:, None])[:, 0], -(log_p.exp() * possible).sum(-1)


@pytest.mark.parametrize(("temperature", "impossible", "dtype"), HEADS)
def test_log_probabilities_and_entropies_are_those_of_float64(
    temperature: float, impossible: bool, dtype: torch.dtype
) -> None:
    logits, targets = head_logits(impossible, dtype)
    ours = torch.full((2, len(logits)), torch.nan)
    call(heads.log_softmax, logits, targets, temperature, *ours)
    exact = exact_head(logits.double(), targets, temperature)
    torch.testing.assert_close(ours.double(), torch.stack(exact), atol=1e-5, rtol=2e-6)


@pytest.mark.parametrize("with_entropies", [False, True])
@pytest.mark.parametrize(("temperature", "impossible", "dtype"), HEADS)
def test_the_gradient_of_logits_is_that_of_float64(
    temperature: float, impossible: bool, dtype: torch.dtype, with_entropies: bool
) -> None:
    logits, targets = head_logits(impossible, dtype)
    generator = torch.Generator().manual_seed(5)
    given = torch.randn(2, len(logits), generator=generator)
    entropies = given[1] if with_entropies else torch.zeros(0)
    ours = torch.full_like(logits, torch.nan)
    call(heads.log_softmax_back, logits, targets, temperature, given[0], entropies, ours)
    wide = logits.double().requires_grad_()
    logprobs, exact_entropies = exact_head(wide, targets, temperature)
    total = (logprobs * given[0]).sum() + with_entropies * (exact_entropies * given[1]).sum()
    (exact,) = torch.autograd.grad(total, wide)
    assert float(exact.abs().max()) > 0.5
    assert not ours.isnan().any()
    torch.testing.assert_close(
        ours.double(), exact, atol=2e-5, rtol=2e-5 if dtype == torch.float32 else 2**-8
    )


def test_a_head_of_damaged_logits_gives_nan_in_its_row_alone() -> None:
    logits, targets = head_logits(False, torch.float32)
    logits[3, 50], logits[9] = torch.nan, -torch.inf
    ours, back = torch.zeros(2, len(logits)), torch.zeros_like(logits)
    call(heads.log_softmax, logits, targets, 1.0, *ours)
    assert ours.isnan().any(0).nonzero().flatten().tolist() == [3, 9]
    call(heads.log_softmax_back, logits, targets, 1.0, torch.ones(len(logits)), torch.zeros(0), back)
    assert back.isnan().any(1).nonzero().flatten().tolist() == [3, 9]


SIZES = [(1, 1, 1), (1, 8, 3), (3, 5, 7), (2, 33, 1), (17, 48, 80), (64, 128, 55), (130, 31, 257)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("keep", [0, 1])
def test_products_are_those_of_float64(dtype: torch.dtype, keep: int) -> None:
    address = product_address(dtype)
    if address is None:
        pytest.skip("this PyTorch has no such product")
    for rows, inner, columns in SIZES:
        a, b = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
        # what is not kept is not read either: new memory may hold anything
        c = torch.randn(rows, columns) if keep else torch.full((rows, columns), torch.nan)
        before = c.double() if keep else 0.0
        call(product, address, a, b, c, keep)
        torch.testing.assert_close(c.double(), a.double() @ b.double() + before, atol=1e-4, rtol=1e-5)


def test_there_is_no_product_of_other_formats() -> None:
    assert product_address(torch.float64) is None
    assert product_address(torch.float16) is None

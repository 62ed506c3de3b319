"""Attention in blocks against softmax in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from r1kit.kernels import BLOCK
from r1kit.kernels.arrays import as_array
from r1kit.kernels.attending import head_numbers
from r1kit.kernels.compiler import compiled
from r1kit.kernels.floats import exponential
from r1kit.kernels.mixing import HEADER, TILE, add, begin, finish
from r1kit.kernels.vectors import LANES, exponentials, load, save_rows

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@compiled
def many_exponentials(numbers: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    for place in range(0, len(numbers), LANES):
        save_rows(out, place, LANES, exponentials(load(numbers, place, (0,))))


@compiled
def single_exponentials(numbers: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    for place in range(len(numbers)):
        out[place] = exponential(numbers[place])


def test_exponentials_of_vectors_are_two_units_in_the_last_place_off_and_keep_nan() -> None:
    ends = np.array([0.0, -87.0, -86.99999, -88.0, -1e30, -np.inf, np.nan, -1e-30], np.float32)
    numbers = np.concatenate((np.linspace(-87, 0, 8184, dtype=np.float32), ends))
    found, single = np.empty_like(numbers), np.empty_like(numbers)
    many_exponentials(numbers, found)
    single_exponentials(numbers, single)
    exact = np.where(numbers > -87, np.exp(numbers.astype(np.float64)), 0)
    assert np.isnan(found[-2])
    real = ~np.isnan(numbers)
    assert np.all(np.abs(found - exact)[real] <= 2 * np.spacing(exact[real].astype(np.float32)))
    assert np.array_equal(found == 0, single == 0)


def mixtures(
    queries: NDArray[np.float32], keys: torch.Tensor, values: torch.Tensor, counts: list[int], first: int = 0
) -> NDArray[np.float32]:
    """What queries (J, W), from `first` on, see of blocks of (BLOCK, W) keys and values, `counts` of each."""
    width = queries.shape[1]
    numbers, lanes = head_numbers(width), (0,) * width
    block = torch.full((len(counts), 2 * numbers), torch.nan, dtype=keys.dtype)
    for place, count in enumerate(counts):
        of_head = block[place, numbers:]
        of_head[: width * BLOCK].view(width, BLOCK)[:, :count] = keys[place, :count].T
        of_head[width * BLOCK :].view(BLOCK, -1)[:count, :width] = values[place, :count]
    states = np.full(len(queries) * (HEADER + head_numbers(width) // BLOCK - width), np.nan, np.float32)
    weights, out = np.full(TILE * BLOCK, np.nan, np.float32), np.zeros_like(queries)
    begin(states, len(queries), lanes)
    for place, count in enumerate(counts):
        seen = as_array(block[place])
        many = len(queries) - first
        add(queries.reshape(-1), states, first, many, seen, numbers, count, seen, lanes, weights)
    for query in range(first, len(queries)):
        finish(states, query, lanes, out[query])
    return out[first:]


def drawn(width: int, queries: int, blocks: int, dtype: torch.dtype, seed: int) -> Any:
    random = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(2, blocks, BLOCK, width, generator=random).to(dtype)
    return torch.randn(queries, width, generator=random).numpy(), keys, values


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [8, 24, 32, 64])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_mixture_is_that_of_float64(width: int, dtype: str, data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(1, BLOCK), min_size=1, max_size=3))
    many, seed = data.draw(st.integers(1, 9)), data.draw(st.integers(0, 1000))
    queries, keys, values = drawn(width, many, len(counts), DTYPES[dtype], seed)
    queries *= data.draw(st.sampled_from([0.1, 1.0, 20.0]))
    seen = [(place, t) for place, count in enumerate(counts) for t in range(count)]
    kept_keys = torch.stack([keys[place, t] for place, t in seen]).double()
    kept_values = torch.stack([values[place, t] for place, t in seen]).double()
    exact = (torch.from_numpy(queries).double() @ kept_keys.T).softmax(-1) @ kept_values
    found = mixtures(queries, keys, values, counts)
    np.testing.assert_allclose(found, exact.numpy(), atol=2e-6 * max(1.0, float(np.abs(queries).max())))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_querys_numbers_do_not_depend_on_those_beside_it(dtype: str) -> None:
    queries, keys, values = drawn(32, 11, 3, DTYPES[dtype], 7)
    counts = [BLOCK, 19, 2]
    alone = np.concatenate([mixtures(queries[j : j + 1], keys, values, counts) for j in range(11)])
    for first in range(11):
        assert np.array_equal(mixtures(queries, keys, values, counts, first), alone[first:])


def test_keys_that_are_not_numbers_show_in_every_query_that_sees_them() -> None:
    queries, keys, values = drawn(16, 5, 2, torch.float32, 3)
    keys[1, 4, 7] = torch.nan
    assert np.isnan(mixtures(queries, keys, values, [BLOCK, 5])).all()
    assert np.isfinite(mixtures(queries, keys, values, [BLOCK, 4])).all()

"""Causal attention by blocks of queries, against the library's and against numerical derivatives."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from r1kit.models import causal
from r1kit.models.attention import training_attention
from r1kit.models.causal import CausalAttention


def test_its_gradients_are_the_numerical_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causal, "BLOCK", 3)
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 2, 8, 3), (2, 8, 3), (2, 8, 5)]  # blocks of 3, 3 and 2 positions; values of another width
    inputs = [
        torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True) for shape in shapes
    ]
    assert torch.autograd.gradcheck(CausalAttention.apply, inputs)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("heads", [2, 6])
def test_training_attention_is_the_librarys_causal_attention(length: int, heads: int) -> None:
    generator = torch.Generator().manual_seed(length)

    def drawn(count: int, width: int) -> torch.Tensor:
        # heads lie side by side in memory, as projections leave them
        x = torch.randn(3, length, count, width, generator=generator, dtype=torch.float64)
        return x.transpose(1, 2).requires_grad_()

    query, key, value = drawn(heads, 8), drawn(2, 8), drawn(2, 4)
    mixed, weights = training_attention(torch.nn.Identity(), query, key, value, None, scaling=0.4)
    expected = scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.4, enable_gqa=True)
    assert weights is None
    torch.testing.assert_close(mixed, expected.transpose(1, 2))
    direction = torch.randn(mixed.shape, generator=generator, dtype=torch.float64)
    ours = torch.autograd.grad((mixed * direction).sum(), (query, key, value))
    theirs = torch.autograd.grad((expected.transpose(1, 2) * direction).sum(), (query, key, value))
    torch.testing.assert_close(ours, theirs)


def test_in_16_bits_it_stays_as_close_to_the_exact_result_as_16_bits_allow() -> None:
    generator = torch.Generator().manual_seed(4)
    inputs = [torch.randn(2, heads, 150, 16, generator=generator, requires_grad=True) for heads in (4, 2, 2)]
    exact = scaled_dot_product_attention(*inputs, is_causal=True, enable_gqa=True).transpose(1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = training_attention(torch.nn.Identity(), *inputs, None)
    assert mixed.dtype == torch.bfloat16
    direction = torch.randn(mixed.shape, generator=generator)
    ours = (mixed, *torch.autograd.grad((mixed.float() * direction).sum(), inputs))
    theirs = (exact, *torch.autograd.grad((exact * direction).sum(), inputs))
    for one, other in zip(ours, theirs, strict=True):
        assert float(((one - other).norm() / other.norm()).detach()) < 2**-7  # one unit of 8 bits


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # the compiler itself calls torch.jit
def test_a_compiled_caller_has_one_graph_for_all_lengths() -> None:
    from torch._dynamo.utils import counters

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return training_attention(torch.nn.Identity(), query, key, value, None)[0]

    torch._dynamo.reset()
    counters.clear()
    compiled = torch.compile(attend, dynamic=True, backend="aot_eager")
    for length in (70, 100, 130, 200):
        generator = torch.Generator().manual_seed(length)
        inputs = [torch.randn(2, heads, length, 8, generator=generator).double() for heads in (4, 2, 2)]
        leaves = [x.clone().requires_grad_() for x in (*inputs, *inputs)]
        ours, theirs = compiled(*leaves[:3]), attend(*leaves[3:])
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(
            torch.autograd.grad(ours.square().sum(), leaves[:3]),
            torch.autograd.grad(theirs.square().sum(), leaves[3:]),
        )
    assert counters["stats"]["unique_graphs"] == 1

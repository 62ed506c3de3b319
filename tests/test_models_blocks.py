"""Memory that passes leave to each other: what is lent, and when it may be lent again."""

from __future__ import annotations

import gc

import torch

from r1kit.models.blocks import Blocks

SIZES = [((3, 5), torch.float32), ((7,), torch.bfloat16), ((2, 0), torch.int64), ((4, 2), torch.float64)]


def test_tensors_have_the_shapes_asked_for_begin_on_cache_lines_and_do_not_overlap() -> None:
    taken = Blocks().take(SIZES)
    assert [(tuple(t.shape), t.dtype) for t in taken] == SIZES
    assert all(t.data_ptr() % 64 == 0 for t in taken)
    for number, tensor in enumerate(taken):
        tensor.fill_(number)
    assert all((tensor == number).all() for number, tensor in enumerate(taken))
    assert taken[0].data_ptr() + 64 == taken[1].data_ptr() == taken[3].data_ptr() - 64


def test_memory_is_lent_again_once_the_last_tensor_in_it_is_gone() -> None:
    blocks = Blocks()
    first, second = blocks.take([((100,), torch.float32), ((100,), torch.float32)])
    place = first.data_ptr()
    view = second[5:].view(torch.int32)
    del first, second
    (other,) = blocks.take([((200,), torch.float32)])
    assert other.data_ptr() != place  # a view is still at work
    del view
    (again,) = blocks.take([((200,), torch.float32)])
    assert again.data_ptr() == place
    assert blocks.held() == 2 * 448 + 832


def test_what_a_graph_saved_is_not_lent_before_the_graph_is_gone() -> None:
    blocks = Blocks()
    (tensor,) = blocks.take([((8,), torch.float32)])
    place = tensor.data_ptr()
    tensor.fill_(2.0)
    weight = torch.ones(8, requires_grad=True)
    loss = (weight * tensor).sum()
    del tensor
    assert blocks.take([((8,), torch.float32)])[0].data_ptr() != place
    loss.backward(retain_graph=True)
    assert blocks.take([((8,), torch.float32)])[0].data_ptr() != place
    assert weight.grad is not None
    assert weight.grad.eq(2.0).all()
    del loss
    gc.collect()
    places = [blocks.take([((8,), torch.float32)]) for _ in range(2)]
    assert place in [tensors[0].data_ptr() for tensors in places]


def test_the_smallest_block_that_is_large_enough_is_lent_and_no_more_are_held_than_were_lent_at_once() -> (
    None
):
    blocks = Blocks()
    small, large = (blocks.take([((size,), torch.uint8)]) for size in (64, 640))
    places = {"small": small[0].data_ptr(), "large": large[0].data_ptr()}
    del small, large
    assert blocks.take([((60,), torch.uint8)])[0].data_ptr() == places["small"]
    assert blocks.take([((65,), torch.uint8)])[0].data_ptr() == places["large"]
    assert blocks.held() == 704
    blocks.take([((1280,), torch.uint8)])
    assert blocks.held() == 64 + 1280

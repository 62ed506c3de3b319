"""Processes that train one model together, each on its own share of a batch's rows.

Every rank sums its rows' loss over the counts of ALL rows, so that the gradients of the ranks add up to the
gradient of the whole batch, whatever the aggregation and however unequal the shares. (Averaging the ranks'
own means gives another gradient wherever their counts differ.) All ranks then hold the same gradient, bit by
bit, and step or skip alike; a rank without rows takes part with a share of nothing.

The ranks are those of the default `torch.distributed` process group: gloo on CPUs, nccl on GPUs. Without a
group every function here gives back what it was given. With one, all ranks must call the same functions in
the same order, the making of a `Learner` and its updates among them (its `logprobs` are a rank's own affair);
one that fails alone leaves the others waiting until the group's timeout.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, distributed, nn

from r1kit.learning.batch import Batch
from r1kit.objectives.aggregation import Totals

_BUCKET = 1 << 24  # numbers that are sent at one time: 64 MiB of float32


def grouped() -> bool:
    """Whether this process is a rank of a group."""
    return distributed.is_available() and distributed.is_initialized()


def summed(numbers: Tensor) -> Tensor:
    """The sum over ranks of a small tensor, on the device that it was on."""
    return _reduced(numbers, distributed.ReduceOp.SUM) if grouped() else numbers


def total(number: int) -> int:
    """The sum over ranks of a count."""
    return int(summed(torch.tensor(number)))


def largest(number: int) -> int:
    """The largest of the ranks' counts."""
    return int(_reduced(torch.tensor(number), distributed.ReduceOp.MAX)) if grouped() else number


def mean(amount: float, count: int) -> float:
    """The ranks' amounts per count of all ranks; 0 where nothing was counted."""
    both = summed(torch.tensor([amount, float(count)], dtype=torch.float64))
    return float(both[0] / both[1].clamp_min(1.0))


def whole(batch: Batch) -> Batch:
    """The same rows, as a share of the batch that the ranks hold together: the totals are those of all."""
    if not grouped():
        return batch
    counts = summed(torch.tensor([batch.totals.num_sequences, batch.totals.num_tokens]))
    return replace(batch, totals=Totals(*counts.tolist()))


def combined(
    added: Mapping[str, float], highest: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """(the sums over ranks of each name in `added`, the largest over ranks of each in `highest`).

    A rank without rows measured nothing and lacks names; NaN anywhere is NaN everywhere.
    """
    if not grouped():
        return dict(added), dict(highest)
    sums: dict[str, float] = {}
    tops: dict[str, float] = {}
    for theirs in _gathered({"added": dict(added), "highest": dict(highest)}):
        for name, value in theirs["added"].items():
            sums[name] = sums.get(name, 0.0) + value
        for name, value in theirs["highest"].items():
            known = tops.get(name, value)
            tops[name] = value if value > known or value != value else known
    return sums, tops


def sum_gradients(model: nn.Module) -> None:
    """Give every rank the sum of the ranks' gradients, in place.

    A parameter that has a gradient on some rank gets one on all; one that has none anywhere keeps none, and
    is not moved by momentum.
    """
    if not grouped():
        return
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    here = torch.tensor([parameter.grad is not None for parameter in trained], dtype=torch.int32)
    anywhere = _reduced(here, distributed.ReduceOp.MAX).bool().tolist()
    for bucket in _buckets(parameter for parameter, some in zip(trained, anywhere, strict=True) if some):
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for parameter, part in zip(bucket, flat.split_with_sizes([p.numel() for p in bucket]), strict=True):
            parameter.grad = part.view_as(parameter)


def start_equal(model: nn.Module) -> None:
    """Give every rank the weights and buffers of rank 0, in place."""
    if grouped():
        for tensor in (*model.parameters(), *model.buffers()):
            sent = tensor.detach().to(_device()).contiguous()
            distributed.broadcast(sent, src=0)
            tensor.detach().copy_(sent)


def _device() -> torch.device:
    """Where the group's collectives work: nccl knows only GPUs."""
    if distributed.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def _reduced(numbers: Tensor, operation: distributed.ReduceOp.RedOpType) -> Tensor:
    moved = numbers.detach().to(_device(), copy=True)
    distributed.all_reduce(moved, operation)
    return moved.to(numbers.device)


def _gathered(record: Mapping[str, dict[str, float]]) -> list[dict[str, dict[str, float]]]:
    """The records of all ranks, by rank. As JSON, which keeps every float and needs no pickle."""
    text = json.dumps(record).encode()
    size = largest(len(text))
    mine = torch.frombuffer(bytearray(text.ljust(size)), dtype=torch.uint8).to(_device())
    all_ranks = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
    distributed.all_gather(all_ranks, mine)
    return [json.loads(bytes(theirs.tolist())) for theirs in all_ranks]


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Neighbours of one number format, of at most `_BUCKET` numbers unless one alone is larger."""
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        if bucket and (size + parameter.numel() > _BUCKET or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel()
    if bucket:
        yield bucket

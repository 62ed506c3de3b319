"""CUDA graphs as a CPU can have them: what a function did is recorded, undone, and done again on replay.

Like a graph, a recording knows operations, the memory that they read and wrote, and the Python numbers of
that moment. A replay does them again in the same memory: the function itself is not called any more, so what
it would read from Python then is not seen. What a graph can't have, waiting for a number from the device or
bringing tensors from the host, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_REFUSED = ("_local_scalar_dense", "nonzero", "lift_fresh", "equal", "masked_select", "unique")


class Recording(TorchDispatchMode):
    """Inside the context operations are recorded; what they write is undone when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name.startswith(_REFUSED):
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        for place, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                written = args[place] if place < len(args) else kwargs.get(argument.name)
                if isinstance(written, Tensor):
                    storage = written.untyped_storage()
                    self._before.setdefault(storage.data_ptr(), (storage, storage.clone()))
        result = func(*args, **kwargs)
        self.done.append((func, args, kwargs, result))
        return result

    def __exit__(self, *args: Any) -> None:
        super().__exit__(*args)
        for storage, before in self._before.values():
            storage.copy_(before)

    def replay(self) -> None:
        for func, args, kwargs, before in self.done:
            again = func(*args, **kwargs)
            held = {
                t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)
            }
            for old, new in zip(tree_leaves(before), tree_leaves(again), strict=True):
                if isinstance(new, Tensor) and new.untyped_storage().data_ptr() not in held:
                    old.copy_(new)


class RecordedGraphs:
    """A `graphs.Capture` that counts what it captured and how often that was replayed."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0

    def __call__(self, function: Callable[[], Any]) -> Callable[[], Any]:
        with Recording() as recording:
            result = function()
        self.captured += 1

        def replay() -> Any:
            self.replayed += 1
            recording.replay()
            return result

        return replay

"""Functions of fixed buffers that are captured as CUDA graphs and replayed.

A step of a decoder is hundreds of small kernels, which the processor starts one by one; a graph starts them
all at once. What is captured is what the device did, with the addresses and Python numbers of that moment: a
function must read what changes from buffers that stay where they are, and leave its results there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

Step = Callable[[], Tensor | None]
Capture = Callable[[Step], Step]
"""A function -> one that does again what the device did in it, with the same result tensor; not run yet."""


class Graphs:
    """Runs functions by name, each the first time as it is and from then on as captured.

    Args:
        capture: how, or None: functions always run as they are.
    """

    def __init__(self, capture: Capture | None) -> None:
        self._capture = capture
        self._captured: dict[Hashable, Step] = {}

    def __len__(self) -> int:
        return len(self._captured)

    def run(self, name: Hashable, function: Step) -> Tensor | None:
        """The result of `function`; by a graph it is the same tensor each time, until another one is run."""
        if name in self._captured:
            return self._captured[name]()
        result = function()  # a real step: it also loads kernels and workspaces, which no capture may
        if self._capture is not None:
            try:
                self._captured[name] = self._capture(function)
            except RuntimeError as error:
                self._capture = None
                warnings.warn(
                    "decoding goes on without CUDA graphs, slower: capturing a step failed: "
                    f"{' '.join(str(error).split())[:300]}",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return result


def cuda_capture(device: torch.device) -> Capture:
    """Captures on a CUDA device; all graphs share the memory of what they compute on the way."""
    pool = torch.cuda.graph_pool_handle()

    def capture(function: Step) -> Step:
        graph = torch.cuda.CUDAGraph()
        # other threads, such as a learner's, may ask for memory meanwhile
        with (
            torch.cuda.device(device),
            torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"),
        ):
            result = function()

        def replay() -> Tensor | None:
            graph.replay()
            return result

        return replay

    return capture

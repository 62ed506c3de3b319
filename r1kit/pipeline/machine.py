"""The machine a run happens on: which device, how many threads, which versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from r1kit import __version__
from r1kit.errors import RecipeError
from r1kit.memory.heap import keep_freed_memory

_PRIMITIVES = "4096"  # matrix products that oneDNN remembers; its default is 1024, and each costs memory
_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "safetensors")


def choose_device(wanted: str, threads: int = 0) -> str:
    """The torch device of a recipe's `device:`, with torch's thread count set.

    Also makes oneDNN's cache of products larger and lets the C library keep freed memory (LOG.md has the
    effects), unless the environment sets these already. To be called before anything is computed.

    Raises:
        RecipeError: the device is not on this machine.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _PRIMITIVES)  # read at the first product
    keep_freed_memory()
    import torch

    if threads:
        torch.set_num_threads(threads)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available[wanted]:
        raise RecipeError(f"device: {wanted} is not available here; use auto or cpu")
    return wanted


def describe_machine(device: str) -> dict[str, Any]:
    """For `run.json`: what a result may depend on besides recipe and code."""
    import torch

    from r1kit.models.precision import resolve

    return {
        "versions": {"python": platform.python_version(), "r1kit": __version__, **_versions()},
        "machine": {
            "platform": platform.platform(),
            "processor": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
            "device": device,
            "threads": torch.get_num_threads(),
            "auto_precision": str(resolve("auto", device)).removeprefix("torch."),
        },
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found

"""Reproducible randomness: every random draw is a pure function of named integers, so nothing needs saving.

A stream is named by a path such as `derive(run_seed, "rollouts", step, problem.id, sample_index)`. Two runs
with one seed draw the same numbers whatever was drawn in between, which makes resuming exact.
"""

from __future__ import annotations

import hashlib
import random


def derive(*path: int | str) -> int:
    """A 63-bit seed from a path of integers and strings, the same on every machine and Python version."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in path)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*path: int | str) -> random.Random:
    """A `random.Random` seeded by `derive(*path)`."""
    return random.Random(derive(*path))


def fraction(*path: int | str) -> float:
    """A number in [0, 1) that depends on the path alone; used to assign problems to splits."""
    return derive(*path) / 2**63

"""The sides of the benchmark: how r1kit's and each variant of a peer is started on a piece of work."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers.environments import FOLDER, environment
from bench.peers.process import Side, Together
from bench.peers.talk import Record
from bench.turns import Make
from bench.work import Work, prompts, save

PRECISIONS = ("float32", "bfloat16")
LEARNING_RATE = 1e-4
_VLLM_BLOCK = 32  # positions of a block of its cache, which prefers multiples of 32; its default is 128
_VLLM_CACHE = "2"  # GiB; the works need 0.6 at most, at float32
_TCMALLOC = ("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "/usr/lib/libtcmalloc_minimal.so.4")


@dataclass(frozen=True, slots=True)
class Bench:
    """How this run measures."""

    models: Path  # folder of the saved models
    environments: Path = FOLDER
    threads: int = 2
    repeats: int = 5
    quick: bool = False  # little work, to see that everything runs
    peers: tuple[str, ...] = ()  # beside these alone, where there are any
    variants: tuple[str, ...] = ()  # of peers only those whose names begin so, where there are any

    def work(self, of: Work) -> Work:
        """The work itself, or little of its kind."""
        if not self.quick:
            return of
        mean = None if of.mean_tokens is None else 8.0
        small = replace(of, prompts=2, group_size=4, new_tokens=24, mean_tokens=mean)
        return replace(small, shortest_prompt=12, longest_prompt=12)

    def job(self, work: Work, **more: Any) -> Record:
        """What every side is told."""
        folder = self.models / work.name.replace(" ", "-")
        if not folder.is_dir():
            save(work, folder)
        return {
            "model": str(folder),
            "prompts": prompts(work),
            "places": list(range(work.prompts)),
            "group_size": work.group_size,
            "new_tokens": work.new_tokens,
            "threads": self.threads,
            "learning_rate": LEARNING_RATE,
            "microbatches": 2 if self.quick else 4,
        } | more


def own(job: Record) -> Make:
    """r1kit."""
    return partial(_side, Path(sys.executable), "own", job)


def halves(job: Record) -> Make:
    """r1kit in two processes of one thread, each with half of the prompts."""
    middle = len(job["prompts"]) // 2
    parts = [
        job | {"threads": 1} | {name: job[name][where] for name in ("prompts", "places")}
        for where in (slice(None, middle), slice(middle, None))
    ]
    return lambda: Together([own(part)() for part in parts])


def with_transformers(job: Record, way: str) -> dict[str, Make]:
    """`transformers` in one of its ways, by precision."""
    jobs = {precision: job | {"way": way, "precision": precision} for precision in PRECISIONS}
    return {name: partial(_side, Path(sys.executable), "transformers", told) for name, told in jobs.items()}


def with_trl(bench: Bench, job: Record) -> dict[str, Make]:
    """A trainer of TRL, by precision."""

    def make(precision: str) -> Side:
        return _side(environment("trl", bench.environments), "trl", job | {"precision": precision})

    return {precision: partial(make, precision) for precision in PRECISIONS}


def learning_own(job: Record) -> Make:
    """r1kit, step by step on given questions."""
    return partial(_side, Path(sys.executable), "own_learning", job)


def learning_trl(bench: Bench, job: Record) -> Make:
    """TRL's GRPOTrainer, likewise."""
    return lambda: _side(environment("trl", bench.environments), "trl_learning", job)


def with_vllm(bench: Bench, job: Record) -> dict[str, Make]:
    """vLLM by precision, eager or compiled, in one process; and in several, as it does by itself."""

    def make(precision: str, compiled: bool, alone: bool) -> Side:
        python = environment("vllm", bench.environments)
        told = job | {"precision": precision, "compiled": compiled, "block_size": _VLLM_BLOCK}
        return _side(python, "vllm", told, _vllm_settings(python, bench.threads, alone))

    ways = {"eager": False, "compiled": True}
    return {
        f"{precision}, {way}{'' if alone else ', several processes'}": partial(
            make, precision, compiled, alone
        )
        for precision, alone in (("float32", True), ("bfloat16", True), ("bfloat16", False))
        for way, compiled in ways.items()
    }


def _side(python: Path, module: str, job: Record, settings: Mapping[str, str] | None = None) -> Side:
    threads = {"OMP_NUM_THREADS": str(job["threads"]), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "0"}
    return Side(python, f"bench.peers.{module}_side", job, threads | dict(settings or {}))


def _vllm_settings(python: Path, threads: int, alone: bool) -> dict[str, str]:
    """Its environment, as its page on CPUs advises: OpenMP and allocator loaded first, threads bound.

    In one process it does not bind them itself.
    """
    openmp = python.parents[1] / "lib" / "libiomp5.so"
    first = [str(path) for path in (openmp, *map(Path, _TCMALLOC)) if path.is_file()]
    cores = sorted(os.sched_getaffinity(0))[:threads]
    return {
        "VLLM_CPU_KVCACHE_SPACE": _VLLM_CACHE,
        "VLLM_CPU_OMP_THREADS_BIND": "nobind" if alone else ",".join(map(str, cores)),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0" if alone else "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "LD_PRELOAD": ":".join(first),
    }

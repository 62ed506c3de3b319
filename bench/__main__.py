"""`python -m bench`: measure, print a table, write bench/results.json; `--write`: docs/performance.md too.

Parts that are not chosen keep their results of before.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers

from bench import beside, gpu, growth, learner, learning, page, rollouts, run_profile, sandbox, verdicts
from bench.peers.environments import FOLDER
from bench.setting import Found, Shape, load_setting, random_setting
from bench.sides import Bench
from bench.table import show
from r1kit import __version__
from r1kit.models.load import load_tokenizer
from r1kit.models.precision import resolve
from r1kit.pipeline.machine import choose_device
from r1kit.rollouts.local import LocalSampler

RESULTS = Path(__file__).parent / "results.json"
QUICK = RESULTS.with_name("results-quick.json")  # of little work, which is no result


def main() -> None:
    arguments = _arguments()
    choose_device("cpu", arguments.threads)
    shape = Shape(arguments.prompts, arguments.group_size, arguments.new_tokens, arguments.repeats)
    out: Path = arguments.out or (QUICK if arguments.quick else RESULTS)
    parts: dict[str, Any] = json.loads(out.read_text("utf-8")).get("parts", {}) if out.is_file() else {}
    for name in arguments.parts:
        print(f"== {name}: about {PARTS[name][1]}", flush=True)
        began = time.perf_counter()
        found = PARTS[name][0](arguments, shape)
        seconds = time.perf_counter() - began
        parts[name] = _record(found, seconds, _machine(arguments, shape))
        report = {"parts": {part: parts[part] for part in PARTS if part in parts}}
        out.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
        show(found.measurements, [*found.notes, f"{seconds:.0f} s; written to {out}"])
        if arguments.write and not arguments.quick:
            page.write(report)


def _arguments() -> argparse.Namespace:
    defaults = Shape()
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(
            ["parts, with their time on two cores:", *(f"  {n:12}{p[1]}: {p[2]}" for n, p in PARTS.items())]
        ),
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="these alone")
    parser.add_argument("--repeats", type=int, default=defaults.repeats)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help=f"instead of bench/{RESULTS.name}")
    parser.add_argument("--write", action="store_true", help=f"replace the tables of docs/{page.PAGE.name}")
    parser.add_argument("--quick", action="store_true", help="little work, to see that everything runs")
    parser.add_argument("--environments", type=Path, default=FOLDER, help="where the peers' environments are")
    parser.add_argument("--peers", nargs="+", default=[], metavar="NAME", help="beside these alone")
    parser.add_argument(
        "--variants", nargs="+", default=[], metavar="NAME",
        help="of a peer's variants only those whose names begin so, e.g. 'bfloat16, compiled'",
    )  # fmt: skip
    model = parser.add_argument_group("the part model")
    model.add_argument("--model", default="micro", help="micro, a folder, or a hub name")
    model.add_argument("--random", action="store_true", help="a random model of the laptop's size instead")
    model.add_argument("--prompts", type=int, default=defaults.prompts)
    model.add_argument("--group-size", type=int, default=defaults.group_size)
    model.add_argument("--new-tokens", type=int, default=defaults.new_tokens)
    return parser.parse_args()


def _beside(part: Callable[[Bench], Found]) -> Callable[[argparse.Namespace, Shape], Found]:
    def measure(arguments: argparse.Namespace, shape: Shape) -> Found:
        with TemporaryDirectory(prefix="r1kit-bench-") as folder:
            return part(
                Bench(
                    Path(folder),
                    arguments.environments.absolute(),
                    arguments.threads,
                    shape.repeats,
                    arguments.quick,
                    tuple(arguments.peers),
                    tuple(arguments.variants),
                )
            )

    return measure


def _model(arguments: argparse.Namespace, shape: Shape) -> Found:
    if arguments.random:
        setting = random_setting(load_tokenizer(arguments.model), shape)
    else:
        setting = load_setting(arguments.model, shape)
    model, tokenizer, prompts = setting
    measurements = rollouts.measure(model, tokenizer, prompts, shape)
    sampler = LocalSampler(model, tokenizer, dtype=resolve("auto", "cpu"))
    completions = [c for group in rollouts.draw(sampler, prompts, shape, 0) for c in group]
    return Found([*measurements, *learner.measure(model, completions, shape)])


def _verdicts(arguments: argparse.Namespace, shape: Shape) -> Found:
    found, note = verdicts.measure(shape.repeats)
    return Found(found, [note] if note else [])


def _gpu(arguments: argparse.Namespace, shape: Shape) -> Found:
    return gpu.measure(shape.repeats, arguments.quick)


def _programs(arguments: argparse.Namespace, shape: Shape) -> Found:
    found, note = sandbox.measure(shape.repeats)
    return Found(found, [note] if note else [])


Part = tuple[Callable[[argparse.Namespace, Shape], Found], str, str]

PARTS: Mapping[str, Part] = {
    "sampling": (_beside(beside.sampling), "12 minutes", "rollouts beside transformers and vLLM"),
    "long": (_beside(beside.long_sampling), "15 minutes", "longer ones of a larger model, likewise"),
    "step": (_beside(beside.step), "8 minutes", "whole GRPO steps beside TRL"),
    "learning": (_beside(learning.learning), "22 minutes", "reward over 60 steps of GRPO beside TRL"),
    "supervised": (_beside(beside.supervised), "3 minutes", "supervised updates beside TRL"),
    "growth": (_beside(growth.growth), "4 minutes", "cost by number and length of rollouts, parts of a run"),
    "profile": (
        _beside(run_profile.profile),
        "10 minutes",
        "where the time of a laptop run of half the steps goes",
    ),
    "model": (_model, "5 minutes", "a base model on the laptop's prompts beside transformers"),
    "verdicts": (_verdicts, "1 minute", "verdicts beside math-verify"),
    "gpu": (
        _gpu,
        "10 minutes",
        "sampling and learning on a CUDA device; with --quick on a CPU if need be",
    ),
    "programs": (_programs, "1 minute", "programs in the sandbox beside fresh processes"),
}
"""By name: the function, how long it takes, what it measures."""


def _record(found: Found, seconds: float, machine: dict[str, Any]) -> dict[str, Any]:
    return {
        "date": date.today().isoformat(),
        "seconds": round(seconds, 1),
        "machine": machine,
        "rows": [measurement.row() for measurement in found.measurements],
        "notes": found.notes,
        "details": found.details,
    }


def _machine(arguments: argparse.Namespace, shape: Shape) -> dict[str, Any]:
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "precision": str(resolve("auto", "cpu")).removeprefix("torch."),
        "repeats": shape.repeats,
        "quick": arguments.quick,
        "shape of model": {"model": "random" if arguments.random else arguments.model, **asdict(shape)},
        "versions": {
            "python": platform.python_version(),
            "r1kit": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


def _processor() -> str:
    names = Path("/proc/cpuinfo")
    lines = names.read_text("utf-8").splitlines() if names.is_file() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return found[0] if found else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()

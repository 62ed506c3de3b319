"""`python -m bench`: measure, print a table, write bench/results.json."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers

from bench import learner, rollouts, sandbox, verdicts
from bench.setting import Measurement, Shape, load_setting, random_setting
from bench.table import show
from r1kit.models.load import load_tokenizer
from r1kit.models.precision import resolve
from r1kit.pipeline.machine import choose_device
from r1kit.rollouts.local import LocalSampler


def main() -> None:
    defaults = Shape()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="these alone")
    parser.add_argument("--model", default="micro", help="micro, a folder, or a hub name")
    parser.add_argument("--random", action="store_true", help="a random model of the laptop's size instead")
    parser.add_argument("--prompts", type=int, default=defaults.prompts)
    parser.add_argument("--group-size", type=int, default=defaults.group_size)
    parser.add_argument("--new-tokens", type=int, default=defaults.new_tokens)
    parser.add_argument("--repeats", type=int, default=defaults.repeats)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results.json")
    arguments = parser.parse_args()
    choose_device("cpu", arguments.threads)
    shape = Shape(arguments.prompts, arguments.group_size, arguments.new_tokens, arguments.repeats)
    measurements, notes = list[Measurement](), list[str]()
    for part in arguments.parts:
        found, note = PARTS[part](arguments, shape)
        measurements += found
        notes += [note] if note else []
    rows = [measurement.row() for measurement in measurements]
    report = {"machine": _machine(arguments), "shape": asdict(shape), "results": rows, "notes": notes}
    arguments.out.write_text(json.dumps(report, indent=2) + "\n")
    show(measurements, [*notes, f"written to {arguments.out}"])


Part = tuple[list[Measurement], str]  # and what could not be measured, or ""


def _model(arguments: argparse.Namespace, shape: Shape) -> Part:
    """Sampling and learning."""
    if arguments.random:
        setting = random_setting(load_tokenizer(arguments.model), shape)
    else:
        setting = load_setting(arguments.model, shape)
    model, tokenizer, prompts = setting
    measurements = rollouts.measure(model, tokenizer, prompts, shape)
    sampler = LocalSampler(model, tokenizer, dtype=resolve("auto", "cpu"))
    completions = [c for group in rollouts.draw(sampler, prompts, shape, 0) for c in group]
    return [*measurements, learner.measure(model, completions, shape)], ""


PARTS: dict[str, Callable[[argparse.Namespace, Shape], Part]] = {
    "model": _model,
    "verdicts": lambda arguments, shape: verdicts.measure(shape.repeats),
    "programs": lambda arguments, shape: sandbox.measure(shape.repeats),
}


def _machine(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "model": "random" if arguments.random else arguments.model,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "precision": str(resolve("auto", "cpu")).removeprefix("torch."),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


if __name__ == "__main__":
    main()

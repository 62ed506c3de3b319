"""`python -m bench.memory`: the estimated peak of memory beside the measured one, case by case."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

from r1kit.memory.limits import memory_limit
from r1kit.memory.measure import measure
from r1kit.pipeline.config import Recipe, load_recipe
from r1kit.pipeline.footprint import this_machine
from r1kit.pipeline.measured import work_of
from r1kit.pipeline.preflight import preflight

_PLAIN = {
    "num_hidden_layers": 4,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "head_dim": 32,
}
MODELS = {
    "llama-5M": _PLAIN
    | {"model_type": "llama", "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 704}
    | {"num_attention_heads": 8, "num_key_value_heads": 4},
    "qwen2-20M": _PLAIN
    | {"model_type": "qwen2", "vocab_size": 16384, "hidden_size": 384, "intermediate_size": 1024}
    | {"num_attention_heads": 6, "num_key_value_heads": 2, "num_hidden_layers": 8, "head_dim": 64},
    "qwen2-2M": _PLAIN
    | {"model_type": "qwen2", "vocab_size": 2048, "hidden_size": 192, "intermediate_size": 512}
    | {"num_attention_heads": 6, "num_key_value_heads": 2, "num_hidden_layers": 5},
    "qwen3-2M": _PLAIN
    | {"model_type": "qwen3", "vocab_size": 2048, "hidden_size": 192, "intermediate_size": 512}
    | {"num_attention_heads": 6, "num_key_value_heads": 2, "num_hidden_layers": 5},
    "llama-12M": _PLAIN
    | {"model_type": "llama", "vocab_size": 8192, "hidden_size": 320, "intermediate_size": 896}
    | {"num_attention_heads": 5, "num_key_value_heads": 5, "num_hidden_layers": 7, "head_dim": 64},
    "llama-50M": _PLAIN
    | {"model_type": "llama", "vocab_size": 32000, "hidden_size": 512, "intermediate_size": 1408}
    | {"num_attention_heads": 8, "num_key_value_heads": 2, "num_hidden_layers": 12, "head_dim": 64},
}
"""Made-up shapes; the names tell the parameters."""
_SFT = "stages.cold_start_sft"
_RL = "stages.r1_zero"


@dataclass(frozen=True, slots=True)
class Case:
    """One stage of a packaged recipe under other settings."""

    recipe: str
    stage: str
    base: str  # "micro", or one of MODELS
    overrides: tuple[str, ...] = ()


def _sft(base: str, longest: int, tokens: int, *more: str) -> Case:
    batch = f"{_SFT}.training.batch"
    settings = (f"{_SFT}.max_tokens={longest}", f"{_SFT}.training.tokens_per_batch={tokens}")
    return Case(
        "tiny-r1",
        "cold_start_sft",
        base,
        (*settings, f"{batch}.tokens_per_microbatch={tokens}", *(f"{batch}.{text}" for text in more)),
    )


def _rl(base: str, questions: int, new: int, micro: int, *more: str) -> Case:
    settings = (
        *(f"{_RL}.questions_per_step={questions}", f"{_RL}.sampling.max_new_tokens={new}"),
        f"{_RL}.batch.tokens_per_microbatch={micro}",
    )
    return Case("tiny-r1", "r1_zero", base, (*settings, *(f"{_RL}.{text}" for text in more)))


CASES = (
    Case("laptop-zero", "r1_zero", "micro"),
    _sft("micro", 512, 4096),
    _sft("micro", 2048, 8192, "gradient_checkpointing=true"),
    _rl("llama-5M", 16, 200, 4096, "objective.kl_beta=0.01"),
    _rl("llama-5M", 16, 200, 4096, "objective.importance_cap=2", "rollouts.staleness=1"),
    _sft("llama-5M", 1024, 4096, "precision=float32"),
    _sft("qwen2-20M", 1024, 4096),
    _sft("qwen2-20M", 1024, 4096, "gradient_checkpointing=true"),
    _rl("qwen2-20M", 8, 64, 2048, "group_size=8"),
    _sft("llama-50M", 512, 2048),
    _sft("llama-50M", 512, 2048, "gradient_checkpointing=true"),
    Case("laptop-zero", "evaluation", "micro", ("evaluation.max_new_tokens=200",)),
    # shapes and settings to which nothing was fitted
    _sft("qwen2-2M", 1024, 8192, "gradient_checkpointing=true", "precision=float32"),
    _rl("llama-12M", 8, 300, 8192, "group_size=16"),
    _sft("llama-12M", 256, 4096, "precision=float32"),
    _rl("llama-50M", 4, 100, 1024, "group_size=8", "batch.gradient_checkpointing=true"),
    Case(
        "laptop-zero", "r1_zero", "micro", (f"{_RL}.objective.advantage=gae", f"{_RL}.critic.kind=separate")
    ),
    Case("laptop-zero", "r1_zero", "micro", (f"{_RL}.objective.advantage=gae", f"{_RL}.critic.kind=head")),
    _rl("llama-12M", 8, 64, 4096, "objective.advantage=gae", "critic.kind=separate"),
    _sft("qwen3-2M", 512, 4096),
)


def main() -> None:
    """Run the cases and print the table, row by row as they end."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--cases", nargs="+", type=int, default=range(len(CASES)), help="by number, from 0")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "memory.json")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for number in arguments.cases:
        rows.append(_row(number, CASES[number], arguments.out.parent))
        print(json.dumps(rows[-1]), flush=True)
    arguments.out.write_text(json.dumps(rows, indent=2) + "\n")
    _show(rows)


def _row(number: int, case: Case, folder: Path) -> dict[str, object]:
    recipe = _recipe(case, folder)
    limit = memory_limit("cpu")
    found = preflight(recipe, folder, limit, this_machine("cpu", limit.size, recipe.run.threads), prompt=48)
    (item,) = (item for item in found.items if item.name == case.stage)
    work = work_of(recipe, item, found.scene)
    assert work is not None
    began = perf_counter()
    measured = measure(work)
    peak, real = item.estimate.peak.total, max(measured.values())
    return {
        "case": number,
        "model": case.base,
        "stage": case.stage,
        "settings": " ".join(text.removeprefix(f"stages.{case.stage}.") for text in case.overrides),
        "micro_batch": f"{work.rows} x {work.length}" if work.rows else "",
        "estimate_mib": round(peak / 2**20),
        "measured_mib": round(real / 2**20),
        "ratio": round(peak / real, 2),
        "phases": {name: round(size / 2**20) for name, size in measured.items()},
        "seconds": round(perf_counter() - began),
    }


def _recipe(case: Case, folder: Path) -> Recipe:
    """The recipe, with a base that is a folder with nothing but `config.json` where the model is made up."""
    base = case.base
    if base in MODELS:
        place = folder / "shapes" / base
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.json").write_text(json.dumps(MODELS[base]))
        base = str(place)
    return load_recipe(case.recipe, (f"base={base}", *case.overrides))


def _show(rows: Sequence[dict[str, object]]) -> None:
    names = ("model", "stage", "settings", "micro_batch", "estimate_mib", "measured_mib", "ratio")
    table = Table(*names)
    for row in rows:
        table.add_row(*(str(row[name]) for name in names))
    Console(width=132).print(table)


if __name__ == "__main__":
    main()

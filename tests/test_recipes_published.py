"""The packaged recipes of published experiments: their numbers, and two steps of each on tiny checkpoints.

Replaced for the two steps: every model by a tiny random one with the micro tokenizer, every hub data set by a
few rows of its published form, lengths and counts by small ones. In `r1`, whose cold start and rejection
sampling keep only what is right, the cold start refines answers of the packaged micro base through a rewriter
on this machine, and rejection sampling rejects nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_server import Server, completion
from hub_rows import hub
from tiny_models import SHAPES

from r1kit.errors import SandboxError
from r1kit.models.load import load_tokenizer, save_model
from r1kit.pipeline.config import Recipe, load_recipe
from r1kit.pipeline.merge import packaged_recipes
from r1kit.pipeline.runner import RunOptions, run_recipe
from r1kit.rewards.registry import RewardInput
from r1kit.rewards.rubric import Rubric, grade
from r1kit.schedules import value_at
from r1kit.stages.data_settings import (
    ColdStartStageSettings,
    DialogueDataSettings,
    RejectionStageSettings,
    RewardModelStageSettings,
)
from r1kit.stages.rubrics import term_specs
from r1kit.stages.settings import RLStageSettings, SFTStageSettings, TaskShare
from r1kit.tasks import sources
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Completion
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox.protection import Protection, Tier, find_protection

ROOT = Path(__file__).parents[1]
PUBLISHED = [
    *("r1", "r1-distill-qwen2.5-1.5b", "r1-zero-qwen2.5-32b"),
    *("datawhale-r1", "logic-rl", "from-scratch-r1", "qwen2.5-3b-countdown"),
]


# -- the published numbers, copied by hand -------------------------------------------------------------------


def rl(recipe: str, stage: str) -> RLStageSettings:
    settings = load_recipe(recipe).stage(stage).settings
    assert isinstance(settings, RLStageSettings)
    return settings


def sft(recipe: str, stage: str) -> SFTStageSettings:
    settings = load_recipe(recipe).stage(stage).settings
    assert isinstance(settings, SFTStageSettings)
    return settings


@pytest.mark.parametrize(
    ("recipe", "stage", "rate", "length", "temperature"),
    [
        ("r1", "r1_zero", 3e-6, 32_768, 1.0),
        ("r1", "r1_zero_longer", 3e-6, 65_536, 1.0),
        ("r1", "reasoning_rl", 3e-6, 32_768, 1.0),
        ("r1", "general_rl", 3e-6, 32_768, 0.7),
        ("r1-zero-qwen2.5-32b", "r1_zero", 2e-6, 32_768, 1.0),
    ],
)
def test_a_phase_is_8192_rollouts_in_16_updates_of_32_questions_by_16(
    recipe: str, stage: str, rate: float, length: int, temperature: float
) -> None:
    settings = rl(recipe, stage)
    minibatches = settings.batch.minibatches
    assert settings.group_size == minibatches == 16
    assert settings.questions_per_step == 32 * minibatches
    assert settings.questions_per_step * settings.group_size == 8_192
    assert settings.objective.reference_refresh * minibatches == 400
    assert (settings.objective.kl_kind, settings.objective.kl_beta) == ("k3", 0.001)
    assert (settings.objective.advantage, settings.objective.aggregation) == ("grpo", "sequence_mean")
    assert settings.optimizer.learning_rate == rate
    assert (settings.sampling.max_new_tokens, settings.sampling.temperature) == (length, temperature)


def test_r1_takes_the_published_number_of_updates() -> None:
    first, second = rl("r1", "r1_zero"), rl("r1", "r1_zero_longer")
    assert 16 * first.steps == 8_192  # of 8,200: phases are whole
    assert 16 * (first.steps + second.steps) == 10_400
    assert 16 * rl("r1", "general_rl").steps == 1_696  # of 1,700
    assert 16 * rl("r1-zero-qwen2.5-32b", "r1_zero").steps == 10_016  # more than 10,000


def test_r1_clips_at_10_and_adds_the_rewards_with_equal_weights() -> None:
    for stage in ("reasoning_rl", "general_rl"):
        objective = rl("r1", stage).objective
        assert (1 - objective.clip_low, 1 + objective.clip_high) == (0, 11)  # a ratio is above -9 anyway
    assert rl("r1", "r1_zero").rewards == {"accuracy": 1.0, "format": 1.0}
    added = {"accuracy": 1.0, "format": 1.0, "language_consistency": 1.0}
    assert rl("r1", "reasoning_rl").rewards == added
    specs = {spec.name: spec for spec in term_specs(rl("r1", "general_rl").rewards)}
    assert {spec.weight for spec in specs.values()} == {1.0}
    assert specs["accuracy"].tasks == ("math", "code", "logic")
    assert specs["language_consistency"].tasks is None
    assert (specs["helpfulness"].tasks, specs["harmlessness"].tasks) == (("general",), ("harmless",))
    assert 16 * (specs["helpfulness"].last_steps or 0) == 16 * (specs["harmlessness"].last_steps or 0) == 400


def test_r1_mixes_prompts_by_the_published_thousands_and_general_ones_in_the_last_400_updates() -> None:
    general = TaskShare(share=66, last_steps=25)
    assert rl("r1", "general_rl").tasks == {
        **{"math": 26, "code": 17, "logic": 15},
        **{"general": general, "harmless": TaskShare(share=12, last_steps=25)},
    }
    sizes = {name: task.settings for name, task in load_recipe("r1").tasks.items()}  # type: ignore[attr-defined]
    assert sizes["math"].limit == 26_000
    assert [sizes[name].train_size for name in ("code", "logic", "general")] == [17_000, 15_000, 66_000]


@pytest.mark.parametrize(
    ("recipe", "stage", "rate", "examples"),
    [
        ("r1", "cold_start_sft", 5e-5, 128),
        ("r1", "sft2", 5e-5, 128),
        ("r1", "distilled", 6e-5, 64),
        ("r1-distill-qwen2.5-1.5b", "distilled", 1e-4, 64),
    ],
)
def test_fine_tuning_has_the_published_settings(recipe: str, stage: str, rate: float, examples: int) -> None:
    settings = sft(recipe, stage)
    training = settings.training
    assert settings.max_tokens == 32_768
    assert 2 <= training.epochs <= 3
    assert training.tokens_per_batch == examples * 5_355  # the mean of the 804,745 examples
    optimizer = training.optimizer
    assert (optimizer.learning_rate, optimizer.schedule, optimizer.min_ratio) == (rate, "cosine", 0.1)


def test_r1_makes_its_data_as_published() -> None:
    recipe = load_recipe("r1")
    cold, kept = recipe.stage("cold_start").settings, recipe.stage("reasoning_data").settings
    assert isinstance(cold, ColdStartStageSettings)
    assert isinstance(kept, RejectionStageSettings)
    assert cold.review == "person"
    assert cold.rewriter is not None
    assert cold.rewriter.model == "deepseek-ai/DeepSeek-V3"
    assert (cold.ways["refine"].restructure, cold.ways["refine"].sampling.temperature) == ("model", 1.0)
    assert kept.total == 600_000
    for filters in (cold.filters, kept.filters):
        assert (filters.overlap_n, filters.wording_after, filters.overlap_share) == (10, None, 0.0)
    assert sft("r1", "sft2").data["HuggingFaceH4/no_robots"].limit == 177_812
    assert (recipe.stage("sft2").start, recipe.stage("cold_start_sft").start) == ("base", "base")
    for name in ("helpful_model", "harmless_model"):
        settings = recipe.stage(name).settings
        assert isinstance(settings, RewardModelStageSettings)
        training = settings.training
        assert (training.epochs, training.examples_per_batch, training.max_tokens) == (1, 256, 8_192)
        assert training.optimizer.learning_rate == 6e-6
    assert recipe.stage("labels").settings.count == 106_000  # type: ignore[attr-defined]


@pytest.mark.parametrize("recipe", ["r1", "r1-distill-qwen2.5-1.5b", "r1-zero-qwen2.5-32b"])
def test_evaluation_is_the_papers(recipe: str) -> None:
    settings = load_recipe(recipe).run.evaluation
    assert settings is not None
    assert (settings.temperature, settings.top_p, settings.max_new_tokens) == (0.6, 0.95, 32_768)
    assert settings.samples == 64


def test_the_sizes_of_distillation_are_those_of_the_paper() -> None:
    text = (ROOT / "r1kit/recipes/r1-distill-qwen2.5-1.5b.yaml").read_text()
    found = re.findall(r"#\s+(\d+(?:\.\d)?B)\s+(\S+/\S+)\s+(\S+)", text)
    assert {(size, rate) for size, _, rate in found} == {
        *{("1.5B", "1e-4"), ("7B", "8e-5"), ("14B", "7e-5")},
        *{("32B", "6e-5"), ("8B", "5e-5"), ("70B", "2e-5")},
    }


def test_datawhale_r1_has_its_published_settings() -> None:
    recipe, settings = load_recipe("datawhale-r1"), rl("datawhale-r1", "r1_zero")
    assert (recipe.run.base, recipe.run.seed) == ("Qwen/Qwen2.5-3B-Instruct", 2025)
    assert settings.rewards == {"countdown_format": 1.0, "countdown_equation": 1.0}
    assert (settings.steps, settings.group_size, settings.questions_per_step) == (450, 8, 1 * 8 * 2)
    assert (settings.sampling.max_new_tokens, settings.save_every) == (4_096, 50)
    assert (settings.objective.kl_beta, settings.template) == (0.001, "countdown_zh")
    optimizer = settings.optimizer
    assert (optimizer.learning_rate, optimizer.schedule, optimizer.warmup_steps) == (5e-7, "cosine", 14)
    task = recipe.tasks["countdown"].settings  # type: ignore[attr-defined]
    assert (task.train_size, task.test_size) == (45_000, 5_000)


def test_logic_rl_has_its_published_settings() -> None:
    recipe, settings = load_recipe("logic-rl"), rl("logic-rl", "logic_rl")
    assert (recipe.stage("logic_rl").start, settings.steps) == ("base", 400)
    phases = [settings.at(step) for step in (1, 134, 135, 267, 268, 400)]
    assert [phase.group_size for phase in phases] == [32, 32, 64, 64, 16, 16]
    assert [phase.sampling.temperature for phase in phases] == [1.0, 1.0, 1.2, 1.2, 0.9, 0.9]
    assert {phase.questions_per_step for phase in phases} == {8}
    assert phases[-1].optimizer.learning_rate == 2e-7
    assert isinstance(settings.tasks, dict)
    shares = {name: task.share for name, task in settings.tasks.items() if isinstance(task, TaskShare)}
    assert [value_at(shares["people3"], step) for step in (1, 134, 135, 400)] == [1, 1, 0, 0]
    assert [value_at(shares["people5"], step) for step in (1, 134, 135, 400)] == [0, 0, 1, 1]
    puzzles = [task.settings for task in recipe.tasks.values()]  # type: ignore[attr-defined]
    assert [task.people for task in puzzles] == [(3,), (5,)]
    assert sum(task.train_size for task in puzzles) < 2_000


@pytest.mark.parametrize(
    ("response", "published"),
    [
        ("<think>ok</think>\n<answer>{gold}</answer>", 1 + 2),
        ("<think>ok</think>\n<answer>{wrong}</answer>", 1 - 1.5),
        ("{gold}", -1 - 2),
        ("<think>ok</think>\n<answer>{gold}</answer><think>no</think>", -1 - 2),
    ],
)
def test_logic_rl_pays_its_published_rewards(response: str, published: float) -> None:
    task = load_recipe("logic-rl").tasks["people3"]
    problem = task.problems("test")[0]
    gold = task.gold(problem)
    wrong = re.sub("knight|knave", lambda kind: {"knight": "knave", "knave": "knight"}[kind.group()], gold)
    text = response.format(gold=gold, wrong=wrong)
    completion = Completion((), (), (), (), text, "stop", 0)
    rubric = Rubric(term_specs(rl("logic-rl", "logic_rl").rewards))
    (reward,) = rubric.score([RewardInput(problem, completion, *grade(problem, completion, task))])
    assert reward is not None
    assert reward.total == published


def test_the_walk_through_has_its_published_settings() -> None:
    recipe, zero = load_recipe("from-scratch-r1"), rl("from-scratch-r1", "r1_zero")
    tuned = sft("from-scratch-r1", "sft")
    assert (recipe.run.base, recipe.run.seed) == ("Qwen/Qwen2.5-0.5B-Instruct", 42)
    assert {name for name, weight in zero.rewards.items() if weight} == {"accuracy", "format"}
    assert set(zero.rewards) == {"accuracy", "format", "reasoning_steps", "cosine", "repetition_penalty"}
    assert zero.questions_per_step == 8 * 2
    assert zero.steps == -(-72_441 // 16)
    assert (zero.optimizer.learning_rate, zero.optimizer.weight_decay) == (5e-5, 0.01)
    assert zero.optimizer.warmup_steps == round(0.1 * zero.steps)
    assert (zero.save_every, zero.keep_checkpoints) == (50, 2)
    training = tuned.training
    assert (training.optimizer.learning_rate, training.optimizer.weight_decay) == (2e-5, 0.01)
    assert (training.epochs, training.batch.packing, tuned.max_tokens) == (1, True, 4_096)
    assert training.tokens_per_batch == 8 * 2 * 4_096
    assert (training.save_every, training.keep_checkpoints, training.log_every) == (50, 2, 10)
    assert recipe.stage("sft").start == "base"


def test_every_packaged_recipe_stands_in_the_documentation() -> None:
    table = (ROOT / "docs/recipes.md").read_text()
    assert [name for name in packaged_recipes() if f"| `{name}` |" not in table] == []


# -- two steps -----------------------------------------------------------------------------------------------


@pytest.fixture
def _a_hub_of_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_hub", hub)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny random model of an architecture, with the packaged micro tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    @cache
    def make(kind: str) -> str:
        tokenizer = load_tokenizer("micro")
        ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        shape = {**SHAPES[kind], "max_position_embeddings": 4096}
        config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **shape, **ids)
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp(kind)
        save_model(AutoModelForCausalLM.from_config(config, dtype=torch.float32), tokenizer, folder)
        return str(folder)

    return make


def small(recipe: Recipe) -> list[str]:
    """Overrides that leave a recipe its form and take its size: two updates of each stage that trains."""
    found = ["threads=1", "evaluation.problems=2", "evaluation.samples=1", "evaluation.max_new_tokens=8"]
    for spec in recipe.stages:
        at, settings = f"stages.{spec.name}", spec.settings
        if isinstance(settings, RLStageSettings):
            found += [f"{at}.{key}=2" for key in ("steps", "group_size")]
            found += [f"{at}.questions_per_step={len(settings.tasks)}", f"{at}.sampling.max_new_tokens=8"]
            found += [f"{at}.save_every=1", f"{at}.batch.minibatches={min(2, settings.batch.minibatches)}"]
            found += [f"{at}.objective.reference_refresh={min(1, settings.objective.reference_refresh)}"]
        elif isinstance(settings, SFTStageSettings):
            found += [f"{at}.training.steps=2", f"{at}.training.tokens_per_batch=256"]
            found += [f"{at}.training.log_every=1"]
        elif isinstance(settings, RejectionStageSettings):
            found += [f"{at}.problems=4", f"{at}.samples=2", f"{at}.sampling.max_new_tokens=8"]
            found += [f"{at}.reject=false"]
        elif isinstance(settings, RewardModelStageSettings):
            found += [f"{at}.held_out=0", f"{at}.training.examples_per_batch=4"]
        elif isinstance(settings, DialogueDataSettings):
            found += [f"{at}.count=8"]
    return found


def run(name: str, out: Path, *overrides: str) -> dict[str, Any]:
    recipe = load_recipe(name, [*small(load_recipe(name)), *overrides])
    results: dict[str, Any] = run_recipe(recipe, out, RunOptions(), Progress(quiet=True), StopFlag())
    return dict(results["stages"])


def updates(out: Path, stage: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / f"stages/{stage}/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    return rows


@pytest.mark.usefixtures("_a_hub_of_few_rows")
@pytest.mark.parametrize("name", [name for name in PUBLISHED if name != "r1"])
def test_two_steps_of_every_stage(name: str, tmp_path: Path, random_model: Callable[[str], str]) -> None:
    stages = run(name, tmp_path / "run", f"base={random_model('qwen2')}")
    trained = [spec.name for spec in load_recipe(name).stages]
    assert list(stages) == ["base", *trained]
    for stage in trained:
        assert all(row["skipped"] == 0 for row in updates(tmp_path / "run", stage))


def rewritten(body: Mapping[str, Any]) -> tuple[int, bytes]:
    """What a rewriter answers: other words around the answer, which is the draft's last line."""
    answer = body["messages"][-1]["content"].splitlines()[-1].removeprefix("> ")
    return 200, completion(f"<think>One thing follows from another.</think>\n<answer>{answer}</answer>")


def r1_overrides(random_model: Callable[[str], str], address: str) -> list[str]:
    """What `r1` needs besides its size: places of models, and answers that are right."""
    at, short = "stages.cold_start", "problems: 2, sampling: {max_new_tokens: 8}"
    return [
        f"base={random_model('deepseek_v3')}",
        f"stages.distilled.from={random_model('qwen2')}",
        f"{at}={{review: automatic, tasks: [math]}}",
        f"{at}.rewriter={{model: null, endpoint: {{address: '{address}', model: rewriter}}}}",
        f"{at}.ways.refine={{model: micro, problems: 32, template: chat, sampling: {{max_new_tokens: 96}}}}",
        *(f"{at}.ways.{way}={{{short}}}" for way in ("direct", "few_shot")),
        "tasks.logic.train_size=20",
        "stages.general_rl.questions_per_step=12",  # so that each task has its share
        *(f"stages.general_rl.tasks.{task}.last_steps=1" for task in ("general", "harmless")),
        *(f"stages.general_rl.rewards.{term}.last_steps=1" for term in ("helpfulness", "harmlessness")),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("_a_hub_of_few_rows")
def test_two_steps_of_the_whole_chain(tmp_path: Path, random_model: Callable[[str], str]) -> None:
    out = tmp_path / "r1"
    with Server(rewritten) as rewriter:
        stages = run("r1", out, *r1_overrides(random_model, rewriter.address))
    assert list(stages) == ["cold_start_sft", "reasoning_rl", "sft2", "general_rl", "distilled"]
    assert all(set(tasks) == {"aime", "math", "code"} for tasks in stages.values())
    models = {
        stage: json.loads((out / f"stages/{stage}/model/config.json").read_text())["model_type"]
        for stage in (*stages, "r1_zero", "r1_zero_longer", "helpful_model", "harmless_model")
    }
    assert models.pop("distilled") == "qwen2"
    assert set(models.values()) == {"deepseek_v3"}
    for stage in models:
        updates(out, stage)
    first, last = updates(out, "general_rl")
    assert {"reward/helpfulness", "reward/harmlessness"} & first.keys() == set()
    assert {"reward/helpfulness", "reward/harmlessness"} <= last.keys()
    cold = [json.loads(line) for line in (out / "stages/cold_start/data/data.jsonl").read_text().splitlines()]
    assert {row["origin"] for row in cold} == {"refine"}
    assert all("One thing follows from another." in row["messages"][-1]["content"] for row in cold)


@pytest.mark.usefixtures("_a_hub_of_few_rows")
def test_a_run_with_programs_stops_before_training_where_no_sandbox_holds_them(
    tmp_path: Path, random_model: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Protection(Tier.LIMITS, run_program, 1, ("start a process",))
    monkeypatch.setattr("r1kit.tasks.code.find_protection", lambda workers: bare)
    with pytest.raises(SandboxError, match="one could start a process"):
        run("r1", tmp_path / "r1", *r1_overrides(random_model, "http://localhost:1/v1"))
    assert not (tmp_path / "r1/run.json").exists()


@pytest.mark.usefixtures("_a_hub_of_few_rows")
def test_the_tier_in_force_stands_in_the_manifest(tmp_path: Path, random_model: Callable[[str], str]) -> None:
    out = tmp_path / "run"
    run("r1-zero-qwen2.5-32b", out, f"base={random_model('qwen2')}", "stages.r1_zero.steps=1")
    programs = json.loads((out / "run.json").read_text())["programs"]["code"]
    expected = find_protection().record() | {"allow_unsafe_programs": False}
    assert programs == expected
    assert programs["breaches"] == []

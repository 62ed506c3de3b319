"""Published algorithms by name: what each sets, and how a recipe's own settings go with them."""

from __future__ import annotations

import json

import pytest
import yaml

from r1kit.cli import main
from r1kit.errors import RecipeError
from r1kit.learning.algorithms import ALGORITHMS, GOVERNED, expanded
from r1kit.pipeline.config import load_recipe

NAMES = [
    "grpo", "r1", "dr_grpo", "dapo", "rloo", "reinforce_pp", "reinforce_pp_baseline", "ppo", "gspo", "cispo",
    "best_of_n",
]  # fmt: skip


def stage_of(*overrides, recipe="laptop-zero"):
    return load_recipe(str(recipe), overrides).stage("r1_zero").settings


def test_the_published_algorithms_are_there_and_each_is_a_valid_stage():
    assert list(ALGORITHMS) == NAMES
    for name in NAMES:
        assert stage_of(f"stages.r1_zero.algorithm={name}").algorithm == name


def test_an_algorithm_sets_nothing_but_what_belongs_to_one():
    for algorithm in ALGORITHMS.values():
        for key, value in algorithm.settings.items():
            paths = [(key, inner) for inner in value] if key in ("batch", "rollouts") else [(key,)]
            assert set(paths) <= set(GOVERNED)


def test_dapo_is_as_published():
    stage = stage_of("stages.r1_zero.algorithm=dapo")
    objective = stage.objective
    assert (objective.advantage, objective.loss, objective.aggregation) == ("grpo", "ppo", "token_mean")
    assert (objective.clip_low, objective.clip_high, objective.kl_beta) == (0.2, 0.28, 0.0)
    assert (stage.rollouts.refill_rounds, stage.batch.minibatches) == (9, 16)


def test_r1_is_as_published():
    stage = stage_of("stages.r1_zero.algorithm=r1")
    objective = stage.objective
    assert (objective.advantage, objective.aggregation) == ("grpo", "sequence_mean")
    assert (objective.clip_low, objective.clip_high) == (1.0, 10.0)
    assert (objective.kl_kind, objective.kl_beta, objective.kl_in) == ("k3", 0.001, "loss")
    assert objective.reference_refresh * stage.batch.minibatches == 400


def test_the_gradient_of_dr_grpo_and_rloo_is_divided_by_the_runs_own_length_limit():
    for name in ("dr_grpo", "rloo"):
        chosen = f"stages.r1_zero.algorithm={name}"
        limit = stage_of(chosen).sampling.max_new_tokens
        assert stage_of(chosen).objective.constant_length == limit
        longest = "stages.r1_zero.sampling.max_new_tokens={shape: linear, points: {1: 100, 9: 300}}"
        assert stage_of(chosen, longest).objective.constant_length == 300
        apart = "stages.r1_zero.schedules={sampling.max_new_tokens: {points: {1: 100, 9: 300}}}"
        assert stage_of(chosen, apart).objective.constant_length == 300
        own = "stages.r1_zero.objective.constant_length=77"
        assert stage_of(chosen, own).objective.constant_length == 77
    assert expanded({"algorithm": "dr_grpo"})["objective"]["constant_length"] == 512


def test_the_critic_of_ppo_follows_the_learning_rate_unless_it_has_one_of_its_own():
    chosen, faster = "stages.r1_zero.algorithm=ppo", "stages.r1_zero.optimizer.learning_rate=3e-4"
    stage = stage_of(chosen, faster)
    assert (stage.objective.advantage, stage.critic.gae_lambda) == ("gae", 1.0)
    assert stage.critic_optimizer.learning_rate == pytest.approx(15e-4)
    own = "stages.r1_zero.critic={kind: head, optimizer: {learning_rate: 1e-3}}"
    assert stage_of(chosen, faster, own).critic_optimizer.learning_rate == 1e-3


def test_a_later_layers_algorithm_replaces_what_earlier_ones_say_of_theirs(tmp_path):
    base = stage_of()
    assert (base.objective.aggregation, base.batch.tokens_per_microbatch) == ("constant", 16384)
    gspo = stage_of("stages.r1_zero.algorithm=gspo")
    assert (gspo.objective.loss, gspo.objective.aggregation) == ("gspo", "sequence_mean")
    assert (gspo.batch.minibatches, gspo.batch.tokens_per_microbatch) == (4, 16384)
    assert gspo.optimizer == base.optimizer
    mine = tmp_path / "mine.yaml"
    stage = {"algorithm": "dapo", "objective": {"clip_high": 0.4}, "batch": {"minibatches": 2}}
    mine.write_text(yaml.safe_dump({"extends": "laptop-zero", "name": "mine", "stages": {"r1_zero": stage}}))
    own = stage_of(recipe=mine)
    assert (own.objective.aggregation, own.objective.clip_high, own.batch.minibatches) == (
        "token_mean",
        0.4,
        2,
    )
    other = stage_of("stages.r1_zero.algorithm=cispo", recipe=mine)
    assert (other.objective.clip_high, other.batch.minibatches, other.rollouts.refill_rounds) == (4.0, 16, 0)


def test_overrides_change_an_algorithm_in_any_order():
    chosen, higher = "stages.r1_zero.algorithm=dapo", "stages.r1_zero.objective.clip_high=0.5"
    assert stage_of(chosen, higher) == stage_of(higher, chosen)
    assert stage_of(higher, chosen).objective.clip_high == 0.5
    whole = "stages.r1_zero={algorithm: dapo, steps: 7}"
    assert (
        stage_of(higher, whole)
        == stage_of(whole, higher)
        == stage_of(chosen, "stages.r1_zero.steps=7", higher)
    )
    assert stage_of("stages.r1_zero.steps=9", whole).steps == 7  # all else in its order


def test_an_unknown_algorithm_gets_the_nearest_name():
    with pytest.raises(
        RecipeError, match=r"r1_zero\.algorithm: unknown algorithm 'dapi'; did you mean 'dapo'"
    ):
        stage_of("stages.r1_zero.algorithm=dapi")
    with pytest.raises(RecipeError, match=r"algorithm: found 3 \(integer\), expected text"):
        stage_of("stages.r1_zero.algorithm=3")


def test_refilling_is_refused_where_groups_of_equal_rewards_teach():
    for name in ("best_of_n", "reinforce_pp"):
        with pytest.raises(RecipeError, match="groups of equal rewards teach too"):
            stage_of(f"stages.r1_zero.algorithm={name}", "stages.r1_zero.rollouts.refill_rounds=2")


def test_a_reward_is_not_normalised_twice():
    once = "stages.r1_zero.objective.advantage=gdpo"
    with pytest.raises(RecipeError, match="normalise 'batch' with the advantage 'gdpo'"):
        stage_of(once, "stages.r1_zero.rewards.format={weight: 0.1, normalise: batch}")


def test_settings_of_a_stage_that_are_read_back_are_the_same():
    stage = stage_of("stages.r1_zero.algorithm=dr_grpo")
    assert type(stage).model_validate_json(json.dumps(stage.model_dump(mode="json"))) == stage


def test_the_command_lists_every_algorithm_with_its_source(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["algorithms"]) == 0
    printed = capsys.readouterr().out
    for name, algorithm in ALGORITHMS.items():
        assert f"{name}  {algorithm.summary}" in printed
        assert algorithm.source in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["dapo", "-0.2", "+0.28", "16", "9", "–"] in rows
    assert ["reinforce_pp", "raw,", "whiten", "ppo", "token_mean"] in rows

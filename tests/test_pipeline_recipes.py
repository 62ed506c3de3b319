from pathlib import Path

import pytest

from r1kit.errors import RecipeError
from r1kit.pipeline.config import load_recipe
from r1kit.pipeline.merge import packaged_recipes
from r1kit.stages.settings import PretrainStageSettings, RLStageSettings


@pytest.mark.parametrize("name", packaged_recipes())
def test_packaged_recipe_validates_and_is_named_after_its_file(name: str) -> None:
    extended = {"laptop-ablations": "laptop"}  # goes on in the run that it extends
    assert load_recipe(name).name == extended.get(name, name)


def test_laptop_zero_is_r1_zero_by_rule_rewards() -> None:
    (stage,) = load_recipe("laptop-zero").stages
    settings = stage.settings
    assert isinstance(settings, RLStageSettings)
    assert (stage.name, stage.kind, stage.start) == ("r1_zero", "rl", "base")
    assert set(settings.rewards) == {"accuracy", "format"}
    assert settings.objective.kl_beta == 0.0
    assert settings.sampling.temperature == 1.0


def test_laptop_is_the_whole_recipe_and_begins_with_the_same_r1_zero() -> None:
    laptop = load_recipe("laptop")
    models = [spec.name for spec in laptop.stages if spec.entry.makes == "model"]
    assert models == [
        "r1_zero",
        "cold_start_sft",
        "reasoning_rl",
        "sft2",
        "general_rl",
        "distilled",
        "student_rl",
    ]
    assert laptop.stages[0].settings == load_recipe("laptop-zero").stages[0].settings
    assert laptop.packaged_starts == {"nano"}


def test_ablations_go_on_in_the_run_of_the_laptop_recipe() -> None:
    laptop, beside = load_recipe("laptop"), load_recipe("laptop-ablations")
    assert beside.stages[: len(laptop.stages)] == laptop.stages
    with_reward, without = (
        beside.stage("reasoning_rl").settings,
        beside.stage("reasoning_rl_no_language").settings,
    )
    assert isinstance(with_reward, RLStageSettings)
    assert isinstance(without, RLStageSettings)
    rest = {name: term for name, term in with_reward.rewards.items() if name != "language_consistency"}
    assert with_reward.model_copy(update={"rewards": rest}) == without


def test_extends_merges_mappings_deeply() -> None:
    recipe = load_recipe("tiny")
    settings = recipe.stages[0].settings
    assert isinstance(settings, RLStageSettings)
    assert settings.steps == 2
    assert settings.sampling.max_new_tokens == 16
    assert settings.sampling.temperature == 1.0  # from the laptop recipe
    assert settings.template == "chat"


def test_micro_base_starts_from_nothing() -> None:
    web, micro = load_recipe("micro-base").stages
    assert (web.start, micro.start) == (None, "web")
    assert isinstance(web.settings, PretrainStageSettings)


def test_override_beats_the_file_and_number_spelling_is_free() -> None:
    recipe = load_recipe(
        "laptop", ["stages.r1_zero.optimizer.learning_rate=1e-5", "seed=7", "base=org/model"]
    )
    settings = recipe.stages[0].settings
    assert isinstance(settings, RLStageSettings)
    assert settings.optimizer.learning_rate == 1e-5
    assert (recipe.run.seed, recipe.run.base) == (7, "org/model")


WRONG_OVERRIDES = [
    ("stages.r1_zero.steps=ten", "stages.r1_zero.steps: found 'ten' (text), expected an integer"),
    ("stages.r1_zero.steps=1.5", "stages.r1_zero.steps: found 1.5 (number), expected an integer"),
    ("seed=true", "seed: found true (true/false), expected an integer"),
    ("evaluation=3", "evaluation: found 3 (integer), expected a mapping"),
    ("stages.r1_zero=4", "stages.r1_zero: found 4 (integer), expected a mapping"),
    ("stages.r1_zero.sampling.stop=x", "stages.r1_zero.sampling.stop: found 'x' (text), expected a list"),
    (
        "stages.r1_zero.optimizer.learning_rate=-1",
        "stages.r1_zero.optimizer.learning_rate: found -1 (integer), expected a number above 0.0",
    ),
    (
        "stages.r1_zero.objective.advantage=grp",
        "stages.r1_zero.objective.advantage: found 'grp' (text), expected one of 'grpo', 'dr_grpo', 'rloo', "
        "'opo', 'raw', 'best_of_n', 'gdpo' or 'gae'",
    ),
    ("tasks.countdown.numbers=[3,9]", "tasks.countdown.numbers: each must be 2 to 6, found [3, 9]"),
    (
        "stages.r1_zero.steps.x=1",
        "stages.r1_zero.steps.x: stages.r1_zero.steps is a value, it has no keys of its own",
    ),
    ("foo", "'foo' is not of the form key=value, e.g. stages.r1_zero.steps=10"),
]


@pytest.mark.parametrize(("override", "message"), WRONG_OVERRIDES)
def test_wrong_value_names_source_key_found_and_expected(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe("laptop", [override])
    assert str(error.value) == f"command line: {message}"


UNKNOWN_NAMES = [
    ("stages.r1_zero.stepz=3", "stages.r1_zero.stepz: unknown key; did you mean 'steps'?"),
    ("stages.r1_zero.form=base", "stages.r1_zero.form: unknown key; did you mean 'from'?"),
    (
        "stages.r1_zero.optimizer.learnin_rate=3",
        "stages.r1_zero.optimizer.learnin_rate: unknown key; did you mean 'le",
    ),
    ("bas=x", "bas: unknown key; did you mean 'base'?"),
    ("tasks.countdown.nmbers=3", "tasks.countdown.nmbers: unknown key; did you mean 'numbers'?"),
    (
        "tasks.countdown.task=cuntdown",
        "tasks.countdown.task: unknown task 'cuntdown'; did you mean 'countdown'?",
    ),
    ("evaluation.tasks=[countdwn]", "evaluation.tasks: unknown task 'countdwn'; did you mean 'countdown'?"),
    (
        "stages.r1_zero.tasks=[countdwn]",
        "stages.r1_zero.tasks: unknown task 'countdwn'; did you mean 'countdown'?",
    ),
    (
        "stages.r1_zero.rewards.formt=1",
        "stages.r1_zero.rewards: unknown reward 'formt'; did you mean 'format'?",
    ),
    ("stages.r1_zero.template=cht", "stages.r1_zero.template: unknown template 'cht'; did you mean 'chat'?"),
    ("stages.r1_zero.kind=lr", "stages.r1_zero.kind: unknown stage kind 'lr'; did you mean 'rl'?"),
    (
        "stages.r1_zero.from=bse",
        "stages.r1_zero.from: unknown model to start from 'bse'; did you mean 'base'?",
    ),
    (
        "stages.r1_zero.rewards.cosine={params: {max_len: 3}}",
        "stages.r1_zero.rewards: reward 'cosine': unknown setting 'max_len'; did you mean 'max_length'?",
    ),
    (
        "stages.r1_zero.rewards.cosine={weigth: 3}",
        "stages.r1_zero.rewards.cosine.weigth: unknown key; did you mean 'weight'?",
    ),
]


@pytest.mark.parametrize(("override", "message"), UNKNOWN_NAMES)
def test_unknown_name_gets_the_nearest_known_one(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe("laptop", [override])
    assert str(error.value).startswith(f"command line: {message}")


@pytest.mark.parametrize(
    ("key", "value"),
    [("tasks", "[countdown]"), ("tags", "[helpful]"), ("last_steps", "3"), ("normalise", "batch")],
)
def test_what_a_teacher_would_ignore_is_refused(key: str, value: str) -> None:
    teacher = "stages.r1_zero.rewards.teacher={weight: 0.5, params: {model: base}}"
    load_recipe("laptop-zero", [teacher])
    with pytest.raises(RecipeError) as error:
        load_recipe("laptop-zero", [teacher, f"stages.r1_zero.rewards.teacher.{key}={value}"])
    assert str(error.value) == (
        f"command line: stages.r1_zero.rewards.teacher.{key}: the teacher's reward counts for every token of "
        "the stage; it takes weight and params alone"
    )


def test_error_names_the_file_that_holds_the_key(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text("extends: laptop\nstages: {r1_zero: {stepz: 3}}\n")
    (tmp_path / "child.yaml").write_text("extends: parent.yaml\nname: child\n")
    with pytest.raises(RecipeError, match=r"parent\.yaml: stages\.r1_zero\.stepz: unknown key"):
        load_recipe(str(tmp_path / "child.yaml"))


def test_missing_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("name: r\nbase: micro\nstages: {zero: {kind: rl, tasks: [], rewards: {accuracy: 1}}}\n")
    with pytest.raises(RecipeError) as error:
        load_recipe(str(file))
    assert str(error.value) == f"{file}: stages.zero.tasks: found [] (list), expected at least 1 entries"
    file.write_text("base: micro\nstages: {zero: {kind: rl}}\n")
    with pytest.raises(RecipeError) as error:
        load_recipe(str(file))
    assert str(error.value) == f"{file}: name: this key is required and not there"


def test_stage_may_start_only_from_an_earlier_one(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(
        "extends: tiny\nstages: {more: {kind: rl, from: later, tasks: [countdown], rewards: {accuracy: 1}}}\n"
    )
    with pytest.raises(RecipeError, match=r"unknown model to start from 'later'; Known: base, r1_zero$"):
        load_recipe(str(file))


def test_circle_of_extends_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(RecipeError, match=r"b\.yaml: extends: a\.yaml extends this recipe in turn$"):
        load_recipe(str(tmp_path / "a.yaml"))


def test_unknown_recipe_gets_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^no recipe named 'lptop'; did you mean 'laptop'\?"):
        load_recipe("lptop")
    with pytest.raises(RecipeError, match=r"^no recipe file .*nothing\.yaml$"):
        load_recipe(str(tmp_path / "nothing.yaml"))


def test_two_recipe_tasks_of_one_kind_keep_their_names() -> None:
    recipe = load_recipe(
        "tiny", ["tasks.harder={task: countdown, numbers: 4, test_size: 3}", "evaluation.tasks=[harder]"]
    )
    assert len(recipe.tasks["harder"].problems("test")) == 3
    assert {len(p.reference["nums"]) for p in recipe.tasks["harder"].problems("test")} == {4}

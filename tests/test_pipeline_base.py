import json
from pathlib import Path

import pytest

from r1kit.errors import ModelError, RecipeError
from r1kit.files import publish_folder
from r1kit.pipeline.base import checked_model
from r1kit.pipeline.config import load_recipe
from r1kit.pipeline.space import bytes_needed


def fill(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"dtype": "float32"}))
    (folder / "model.safetensors").write_bytes(bytes(4096))


def test_flipped_bit_in_a_published_base_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    publish_folder(fill, folder)
    assert checked_model(str(folder)) == str(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(b"\1" + weights.read_bytes()[1:])
    with pytest.raises(ModelError, match=r"damaged: .*model\.safetensors: content differs"):
        checked_model(str(folder))


@pytest.mark.parametrize("config", ["{", "[]", "{}", "\udc80"])
def test_damaged_config_does_not_break_the_estimate(tmp_path: Path, config: str) -> None:
    fill(tmp_path)
    (tmp_path / "config.json").write_bytes(config.encode("utf-8", "surrogateescape"))
    recipe = load_recipe("tiny", [f"base={tmp_path}"])
    assert bytes_needed(recipe, ["r1_zero"]) > 1024 * 12


@pytest.mark.parametrize(
    "key", ["stages.r1_zero.rewards.accuracy", "stages.r1_zero.optimizer.learning_rate", "evaluation.top_p"]
)
@pytest.mark.parametrize("value", [".nan", ".inf"])
def test_number_that_is_not_finite_is_refused_with_its_key(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(RecipeError, match=rf"^command line: {key}") as error:
        load_recipe("tiny", [f"base={tmp_path}", f"{key}={value}"])
    assert "\n" not in str(error.value)


def test_endless_key_of_an_override_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^command line: a\.a\.a.*: nested deeper than 64$"):
        load_recipe("tiny", [".".join("a" * 3000) + "=1"])

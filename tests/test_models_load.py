"""Loading and saving: ordinary checkpoints go round, broken ones give one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_sampler import END, make_model, make_tokenizer

from r1kit.errors import ModelError
from r1kit.models.load import load_model, load_tokenizer, resolve_base, revision_of, save_model
from r1kit.models.precision import resolve


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_model(make_model("qwen2"), make_tokenizer(), tmp_path)
    return tmp_path


@pytest.mark.parametrize("family", ["llama", "deepseek_v3"])
def test_saved_model_loads_with_equal_weights_and_tokenizer(family: str, tmp_path: Path) -> None:
    model = make_model(family)
    model.generation_config.eos_token_id = None
    save_model(model, make_tokenizer(), tmp_path)
    loaded, tokenizer = load_model(tmp_path, torch.float32, "cpu"), load_tokenizer(tmp_path)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], weight, rtol=0, atol=0)
    assert not loaded.training
    assert revision_of(tmp_path) is None
    assert tokenizer.encode("ab!") == make_tokenizer().encode("ab!")
    assert json.loads((tmp_path / "generation_config.json").read_text())["eos_token_id"] == END
    assert not list(tmp_path.glob("*.bin"))


def test_weights_load_in_the_asked_format_and_rotary_frequencies_stay_float32(checkpoint: Path) -> None:
    model = load_model(checkpoint, torch.bfloat16, "cpu")
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert {b.dtype for name, b in model.named_buffers() if "inv_freq" in name} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "no such model folder"),
        ("/nowhere/at/all", "no such model folder"),
        ("a/b/c", "no such model folder"),
        ("", "no config.json"),
    ],
)
def test_missing_folder_is_one_line(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(name, torch.float32, "cpu")
    assert "\n" not in str(caught.value)


def test_hub_name_is_left_as_it_stands() -> None:
    assert resolve_base("Qwen/Qwen2.5-3B") == "Qwen/Qwen2.5-3B"


def test_revision_is_the_commit_of_the_downloaded_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--some--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "snapshots" / commit / "config.json").write_text("{}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert revision_of("some/model") == commit
    assert revision_of("some/other") is None


def test_folder_without_config_is_one_line(checkpoint: Path) -> None:
    (checkpoint / "config.json").unlink()
    with pytest.raises(ModelError, match=r"has no config\.json"):
        resolve_base(str(checkpoint))


def test_pickle_weights_are_refused(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only pickle weights \(pytorch_model\.bin\)"):
        load_model(checkpoint, torch.float32, "cpu")
    (checkpoint / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match=r"no \*\.safetensors weights"):
        load_model(checkpoint, torch.float32, "cpu")


def test_truncated_weights_are_one_line(checkpoint: Path) -> None:
    file = checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot load the model") as caught:
        load_model(checkpoint, torch.float32, "cpu")
    assert "\n" not in str(caught.value)


def test_missing_tensor_is_named_instead_of_left_random(checkpoint: Path) -> None:
    file = checkpoint / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 of the model's tensors, e\.g\. model\.layers\.1\.mlp\.up"):
        load_model(checkpoint, torch.float32, "cpu")


def test_missing_tokenizer_is_one_line(checkpoint: Path) -> None:
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "tokenizer_config.json").unlink()
    with pytest.raises(ModelError, match="has no tokenizer") as caught:
        load_tokenizer(checkpoint)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True, "amx_bf16": False}, torch.float32),
        ({"avx2": True}, torch.float32),
    ],
)
def test_auto_precision_follows_the_cpu(
    capabilities: dict[str, bool], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve("auto", "cpu") == expected
    assert resolve("float32", "cpu") == torch.float32
    assert resolve("bfloat16", "cpu") == torch.bfloat16

"""A finished model as others use it: transformers checkpoint, tokenizer, model card and how it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from r1kit import __version__
from r1kit.files import publish_folder, write_json
from r1kit.models.load import load_model, load_tokenizer, save_model
from r1kit.stages.protocol import ModelSource, StageContext

PROVENANCE = "provenance.json"  # inside the checkpoint, so that it travels with it


def load_source(source: ModelSource, dtype: torch.dtype, device: str) -> tuple[nn.Module, Any]:
    """The model of a source and its tokenizer. Raises ModelError."""
    tokenizer = load_tokenizer(source.place, source.revision, source.trust_remote_code)
    model = load_model(source.place, dtype, device, source.revision, source.trust_remote_code)
    return model, tokenizer


def publish_model(
    context: StageContext, model: nn.Module, tokenizer: Any, made: Mapping[str, Any], story: str
) -> None:
    """Write `context.output`, whole or not at all.

    Args:
        context: of the stage that made the model.
        model: its weights are saved as they are.
        tokenizer: saved beside it.
        made: how the model was made, JSON-serialisable; becomes `provenance.json`.
        story: one sentence for the model card.
    """
    publish_folder(_writer(context, model, tokenizer, made, story), context.output, needed=_bytes(model))


def _writer(
    context: StageContext, model: nn.Module, tokenizer: Any, made: Mapping[str, Any], story: str
) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        save_model(model, tokenizer, folder)
        write_json(folder / PROVENANCE, {**made, "fingerprint": context.fingerprint, "stage": context.name})
        (folder / "README.md").write_text(model_card(context, story), encoding="utf-8")

    return write


def model_card(context: StageContext, story: str) -> str:
    """The checkpoint's README.md with the hub's front matter."""
    source = context.inputs.get("model")
    start = source.place if source else None
    shown = Path(start).name if start and Path(start).is_dir() else start
    parent = f"base_model: {shown}\n" if start and not Path(start).is_dir() else ""
    return (
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [r1kit, reasoning]\n"
        f"{parent}---\n\n"
        f"# {context.name}\n\n{story}\n\n"
        f"Made by r1kit {__version__}"
        + (f", starting from `{shown}`" if shown else "")
        + f". `{PROVENANCE}` says how.\n\n"
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")\n'
        'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")\n```\n\n'
        "Or talk to it: `r1kit chat path/to/this/folder`.\n"
    )


def _bytes(model: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())

"""The shape of a decoder and its number of parameters, from `config.json` alone.

Known are Llama-like decoders: grouped-query attention, a gated feed-forward layer, norms by the root of the
mean square, whatever their name among `FAMILIES`. Of others nothing is guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.errors import ModelError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""`model_type` of the decoders whose memory is known."""
_DEFAULT_CONTEXT = {"llama": 2048, "mistral": 131072, "qwen2": 32768, "qwen3": 32768}


@dataclass(frozen=True, slots=True)
class ModelShape:
    """`ModelShape("llama", 1280, 192, 512, 4, 6, 3, 32, 2048, True)`: the packaged micro base."""

    family: str  # one of FAMILIES
    vocabulary: int
    width: int  # of the residual stream
    feed_forward: int  # inner width of the gated layer
    layers: int
    heads: int  # of the queries
    kv_heads: int
    head_width: int
    context: int  # positions
    tied: bool  # input embedding and output head are one matrix
    attention_bias: bool = False  # Llama's own setting; Qwen2 always has it on queries, keys and values

    @property
    def query_width(self) -> int:
        """Width of all heads' queries together."""
        return self.heads * self.head_width

    @property
    def kv_width(self) -> int:
        """Width of all heads' keys together; that of their values is the same."""
        return self.kv_heads * self.head_width

    @property
    def layer_matrices(self) -> int:
        """Weights of the linear maps of one layer: queries and output, keys and values, gate, up and down."""
        return self.width * (2 * self.query_width + 2 * self.kv_width + 3 * self.feed_forward)

    @property
    def parameters(self) -> int:
        """All of them; a tied head counts once."""
        layer = self.layer_matrices + 2 * self.width + self._biases + self._head_norms
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        return self.layers * layer + self.width + embeddings

    @property
    def normalises_heads(self) -> bool:
        """Whether each head's queries and keys have a norm (Qwen3)."""
        return self.family == "qwen3"

    @property
    def _biases(self) -> int:
        in_width = self.query_width + 2 * self.kv_width
        if self.family == "qwen2":
            return in_width
        return in_width + self.width if self.attention_bias else 0

    @property
    def _head_norms(self) -> int:
        return 2 * self.head_width if self.normalises_heads else 0


def shape_of(config: Mapping[str, Any], name: str) -> ModelShape:
    """The shape that a `config.json` describes.

    Raises ModelError: another architecture, or a number is missing or no number. `name` is for the message.
    """
    family = config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise ModelError(
            f"{name}: the memory of model_type {family!r} cannot be estimated; known: {', '.join(FAMILIES)}"
        )
    heads, width = _number(config, "num_attention_heads", name), _number(config, "hidden_size", name)
    # null in published files means: the library's own default
    given = {key for key, value in config.items() if value is not None}
    kv_heads = _number(config, "num_key_value_heads", name) if "num_key_value_heads" in given else heads
    if heads % kv_heads:
        raise ModelError(
            f"{name}: config.json: num_key_value_heads: needs a divisor of num_attention_heads, {heads};"
            f" found {kv_heads}"
        )
    return ModelShape(
        family=family,
        vocabulary=_number(config, "vocab_size", name),
        width=width,
        feed_forward=_number(config, "intermediate_size", name),
        layers=_number(config, "num_hidden_layers", name),
        heads=heads,
        kv_heads=kv_heads,
        head_width=_number(config, "head_dim", name) if "head_dim" in given else width // heads,
        context=_number(config, "max_position_embeddings", name)
        if "max_position_embeddings" in given
        else _DEFAULT_CONTEXT[family],
        tied=bool(config.get("tie_word_embeddings", False)),
        attention_bias=bool(config.get("attention_bias", False)),
    )


def _number(config: Mapping[str, Any], key: str, name: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"{name}: config.json: {key}: needs a whole number of at least 1, found {value!r}")
    return value


def read_config(folder: Path, name: str) -> Mapping[str, Any]:
    """The content of a folder's `config.json`. Raises ModelError when it is not there or damaged."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{name}: config.json cannot be read: {' '.join(str(error).split())[:160]}"
        ) from None
    if not isinstance(config, dict):
        raise ModelError(f"{name}: config.json holds no settings")
    return config


def config_for(shape: ModelShape) -> dict[str, Any]:
    """A `config.json` of this shape, from which a model with random weights can be made."""
    config = {
        "model_type": shape.family,
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_width,
        "max_position_embeddings": shape.context,
        "tie_word_embeddings": shape.tied,
    }
    if shape.family == "mistral":
        config["sliding_window"] = None  # as the sampler needs it
    return config | ({"attention_bias": True} if shape.attention_bias else {})

"""The base class of every settings record: typed, frozen, unknown keys refused, each field documented."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A group of settings of one part. Subclasses document each field in the string below it.

    A recipe file is validated against these models; `pipeline.config` turns a validation error into one line
    that names the file, the key and the nearest known name.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    @classmethod
    def prepared(cls, data: Any) -> Any:
        """Plain data as a recipe may write it, in the form of these settings: the same, if not overridden."""
        return data

"""Parameters that several terms share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from r1kit.settings import Settings

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class PublishedParameters(Settings):
    """Of a term that has no others."""

    published: bool = False
    """Compute what the published code computes, its known faults included."""

"""Rows of stored prompts, harmless or harmful, as problems of the dialogue task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xxhash

from r1kit.errors import DataError
from r1kit.text.language import word_counts
from r1kit.types import Message, Problem

LABELS = {"harmful": True, "unsafe": True, "harmless": False, "helpful": False, "safe": False}
"""What the field `label` may say -> whether the prompt is to be refused."""


def problem_of_row(row: Mapping[str, Any], where: str, task: str) -> Problem:
    """The problem of a row with `prompt` and, optionally, `harmful` or `label`; harmless without either.

    Raises DataError that names the field.
    """
    text = row.get("prompt")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: field 'prompt' must be non-empty text, found {repr(text)[:60]}")
    harmful = _harmful(row, where)
    key = xxhash.xxh3_64_hexdigest(" ".join(text.split()).encode("utf-8", "surrogatepass"))
    counts = word_counts(text)
    language = "zh" if 2 * counts["zh"] > sum(counts.values()) else "en"
    tags = ("harmful" if harmful else "helpful",)
    return Problem(f"{task}/{key}", task, (Message("user", text),), {"harmful": harmful}, language, tags)


def _harmful(row: Mapping[str, Any], where: str) -> bool:
    harmful, label = row.get("harmful"), row.get("label")
    if harmful is not None:
        if harmful not in (0, 1):
            raise DataError(f"{where}: field 'harmful' must be true or false, found {repr(harmful)[:60]}")
        return bool(harmful)
    if label is None:
        return False
    if not isinstance(label, str) or label.strip().lower() not in LABELS:
        raise DataError(
            f"{where}: field 'label' must be one of {', '.join(LABELS)}, found {repr(label)[:60]}; "
            "put true or false into a field 'harmful'"
        )
    return LABELS[label.strip().lower()]

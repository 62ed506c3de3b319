"""Which numbers of a reinforcement-learning run may change over its steps, and the settings of one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from r1kit.schedules import Schedule

SCHEDULED: Mapping[str, type] = {
    "questions_per_step": int,
    "group_size": int,
    "sampling.temperature": float,
    "sampling.max_new_tokens": int,
    "optimizer.learning_rate": float,
    "objective.clip_low": float,
    "objective.clip_high": float,
    "objective.dual_clip": float,
    "objective.importance_cap": float,
    "objective.kl_beta": float,
    "objective.entropy_bonus": float,
}
"""Path of a setting -> its type. Besides these, shares of tasks and weights of rewards may change."""


def lifted(data: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as written, in which a number may be `{shape, points}`, with these under `schedules` instead.

    In its place stands the value of the first step, so that every setting keeps its type. What is no
    schedule is left to be refused where it stands, a wrong one under `schedules`.
    """
    plain = dict(data)
    if not isinstance(plain.get("schedules", {}), Mapping):
        return plain
    found: dict[str, Any] = dict(plain.get("schedules", {}))
    for path, kind in SCHEDULED.items():
        *groups, name = path.split(".")
        group = plain.get(groups[0]) if groups else plain
        if not isinstance(group, Mapping) or not isinstance(written := group.get(name), Mapping):
            continue
        if "points" not in written:
            continue
        found[path] = dict(written)
        changed = {key: value for key, value in group.items() if key != name} | _first(written, name, kind)
        plain = {**plain, groups[0]: changed} if groups else changed
    return {**plain, "schedules": found} if found else plain


def _first(written: Mapping[str, Any], name: str, kind: type) -> dict[str, Any]:
    """The value of the first step under its name; nothing for a schedule that will be refused."""
    try:
        return {name: kind(Schedule.model_validate_json(json.dumps(written)).at(1))}
    except ValidationError:
        return {}


def values(schedules: Mapping[str, Schedule], step: int) -> dict[str, int | float]:
    """The value of each scheduled setting at a step; whole numbers are rounded."""
    found: dict[str, int | float] = {}
    for path, schedule in schedules.items():
        value = schedule.at(step)
        found[path] = round(value) if SCHEDULED[path] is int else value
    return found


def replaced(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with other values at these paths."""
    new = dict(data)
    for path, value in changes.items():
        first, _, rest = path.partition(".")
        new[first] = replaced(new[first], {rest: value}) if rest else value
    return new

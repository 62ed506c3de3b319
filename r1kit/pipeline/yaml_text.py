"""YAML as recipes need it: `1e-5` is a number, `no` is text, a repeated key is an error.

PyYAML follows YAML 1.1, where `1e-5` is text, `no` is false, `1:30` is ninety and a repeated key wins.
This loader resolves scalars by the core schema of YAML 1.2 and builds plain data only, never objects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from typing import Any

import yaml

from r1kit.errors import RecipeError

MAX_CHARACTERS = 1_000_000
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(
    r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|^\.nan$"
)
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


class _RecipeLoader(yaml.SafeLoader):
    """SafeLoader with the YAML 1.2 core schema; keys must be text and may not repeat."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's name

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A dict of the node, refusing a key that is not text or stands twice in one mapping."""
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            where = f"line {key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"{where}: key {key!r} is not text")
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{where}: key {key!r} is given twice")
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _construct_int(loader: _RecipeLoader, node: yaml.ScalarNode) -> int:
    text = str(node.value)
    if len(text) > 40:
        raise yaml.constructor.ConstructorError(
            None, None, f"line {node.start_mark.line + 1}: a number of {len(text)} digits"
        )
    return int(text)


def _construct_float(loader: _RecipeLoader, node: yaml.ScalarNode) -> float:
    text = str(node.value).lower()
    return math.nan if text == ".nan" else float(text.replace(".inf", "inf"))


# Order matters: the first pattern that matches gives the type, and `12` matches both numbers.
for _tag, _pattern, _first in (
    ("bool", _BOOL, "tTfF"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("null", _NULL, ["~", "n", "N", ""]),
):
    _RecipeLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))
_RecipeLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_RecipeLoader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def parse_yaml(text: str, source: str) -> Any:
    """The data in `text`; `source` is the file's name for messages. Raises RecipeError in one line."""
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(f"{source}: {len(text)} characters; a recipe has at most {MAX_CHARACTERS}")
    try:
        return yaml.load(text, Loader=_RecipeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise RecipeError(f"{source}: {place}{error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise RecipeError(f"{source}: {reason}") from None

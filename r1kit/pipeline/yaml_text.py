"""YAML as recipes need it: `1e-5` is a number, `no` is text, a repeated key is an error.

PyYAML follows YAML 1.1, where `1e-5` is text, `no` is false, `1:30` is ninety and a repeated key wins.
This loader resolves scalars by the core schema of YAML 1.2 and builds plain data only, never objects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from typing import Any, ClassVar

import yaml

from r1kit.errors import RecipeError

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 64
MAX_VALUES = 100_000
"""Values of one recipe, every use of an alias counted: a few aliases can stand for endless data."""

_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(
    r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|^\.nan$"
)
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_KEPT_TAGS = (
    *(f"tag:yaml.org,2002:{name}" for name in ("null", "seq", "map", "str")),
    None,
)  # None: all others


class _RecipeLoader(yaml.SafeLoader):
    """SafeLoader with the YAML 1.2 core schema and no other tag; keys are text and may not repeat."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's name
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: yaml.SafeLoader.yaml_constructors[tag] for tag in _KEPT_TAGS
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A dict of the node. A whole number as key, a step, becomes its digits.

        Other keys that are not text are refused, and those that stand twice in one mapping.
        """
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            where = f"line {key_node.start_mark.line + 1}"
            if type(key) is int:
                key = str(key)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"{where}: key {key!r} is not text")
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{where}: key {key!r} is given twice")
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return {str(key): value for key, value in mapping.items()}


def _construct_bool(loader: _RecipeLoader, node: yaml.ScalarNode) -> bool:
    return _scalar(node, _BOOL, "true or false").lower() == "true"


def _construct_int(loader: _RecipeLoader, node: yaml.ScalarNode) -> int:
    text = _scalar(node, _INT, "an integer")
    if len(text) > 40:
        raise yaml.constructor.ConstructorError(
            None, None, f"line {node.start_mark.line + 1}: a number of {len(text)} digits"
        )
    return int(text)


def _construct_float(loader: _RecipeLoader, node: yaml.ScalarNode) -> float:
    text = _scalar(node, _FLOAT, "a number").lower()
    return math.nan if text == ".nan" else float(text.replace(".inf", "inf"))


def _scalar(node: yaml.Node, pattern: re.Pattern[str], wanted: str) -> str:
    """The node's text, which an explicit tag such as `!!int` may have put on anything."""
    if not isinstance(node, yaml.ScalarNode) or not pattern.match(node.value):
        raise yaml.constructor.ConstructorError(
            None, None, f"line {node.start_mark.line + 1}: tagged as {wanted}, and is none"
        )
    return str(node.value)


# Order matters: the first pattern that matches gives the type, and `12` matches both numbers.
for _tag, _pattern, _first in (
    ("bool", _BOOL, "tTfF"),
    ("int", _INT, "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("null", _NULL, ["~", "n", "N", ""]),
):
    _RecipeLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))
_RecipeLoader.add_constructor("tag:yaml.org,2002:bool", _construct_bool)
_RecipeLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_RecipeLoader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def parse_yaml(text: str, source: str) -> Any:
    """The data in `text`; `source` is the file's name for messages. Raises RecipeError in one line."""
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(f"{source}: {len(text)} characters; a recipe has at most {MAX_CHARACTERS}")
    try:
        data = yaml.load(text, Loader=_RecipeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise RecipeError(f"{source}: {place}{error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise RecipeError(f"{source}: {reason}") from None
    if fault := _too_much(data):
        raise RecipeError(f"{source}: {fault}")
    return data


def _too_much(data: Any) -> str:
    """Why plain data is more than a recipe can be, or ""; ends on data that contain themselves, too."""
    waiting, count = [(data, 1)], 1
    while waiting:
        value, depth = waiting.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        count += len(inner)
        if count > MAX_VALUES:
            return f"more than {MAX_VALUES} values, every use of an alias counted"
        if depth > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH}"
        waiting += [(item, depth + 1) for item in inner]
    return ""

"""A pydantic validation error as one line: the key, what was found, what is expected, the nearest name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from r1kit.errors import RecipeError, suggestion
from r1kit.settings import Settings

S = TypeVar("S", bound=Settings)
Path = tuple[str | int, ...]

_EXPECTED: dict[str, str] = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "none_required": "null",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_pattern_mismatch": "text matching {pattern}",
    "string_too_short": "text of at least {min_length} characters",
}


def validate(
    model: type[S], data: Any, at: Path, origin: Callable[[Path], str], also: Sequence[str] = ()
) -> S:
    """`data` as a record of `model`.

    Args:
        model: the settings class.
        data: plain data as YAML gives it.
        at: where in the recipe `data` stands, for messages.
        origin: the file that a key path came from.
        also: keys beside those of `model` that the recipe may hold there, for messages.

    Raises:
        RecipeError: names file, key, what was found and what is expected. Only the first fault is told.
    """
    data = model.prepared(data)
    try:
        # Through JSON, because strict mode then takes a list for a tuple: YAML has no other spelling.
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise RecipeError(_one_line(error, model, data, at, origin, also)) from None


def dotted(path: Sequence[str | int]) -> str:
    """`stages.r1_zero.steps` of `("stages", "r1_zero", "steps")`."""
    return ".".join(str(part) for part in path)


def _one_line(
    error: ValidationError,
    model: type[BaseModel],
    data: Any,
    at: Path,
    origin: Callable[[Path], str],
    also: Sequence[str],
) -> str:
    faults = [(_real_path(fault["loc"], data), fault) for fault in error.errors(include_url=False)]
    # A misspelt key usually leaves the right one missing as well: the misspelling is the message that helps.
    faults.sort(key=lambda pair: pair[1]["type"] != "extra_forbidden")
    path, first = faults[0]
    where = f"{origin(at + path)}: {dotted(at + path) or 'the file'}"
    if first["type"] == "extra_forbidden":
        known = [*known_keys(model, path[:-1]), *(also if len(path) == 1 else ())]
        return f"{where}: unknown key{suggestion(str(path[-1]), known)}"
    if first["type"] == "missing":
        return f"{where}: this key is required and not there"
    if first["type"] == "value_error":
        return f"{where}: {first['ctx']['error']}"
    wanted = dict.fromkeys(_expected(fault) for other, fault in faults if other == path)
    return f"{where}: found {found(first['input'])}, expected {' or '.join(wanted)}"


def found(value: Any) -> str:
    """`'ten' (text)`: a value and its type in YAML's words, cut to a line."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    kinds = {bool: "true/false", int: "integer", float: "number", str: "text", type(None): "nothing"}
    kind = kinds.get(type(value), "mapping" if isinstance(value, Mapping) else "list")
    return f"{text if len(text) <= 60 else text[:57] + '…'} ({kind})"


def _expected(fault: Mapping[str, Any]) -> str:
    pattern = _EXPECTED.get(fault["type"])
    if pattern is None:
        return f"otherwise ({fault['msg'][:1].lower()}{fault['msg'][1:]})"
    return pattern.format(**fault.get("ctx", {}))


def _real_path(loc: Sequence[str | int], data: Any) -> Path:
    """`loc` without the parts that name a union's branches instead of a key of `data`."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        if isinstance(data, Mapping):
            last = index == len(loc) - 1  # the last part may be a missing key
            if part not in data and not last:
                continue
            path.append(part)
            data = data.get(str(part))
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
    return tuple(path)


def known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that the record at `path` inside `model` may have, as a recipe spells them."""
    models = [model]
    for part in path:
        fields = [(m, name) for m in models for name, f in m.model_fields.items() if part in (name, f.alias)]
        if fields:  # otherwise the part is a list index or a free mapping key: the candidates stay
            models = [inner for m, name in fields for inner in _models(m.model_fields[name].annotation)]
    return [field.alias or name for m in models for name, field in m.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)

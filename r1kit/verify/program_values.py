"""Values of programs as plain JSON: what JSON has stands for itself, the rest is an object with one tag.

[1, 2.5, "a", true, null]             themselves
{"a": 1}                              a dictionary
{"__tuple__": [1, 2]}                 (1, 2)
{"__set__": [1, 2]}                   {1, 2}, a frozen one too
{"__dict__": [[1, "a"], [2, "b"]]}    {1: "a", 2: "b"}
{"__other__": "generator"}            anything else, by its type; equal to nothing
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

MAX_DEPTH = 60
"""Deepest nesting of a value."""

_LISTED = ("__tuple__", "__set__", "__dict__")
_OTHER = "__other__"
_HASHABLE = ("", "__tuple__")
_BRACKETS = {"__list__": ("[", "]"), "__tuple__": ("(", ")"), "__set__": ("{", "}"), "__dict__": ("{", "}")}
_SCALARS = (int, str, float, bool, type(None))
_NUMBER_CHARACTERS = 330  # a float may stand where an integer is expected, and the other way round
_TAG_CHARACTERS = 20  # tag, brackets and comma


def encode(value: object) -> Any:
    """The JSON form of a Python value. Raises ValueError for what has none (bytes, complex, infinity)."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"__tuple__": [encode(item) for item in value]}
    if isinstance(value, set | frozenset):
        return {"__set__": [encode(item) for item in sorted(value, key=repr)]}
    if isinstance(value, dict):
        return {"__dict__": [[encode(key), encode(item)] for key, item in value.items()]}
    raise ValueError(f"a {type(value).__name__} has no JSON form")


def check(value: object) -> None:
    """Raise ValueError unless `value` is the JSON form of a Python value, e.g. in a data set's row."""
    if not is_well_formed(value):
        raise ValueError(f"not plain JSON, or nested deeper than {MAX_DEPTH}")
    for part in _walk(value):
        kind, items = _parts(part)
        if kind == _OTHER or (isinstance(part, float) and not math.isfinite(part)):
            raise ValueError(f"{str(part)[:60]} has no Python form")
        keys = items if kind == "__set__" else [pair[0] for pair in items] if kind == "__dict__" else []
        if not all(_parts(inner)[0] in _HASHABLE for key in keys for inner in _walk(key)):
            raise ValueError("a list, set or dictionary inside a set, or as a key")


def is_well_formed(value: object) -> bool:
    """Whether `value` is of the notation, with tags as described and no deeper than MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH):
        nodes = [item for item in level if not isinstance(item, _SCALARS)]
        if not nodes:
            return True
        if not all(map(_is_node, nodes)):
            return False
        level = [inner for item in nodes for inner in _inside(item)]
    return not level


def same(expected: Any, got: Any) -> bool:
    """Whether a program returned what was expected; both in JSON form and well-formed, `got` untrusted.

    As Python's `==`, with two differences. True is not 1, and False is not 0. A tuple is accepted where a
    list is expected, at any depth, as APPS and LiveCodeBench do, whose expected values are JSON; an expected
    tuple, which comes from an assert line, must be a tuple. Floats must be equal to the last digit.
    """
    kind, items = _parts(expected)
    got_kind, got_items = _parts(got)
    if kind == "":
        return got_kind == "" and _scalar(expected) == _scalar(got)
    if got_kind not in (("__list__", "__tuple__") if kind == "__list__" else (kind,)):
        return False
    if len(items) != len(got_items):
        return False
    if kind == "__set__":
        return _same_keys([_key(item) for item in items], [_key(item) for item in got_items])
    if kind == "__dict__":
        wanted = {_key(key): value for key, value in items}
        keys = [_key(key) for key, _ in got_items]
        if not _same_keys(list(wanted), keys):
            return False
        return all(same(wanted[key], value) for key, (_, value) in zip(keys, got_items, strict=True))
    return all(map(same, items, got_items))


def _same_keys(expected: Sequence[Hashable], got: Iterable[Hashable]) -> bool:
    """Whether both hold the same keys. `got` may be built to have one hash, and a set of it would then take
    quadratic time: only expected keys are kept."""
    wanted, met = set(expected), set[Hashable]()
    for key in got:
        if key not in wanted:
            return False
        met.add(key)
    return len(met) == len(wanted)


def longest(expected: Any) -> int:
    """The most characters of JSON that a value may have that is `same` as the expected one."""
    total, pending = 0, [expected]
    while pending:
        kind, items = _parts(pending.pop())
        if kind == "":
            total += _TAG_CHARACTERS + (
                len(json.dumps(items)) if isinstance(items, str) else _NUMBER_CHARACTERS
            )
        else:
            total += _TAG_CHARACTERS * (1 + len(items))
            pending += _inside_of(kind, items)
    return total


def python_text(value: Any) -> str:
    """A well-formed value as Python writes it: `python_text({"__tuple__": [1]}) == "(1,)"`."""
    return "".join(_pieces(value))


def python_start(value: Any, characters: int) -> str:
    """`python_text` cut off after so many characters, without writing the items behind them."""
    found, room = list[str](), characters
    for piece in _pieces(value):
        found.append(piece)
        room -= len(piece)
        if room < 0:
            return f"{''.join(found)[: characters - 1]}…"
    return "".join(found)


def _pieces(value: Any) -> Iterator[str]:
    """The parts of `python_text`, in order."""
    kind, items = _parts(value)
    if kind == "":
        yield repr(items)
    elif kind == _OTHER:
        yield f"<{items if items.isidentifier() else 'object'}>"  # the name is the program's choice
    elif kind == "__set__" and not items:
        yield "set()"
    else:
        opening, closing = _BRACKETS[kind]
        yield opening
        for number, item in enumerate(items):
            yield ", " if number else ""
            if kind == "__dict__":
                yield from _pieces(item[0])
                yield ": "
            yield from _pieces(item[1] if kind == "__dict__" else item)
        yield "," + closing if kind == "__tuple__" and len(items) == 1 else closing


def _parts(value: Any) -> tuple[str, Any]:
    """Kind and content of a well-formed value: `("__list__", […])`, a tag, or `("", value)` for a scalar."""
    if isinstance(value, list):
        return "__list__", value
    if isinstance(value, dict):
        tag = _tag(value)
        return (tag, value[tag]) if tag else ("__dict__", [[key, item] for key, item in value.items()])
    return "", value


def _tag(value: dict[Any, Any]) -> str:
    tag = next(iter(value)) if len(value) == 1 else ""
    return tag if tag in (*_LISTED, _OTHER) else ""


def _is_node(value: object) -> bool:
    """Whether a value that is no scalar is of the notation, its contents aside."""
    if isinstance(value, dict):
        tag = _tag(value)
        if tag == _OTHER:
            return isinstance(value[tag], str)
        if tag == "__dict__":
            pairs = value[tag]
            return isinstance(pairs, list) and all(isinstance(p, list) and len(p) == 2 for p in pairs)
        return isinstance(value[tag], list) if tag else all(isinstance(key, str) for key in value)
    return isinstance(value, list)


def _inside(value: Any) -> Iterable[Any]:
    """What a well-formed value holds, keys included."""
    return _inside_of(*_parts(value))


def _inside_of(kind: str, items: Any) -> Iterable[Any]:
    if kind in ("", _OTHER):
        return ()
    return [part for pair in items for part in pair] if kind == "__dict__" else items


def _walk(value: Any) -> Iterable[Any]:
    """The value and everything inside it."""
    pending = [value]
    while pending:
        item = pending.pop()
        yield item
        pending += _inside(item)


def _scalar(value: Any) -> Hashable:
    """What makes scalars equal: numbers by value, everything else by type and value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number", value
    return type(value).__name__, value


def _key(value: Any) -> Hashable:
    """What makes keys and members of sets equal. `check` allows scalars and tuples; the rest equals none."""
    kind, items = _parts(value)
    if kind == "":
        return _scalar(value)
    return (kind, *map(_key, items)) if kind == "__tuple__" else kind

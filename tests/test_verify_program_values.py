"""Values of programs as plain JSON, and when two of them are equal."""

from __future__ import annotations

import ast
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit.verify.program_values import (
    check,
    encode,
    is_well_formed,
    longest,
    python_start,
    python_text,
    same,
)

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOATS | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(st.integers() | st.text(max_size=3) | st.tuples(st.integers()), max_size=4)
        | st.dictionaries(st.integers() | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_the_json_form_keeps_every_plain_value(original: Any) -> None:
    form = encode(original)
    check(form)
    assert ast.literal_eval(python_text(form)) == original
    assert same(form, form)


@pytest.mark.parametrize(
    ("expected", "got", "equal"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (True, 1, False),
        (0, False, False),
        (None, False, False),
        ("1", 1, False),
        (0.1 + 0.2, 0.3, False),
        ([42, 1], [42, 1], True),
        ([42, 1], [1, 42], False),
        ([42, 1], [42], False),
        ([42], [42, 1], False),
        ([1, [2]], (1, (2,)), True),
        ((1, 2), [1, 2], False),
        ((1, 2), (1, 2), True),
        ((1, 2), (1, 2, 2), False),
        ({1, 2}, {2, 1}, True),
        ({1, 2}, [1, 2], False),
        ({1}, {True}, False),
        ({(1, "a")}, {(1.0, "a")}, True),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"b": 1}, False),
        ({1: [2]}, {1: (2,)}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({}, [], False),
        ([], [], True),
        ([], {}, False),
        (set(), {}, False),
    ],
)
def test_values_compare_as_in_python_but_for_booleans_and_tuples(
    expected: object, got: object, equal: bool
) -> None:
    assert same(encode(expected), encode(got)) is equal


def test_plain_json_objects_stand_for_dictionaries() -> None:
    assert same({"a": [1]}, encode({"a": [1]}))
    assert python_text({"a": [1], "b": {"__tuple__": [1]}}) == "{'a': [1], 'b': (1,)}"


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (float("inf"), "inf has no Python form"),
        ({"__other__": "object"}, "has no Python form"),
        ({"__set__": [[1]]}, "a list, set or dictionary inside a set"),
        ({"__dict__": [[{"a": 1}, 2]]}, "as a key"),
        ({"__tuple__": 3}, "not plain JSON"),
        ({"__dict__": [[1]]}, "not plain JSON"),
        ({1: 2}, "not plain JSON"),
        (b"", "not plain JSON"),
    ],
)
def test_forms_that_no_python_value_has_are_refused(form: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check(form)


def test_deep_nesting_is_refused_and_not_followed() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert not is_well_formed(deep)


@pytest.mark.parametrize("thing", [b"", 1j, float("nan"), float("inf"), object(), range(3)])
def test_what_json_cannot_hold_has_no_form(thing: object) -> None:
    with pytest.raises(ValueError, match="has no JSON form"):
        encode(thing)


def test_a_set_built_to_collide_costs_nothing_when_its_size_is_wrong() -> None:
    colliding = {"__set__": [number * (2**61 - 1) for number in range(100_000)]}
    started = time.process_time()
    assert not same(encode({1, 2}), colliding)
    assert not same({"__set__": [1]}, {"__set__": [colliding]})
    assert time.process_time() - started < 0.5


def varied(value: Any) -> Any:
    """An equal value that takes more room: whole numbers of the other kind, tuples for lists."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and abs(value) < 10**300
        and float(value) == value
    ):
        return float(value)
    if isinstance(value, list):
        return tuple(map(varied, value))
    if isinstance(value, tuple):
        return tuple(map(varied, value))
    if isinstance(value, dict):
        return {varied(key): varied(item) for key, item in value.items()}
    return value


@given(PLAIN | st.floats(1e290, 1e308))
def test_no_right_result_is_longer_than_the_longest(original: Any) -> None:
    expected = encode(original)
    for right in (original, varied(original)):
        got = encode(right)
        assert same(expected, got)
        assert len(json.dumps(got, separators=(",", ":"))) <= longest(expected)


@given(PLAIN, st.integers(1, 40))
def test_the_start_of_a_text_is_that_of_the_whole(original: Any, characters: int) -> None:
    form = encode(original)
    whole = python_text(form)
    cut = whole if len(whole) <= characters else f"{whole[: characters - 1]}…"
    assert python_start(form, characters) == cut


@given(st.lists(st.integers(0, 5), max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_sets_and_keys_are_equal_as_in_python(left: list[int], right: list[int]) -> None:
    expected, got = {"__set__": sorted(set(left))}, {"__set__": right}
    assert same(expected, got) == (len(set(left)) == len(right) and set(left) == set(right))
    pairs = {"__dict__": [[key, 0] for key in sorted(set(left))]}
    assert same(pairs, {"__dict__": [[key, 0] for key in right]}) == same(expected, got)


@pytest.mark.parametrize("tag", ["__set__", "__dict__"])
def test_a_set_built_to_collide_is_compared_in_linear_time(tag: str) -> None:
    same_hash = [number * ((1 << 61) - 1) for number in range(1, 30_001)]
    found: list[list[Any]] = [list(range(30_000)), same_hash]
    if tag == "__dict__":
        found = [[[key, 0] for key in keys] for keys in found]
    expected, got = ({tag: items} for items in found)
    start = time.process_time()
    assert not same(expected, got)
    assert time.process_time() - start < 1.0  # it took 10 s

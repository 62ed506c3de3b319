import math

import pytest

from r1kit.errors import RecipeError
from r1kit.pipeline.yaml_text import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("3.", 3.0),
        (".5", 0.5),
        ("-2E+3", -2000.0),
        ("12", 12),
        ("-7", -7),
        ("010", 10),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("-.inf", -math.inf),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("2026-01-02", "2026-01-02"),
        ("'12'", "12"),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    parsed = parse_yaml(text, "x.yaml")
    assert parsed == value
    assert type(parsed) is type(value)


def test_duplicate_key_is_refused_with_its_line() -> None:
    with pytest.raises(RecipeError, match=r"^x\.yaml: line 3: key 'steps' is given twice$"):
        parse_yaml("a:\n  steps: 1\n  steps: 2\n", "x.yaml")


@pytest.mark.parametrize(("key", "found"), [("1.5", "1.5"), ("true", "True"), ("null", "None")])
def test_key_that_is_no_text_is_refused(key: str, found: str) -> None:
    with pytest.raises(RecipeError, match=rf"^x\.yaml: line 1: key {found} is not text$"):
        parse_yaml(f"{key}: a", "x.yaml")


def test_a_step_as_key_is_its_digits() -> None:
    assert parse_yaml("points: {1: 0.5, 200: 2}", "x.yaml") == {"points": {"1": 0.5, "200": 2}}
    with pytest.raises(RecipeError, match="line 1: key '1' is given twice"):
        parse_yaml("{1: a, '1': b}", "x.yaml")


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system [true]", "a: [1", "\t- x", "a: &b *b", "- " * 5000]
)
def test_unsafe_or_broken_text_is_one_line(text: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_yaml(text, "x.yaml")
    assert str(error.value).startswith("x.yaml: ")
    assert "\n" not in str(error.value)


def test_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"] + [
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)
    ]
    with pytest.raises(
        RecipeError, match=r"^x\.yaml: more than 100000 values, every use of an alias counted$"
    ):
        parse_yaml("\n".join(lines), "x.yaml")
    with pytest.raises(RecipeError, match="more than 100000 values"):
        parse_yaml(f"a: &a [{','.join(['*a'] * 50_000)}]", "x.yaml")


def test_small_alias_is_allowed() -> None:
    assert parse_yaml("a: &a {b: 1}\nc: *a", "x.yaml") == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: " + "[" * 80 + "]" * 80])
def test_endless_or_deep_data_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^x\.yaml: nested deeper than 64$"):
        parse_yaml(text, "x.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "!!int abc",
        "!!float x",
        "!!bool x",
        "!!int [1]",
        "!!timestamp x",
        "!!timestamp 2001-01-01",
        "!!binary aGVsbG8=",
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!!pairs [a: 1]",
    ],
)
def test_tag_outside_the_core_schema_or_on_a_wrong_value_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^x\.yaml: line 1: "):
        parse_yaml(f"a: {text}", "x.yaml")

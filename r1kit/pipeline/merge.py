"""Recipe files joined by `extends`, and overrides, as one mapping that knows where each key is from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1kit.errors import RecipeError, suggestion
from r1kit.learning.algorithms import GOVERNED
from r1kit.pipeline.yaml_text import MAX_DEPTH, parse_yaml

RECIPES = Path(__file__).parent.parent / "recipes"
COMMAND_LINE = "command line"
_MAX_EXTENDS = 16


@dataclass(slots=True)
class Layered:
    """Merged data, and for each key path the file that set it."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[tuple[str, ...], str] = field(default_factory=dict)
    top: str = COMMAND_LINE  # the recipe that was asked for

    def origin(self, path: Sequence[str | int]) -> str:
        """The file that set the key at `path`, or its nearest parent."""
        keys = tuple(str(part) for part in path)
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.origins:
                return self.origins[keys[:length]]
        return self.top

    def merge(self, data: Mapping[str, Any], source: str) -> None:
        """Lay `data` over what is there: mappings merge key by key, everything else replaces.

        A stage's `algorithm` also removes what layers below say of the algorithm: whoever names another one
        means all of it.
        """
        for name, stage in _stages(data).items():
            if isinstance(stage, Mapping) and stage.get("algorithm") is not None:
                for path in GOVERNED:
                    _remove(_stages(self.data).get(name), path)
        _merge(self.data, data, (), source, self.origins)


def _stages(data: Mapping[str, Any]) -> Mapping[str, Any]:
    stages = data.get("stages")
    return stages if isinstance(stages, Mapping) else {}


def _remove(data: Any, path: Sequence[str]) -> None:
    """Take out what stands at `path`, if anything does."""
    *parents, last = path
    for key in parents:
        data = data.get(key) if isinstance(data, dict) else None
    if isinstance(data, dict):
        data.pop(last, None)


def _merge(
    below: dict[str, Any],
    above: Mapping[str, Any],
    at: tuple[str, ...],
    source: str,
    origins: dict[tuple[str, ...], str],
) -> None:
    for key, value in above.items():
        path = (*at, key)
        origins[path] = source
        if isinstance(value, Mapping):
            inner = below.get(key)
            below[key] = dict(inner) if isinstance(inner, Mapping) else {}
            _merge(below[key], value, path, source, origins)
        else:
            below[key] = value


def packaged_recipes() -> list[str]:
    """Names of the recipes inside the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def recipe_file(name: str, beside: Path | None = None) -> Path:
    """The file of a recipe: a path (relative to `beside` when given), or a packaged recipe's name.

    Raises:
        RecipeError: neither exists.
    """
    path = Path(name).expanduser()
    path = beside / path if beside else path
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise RecipeError(f"no recipe file {path}")
    if name in packaged_recipes():
        return RECIPES / f"{name}.yaml"
    raise RecipeError(
        f"no recipe named {name!r}{suggestion(name, packaged_recipes())} (or give a .yaml file)"
    )


def load_layers(name: str, overrides: Sequence[str] = ()) -> Layered:
    """The recipe `name` over everything it extends, under the `key=value` overrides.

    Raises:
        RecipeError: a file is missing or is no YAML mapping, files extend one another in a circle, or an
            override is not of the form `key=value`.
    """
    chain = _chain(recipe_file(name))
    layered = Layered(top=_shown(chain[0][0]))
    for path, data in reversed(chain):
        layered.merge(data, _shown(path))
    parsed = [parse_override(override) for override in overrides]
    for keys, value in _algorithms_first(parsed):
        _check_descent(layered.data, keys)
        for key in reversed(keys):
            value = {key: value}
        layered.merge(value, COMMAND_LINE)
    return layered


def _algorithms_first(overrides: Sequence[tuple[list[str], Any]]) -> list[tuple[list[str], Any]]:
    """The overrides with every stage's algorithm before all others: what else is given is laid over it."""
    first, others = [], []
    for keys, value in overrides:
        if keys[-1] == "algorithm":
            first.append((keys, value))
        elif len(keys) == 2 and isinstance(value, Mapping) and "algorithm" in value:
            first.append(([*keys, "algorithm"], value["algorithm"]))
            others.append((keys, {key: inner for key, inner in value.items() if key != "algorithm"}))
        else:
            others.append((keys, value))
    return [*first, *others]


def parse_override(text: str) -> tuple[list[str], Any]:
    """`(["stages", "r1_zero", "steps"], 10)` of `stages.r1_zero.steps=10`; the value is read as YAML."""
    key, equals, value = text.partition("=")
    keys = key.strip().split(".")
    if len(keys) > MAX_DEPTH:
        raise RecipeError(f"{COMMAND_LINE}: {key.strip()[:40]}…: nested deeper than {MAX_DEPTH}")
    if not equals or not all(keys):
        raise RecipeError(
            f"{COMMAND_LINE}: {text!r} is not of the form key=value, e.g. stages.r1_zero.steps=10"
        )
    return keys, parse_yaml(value, f"{COMMAND_LINE}: {key.strip()}")


def _check_descent(data: Mapping[str, Any], keys: list[str]) -> None:
    here: Any = data
    for depth, key in enumerate(keys[:-1]):
        here = here.get(key)
        if here is None:
            return
        if not isinstance(here, Mapping):
            parent = ".".join(keys[: depth + 1])
            raise RecipeError(
                f"{COMMAND_LINE}: {'.'.join(keys)}: {parent} is a value, it has no keys of its own"
            )


def _chain(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    chain: list[tuple[Path, dict[str, Any]]] = []
    while True:
        data = _read(path)
        parent = data.pop("extends", None)
        chain.append((path, data))
        if parent is None:
            return chain
        if not isinstance(parent, str):
            raise RecipeError(f"{_shown(path)}: extends: expected the name of a recipe or a .yaml file")
        try:
            path = recipe_file(parent, beside=path.parent)
        except RecipeError as error:
            raise RecipeError(f"{_shown(chain[-1][0])}: extends: {error}") from None
        if any(path.resolve() == seen.resolve() for seen, _ in chain) or len(chain) > _MAX_EXTENDS:
            raise RecipeError(f"{_shown(chain[-1][0])}: extends: {parent} extends this recipe in turn")


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RecipeError(f"cannot read {path}: {reason}") from None
    data = parse_yaml(text, _shown(path))
    if not isinstance(data, dict):
        raise RecipeError(f"{_shown(path)}: a recipe is a mapping of keys to values")
    return data


def _shown(path: Path) -> str:
    return f"recipe {path.stem}" if path.parent == RECIPES else str(path)

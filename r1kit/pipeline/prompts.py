"""How long the prompts of a recipe are, as far as that can be told without downloading anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from r1kit.errors import ModelError
from r1kit.models.packaged import packaged_folder
from r1kit.pipeline.config import Recipe
from r1kit.stages.problems import named_problems
from r1kit.text.templates import render

_LOOKED_AT = 256  # problems of each task


def longest_prompt(recipe: Recipe) -> int | None:
    """Tokens of the longest prompt among the first training problems of each stage's tasks, under its
    template.

    Read by the base's tokenizer. None where the base is not packaged, nor a folder with a tokenizer, or all
    tasks read data.
    """
    from r1kit.models.load import load_tokenizer

    base = recipe.run.base
    if base is None or not (packaged_folder(base) or Path(base).expanduser()).is_dir():
        return None
    asked = set(_asked(recipe))
    if not asked:
        return None
    try:
        tokenizer = load_tokenizer(base)
    except ModelError:  # memory can be told without one; a run says what is wrong with it
        return None
    lengths = [
        len(render(template, problem, tokenizer).tokens)
        for name, template in sorted(asked)
        for problem in named_problems(name, recipe.tasks[name], "train")[:_LOOKED_AT]
    ]
    return max(lengths, default=None)


def _asked(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(task, template) of every stage whose task makes its problems itself."""
    for spec in recipe.stages:
        for name in spec.task_names:
            if not {"data", "test_data"} & recipe.run.tasks[name].keys():
                yield from ((name, template) for template in spec.entry.templates(spec.settings))

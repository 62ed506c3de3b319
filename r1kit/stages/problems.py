"""Problems of a recipe's tasks, labelled with the name that the recipe gives each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from r1kit.errors import RecipeError
from r1kit.seeds import generator
from r1kit.tasks.protocol import Task
from r1kit.types import Problem, Split


def named_problems(name: str, task: Task, split: Split) -> list[Problem]:
    """The split's problems with `task` set to the recipe's name: two of its tasks may be of one kind."""
    return [replace(problem, task=name) for problem in task.problems(split)]


def mixed_problems(tasks: Mapping[str, Task], names: Sequence[str], split: Split, seed: int) -> list[Problem]:
    """The problems of several tasks in one seeded order.

    Raises:
        RecipeError: a task has no problem in this split.
    """
    problems: list[Problem] = []
    for name in names:
        of_task = named_problems(name, tasks[name], split)
        if not of_task:
            raise RecipeError(f"tasks.{name}: has no {split} problems; enlarge its {split} split")
        problems.extend(of_task)
    generator(seed, "mix").shuffle(problems)
    return problems

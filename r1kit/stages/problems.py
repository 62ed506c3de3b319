"""Problems of a recipe's tasks, labelled with the name that the recipe gives each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from r1kit.datasets.fields import text_fault
from r1kit.errors import DataError, RecipeError
from r1kit.seeds import derive, generator
from r1kit.tasks.protocol import Task
from r1kit.types import Problem, Split


def named_problems(name: str, task: Task, split: Split) -> list[Problem]:
    """The split's problems with `task` set to the recipe's name: two of its tasks may be of one kind.

    Raises DataError for a question that no data set may hold: whatever is made of it could not be read again.
    """
    problems = [replace(problem, task=name) for problem in task.problems(split)]
    for problem in problems:
        for message in problem.messages:
            if fault := text_fault(message.content):
                raise DataError(f"tasks.{name}: {problem.id!a}: the {message.role}'s message {fault}")
    return problems


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


def first_problems(
    tasks: Mapping[str, Task], names: Sequence[str], count: int | None, seed: int
) -> list[Problem]:
    """At most `count` training problems of each task in a seeded order, task by task; all without `count`."""
    found: list[Problem] = []
    for name in names:
        of_task = mixed_problems(tasks, [name], "train", derive(seed, name))
        found += of_task[:count]
    return found


def held_out_questions(tasks: Mapping[str, Task]) -> list[str]:
    """What the user says in every test problem of every task: what training data must not overlap with."""
    return [
        message.content
        for name, task in tasks.items()
        for problem in named_problems(name, task, "test")
        for message in problem.messages
        if message.role == "user"
    ]

"""How the problems of files fall into splits, for tasks whose test set may be a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from r1kit import seeds
from r1kit.tasks.protocol import SPLITS, split_of
from r1kit.types import Problem, Split

Read = Callable[[str, str], Iterator[Problem]]
"""(source, hub split) -> its distinct problems."""


def loaded_splits(
    task: str, read: Read, data: str | None, test_data: str | None, seed: int
) -> dict[Split, list[Problem]]:
    """The problems of `data` by `split_of(task, id)`, in a seeded order within each split.

    With `test_data` those are the test problems: none of them stays in `data`, whose own test share goes to
    validation.
    """
    test = list(read(test_data, "test")) if test_data is not None else None
    held_out = {problem.id for problem in test or ()}
    found: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
    for problem in read(data, "train") if data is not None else ():
        split = split_of(task, problem.id)
        if test is None:
            found[split].append(problem)
        elif problem.id not in held_out:
            found["validation" if split == "test" else split].append(problem)
    found["test"] = found["test"] if test is None else test
    for split in SPLITS:
        seeds.generator(seed, task, "order", split).shuffle(found[split])
    return found

"""Which problems each step asks: a pure function of the seed and the step, so nothing needs saving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from r1kit import seeds
from r1kit.learning.order import draw, epoch_order
from r1kit.schedules import Schedule, value_at
from r1kit.types import Problem, RolloutGroup


@dataclass(frozen=True, slots=True)
class Source:
    """One task's problems and how much of a step they make up."""

    problems: Sequence[Problem]
    share: float | Schedule = 1.0  # relative to the other sources of the step
    last_steps: int | None = None  # used in so many last steps alone


class Questions:
    """The questions of every step, from one source or several by their shares.

    Each source goes through its own problems in shuffled epochs. A step of n questions takes from each source
    its share of n; what is left over by rounding goes round, so that the shares hold over the steps.
    """

    def __init__(
        self, sources: Mapping[str, Source], steps: int, per_step: int | Schedule, seed: int
    ) -> None:
        assert all(source.problems for source in sources.values())
        self._sources, self._steps, self._per_step, self._seed = sources, steps, per_step, seed
        self._used = {name: [0] for name in sources}  # questions taken from a source before each step
        owed = dict.fromkeys(sources, 0.0)
        for step in range(1, steps + 1):
            taken = _apportion(self._wanted(step), owed)
            for name, used in self._used.items():
                used.append(used[-1] + taken.get(name, 0))

    def __call__(self, step: int) -> list[Problem]:
        """The questions of `step`, counted from 1."""
        if len(self._sources) == 1 and isinstance(self._per_step, int):
            (source,) = self._sources.values()
            chosen = draw(len(source.problems), self._seed, step - 1, self._per_step)
            return [source.problems[index] for index in chosen]
        asked: list[Problem] = []
        for name, source in self._sources.items():
            count, seed = len(source.problems), seeds.derive(self._seed, "questions", name)
            first, last = self._used[name][step - 1 : step + 1]
            asked += [
                source.problems[epoch_order(count, seed, place // count)[place % count]]
                for place in range(first, last)
            ]
        return asked

    def more(self, step: int, round: int, count: int, asked: Sequence[Problem]) -> list[Problem]:
        """`count` further questions of `step`, each round others, none that was `asked` if it can be.

        Each is of a source drawn by its share, whatever that source's epochs have come to.
        """
        generator, wanted = seeds.generator(self._seed, "more", step, round), self._wanted(step)
        drawn = Counter(generator.choices(list(wanted), list(wanted.values()), k=count))
        known = {(problem.task, problem.id) for problem in asked}
        further: list[Problem] = []
        for name, number in sorted(drawn.items()):
            problems = self._sources[name].problems
            new = [problem for problem in problems if (problem.task, problem.id) not in known]
            further += generator.sample(new, min(number, len(new)))
            further += generator.choices(problems, k=max(0, number - len(new)))
        return further

    def learn(self, groups: Sequence[RolloutGroup]) -> dict[str, float]:
        """Nothing: what is asked does not depend on the answers."""
        return {}

    def state(self) -> Mapping[str, float]:
        """Nothing: what is asked follows from the seed and the step."""
        return {}

    def _wanted(self, step: int) -> dict[str, float]:
        """Questions of a step by source, as fractions."""
        left = self._steps - step + 1
        shares = {
            name: value_at(source.share, step)
            for name, source in self._sources.items()
            if source.last_steps is None or left <= source.last_steps
        }
        total = sum(shares.values())
        assert total > 0, "every step needs a source with a share"
        return {name: self._count(step) * share / total for name, share in shares.items() if share > 0}

    def _count(self, step: int) -> int:
        """Questions of a step."""
        return round(value_at(self._per_step, step))


def _apportion(wanted: Mapping[str, float], owed: dict[str, float]) -> dict[str, int]:
    """Whole numbers near `wanted` with the same sum; `owed` carries what each source has still to get."""
    names = list(wanted)
    due = [wanted[name] + owed[name] for name in names]
    total = round(sum(wanted.values()))
    ends = [round(end) for end in accumulate(due)]
    taken = {name: max(0, ends[i] - (ends[i - 1] if i else 0)) for i, name in enumerate(names)}
    largest = max(names, key=lambda name: wanted[name])
    taken[largest] += total - sum(taken.values())
    for name in names:
        owed[name] += wanted[name] - taken[name]
    return taken

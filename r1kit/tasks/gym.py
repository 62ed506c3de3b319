"""The generated problems of reasoning-gym (github.com/open-thought/reasoning-gym), by a generator's name.

The library speaks English only, and so does this task. `gym_generators` says how answers are checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

import xxhash
from pydantic import Field, JsonValue

from r1kit.errors import DataError, UserError
from r1kit.settings import Settings
from r1kit.tasks.gym_answer import compare
from r1kit.tasks.gym_generators import EXACT, check_generator
from r1kit.tasks.gym_process import GymProcess
from r1kit.tasks.protocol import SPLITS, split_of
from r1kit.types import Message, Outcome, Problem, Split, Verdict
from r1kit.verify.line_process import DiedError, TimedOutError

NAME = "gym"
MAX_SCORED = 4096
"""Longest answer, in characters, that is handed to a scorer of the library."""


class GymSettings(Settings):
    """Which generator, and how many problems of it."""

    generator: str = "chain_sum"
    """Name of a generator of reasoning-gym."""
    params: dict[str, JsonValue] = Field(default={})
    """The generator's own settings, e.g. {max_terms: 4}."""
    size: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Problems drawn for all splits together, eight in ten of them for training; copies are left out."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of the draw. It never moves a problem to another split."""


class Gym:
    """The task. `Gym(GymSettings(generator="maze", params={"max_grid_size": 7})).problems("test")`."""

    name = NAME
    free_form = False

    def __init__(self, settings: GymSettings) -> None:
        self.settings = settings

    @property
    def reference_keys(self) -> tuple[str, ...]:
        """What a stored row must have."""
        return ("answer",) if self.settings.generator in EXACT else ("index",)

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split, unique by their question.

        Problems whose answer is empty, as some of polynomial_equations, are left out: nothing that can be
        said in tags is right. Raises DataError, RecipeError or UnknownNameError.
        """
        return self._splits[split]

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """CORRECT for the one right answer, or for full marks of the library's scorer; see `gym_generators`.

        Partial marks are WRONG: some scorers pay for text that is merely well-formed.
        """
        if self.settings.generator in EXACT:
            return compare(answer, problem.reference["answer"])
        given = answer.strip()
        if len(given) > MAX_SCORED:
            return Verdict(Outcome.MALFORMED, given[:256], 0.0, f"longer than {MAX_SCORED} characters")
        for attempt in (1, 2):
            try:
                found = self._process.score(problem.reference["index"], problem.messages[0].content, given)
                return _verdict(found, given)
            except TimedOutError as error:
                return Verdict(Outcome.TIMEOUT, given, 0.0, str(error))
            except (DiedError, UserError) as error:  # the latter: the library has gone since it was opened
                if attempt == 2:
                    return Verdict(Outcome.ERROR, given, 0.0, str(error))
        raise AssertionError("unreachable")

    def gold(self, problem: Problem) -> str:
        """The generator's answer. Raises DataError for the few generators that give none, as graph_color."""
        answer = problem.reference["answer"]
        if answer is None:
            raise DataError(f"{problem.id}: the generator gives no answer")
        assert isinstance(answer, str)
        return answer

    def problem_from_reference(self, row: Mapping[str, Any], where: str = "row") -> Problem:
        """The problem of a row with its `answer`, or, for a generator with a scorer, with its `index`."""
        check_generator(self.settings.generator)
        if self.settings.generator in EXACT:
            answer = row.get("answer")
            if not isinstance(answer, str) or not answer.strip():
                raise DataError(f"{where}: field 'answer' must be text, found {repr(answer)[:60]}")
            question = row.get("question")
            return self._problem(question if isinstance(question, str) else "", {"answer": answer})
        index = row.get("index")
        if type(index) is not int or index not in self._by_index:
            raise DataError(
                f"{where}: field 'index' must be the number of a problem, found {repr(index)[:60]}"
            )
        return self._by_index[index]

    @cached_property
    def _process(self) -> GymProcess:
        settings = self.settings
        check_generator(settings.generator)
        return GymProcess(settings.generator, settings.params, settings.seed, settings.size)

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        found: dict[str, Problem] = {}
        for item in self._process.items():
            exact = self.settings.generator in EXACT
            if exact and not (item["answer"] or "").strip():
                continue
            problem = self._problem(item["question"], {"answer": item["answer"], "index": item["index"]})
            found.setdefault(problem.id, problem)
        splits: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
        for problem in found.values():
            splits[split_of(NAME, problem.id)].append(problem)
        return splits

    @cached_property
    def _by_index(self) -> dict[int, Problem]:
        return {problem.reference["index"]: problem for split in SPLITS for problem in self._splits[split]}

    def _problem(self, question: str, reference: Mapping[str, Any]) -> Problem:
        key = xxhash.xxh3_64_hexdigest(question.encode("utf-8", "surrogatepass"))
        name = self.settings.generator
        messages = (Message("user", question),)
        return Problem(f"{NAME}/{name}/{key}", NAME, messages, reference, "en", (name,))


def _verdict(found: Mapping[str, Any], given: str) -> Verdict:
    """The verdict of a reply of the scorer."""
    if "changed" in found:
        detail = "the generator no longer makes this problem; were params, seed or size changed?"
        return Verdict(Outcome.ERROR, given, 0.0, detail)
    if "raised" in found:
        return Verdict(Outcome.MALFORMED, given, 0.0, f"the scorer raised {found['raised']}")
    if abs(found["score"] - 1.0) <= 1e-9:
        return Verdict(Outcome.CORRECT, given, 1.0, "full marks of the generator's scorer")
    return Verdict(Outcome.WRONG, given, 0.0, f"the generator's scorer gives {found['score']:.3g}")

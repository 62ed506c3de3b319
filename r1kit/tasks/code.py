"""Code: small Python functions, or scripts from a file, checked by running them on tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import xxhash

from r1kit import seeds
from r1kit.errors import DataError, RecipeError, SandboxError
from r1kit.tasks import program_requests, sources
from r1kit.tasks.code_rows import Tests, read_prompt, read_solution, read_tests
from r1kit.tasks.code_settings import CodeSettings
from r1kit.tasks.loaded import loaded_splits
from r1kit.tasks.program_requests import ENTRY, FAMILY, Program
from r1kit.tasks.protocol import SPLITS, split_of
from r1kit.tasks.shares import pick
from r1kit.types import Message, Outcome, Problem, Split, Verdict
from r1kit.verify.program_check import Check, check_programs
from r1kit.verify.program_run import Limits, Runner
from r1kit.verify.sandbox.protection import find_protection

NAME = "code"
_PATIENCE = 10_000  # draws in a row that bring no new request before the settings count as exhausted


class Code:
    """The task. `Code(CodeSettings(steps=(1,))).problems("test")`.

    Generated requests have the words, and the splits, of the micro world's pages; see `program_requests`.
    """

    name = NAME
    reference_keys = ("tests",)
    free_form = False

    def __init__(self, settings: CodeSettings) -> None:
        self.settings = settings
        # `_key` of a problem -> processor time of its own solution; None where it has none that passes
        self._reference_seconds: dict[str, float | None] = {}

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split, later copies of one left out.

        Raises SandboxError where programs may not run, RecipeError when the settings have too few problems,
        DataError for a bad row.
        """
        self.protection()
        return self._splits[split]

    def protection(self) -> Mapping[str, Any]:
        """The sandbox in force, found once per process. Raises SandboxError where programs may not run."""
        found = find_protection(self.settings.workers)
        found.require(self.settings.allow_unsafe_programs)
        return {**found.record(), "allow_unsafe_programs": self.settings.allow_unsafe_programs}

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """CORRECT when the program passes every test; see `check_programs`."""
        (verdict,) = self.verify_many([(problem, answer)])
        return verdict

    def verify_many(self, answers: Sequence[tuple[Problem, str]], spent: float = 0.0) -> list[Verdict]:
        """As `verify`, several programs at a time; ERROR where programs may not run, and for those that would
        begin when they have all taken `batch_seconds`, with `spent` before.
        """
        settings, found = self.settings, find_protection(self.settings.workers)
        left = max(0.0, settings.batch_seconds - spent)
        try:
            run = found.require(settings.allow_unsafe_programs)
        except SandboxError as error:
            return [Verdict(Outcome.ERROR, None, 0.0, str(error))] * len(answers)
        checks = [self._check(problem, answer) for problem, answer in answers]
        verdicts = check_programs(checks, run, found.workers, left)
        keys = [_key(p) if verdict.correct else "" for (p, _), verdict in zip(answers, verdicts, strict=True)]
        right = {key: problem for key, (problem, _) in zip(keys, answers, strict=True) if key}
        self._measure({key: right[key] for key in right if key not in self._reference_seconds}, run)
        seconds = [self._reference_seconds.get(key) for key in keys]
        return [_with_reference(verdict, known) for verdict, known in zip(verdicts, seconds, strict=True)]

    def _check(self, problem: Problem, answer: str) -> Check:
        settings, reference = self.settings, problem.reference
        wall, sleep = 2.0 + 3.0 * settings.seconds, 1.0 + settings.seconds
        limits = Limits(settings.seconds, wall, sleep, settings.memory_mb)
        return Check(answer, reference.get("entry"), reference["tests"], limits)

    def _measure(self, problems: Mapping[str, Problem], run: Runner) -> None:
        """Note what the solutions of problems take: the lesser of two runs, which was disturbed less."""
        solutions = [(problem, problem.reference.get("solution")) for problem in problems.values()]
        checks = [
            self._check(problem, solution) for problem, solution in solutions for _ in range(2) if solution
        ]
        workers = find_protection(self.settings.workers).workers
        verdicts = iter(check_programs(checks, run, workers, self.settings.batch_seconds))
        for key, (_, solution) in zip(problems, solutions, strict=True):
            pair = [next(verdicts).program for _ in range(2)] if solution else []
            times = [scores.cpu_seconds for scores in pair if scores and scores.passes]
            self._reference_seconds[key] = min(times, default=None)

    def gold(self, problem: Problem) -> str:
        """A right program. Raises DataError for a loaded problem that came without one."""
        solution = problem.reference.get("solution")
        if not isinstance(solution, str):
            raise DataError(f"{problem.id}: its row has no solution")
        return solution

    def problem_from_reference(self, row: Mapping[str, Any], where: str = "row") -> Problem:
        """The problem of a row with `tests` (or `test_list`, or `input_output`), see `code_rows`."""
        self.protection()
        return self._stored(str(row.get("prompt", "")), read_tests(row, where), read_solution(row))

    @property
    def skipped(self) -> int:
        """Rows left out under `skip_bad_rows`."""
        self._splits  # noqa: B018 - reading the data counts them
        return self._skipped

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        self._skipped = 0
        settings = self.settings
        return self._generated() if settings.data is settings.test_data is None else self._loaded()

    def _sizes(self) -> dict[Split, int]:
        settings = self.settings
        return {
            "train": settings.train_size,
            "validation": settings.validation_size,
            "test": settings.test_size,
        }

    def _generated(self) -> dict[Split, list[Problem]]:
        """Draw until every split is full; each split is a prefix of one stream, whatever the other sizes."""
        settings, sizes = self.settings, self._sizes()
        found: dict[Split, list[Problem]] = {split: [] for split in SPLITS}
        seen: set[str] = set()
        rng = seeds.generator(settings.seed, NAME, "problems")
        misses = 0
        while short := [split for split in SPLITS if len(found[split]) < sizes[split]]:
            item = program_requests.generate(rng)
            key = program_requests.key(item)
            fits = len(item.steps) in settings.steps and key not in seen
            if fits and (split := split_of(FAMILY, key)) in short:
                seen.add(key)
                found[split].append(self._problem(item, key))
                misses = 0
            elif (misses := misses + 1) > _PATIENCE:
                raise RecipeError(
                    f"{NAME}: {short[0]}_size={sizes[short[0]]}, but steps={list(settings.steps)} has only "
                    f"about {len(found[short[0]])} such requests; lower it, or set steps=[1, 2]"
                )
        return found

    def _problem(self, item: Program, key: str) -> Problem:
        settings = self.settings
        language = pick(settings.languages, seeds.fraction(settings.seed, NAME, "language", key))
        text = program_requests.question(seeds.generator(settings.seed, NAME, "wording", key), item, language)
        right = program_requests.write(seeds.generator(NAME, "gold", key), item, right=True)
        reference = {"entry": ENTRY, "tests": program_requests.tests(item), "solution": right.code}
        tags = ("1 step" if len(item.steps) == 1 else f"{len(item.steps)} steps",)
        return Problem(f"{NAME}/{key}", NAME, (Message("user", text),), reference, language, tags)

    def _loaded(self) -> dict[Split, list[Problem]]:
        """The rows of `data` and `test_data`, in a seeded order."""
        settings = self.settings
        found = loaded_splits(NAME, self._read, settings.data, settings.test_data, settings.seed)
        return {split: found[split][:size] for split, size in self._sizes().items()}

    def _read(self, source: str, split: str) -> Iterator[Problem]:
        """The distinct problems of one source."""
        seen: set[str] = set()
        for number, row in sources.rows(source, split):
            where = f"{source}: row {number}"
            try:
                problem = self._stored(read_prompt(row, where), read_tests(row, where), read_solution(row))
            except DataError as error:
                if not self.settings.skip_bad_rows:
                    raise DataError(f"{error}; skip_bad_rows=true leaves such rows out") from None
                self._skipped += 1
                continue
            if problem.id not in seen:
                seen.add(problem.id)
                yield problem

    def _stored(self, prompt: str, tests: Tests, solution: str | None) -> Problem:
        key = xxhash.xxh3_64_hexdigest(" ".join(prompt.split()).encode("utf-8", "surrogatepass"))
        text = f"{prompt}\n\n{tests.shown}" if tests.shown else prompt
        reference = {"entry": tests.entry, "tests": tests.tests, "solution": solution}
        tags = ("function" if tests.entry else "script",)
        messages = (Message("user", text),)
        return Problem(f"{NAME}/{key}", NAME, messages, reference, self.settings.language, tags)


def _key(problem: Problem) -> str:
    """Names solution and tests; rows of a file may have one id and differ in them."""
    return xxhash.xxh3_128_hexdigest(repr(problem.reference).encode("utf-8", "surrogatepass"))


def _with_reference(verdict: Verdict, seconds: float | None) -> Verdict:
    if verdict.program is None or seconds is None:
        return verdict
    return replace(verdict, program=replace(verdict.program, reference_seconds=seconds))

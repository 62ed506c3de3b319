"""Mathematics with an answer that can be checked: generated, or from a file.

Files are in the manner of GSM8K (`#### 18`) and MATH (`\\boxed{18}`); `math_gold` says which answers are
read. Generated problems are stories and equations, see `math_generated`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import xxhash

from r1kit.errors import DataError
from r1kit.tasks import sources
from r1kit.tasks.loaded import loaded_splits
from r1kit.tasks.math_answer import check, read_forms, same
from r1kit.tasks.math_generated import NAME, generated
from r1kit.tasks.math_gold import read_declared, read_gold, text_of
from r1kit.tasks.math_settings import MathSettings
from r1kit.tasks.protocol import SPLITS
from r1kit.types import Message, Problem, Split, Verdict

QUESTION_FIELDS = ("question", "problem")


class Math:
    """The task. `Math(MathSettings(steps=(2, 3)))`, `Math(MathSettings(data="gsm8k.jsonl"))`."""

    name = NAME
    reference_keys = ("answer",)
    free_form = False

    def __init__(self, settings: MathSettings) -> None:
        self.settings = settings
        self._generated: dict[Split, list[Problem]] = {}

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split, later copies of one left out. Raises DataError or RecipeError."""
        if self.settings.data is not None or self.settings.test_data is not None:
            return self._splits[split]
        if split not in self._generated:
            self._generated[split] = generated(self.settings, split)[: self.settings.limit]
        return self._generated[split]

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """CORRECT when the answer says the same as the gold; `math_answer` tells what may go with it."""
        return check(answer, problem.reference)

    def same_answers(self, problem: Problem, answers: Sequence[str]) -> list[int]:
        """`["1/2", "0.5", "x = 3"]` -> [0, 0, 1], see `verify.maths.votes`."""
        return same(answers, problem.reference)

    def gold(self, problem: Problem) -> str:
        """The gold answer, e.g. "18"."""
        answer = problem.reference["answer"]
        assert isinstance(answer, str)
        return answer

    def problem_from_reference(self, row: Mapping[str, Any], where: str = "row") -> Problem:
        """The problem of a row with a gold `answer`: a solution as in the data sets, or the bare number.

        `unknown` and `counted_in`, as generated problems have them, are kept. Raises DataError.
        """
        question = next((row[field] for field in QUESTION_FIELDS if isinstance(row.get(field), str)), "")
        declared = read_declared(row, self.settings, where)
        gold = read_gold(row, declared, where, self.settings.keep_unreadable_golds)
        reference = {**gold, **declared, **read_forms(row, where)}
        return self._problem(question, reference)

    @property
    def skipped(self) -> int:
        """Rows left out: under `skip_bad_rows`; for evaluation, those of `answers.unreadable`."""
        self._splits  # noqa: B018 - reading the data counts them
        return self._skipped

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        """The splits of the files."""
        settings = self.settings
        self._skipped = 0
        found = loaded_splits(NAME, self._read, settings.data, settings.test_data, settings.seed)
        for split in ("validation", "test"):  # what cannot be checked measures nothing
            checked = [problem for problem in found[split] if problem.gradable]
            self._skipped += len(found[split]) - len(checked)
            found[split] = checked
        return {split: found[split][: settings.limit] for split in SPLITS}

    def _read(self, source: str, split: str) -> Iterator[Problem]:
        """The distinct problems of one source."""
        settings = self.settings
        seen: set[str] = set()
        for number, row in sources.rows(source, split):
            try:
                where = f"{source}: row {number}"
                question = text_of(row, QUESTION_FIELDS, where)
                declared = read_declared(row, settings, where)
                gold = read_gold(row, declared, where, settings.keep_unreadable_golds)
                problem = self._problem(question, {**gold, **declared})
            except DataError:
                if not settings.skip_bad_rows:
                    raise
                self._skipped += 1
                continue
            if problem.id not in seen:
                seen.add(problem.id)
                yield problem

    def _problem(self, question: str, reference: Mapping[str, Any]) -> Problem:
        key = xxhash.xxh3_64_hexdigest(" ".join(question.split()).encode("utf-8", "surrogatepass"))
        messages = (Message("user", question),)
        return Problem(f"{NAME}/{key}", NAME, messages, reference, self.settings.language)

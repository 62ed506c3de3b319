"""Mathematics with one exact number as answer: generated, or from a file.

Files are in the manner of GSM8K (`#### 18`) and MATH (`\\boxed{18}`). Generated problems are stories and
equations, see `math_generated`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import xxhash

from r1kit.errors import DataError
from r1kit.tasks import sources
from r1kit.tasks.loaded import loaded_splits
from r1kit.tasks.math_answer import check, read_forms
from r1kit.tasks.math_generated import NAME, generated
from r1kit.tasks.math_settings import MathSettings
from r1kit.tasks.protocol import SPLITS
from r1kit.text.tags import boxed
from r1kit.types import Message, Problem, Split, Verdict
from r1kit.verify.numbers import read_number

QUESTION_FIELDS = ("question", "problem")
ANSWER_FIELDS = ("answer", "solution")
_GOLD_MARK = "####"


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
        """CORRECT when the answer is exactly the gold number; `math_answer` says what may go with it."""
        return check(answer, problem.reference)

    def gold(self, problem: Problem) -> str:
        """The gold answer, e.g. "18"."""
        answer = problem.reference["answer"]
        assert isinstance(answer, str)
        return answer

    def problem_from_reference(self, row: Mapping[str, Any], where: str = "row") -> Problem:
        """The problem of a row with a gold `answer`: a solution as in the data sets, or the bare number.

        `unknown` and `counted_in`, as generated problems have them, are kept.
        """
        question = next((row[field] for field in QUESTION_FIELDS if isinstance(row.get(field), str)), "")
        return self._problem(question, {"answer": _gold(row, where), **read_forms(row, where)})

    @property
    def skipped(self) -> int:
        """Rows left out under `skip_bad_rows`."""
        self._splits  # noqa: B018 - reading the data counts them
        return self._skipped

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        """The splits of the files."""
        settings = self.settings
        self._skipped = 0
        found = loaded_splits(NAME, self._read, settings.data, settings.test_data, settings.seed)
        return {split: found[split][: settings.limit] for split in SPLITS}

    def _read(self, source: str, split: str) -> Iterator[Problem]:
        """The distinct problems of one source."""
        seen: set[str] = set()
        for number, row in sources.rows(source, split):
            try:
                where = f"{source}: row {number}"
                problem = self._problem(_text(row, QUESTION_FIELDS, where), {"answer": _gold(row, where)})
            except DataError:
                if not self.settings.skip_bad_rows:
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


def _text(row: Mapping[str, Any], fields: Sequence[str], where: str) -> str:
    """The first of `fields` that the row has, as non-empty text."""
    for field in fields:
        if field in row:
            value = row[field]
            if not isinstance(value, str) or not value.strip():
                raise DataError(f"{where}: field {field!r} must be non-empty text, found {repr(value)[:60]}")
            return value
    found = ", ".join(map(str, row)) or "none"
    raise DataError(f"{where}: field {' or '.join(map(repr, fields))} is missing; found {found[:200]}")


def _gold(row: Mapping[str, Any], where: str) -> str:
    """The gold answer: after the last `####`, else in the last `\\boxed{}`, else the whole field."""
    solution = _text(row, ANSWER_FIELDS, where)
    _, marked, after = solution.rpartition(_GOLD_MARK)
    if marked:
        gold = after.strip()
    else:
        contents = list(boxed(solution))
        gold = (contents[-1] if contents else solution).strip()
    if read_number(gold) is None:
        field = next(field for field in ANSWER_FIELDS if field in row)
        raise DataError(
            f"{where}: field {field!r}: the gold answer must be one exact number, found {gold[:60]!r}; "
            "skip_bad_rows=true leaves such rows out"
        )
    return gold

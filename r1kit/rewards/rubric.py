"""From a completion to its reward: read the response, verify the answer, sum the weighted terms."""

from __future__ import annotations

import logging
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from r1kit.errors import RecipeError
from r1kit.rewards.boundary import number, several, single
from r1kit.rewards.files import GivenParameters, check_parameters, file_entry
from r1kit.rewards.registry import RewardEntry, RewardInput, Scorer, find
from r1kit.schedules import Schedule, value_at
from r1kit.settings import Settings
from r1kit.tasks.protocol import Task, VerifiesMany
from r1kit.tasks.registry import settings_from
from r1kit.text.tags import ANSWER_CLOSE, ANSWER_OPEN, ParsedResponse, final_part, parse
from r1kit.types import (
    UNREADABLE_GOLD,
    Completion,
    Failure,
    Outcome,
    Problem,
    Reward,
    Unscored,
    Verdict,
)

_log = logging.getLogger(__name__)


class TermSpec(Settings):
    """One term of a rubric, as a recipe writes it: `{name: format, weight: 0.1}`."""

    name: str
    """Registered name; `r1kit rewards` lists them."""
    file: str | None = None
    """The reward file that defines the name; without it, a built-in term."""
    seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 10.0
    """Of a term from a file: processor time for one sample, or for a batch that is scored as a whole."""
    memory_mb: Annotated[int, Field(ge=16, le=1 << 20)] = 2048
    """Of a term from a file: MiB of memory that scoring may take beyond what importing the file took."""
    weight: Annotated[float, Field(allow_inf_nan=False)] | Schedule = 1.0
    """Factor of the term in the total, or a schedule of it over the steps."""
    params: dict[str, Any] = Field(default={})
    """The term's own parameters."""
    tasks: tuple[str, ...] | None = None
    """The recipe's tasks whose responses the term concerns; all of them without it."""
    tags: tuple[str, ...] | None = None
    """Of these, the problems with one of these tags; all of them without it."""
    last_steps: int | None = None
    """The term counts in so many last steps of the run alone; in all of them without it."""
    normalise: Literal["none", "batch"] = "none"
    """batch: less the mean, over the standard deviation, of the term's values in the step."""

    def concerns(self, problem: Problem, steps_left: int | None) -> bool:
        """Whether the term counts for a problem when `steps_left` steps are left, this one included."""
        if self.tasks is not None and problem.task not in self.tasks:
            return False
        if self.tags is not None and not set(self.tags) & set(problem.tags):
            return False
        return self.last_steps is None or steps_left is None or steps_left <= self.last_steps


class Rubric:
    """A weighted sum of registered terms: `Rubric([TermSpec(name="accuracy")])`.

    Terms that a model or a reward file gives need a scorer by their name. Raises UnknownNameError or
    RecipeError for an unknown term or parameter, a wrong value, or a missing scorer.
    """

    def __init__(self, specs: Sequence[TermSpec], scorers: Mapping[str, Scorer] | None = None) -> None:
        self.specs = tuple(specs)
        self._terms = [_Term(spec, (scorers or {}).get(spec.name)) for spec in specs]

    @property
    def learned(self) -> list[str]:
        """The metrics of the terms that models give, e.g. "reward/helpfulness"."""
        return [f"reward/{term.entry.name}" for term in self._terms if term.entry.by_model]

    def score(
        self, samples: Sequence[RewardInput], steps_left: int | None = None, step: int = 1
    ) -> list[Reward | None]:
        """As `outcomes`, with None for a sample that cannot be scored."""
        found = self.outcomes(samples, steps_left, step)
        return [None if isinstance(outcome, Unscored) else outcome for outcome in found]

    def outcomes(
        self, samples: Sequence[RewardInput], steps_left: int | None = None, step: int = 1
    ) -> list[Reward | Unscored]:
        """The reward of each sample, or why it has none.

        Unscored, which is not zero: the verifier failed (ERROR), a term failed in one of the ways that
        `Failure` lists, or the sum overflows. `Reward.terms` holds the raw values of the terms that concern
        the sample.

        Args:
            samples: of one step, for terms that are normalised over it.
            steps_left: of the run, this one included; None when there is no run.
            step: which one this is, from 1, for weights that follow a schedule.
        """
        gradable = [self._gradable(sample) for sample in samples]
        columns = [term.values(samples, gradable, steps_left) for term in self._terms]
        weights = [value_at(spec.weight, step) for spec in self.specs]
        found = [
            self._reward(index, columns, weights) if gradable[index] else _unverified(sample)
            for index, sample in enumerate(samples)
        ]
        _warn([outcome for outcome in found if isinstance(outcome, Unscored)], len(samples))
        unread = sum(not sample.problem.gradable for sample in samples)
        if unread and any(term.pays_without_gold for term in self._terms):
            _log.warning("%d of %d samples answer problems whose gold cannot be read", unread, len(samples))
        return found

    def _gradable(self, sample: RewardInput) -> bool:
        """Whether the verifier could find out about the sample, or a term pays for it all the same."""
        if sample.problem.gradable:
            return sample.verdict.outcome is not Outcome.ERROR
        return any(term.pays_without_gold for term in self._terms)

    def _reward(self, index: int, columns: Sequence[_Column], weights: Sequence[float]) -> Reward | Unscored:
        raw: dict[str, float] = {}
        weighed: dict[str, float] = {}
        total = 0.0
        for spec, column, weight in zip(self.specs, columns, weights, strict=True):
            if not column.concerned[index]:
                continue
            value, counted = column.raw[index], column.counted[index]
            if isinstance(value, Unscored):
                return value
            assert value is not None
            assert counted is not None
            raw[spec.name], weighed[spec.name] = value, weight
            total += weight * counted
        if not math.isfinite(total):
            return Unscored("total", Failure.NOT_FINITE, str(total))
        return Reward(total, raw, weighed)


@dataclass(frozen=True, slots=True)
class _Column:
    """One term's values of all samples; None where it does not concern the sample."""

    concerned: Sequence[bool]
    raw: Sequence[float | Unscored | None]
    counted: Sequence[float | None]  # as it enters the total, before its weight; None without a raw number


class _Term:
    """A registered term with its settings and, if a model or a file gives it, its scorer."""

    def __init__(self, spec: TermSpec, scorer: Scorer | None) -> None:
        self.spec, self.entry, self.scorer = spec, entry_of(spec), scorer
        self.parameters = term_parameters(spec)
        if self.entry.function is None and scorer is None:
            given = (
                "a model gives it; name one under its params" if self.entry.by_model else "it has no scorer"
            )
            raise RecipeError(f"reward {spec.name!r}: {given}")

    @property
    def pays_without_gold(self) -> bool:
        """Whether it has a value for problems whose gold answer cannot be read."""
        return self.entry.without_gold(self.parameters)

    def values(
        self, samples: Sequence[RewardInput], gradable: Sequence[bool], steps_left: int | None
    ) -> _Column:
        """The term's values; a sample whose verifier failed is not looked at.

        A term of the answer has none where the gold cannot be read, unless it pays for that.
        """
        concerned = [self.spec.concerns(sample.problem, steps_left) for sample in samples]
        blind = self.entry.about == "answer" and not self.pays_without_gold
        raw: list[float | Unscored | None] = [
            _unverified(sample, self.entry.name) if blind and not sample.problem.gradable else None
            for sample in samples
        ]
        wanted = [
            index
            for index in range(len(samples))
            if concerned[index] and gradable[index] and raw[index] is None
        ]
        values = self._raw([samples[index] for index in wanted]) if wanted else []
        for index, value in zip(wanted, values, strict=True):
            raw[index] = value
        counted = [value if isinstance(value, float) else None for value in raw]
        return _Column(concerned, raw, _standardised(counted) if self.spec.normalise == "batch" else counted)

    def _raw(self, samples: Sequence[RewardInput]) -> Sequence[float | Unscored]:
        name, function = self.entry.name, self.entry.function
        if self.scorer is not None:
            return [self._given(value) for value in self.scorer.scores(samples)]
        assert function is not None
        if self.entry.batch:
            return several(name, function, samples, self.parameters)
        return [single(name, function, sample, self.parameters) for sample in samples]

    def _given(self, value: float | Unscored | None) -> float | Unscored:
        if value is None:
            return Unscored(self.entry.name, Failure.NO_SCORE)
        return value if isinstance(value, Unscored) else number(self.entry.name, value)


def _unverified(sample: RewardInput, term: str = "verifier") -> Unscored:
    detail = sample.verdict.detail
    if not sample.problem.gradable:
        detail = f"the gold answer cannot be read: {sample.problem.reference[UNREADABLE_GOLD]}"
    return Unscored(term, Failure.VERIFIER, detail)


def _warn(failed: Sequence[Unscored], samples: int) -> None:
    """One line for each way in which samples stayed unscored."""
    first = {(outcome.term, outcome.failure): outcome for outcome in reversed(failed)}
    counts = Counter((outcome.term, outcome.failure) for outcome in failed)
    for (term, failure), count in counts.items():
        detail = first[term, failure].detail
        more = f": {detail}" if detail else ""
        _log.warning("%s %s on %d of %d samples, unscored%s", term, failure, count, samples, more)


def entry_of(spec: TermSpec) -> RewardEntry:
    """The registered term of a spec. Raises UnknownNameError, or RecipeError for a file that is no good."""
    return find(spec.name) if spec.file is None else file_entry(spec.file, spec.name)


def check_terms(specs: Sequence[TermSpec]) -> None:
    """Raises UnknownNameError or RecipeError for an unknown or repeated term, wrong parameters, no term."""
    names = [spec.name for spec in specs]
    if not names or len(set(names)) != len(names):
        raise RecipeError(
            f"rewards: name at least one term, and each once; found {', '.join(names) or 'none'}"
        )
    for spec in specs:
        term_parameters(spec)


def term_parameters(spec: TermSpec) -> Settings:
    """A term's parameters, checked; a file's by the file itself. Raises UnknownNameError, RecipeError."""
    entry = entry_of(spec)
    if spec.file is not None:
        check_parameters(spec.file, spec.name, spec.params)
        return GivenParameters(**spec.params)
    return settings_from(entry.parameters, spec.params, f"reward {spec.name!r}")


def _standardised(values: Sequence[float | None]) -> list[float | None]:
    """Less the mean, over the standard deviation; zeros where all values are equal."""
    known = [value for value in values if value is not None]
    mean = statistics.fmean(known) if known else 0.0
    deviation = statistics.pstdev(known) if known else 0.0
    return [None if value is None else (value - mean) / deviation if deviation else 0.0 for value in values]


def grade(problem: Problem, completion: Completion, task: Task) -> tuple[ParsedResponse, Verdict]:
    """Read the response and verify its answer; a verifier that raises yields an ERROR verdict.

    For a free-form task the text after the thinking, if it has no answer tags, is the answer.
    """
    (graded,) = grade_many([(problem, completion)], {problem.task: task})
    return graded


def grade_many(
    samples: Sequence[tuple[Problem, Completion]], tasks: Mapping[str, Task], spent: float = 0.0
) -> list[tuple[ParsedResponse, Verdict]]:
    """`grade` of each sample, in order; a task that verifies many answers at once gets its own together.

    Args:
        samples: problems with one completion each.
        tasks: by name; every problem's task must be there.
        spent: seconds that other samples of the same step have taken.
    """
    read = [_read(problem, completion, tasks[problem.task]) for problem, completion in samples]
    waiting: dict[str, list[int]] = {}  # task -> indices of samples with an answer
    for index, (_, found) in enumerate(read):
        if isinstance(found, str):
            waiting.setdefault(samples[index][0].task, []).append(index)
    verdicts = [found if isinstance(found, Verdict) else None for _, found in read]
    for name, indices in waiting.items():
        answers = [(samples[index][0], str(read[index][1])) for index in indices]
        for index, verdict in zip(indices, _verified(tasks[name], answers, spent), strict=True):
            verdicts[index] = verdict
    graded = zip(read, verdicts, strict=True)
    return [(parsed, verdict) for (parsed, _), verdict in graded if verdict is not None]


def _read(problem: Problem, completion: Completion, task: Task) -> tuple[ParsedResponse, str | Verdict]:
    """The response with its answer, or with the verdict that it has none."""
    parsed = parse(completion.text)
    answer = parsed.answer
    if answer is None and task.free_form:
        answer = _untagged(completion.text)
    if answer is None:
        return parsed, Verdict(Outcome.NO_ANSWER, None, 0.0, parsed.fault or "no answer")
    return parsed, answer


def _verified(task: Task, answers: Sequence[tuple[Problem, str]], spent: float) -> list[Verdict]:
    """Every answer's verdict."""
    batches = [answers] if isinstance(task, VerifiesMany) else [[each] for each in answers]
    return [verdict for batch in batches for verdict in _verified_together(task, batch, spent)]


def _verified_together(task: Task, answers: Sequence[tuple[Problem, str]], spent: float) -> list[Verdict]:
    """The verdicts on answers; ERROR on all of them where the verifier raises, which leaves them unscored."""
    try:
        if isinstance(task, VerifiesMany):
            return task.verify_many(answers, spent)
        return [task.verify(problem, answer) for problem, answer in answers]
    except Exception as error:  # model text met a fault of the verifier: the run goes on
        detail = f"{type(error).__name__}: {error}"[:200]
        return [Verdict(Outcome.ERROR, answer, 0.0, detail) for _, answer in answers]


def _untagged(response: str) -> str | None:
    text = final_part(response).strip()
    return text if text and ANSWER_OPEN not in text and ANSWER_CLOSE not in text else None

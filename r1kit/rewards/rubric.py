"""From a completion to its reward: read the response, verify the answer, sum the weighted terms."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from r1kit.errors import RecipeError
from r1kit.rewards.registry import RewardInput, Scorer, find
from r1kit.settings import Settings
from r1kit.tasks.protocol import Task, VerifiesMany
from r1kit.tasks.registry import settings_from
from r1kit.text.tags import ANSWER_CLOSE, ANSWER_OPEN, ParsedResponse, final_part, parse
from r1kit.types import Completion, Outcome, Problem, Reward, Verdict

_log = logging.getLogger(__name__)


class TermSpec(Settings):
    """One term of a rubric, as a recipe writes it: `{name: format, weight: 0.1}`."""

    name: str
    """Registered name; `r1kit rewards` lists them."""
    weight: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """Factor of the term in the total."""
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

    Terms that a model gives need a scorer by their name. Raises UnknownNameError or RecipeError for an
    unknown term or parameter, a wrong value, or a missing scorer.
    """

    def __init__(self, specs: Sequence[TermSpec], scorers: Mapping[str, Scorer] | None = None) -> None:
        self.specs = tuple(specs)
        self._terms = [_Term(spec, (scorers or {}).get(spec.name)) for spec in specs]

    @property
    def learned(self) -> list[str]:
        """The metrics of the terms that models give, e.g. "reward/helpfulness"."""
        return [f"reward/{term.entry.name}" for term in self._terms if term.entry.by_model]

    def score(self, samples: Sequence[RewardInput], steps_left: int | None = None) -> list[Reward | None]:
        """The reward of each sample, or None when it cannot be scored.

        Unscored, which is not zero: the verifier failed (ERROR), a term raised or gave no finite number, or
        the sum overflows. `Reward.terms` holds the raw values of the terms that concern the sample.

        Args:
            samples: of one step, for terms that are normalised over it.
            steps_left: of the run, this one included; None when there is no run.
        """
        columns = [term.values(samples, steps_left) for term in self._terms]
        return [self._reward(sample, index, columns) for index, sample in enumerate(samples)]

    def _reward(self, sample: RewardInput, index: int, columns: Sequence[_Column]) -> Reward | None:
        if sample.verdict.outcome is Outcome.ERROR:
            return None
        raw: dict[str, float] = {}
        total = 0.0
        for spec, column in zip(self.specs, columns, strict=True):
            if not column.concerned[index]:
                continue
            value, counted = column.raw[index], column.counted[index]
            if value is None or counted is None:
                return None
            raw[spec.name] = value
            total += spec.weight * counted
        if not math.isfinite(total):
            _log.warning("the total of the rewards is %s on %s", total, sample.problem.id)
            return None
        return Reward(total, raw)


@dataclass(frozen=True, slots=True)
class _Column:
    """One term's values of all samples; None where it could not be scored or does not concern the sample."""

    concerned: Sequence[bool]
    raw: Sequence[float | None]
    counted: Sequence[float | None]  # as it enters the total, before its weight


class _Term:
    """A registered term with its settings and, if a model gives it, its scorer."""

    def __init__(self, spec: TermSpec, scorer: Scorer | None) -> None:
        self.spec, self.entry, self.scorer = spec, find(spec.name), scorer
        self.parameters = term_parameters(spec)
        if self.entry.by_model and scorer is None:
            raise RecipeError(f"reward {spec.name!r}: a model gives it; name one under its params")

    def values(self, samples: Sequence[RewardInput], steps_left: int | None) -> _Column:
        """The term's values; a sample whose verifier failed is not looked at."""
        concerned = [self.spec.concerns(sample.problem, steps_left) for sample in samples]
        wanted = [
            index
            for index, sample in enumerate(samples)
            if concerned[index] and sample.verdict.outcome is not Outcome.ERROR
        ]
        raw: list[float | None] = [None] * len(samples)
        for index, value in zip(wanted, self._raw([samples[index] for index in wanted]), strict=True):
            raw[index] = value
        return _Column(concerned, raw, _standardised(raw) if self.spec.normalise == "batch" else raw)

    def _raw(self, samples: Sequence[RewardInput]) -> list[float | None]:
        if self.scorer is not None:
            return self.scorer.scores(samples) if samples else []
        return [self._single(sample) for sample in samples]

    def _single(self, sample: RewardInput) -> float | None:
        assert self.entry.function is not None
        name, problem = self.entry.name, sample.problem.id
        try:
            value = self.entry.function(sample, self.parameters)
        except (
            Exception
        ) as error:  # a term may be the user's own; its failure is data, not the end of the run
            _log.warning("reward %s failed on %s: %s: %s", name, problem, type(error).__name__, error)
            return None
        if not isinstance(value, int | float) or not math.isfinite(value):
            _log.warning("reward %s gave %.60r on %s", name, value, problem)
            return None
        return float(value)


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
    """A term's parameters, checked. Raises UnknownNameError or RecipeError."""
    return settings_from(find(spec.name).parameters, spec.params, f"reward {spec.name!r}")


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
    samples: Sequence[tuple[Problem, Completion]], tasks: Mapping[str, Task]
) -> list[tuple[ParsedResponse, Verdict]]:
    """`grade` of each sample, in order; a task that verifies many answers at once gets its own together.

    Args:
        samples: problems with one completion each.
        tasks: by name; every problem's task must be there.
    """
    read = [_read(problem, completion, tasks[problem.task]) for problem, completion in samples]
    waiting: dict[str, list[int]] = {}  # task -> indices of samples with an answer
    for index, (_, found) in enumerate(read):
        if isinstance(found, str):
            waiting.setdefault(samples[index][0].task, []).append(index)
    verdicts = [found if isinstance(found, Verdict) else None for _, found in read]
    for name, indices in waiting.items():
        answers = [(samples[index][0], str(read[index][1])) for index in indices]
        for index, verdict in zip(indices, _verified(tasks[name], answers), strict=True):
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


def _verified(task: Task, answers: Sequence[tuple[Problem, str]]) -> list[Verdict]:
    """Every answer's verdict."""
    batches = [answers] if isinstance(task, VerifiesMany) else [[each] for each in answers]
    return [verdict for batch in batches for verdict in _verified_together(task, batch)]


def _verified_together(task: Task, answers: Sequence[tuple[Problem, str]]) -> list[Verdict]:
    """The verdicts on answers; ERROR on all of them where the verifier raises, which leaves them unscored."""
    try:
        if isinstance(task, VerifiesMany):
            return task.verify_many(answers)
        return [task.verify(problem, answer) for problem, answer in answers]
    except Exception as error:  # model text met a fault of the verifier: the run goes on
        detail = f"{type(error).__name__}: {error}"[:200]
        return [Verdict(Outcome.ERROR, answer, 0.0, detail) for _, answer in answers]


def _untagged(response: str) -> str | None:
    text = final_part(response).strip()
    return text if text and ANSWER_OPEN not in text and ANSWER_CLOSE not in text else None

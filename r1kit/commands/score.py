"""`r1kit score`: stored completions in, verdicts and rewards out, one JSON object per line."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from r1kit.commands.reward_settings import parse_rewards, whole_rubric
from r1kit.commands.task_settings import task_with
from r1kit.errors import DataError, RecipeError, UserError
from r1kit.files import dump_json
from r1kit.rewards.registry import RewardInput
from r1kit.rewards.rubric import Rubric, entry_of, grade, term_parameters
from r1kit.tasks.protocol import Task
from r1kit.tasks.registry import make_task
from r1kit.tracking.terminal import printable
from r1kit.types import Completion, Outcome

MAX_LINE = 64 << 20  # characters
MAX_TOKENS = 1 << 24  # of one completion
_PREFILLED_THINK = re.compile(r"<think>\s*\Z")
_UNSCORED: dict[str, Any] = {"verdict": str(Outcome.ERROR), "extracted": None, "terms": {}, "total": 0.0}


def score(arguments: argparse.Namespace) -> int:
    """Score stdin to stdout; 1 when some line could not be read."""
    specs, settings = parse_rewards(arguments.reward, arguments.set, arguments.file)
    scorer = Scorer(whole_rubric(specs), arguments.task, settings)
    sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr] # JSON is UTF-8 in every locale
    bad = 0

    def report(error: DataError) -> None:
        nonlocal bad
        bad += 1
        if arguments.strict:
            raise error
        print("r1kit: error:", " ".join(printable(str(error)).split()), file=sys.stderr)

    for result in scorer.results(sys.stdin, report):
        print(dump_json(result))
    return 1 if bad else 0


class Scorer:
    """Scores rows of any task, with one rubric.

    Args:
        rubric: the terms and their weights.
        task: of the rows that name none.
        settings: of that task alone, as in `--set`; other tasks have their own defaults.
    """

    def __init__(self, rubric: Rubric, task: str | None, settings: Sequence[str] = ()) -> None:
        if settings and task is None:
            raise RecipeError(
                f"--set {settings[0]}: name the task that it is for with --task, or one of the rewards "
                f"({', '.join(spec.name for spec in rubric.specs)}) before a parameter of its own"
            )
        self._rubric = rubric
        self._counts = [s.name for s in rubric.specs if entry_of(s).counts_tokens(term_parameters(s))]
        self._default = task
        self._tasks: dict[str, Task] = {} if task is None else {task: task_with(task, settings)}

    def results(self, lines: Iterable[str], report: Callable[[DataError], None]) -> Iterator[dict[str, Any]]:
        """One result for each line that is not blank, in order.

        A line that cannot be scored is handed to `report` and yields an "error" verdict with total 0, so that
        results and lines stay side by side.
        """
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield self.result(_row(line, number), number)
            except DataError as error:
                report(error)
                yield dict(_UNSCORED)

    def result(self, row: Mapping[str, Any], number: int) -> dict[str, Any]:
        """Verdict, extracted answer, raw terms and weighted total of one row. Raises DataError."""
        where = f"stdin: row {number}"
        task = self._task_of(row, where)
        try:
            problem = task.problem_from_reference(row, where)
        except RecipeError as error:  # of the task's settings, which no later row of the task would pass
            if row.get("task", self._default) == self._default:
                raise
            raise DataError(f"{where}: field 'task': {error}") from None
        completion = Completion((), self._tokens(row, where), (), (), _response(row, where), "stop", 0)
        parsed, verdict = grade(problem, completion, task)
        (reward,) = self._rubric.score([RewardInput(problem, completion, parsed, verdict)])
        return {
            "verdict": str(verdict.outcome if reward else Outcome.ERROR),
            "extracted": verdict.extracted,
            "terms": dict(reward.terms) if reward else {},
            "total": reward.total if reward else 0.0,
        }

    def _tokens(self, row: Mapping[str, Any], where: str) -> tuple[int, ...]:
        """As many tokens as the row says that the completion had; which ones is not known."""
        if not self._counts:
            return ()
        count = row.get("tokens")
        if type(count) is not int or not 0 <= count <= MAX_TOKENS:
            raise DataError(
                f"{where}: field 'tokens' must say how many tokens were sampled, which reward "
                f"{self._counts[0]!r} counts, found {count!r:.40}"
            )
        return (0,) * count

    def _task_of(self, row: Mapping[str, Any], where: str) -> Task:
        name = row.get("task", self._default)
        if name is None:
            raise DataError(f"{where}: field 'task' is missing; name the task there or with --task")
        if not isinstance(name, str):
            raise DataError(f"{where}: field 'task' must be text, found {name!r:.40}")
        try:
            return self._task(name)
        except UserError as error:
            raise DataError(f"{where}: field 'task': {error}") from None

    def _task(self, name: str) -> Task:
        if name not in self._tasks:
            self._tasks[name] = make_task(name)
        return self._tasks[name]


def _row(line: str, number: int) -> dict[str, Any]:
    where = f"stdin: row {number}"
    if len(line) > MAX_LINE:
        raise DataError(f"{where}: longer than {MAX_LINE} characters")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({str(error).splitlines()[0][:160]})") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: must be an object, found {type(row).__name__}")
    return row


def _response(row: Mapping[str, Any], where: str) -> str:
    """The completion, with a `<think>` that the prompt had already opened put back in front of it."""
    completion, prompt = row.get("completion"), row.get("prompt", "")
    if not isinstance(completion, str):
        found = (
            "is missing" if "completion" not in row else f"must be text, found {type(completion).__name__}"
        )
        raise DataError(f"{where}: field 'completion' {found}")
    prefill = _PREFILLED_THINK.search(prompt) if isinstance(prompt, str) else None
    return (
        completion
        if prefill is None or completion.lstrip().startswith("<think>")
        else prefill.group() + completion
    )

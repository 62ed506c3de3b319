"""Verdicts on responses while others are still being sampled.

Only answers whose verification leaves the interpreter (`VerifiesMany`: programs in sandboxes) are graded
beside sampling. Checking all others is Python, which would only take turns with the sampler's own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from types import TracebackType

from r1kit.models.threads import Beside
from r1kit.rewards.rubric import grade_many
from r1kit.tasks.protocol import Task, VerifiesMany
from r1kit.text.tags import ParsedResponse
from r1kit.types import Completion, Problem, Verdict

_TOGETHER = 64  # answers after which is looked whether the others are still wanted

Graded = tuple[ParsedResponse, Verdict]


class Grading:
    """Grades what `take` brings, in a thread of its own, and the rest when asked for `results`.

    A `with` block, at whose end the thread has ended, but where it is quit at once (Ctrl-C), when a batch may
    still be under way. What waits is graded first only by `results`.

    Args:
        problems: of the responses, in their order.
        tasks: by name; every problem's task must be there.
    """

    def __init__(self, problems: Sequence[Problem], tasks: Mapping[str, Task]) -> None:
        self._problems, self._tasks = problems, tasks
        self._beside = {name for name, task in tasks.items() if isinstance(task, VerifiesMany)}
        self._waiting: SimpleQueue[tuple[int, Completion] | None] = SimpleQueue()
        self._graded: dict[int, Graded] = {}
        self._unwanted = False
        self._spent = 0.0  # seconds, by the verifiers
        self._grader: Beside[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether any response may be graded beside sampling."""
        return any(problem.task in self._beside for problem in self._problems)

    def take(self, place: int, completion: Completion) -> None:
        """The response at a place has ended; may be called by any thread."""
        if self._problems[place].task in self._beside:
            self._waiting.put((place, completion))

    def results(self, completions: Sequence[Completion]) -> list[Graded]:
        """What `rewards.rubric.grade_many` says of all responses; what an exception ended is raised here."""
        if self._grader is not None:
            self._waiting.put(None)
            self._grader.result()
        rest = [place for place in range(len(completions)) if place not in self._graded]
        pairs = [(self._problems[place], completions[place]) for place in rest]
        graded = self._graded | dict(zip(rest, grade_many(pairs, self._tasks, self._spent), strict=True))
        return [graded[place] for place in range(len(completions))]

    def __enter__(self) -> Grading:
        if self.wanted:
            self._grader = Beside("r1kit-grading", self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unwanted = True
        self._waiting.put(None)
        quits = kind is not None and not issubclass(kind, Exception)
        if self._grader is not None and not quits:  # who quits at once does not wait for programs
            self._grader.wait()

    def _run(self) -> None:
        """Grade what waits, all of it together, until None comes."""
        more = True
        while more:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            more = None not in batch
            self._grade([each for each in batch if each is not None])

    def _grade(self, batch: Sequence[tuple[int, Completion]]) -> None:
        for begin in range(0, len(batch), _TOGETHER):
            if self._unwanted:
                return
            part, began = batch[begin : begin + _TOGETHER], time.perf_counter()
            pairs = [(self._problems[place], completion) for place, completion in part]
            found = grade_many(pairs, self._tasks, self._spent)
            self._spent += time.perf_counter() - began
            self._graded |= {place: graded for (place, _), graded in zip(part, found, strict=True)}

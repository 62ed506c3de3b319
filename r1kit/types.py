"""Every record that flows through r1kit. Standard library only.

Records are frozen: a step never fills in a field later, it returns the next type.
`Problem` -> `Prompt` -> `Completion` -> `Rollout` (completion + verdict + reward) -> `RolloutGroup`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "validation", "test"]
Finish = Literal["stop", "length"]


class Outcome(StrEnum):
    """What a verifier found. Only CORRECT earns accuracy; the others say why not."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"  # no answer could be located in the response
    MALFORMED = "malformed"  # an answer was located but is not of the task's form
    TIMEOUT = "timeout"  # the verifier hit its own bound
    ERROR = "error"  # the verifier itself failed; the sample is unscored, not zero


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn: `Message("user", "Use 3, 7, 8 to make 29.")`."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Problem:
    """`Problem("countdown/3-7-8/29", "countdown", (Message(…),), {"nums": [3, 7, 8], "target": 29})`."""

    id: str  # unique within the task, the same on every machine; split membership follows from it
    task: str  # registered task name
    messages: tuple[Message, ...]  # what the user says; the prompt template adds the rest
    reference: Mapping[str, Any]  # what the verifier needs, JSON-serialisable; never shown to the policy
    language: str = "en"  # ISO 639-1 code of the question
    tags: tuple[str, ...] = ()  # free labels, e.g. a difficulty


@dataclass(frozen=True, slots=True)
class Prompt:
    """A problem rendered for one tokenizer: the token ids the policy continues."""

    tokens: tuple[int, ...]  # includes the tokens of `prefill`
    prefill: str = ""  # start of the response that is given, e.g. "<think>\n"; it counts as response text


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled response."""

    prompt_tokens: tuple[int, ...]
    tokens: tuple[int, ...]  # new tokens; includes the end-of-sequence token when finish == "stop" by it
    logprobs: tuple[float, ...]  # nats per new token, under temperature 1 and the full vocabulary
    sampling_logprobs: tuple[float, ...]  # nats per new token, under the distribution really sampled from
    text: str  # the response as graded: prefill + decoded new tokens, special tokens dropped
    finish: Finish
    policy_version: int  # weight updates the sampler had received


@dataclass(frozen=True, slots=True)
class ProgramScores:
    """How far a program got, check by check: `ProgramScores(parses=True, runs=True, passed=8, tests=8)`.

    Each check stands on the one before it: a program that does not parse does not run, and so on.
    """

    parses: bool  # it is Python
    runs: bool = False  # it has what was asked for, loads, and comes to the end of every test without raising
    passed: int = 0  # tests passed, of those that it came to
    tests: int = 0
    # Measured by the kernel and therefore never the same twice: not compared, and not logged.
    cpu_seconds: float = field(default=0.0, compare=False)  # of processor time, all tests together
    reference_seconds: float | None = field(default=None, compare=False)  # the same of the reference solution

    @property
    def passes(self) -> bool:
        """Whether it passed all tests."""
        return self.runs and self.passed == self.tests > 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the task's verifier says of one answer."""

    outcome: Outcome
    extracted: str | None = None  # the answer text as it was graded
    score: float = 0.0  # 1.0 when correct; tasks with partial credit may use values between
    detail: str = ""  # one short reason for people, e.g. "7 is used twice"
    program: ProgramScores | None = None  # where the answer is a program

    @property
    def correct(self) -> bool:
        """True for CORRECT alone."""
        return self.outcome is Outcome.CORRECT


@dataclass(frozen=True, slots=True)
class Reward:
    """`Reward(1.1, {"accuracy": 1.0, "format": 1.0}, {"accuracy": 1.0, "format": 0.1})`."""

    total: float  # weighted sum
    terms: Mapping[str, float]  # raw terms, before their weights
    weights: Mapping[str, float] = field(default_factory=dict)  # of the terms, at this step of the run


class Failure(StrEnum):
    """Why a sample has no reward. Each is counted; none of them is a zero."""

    VERIFIER = "verifier"  # the task's verifier failed
    RAISED = "raised"  # the term raised an exception
    WRONG_TYPE = "wrong_type"  # it gave something that is no real number
    NOT_FINITE = "not_finite"  # it gave NaN or an infinity, or the weighted sum is one
    WRONG_COUNT = "wrong_count"  # a term of whole batches gave more or fewer numbers than samples
    HUNG = "hung"  # it took longer than its limit
    DIED = "died"  # its process ended, twice
    NOT_TRIED = "not_tried"  # too many samples before it hung or died
    NO_SCORE = "no_score"  # its model or judge gave none


@dataclass(frozen=True, slots=True)
class Unscored:
    """`Unscored("short", Failure.RAISED, "ZeroDivisionError: division by zero (mine.py, line 9)")`."""

    term: str  # the reward term that failed first; "verifier", "total"
    failure: Failure
    detail: str = ""  # one line for people


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion with its verdict and reward. `reward` is None when it could not be scored."""

    completion: Completion
    verdict: Verdict
    reward: Reward | None
    unscored: Unscored | None = None  # why `reward` is None, where rewards were asked for


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """The G rollouts of one problem."""

    problem: Problem
    prompt: Prompt
    rollouts: tuple[Rollout, ...]

    @property
    def num_correct(self) -> int:
        """How many of the G are correct; an unverified one is not."""
        return sum(rollout.verdict.correct for rollout in self.rollouts)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One supervised example as text; a student may have another tokenizer.

    `Demonstration("countdown/3-7-8/29", "countdown", (Message(…), Message(…)), "refine")`.
    """

    id: str  # of the problem, unique within the task; several demonstrations may share it
    task: str
    messages: tuple[Message, ...]  # the last one is the assistant's, and is what is learned
    origin: str  # how it was made: "few_shot", "direct", "refine", "rejection", "general", "file", …
    language: str = "en"  # ISO 639-1 code of the question
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preference:
    """Two responses to one prompt, of which people prefer `chosen`."""

    id: str
    task: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    language: str = "en"
    scores: tuple[float, float] | None = None  # of chosen and rejected, where their data has any

    @property
    def score_gap(self) -> float | None:
        """The lead of `chosen` in its data's own scores, None without them."""
        return self.scores[0] - self.scores[1] if self.scores else None


@dataclass(frozen=True, slots=True)
class Judged:
    """One response to a prompt and whether it is safe."""

    id: str
    task: str
    prompt: tuple[Message, ...]
    response: str
    safe: bool
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Document:
    """A training text in two parts; loss is taken on `response` only: `Document("7*8=", "56")`."""

    prompt: str  # rendered text, special tokens included; may be empty
    response: str  # rendered text, end-of-sequence token included where it belongs


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a stage leaves behind."""

    kind: Literal["model", "dataset", "evaluation"]
    path: Path
    fingerprint: str  # hash of the stage's settings, code version and inputs' fingerprints
    summary: Mapping[str, Any] = field(default_factory=dict)  # a few numbers for people, JSON-serialisable

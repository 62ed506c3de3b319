"""A sample as plain data, for the process of a reward file.

What goes there: the problem, the response with its tokens, how it was read, its verdict. What does not: the
prompt's tokens and the log-probabilities, whose fields are empty on the other side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1kit.rewards.registry import RewardInput
from r1kit.text.tags import ParsedResponse
from r1kit.types import Completion, Message, Outcome, Problem, Verdict


def to_data(sample: RewardInput) -> dict[str, Any]:
    """What `from_data` reads."""
    problem, completion = sample.problem, sample.completion
    parsed, verdict = sample.parsed, sample.verdict
    return {
        "problem": {
            "id": problem.id,
            "task": problem.task,
            "messages": [[message.role, message.content] for message in problem.messages],
            "reference": dict(problem.reference),
            "language": problem.language,
            "tags": list(problem.tags),
        },
        "completion": {
            "text": completion.text,
            "tokens": list(completion.tokens),
            "finish": completion.finish,
            "policy_version": completion.policy_version,
        },
        "parsed": [parsed.thinking, parsed.answer, parsed.well_formed, parsed.fault],
        "verdict": [verdict.outcome.value, verdict.extracted, verdict.score, verdict.detail],
    }


def from_data(data: Mapping[str, Any]) -> RewardInput:
    """The sample again."""
    problem, completion = data["problem"], data["completion"]
    outcome, extracted, score, detail = data["verdict"]
    return RewardInput(
        Problem(
            problem["id"],
            problem["task"],
            tuple(Message(role, content) for role, content in problem["messages"]),
            problem["reference"],
            problem["language"],
            tuple(problem["tags"]),
        ),
        Completion(
            (),
            tuple(completion["tokens"]),
            (),
            (),
            completion["text"],
            completion["finish"],
            completion["policy_version"],
        ),
        ParsedResponse(*data["parsed"]),
        Verdict(Outcome(outcome), extracted, score, detail),
    )

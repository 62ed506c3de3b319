"""Statistics of an evaluation: scored groups in, the JSON record of one task out. Pure; no torch.

Conventions: P problems, each with the same number N of samples; all shares are in [0, 1]; token counts are
counts of sampled tokens. An unscored sample (verifier TIMEOUT or ERROR) counts as not correct, so that a
broken verifier can only lower a result; its share stands under `verdicts`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from r1kit.rollouts.breakdown import by_behaviour, by_language, by_side, mean
from r1kit.rollouts.intervals import pass_rate
from r1kit.rollouts.measures import Sample, Tokenizer, measure
from r1kit.types import Outcome, Problem, RolloutGroup
from r1kit.verify.arithmetic import ArithmeticSyntaxError, evaluate
from r1kit.verify.numbers import parse_number

AnswerKeys = Callable[[Problem, Sequence[str]], Sequence[Hashable]]
"""(problem, its answers) -> a key for each, equal for answers that are one in the vote."""


def evaluate_groups(
    groups: Sequence[RolloutGroup], tokenizer: Tokenizer, answer_keys: AnswerKeys | None = None
) -> dict[str, Any]:
    """The evaluation record of one task: `{"pass@1": {"mean": 0.7, "ci95": [0.65, 0.75]}, …}`.

    Beside the numbers over all samples it has the task's kind, the behaviours, the numbers of each language
    and, of a dialogue task, those of helpful and harmful requests (`rollouts/breakdown.py`). Every number is
    JSON-serialisable; a mean over nothing is None. `answer_keys` says which answers are the same for the
    majority vote (default: `same_value`). Raises ValueError when there is no group or the groups differ in
    size.
    """
    sizes = {len(group.rollouts) for group in groups}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"an evaluation needs groups of one positive size; found sizes {sorted(sizes)}")
    (n,) = sizes
    samples = [measure(group, rollout, tokenizer) for group in groups for rollout in group.rollouts]
    counts = [group.num_correct for group in groups]
    record: dict[str, Any] = {
        "kind": groups[0].problem.task,
        "pass@1": pass_rate(groups),
        **{f"pass@{k}": pass_at_k(counts, n, k) for k in _powers_of_two(n)},
    }
    if n > 1:
        record[f"cons@{n}"] = consensus(groups, answer_keys or same_value)
        record[f"cons@{n}_verbatim"] = consensus(groups, same_text)
    return {
        **record,
        **_shares(samples),
        **_lengths(samples),
        "behaviours": by_behaviour(samples),
        "languages": by_language(groups, samples),
        **by_side(groups),
        "problems": len(groups),
        "samples": len(samples),
    }


# --- pass@k -----------------------------------------------------------------------------------------------


def pass_at_k(counts: Sequence[int], n: int, k: int) -> float:
    """Mean over problems of 1 - C(n-c, k)/C(n, k): the unbiased pass@k from n samples with c correct ones.

    Source: Chen et al. 2021, arXiv 2107.03374, equation 1.
    """
    return sum(1.0 - math.comb(n - c, k) / math.comb(n, k) for c in counts) / len(counts)


def _powers_of_two(n: int) -> list[int]:
    return [2**i for i in range(1, n.bit_length()) if 2**i <= n]


# --- cons@n -----------------------------------------------------------------------------------------------


def consensus(groups: Sequence[RolloutGroup], answer_keys: AnswerKeys) -> float:
    """Share of problems whose majority answer is correct (the paper's cons@64).

    Each sample with an extracted answer votes for its key of `answer_keys`; the key with most votes
    wins, a tie goes to the key that was voted for first; the first answer of the winning key is the one
    judged. A problem where no sample has an answer is not solved.
    """
    return sum(_majority_correct(group, answer_keys) for group in groups) / len(groups)


def _majority_correct(group: RolloutGroup, answer_keys: AnswerKeys) -> bool:
    voters = [
        (rollout.verdict.extracted, rollout.verdict.correct)
        for rollout in group.rollouts
        if rollout.verdict.extracted is not None
    ]
    keys = answer_keys(group.problem, [answer for answer, _ in voters])
    votes: dict[Hashable, list[bool]] = {}  # keys in the order of their first vote, which is what breaks ties
    for key, (_, correct) in zip(keys, voters, strict=True):
        votes.setdefault(key, []).append(correct)
    return bool(votes) and max(votes.values(), key=len)[0]


def same_text(problem: Problem, answers: Sequence[str]) -> list[str]:
    """Answers are the same when their text is, but for white space: the strictest vote, a lower bound."""
    return ["".join(answer.split()) for answer in answers]


def same_value(problem: Problem, answers: Sequence[str]) -> list[str]:
    """Answers are the same when they have one exact numeric value (`2*9`, `9 * 2`, `18`), else by their text.

    A task that knows better is asked instead, see `tasks.protocol.GroupsAnswers`. For Countdown, where the
    answer is an expression, this is a strong aggregate: right answers gather on the target whichever way they
    reach it, while wrong ones scatter; the vote itself never sees the target. The verbatim vote is reported
    beside it.
    """
    return [_value_key(answer) for answer in answers]


def _value_key(answer: str) -> str:
    try:
        return str(evaluate(answer.split("=")[0]))
    except (ArithmeticSyntaxError, ZeroDivisionError):
        number = parse_number(answer)
        return "".join(answer.split()) if number is None else str(number)


# --- shares and lengths -----------------------------------------------------------------------------------


def _shares(samples: Sequence[Sample]) -> dict[str, Any]:
    def accuracy(thought: bool) -> dict[str, Any]:
        chosen = [s.outcome is Outcome.CORRECT for s in samples if s.thought is thought]
        return {"mean": mean(chosen), "count": len(chosen)}

    return {
        "format_rate": mean([s.formatted for s in samples]),
        "truncation_rate": mean([s.truncated for s in samples]),
        "repetition_rate": mean([s.repetitive for s in samples]),
        "language_consistency": mean([s.language for s in samples if s.language is not None]),
        "accuracy_given_thinking": accuracy(thought=True),
        "accuracy_without_thinking": accuracy(thought=False),
        "verdicts": {str(o): mean([s.outcome is o for s in samples]) for o in Outcome},
    }


def _lengths(samples: Sequence[Sample]) -> dict[str, float]:
    thinking = np.array([s.thinking_tokens for s in samples])
    response = np.array([s.response_tokens for s in samples])
    return {
        "thinking_tokens": float(thinking.mean()),
        "thinking_tokens_p95": float(np.percentile(thinking, 95)),
        "response_tokens": float(response.mean()),
        "response_tokens_p95": float(np.percentile(response, 95)),
    }

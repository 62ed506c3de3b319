"""What a step's rollouts look like, as numbers for metrics.jsonl and rows for rollouts.jsonl.

Shapes: P problems, G samples per problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from r1kit import seeds
from r1kit.learning.credit import Credit, unscored_ways, way_of
from r1kit.objectives.advantages import dead_groups
from r1kit.rollouts.measures import Sample, measure
from r1kit.text.tags import parse
from r1kit.types import Outcome, Rollout, RolloutGroup


def rollout_metrics(groups: Sequence[RolloutGroup], credit: Credit, tokenizer: Any) -> dict[str, float]:
    """Means over all rollouts of a step; rewards and advantages over the scored ones.

    "reward", "reward/TERM" (raw), "accuracy", "verdict/OUTCOME" shares, "dead_groups" (share of groups whose
    rewards are all equal) and of these "dead_groups/all_correct" and "dead_groups/none_correct", "unscored"
    (count) and "unscored/TERM/FAILURE" of each way in which there are any, "advantage/mean" and
    "advantage/std", "sampled_sequences" (count); and, counted as in an evaluation (`rollouts.measures`),
    "format_rate", "response_tokens", "thinking_tokens", "truncation_rate", "repetition_rate" and
    "language_consistency". Of a step with several tasks "accuracy/TASK" and "truncation_rate/TASK" as well.
    """
    samples = [
        measure(group, rollout, tokenizer, behaviours=False) for group in groups for rollout in group.rollouts
    ]
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    terms = [dict(r.reward.terms) for r in rollouts if r.reward is not None]
    names = dict.fromkeys(name for row in terms for name in row)
    rewards = credit.rewards_PG.numpy().ravel()
    advantages = credit.advantages_PG.numpy().ravel()
    scored = ~np.isnan(rewards)
    outcomes = [r.verdict.outcome for r in rollouts]
    return {
        "reward": _mean(rewards[scored]),
        **{f"reward/{name}": _mean([row[name] for row in terms if name in row]) for name in names},
        "accuracy": _mean([r.verdict.correct for r in rollouts]),
        **_by_task(groups),
        **_sample_means(samples),
        **{f"verdict/{outcome}": outcomes.count(outcome) / len(outcomes) for outcome in Outcome},
        **_dead_shares(groups, credit),
        "unscored": float((~scored).sum()),
        **{f"unscored/{way}": float(count) for way, count in sorted(unscored_ways(groups).items())},
        "advantage/mean": _mean(advantages[scored]),
        "advantage/std": float(np.std(advantages[scored])) if scored.any() else float("nan"),
        "sampled_sequences": float(len(rollouts)),
    }


def versions_behind(groups: Sequence[RolloutGroup], version: int) -> dict[str, float]:
    """ "staleness/versions": the mean over all rollouts of how many steps before `version` steps were learned
    the weights are that they were drawn from.
    """
    drawn = [r.completion.policy_version for group in groups for r in group.rollouts]
    return {"staleness/versions": _mean([version - number for number in drawn])}


def _by_task(groups: Sequence[RolloutGroup]) -> dict[str, float]:
    """Shares of right and of cut-off responses by task where a step has several tasks."""
    rollouts: dict[str, list[Rollout]] = {}
    for group in groups:
        rollouts.setdefault(group.problem.task, []).extend(group.rollouts)
    if len(rollouts) == 1:
        return {}
    found = {f"accuracy/{task}": _mean([r.verdict.correct for r in own]) for task, own in rollouts.items()}
    for task, own in rollouts.items():
        found[f"truncation_rate/{task}"] = _mean([r.completion.finish == "length" for r in own])
    return found


def _dead_shares(groups: Sequence[RolloutGroup], credit: Credit) -> dict[str, float]:
    """Shares of all groups: those that teach nothing, and those of them that are all right or all wrong."""
    dead = dead_groups(credit.rewards_PG).tolist()
    right = [group.num_correct for group in groups]
    sizes = [len(group.rollouts) for group in groups]
    return {
        "dead_groups": _mean(dead),
        "dead_groups/all_correct": _mean([d and r == n for d, r, n in zip(dead, right, sizes, strict=True)]),
        "dead_groups/none_correct": _mean([d and r == 0 for d, r in zip(dead, right, strict=True)]),
    }


def rollout_rows(
    groups: Sequence[RolloutGroup], credit: Credit, tokenizer: Any, share: float, seed: int
) -> Iterator[dict[str, Any]]:
    """The rollouts of a seeded share of the groups as rows for people.

    Groups are logged whole, so that `r1kit reward-lab` can tell what other rewards would have taught. Each
    row has what `r1kit score` reads (the completion, the task, the reference under its own keys), the parts
    of the response (its answer as `extracted`: `answer` is the gold one of mathematics), verdict, raw reward
    terms or why it is unscored, and `successful` for a correct answer. `group` is the problem's place in the
    step, `of` the group's size.
    """
    for p, group in enumerate(groups):
        if seeds.fraction(seed, "logged", p) >= share:
            continue
        for g, rollout in enumerate(group.rollouts):
            completion, verdict, reward = rollout.completion, rollout.verdict, rollout.reward
            parsed = parse(completion.text)
            yield {
                **group.problem.reference,
                "problem": group.problem.id,
                "task": group.problem.task,
                "language": group.problem.language,
                "tags": list(group.problem.tags),
                "group": p,
                "of": len(group.rollouts),
                "prompt": tokenizer.decode(list(group.prompt.tokens), skip_special_tokens=False),
                "completion": completion.text,
                "thinking": parsed.thinking,
                "extracted": parsed.answer,
                "verdict": verdict.outcome.value,
                "detail": verdict.detail,
                "terms": None if reward is None else dict(reward.terms),
                "reward": None if reward is None else reward.total,
                "unscored": None if rollout.unscored is None else way_of(rollout.unscored),
                "advantage": float(credit.advantages_PG[p, g]),
                "successful": verdict.correct,
                "tokens": len(completion.tokens),
                "finish": completion.finish,
            }


def _sample_means(samples: Sequence[Sample]) -> dict[str, float]:
    return {
        "format_rate": _mean([s.formatted for s in samples]),
        "response_tokens": _mean([s.response_tokens for s in samples]),
        "thinking_tokens": _mean([s.thinking_tokens for s in samples]),
        "truncation_rate": _mean([s.truncated for s in samples]),
        "repetition_rate": _mean([s.repetitive for s in samples]),
        "language_consistency": _mean([s.language for s in samples if s.language is not None]),
    }


def _mean(values: Sequence[float] | np.ndarray[Any, Any]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")

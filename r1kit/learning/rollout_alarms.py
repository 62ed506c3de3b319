"""Rules for alarms over what was sampled: rewards, verdicts, lengths.

The figures were chosen so that the stages of the laptop recipe, on several seeds, are silent, and runs that
were broken on purpose are not (LOG.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from r1kit.learning.alarms import Rule, Steps

WINDOW = 12  # steps in which a rise is looked for: the later half against the earlier one
LEAST_RISE = 0.02  # of the mean of a reward model's term
LEAST_FALL = 0.05  # of the mean of a score by rules: the questions of 6 steps differ by half of that


def _dead(kind: str) -> Callable[[Steps], str]:
    """Three of four groups teach nothing, and at least half of these for one reason.

    DAPO (arXiv 2503.14476, figure 3b) has about half in the end, and the laptop's stages have up to 0.4.
    """

    def finds(steps: Steps) -> str:
        dead = steps.mean("dead_groups", 6)
        right, wrong = (steps.mean(f"dead_groups/{name}", 6) for name in ("all_correct", "none_correct"))
        cause = "right" if right >= dead / 2 else "wrong" if wrong >= dead / 2 else "equal"
        if not dead > 0.75 or math.isnan(right + wrong) or cause != kind:
            return ""
        how = {"right": "mostly all right", "wrong": "mostly all wrong", "equal": "whether right or wrong"}
        return f"{dead:.0%} of the groups of the last 6 steps had equal rewards, {how[kind]}"

    return finds


def _truncation(steps: Steps) -> str:
    mean, (early, late) = steps.mean("truncation_rate", 4), steps.halves("truncation_rate", WINDOW)
    worst = max(((steps.mean(name, 1), name) for name in steps.names("truncation_rate/")), default=(0.0, ""))
    where = f" (of {worst[1].partition('/')[2]} {worst[0]:.0%})" if worst[1] else ""
    if mean > 0.25:
        return f"{mean:.0%} of the responses of the last 4 steps{where} were cut off at the length limit"
    if steps.change("truncation_rate", WINDOW) >= 0.1:
        return f"the share of cut-off responses rose from {early:.0%} to {late:.0%} in {WINDOW} steps{where}"
    return ""


def _no_reward(steps: Steps) -> str:
    rewards = steps.last("reward", 5)
    return "nothing sampled in the last 5 steps earned any reward" if rewards and not any(rewards) else ""


def _never_correct(steps: Steps) -> str:
    right, rewards = steps.last("accuracy", 10), steps.last("reward", 10)
    if not right or any(right) or not any(rewards):
        return ""
    return "no response of the last 10 steps was right, and other rewards are all that is learned from"


def _falling(steps: Steps) -> str:
    early, late = steps.halves("reward", 16)
    harder = steps.change("difficulty", 16) > 0
    if steps.change("reward", 16) < 0 and early - late >= 0.15 * abs(early) and not harder:
        return f"the reward fell from {early:.3g} to {late:.3g} in 16 steps"
    return ""


def _stalled(steps: Steps) -> str:
    early, late = steps.halves("reward", 40)
    moved = any(steps.change(name, 40) > 0 for name in ("reward", "accuracy", "difficulty"))
    if not math.isnan(early) and not moved and steps.mean("accuracy", 20) < 0.8:
        return f"the reward has not risen beyond chance in 40 steps ({early:.3g}, then {late:.3g})"
    return ""


def _no_answer(steps: Steps) -> str:
    share = steps.mean("verdict/no_answer", WINDOW) + steps.mean("verdict/malformed", WINDOW)
    falling = steps.change("verdict/no_answer", WINDOW) < 0 or steps.change("verdict/malformed", WINDOW) < 0
    if share > 0.5 and not falling:
        return f"{share:.0%} of the responses of the last {WINDOW} steps had no answer in the form asked for"
    return ""


def _unscored(steps: Steps) -> str:
    lost, share = steps.mean("unscored", 4), steps.mean("unscored", 4) / steps.mean("sampled_sequences", 4)
    if not (share > 0.02 and lost >= 1):
        return ""
    ways = {name: steps.mean(name, 1) for name in steps.names("unscored/")}
    worst = max(ways, key=lambda name: ways[name], default="")
    most = f", most by {worst.removeprefix('unscored/')}" if worst else ""
    return f"{share:.1%} of the rollouts of the last 4 steps could not be scored{most}"


def _repetition(steps: Steps) -> str:
    mean, (early, late) = steps.mean("repetition_rate", 6), steps.halves("repetition_rate", WINDOW)
    if mean > 0.2:
        return f"{mean:.0%} of the responses of the last 6 steps repeat themselves"
    if steps.change("repetition_rate", WINDOW) >= 0.08:
        return f"responses that repeat themselves rose from {early:.0%} to {late:.0%} in {WINDOW} steps"
    return ""


def _length(grows: bool) -> Callable[[Steps], str]:
    """To 0.4 or 2.5 times the length within 16 steps, while no more responses are right.

    R1-Zero on the laptop grows by 1.5 in 16 steps, with its accuracy; lengths halve where task shares change.
    """

    def finds(steps: Steps) -> str:
        early, late = steps.halves("response_tokens", 16)
        moved = late >= 2.5 * early if grows else late <= 0.4 * early
        if not moved or not steps.change("response_tokens", 16) or steps.change("accuracy", 16) > 0:
            return ""
        return (
            f"responses went from {early:.0f} to {late:.0f} tokens in 16 steps, and no more of them are right"
        )

    return finds


GROUP_RULES = (
    Rule(
        "questions_too_easy",
        "warning",
        ("dead_groups", "dead_groups/"),
        _dead("right"),
        "the questions have become too easy and teach nothing; ask harder ones, set "
        "rollouts.refill_rounds so that others are asked in their place, or end the run here",
    ),
    Rule(
        "questions_too_hard",
        "warning",
        ("dead_groups", "dead_groups/"),
        _dead("wrong"),
        "the questions are too hard for the policy, or the verifier cannot read its answers; ask easier "
        "ones, raise group_size, train the model further before (sft), and look at rollouts.jsonl whether "
        "right answers are called wrong",
    ),
    Rule(
        "rewards_all_equal",
        "warning",
        ("dead_groups", "dead_groups/"),
        _dead("equal"),
        "the rewards do not tell right responses from wrong ones; look at the weights and parameters of "
        "rewards (`r1kit reward-lab` shows what each term pays)",
    ),
)
"""For advantages that compare the responses of a group: equal rewards teach nothing."""

ROLLOUT_RULES = (
    Rule(
        "truncation",
        "warning",
        ("truncation_rate", "truncation_rate/"),
        _truncation,
        "long responses are taken for wrong ones whatever they say; raise sampling.max_new_tokens, add the "
        "reward overlong, or set objective.truncated: leave_out",
    ),
    Rule(
        "no_reward",
        "critical",
        ("reward",),
        _no_reward,
        "nothing can be learned; ask easier questions, raise group_size, reward a step on the way "
        "(format), or train the model further before (sft)",
    ),
    Rule(
        "never_correct",
        "warning",
        ("accuracy", "reward"),
        _never_correct,
        "the task is out of reach, or the verifier cannot read the answers; ask easier questions, raise "
        "group_size, and look at rollouts.jsonl whether right answers are called wrong",
    ),
    Rule(
        "reward_falling",
        "warning",
        ("reward", "difficulty"),
        _falling,
        "the policy is getting worse, most often by updates that are too large; lower "
        "optimizer.learning_rate, raise objective.kl_beta, and go back to an earlier checkpoint (unless "
        "the questions have become harder by a schedule)",
    ),
    Rule(
        "learning_stalled",
        "note",
        ("reward", "accuracy", "difficulty"),
        _stalled,
        "updates are too small or the rewards too noisy; raise optimizer.learning_rate, questions_per_step "
        "or group_size, or ask questions that it solves about half the time",
        silent=40,
    ),
    Rule(
        "no_answer",
        "warning",
        ("verdict/no_answer", "verdict/malformed"),
        _no_answer,
        "it does not learn the form of an answer; check template and the rewards' format, raise "
        "sampling.max_new_tokens if responses are cut off, or show it the form before (sft)",
    ),
    Rule(
        "unscored",
        "warning",
        ("unscored", "unscored/", "sampled_sequences"),
        _unscored,
        "a verifier or reward term fails on them, as warnings in the terminal say; mend it, or raise its "
        "limit of time (above limits.unscored_share the run ends)",
    ),
    Rule(
        "repetition",
        "warning",
        ("repetition_rate",),
        _repetition,
        "the policy runs into loops; add the reward repetition_penalty, lower optimizer.learning_rate, or "
        "raise objective.kl_beta",
    ),
    Rule(
        "length_collapse",
        "warning",
        ("response_tokens", "accuracy"),
        _length(grows=False),
        "short responses are paid as well as reasoned ones; check what rewards pay a response without "
        "thinking (`r1kit reward-lab`), and take objective.aggregation: constant or token_mean instead of "
        "sequence_mean",
    ),
    Rule(
        "length_explosion",
        "warning",
        ("response_tokens", "accuracy"),
        _length(grows=True),
        "length itself is rewarded, or long wrong responses are punished less per token; take "
        "objective.aggregation: constant or token_mean instead of sequence_mean, or add the reward "
        "overlong",
    ),
)


def hacking_rules(watched: Mapping[str, Iterable[str]]) -> list[Rule]:
    """A rule for each term that a model gives and each score by rules that should not fall while it rises.

    `watched`: metric of a term -> metrics of such scores. Source: DeepSeek-R1 (Nature, s41586-025-09422-z),
    supplement: with a reward model in use for too long its reward went up and the real score down.
    """
    return [_hacking(term, score) for term, scores in watched.items() for score in scores]


def _hacking(term: str, score: str) -> Rule:
    def finds(steps: Steps) -> str:
        both = steps.having(term, score)
        rise, fall = both.change(term, WINDOW), -both.change(score, WINDOW)
        if rise >= LEAST_RISE and fall >= LEAST_FALL:
            return f"{term} rose by {rise:.2f} while {score} fell by {fall:.2f} in {WINDOW} steps"
        return ""

    advice = (
        "the policy may be hacking the reward model; lower its weight in rewards, its last_steps, or "
        "optimizer.learning_rate"
    )
    return Rule("reward_hacking", "warning", (term, score), finds, advice, about=f"{term} {score}")

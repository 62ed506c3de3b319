"""The rules of the alarms on histories made by hand, and what alarms remember."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence

import pytest

from r1kit.learning.alarms import KEPT, Alarm, Alarms, Rule
from r1kit.learning.rollout_alarms import GROUP_RULES, ROLLOUT_RULES, hacking_rules
from r1kit.learning.settings import CriticSettings, RLSettings
from r1kit.learning.update_alarms import UPDATE_RULES

RULES = (*GROUP_RULES, *ROLLOUT_RULES, *UPDATE_RULES)
SOUND = {
    **{"reward": 0.5, "accuracy": 0.5, "dead_groups": 0.2, "dead_groups/all_correct": 0.1},
    **{
        "dead_groups/none_correct": 0.1,
        "truncation_rate": 0.02,
        "truncation_rate/math": 0.02,
        "unscored": 0.0,
    },
    **{"sampled_sequences": 384.0, "trained_sequences": 384.0, "repetition_rate": 0.01},
    **{"response_tokens": 100.0, "verdict/no_answer": 0.1, "verdict/malformed": 0.0, "entropy": 0.6},
    **{"kl": 0.02, "clip/low": 0.01, "clip/high": 0.02, "ratio/max": 3.0, "ratio/min": 0.3},
    **{"logprob_gap/mean": 0.002, "logprob_gap/correlation": 0.9999, "grad_norm": 0.3, "grad_norm/max": 0.4},
    **{"grad_norm/clipped": 0.0, "skipped": 0.0, "ess/tokens": 0.998, "ess/sequences": 0.9},
    **{"value/explained_variance": 0.4},
}

Values = float | Sequence[float] | Callable[[int], float]


def history(steps: int, changed: Mapping[str, Values]) -> list[dict[str, float]]:
    """A sound training, but for some metrics: a number, one for each step, or a function of the step."""

    def value(values: Values, step: int) -> float:
        if callable(values):
            return values(step)
        return values[step] if isinstance(values, Sequence) else values

    return [{**SOUND, **{name: value(v, step) for name, v in changed.items()}} for step in range(steps)]


def told(rows: Sequence[Mapping[str, float]], alarms: Alarms | None = None) -> list[tuple[int, Alarm]]:
    """What is told, with the step (from 1)."""
    watch = alarms or Alarms(RULES)
    return [(step, alarm) for step, row in enumerate(rows, 1) for alarm in watch.look(row)]


def names(rows: Sequence[Mapping[str, float]]) -> list[str]:
    return [alarm.name for _, alarm in told(rows)]


def rising(step: int) -> float:
    return 0.3 + 0.01 * step


# rule -> steps, what is wrong, the step at which it is told, how the text begins
WRONG: dict[str, tuple[int, dict[str, Values], int, str]] = {
    "questions_too_easy": (
        8,
        {"dead_groups": 0.9, "dead_groups/all_correct": 0.8, "accuracy": 0.95},
        6,
        "90% of the groups of the last 6 steps had equal rewards, mostly all right: the questions have",
    ),
    "questions_too_hard": (
        8,
        {"dead_groups": 0.9, "dead_groups/none_correct": 0.8},
        6,
        "90% of the groups of the last 6 steps had equal rewards, mostly all wrong: the questions are",
    ),
    "rewards_all_equal": (
        8,
        {"dead_groups": 0.9},
        6,
        "90% of the groups of the last 6 steps had equal rewards, whether right or wrong: the rewards do not",
    ),
    "truncation": (
        6,
        {"truncation_rate": 0.4, "truncation_rate/math": 0.75},
        4,
        "40% of the responses of the last 4 steps (of math 75%) were cut off at the length limit: long",
    ),
    "no_reward": (
        8,
        {"reward": 0.0, "accuracy": 0.0},
        5,
        "nothing sampled in the last 5 steps earned any reward: nothing can be learned; ask easier",
    ),
    "never_correct": (
        12,
        {"accuracy": 0.0},
        10,
        "no response of the last 10 steps was right, and other rewards are all that is learned from: the",
    ),
    "reward_falling": (
        30,
        {"reward": lambda step: 0.9 - 0.02 * step},
        16,
        "the reward fell from 0.83 to 0.67 in 16 steps: the policy is getting worse, most often by updates",
    ),
    "learning_stalled": (
        44,
        {"reward": lambda step: 0.5 + 0.01 * (step % 2), "accuracy": 0.5},
        40,
        "the reward has not risen beyond chance in 40 steps (0.505, then 0.505): updates are too small",
    ),
    "no_answer": (
        16,
        {"verdict/no_answer": 0.5, "verdict/malformed": 0.2},
        12,
        "70% of the responses of the last 12 steps had no answer in the form asked for: it does not learn",
    ),
    "unscored": (
        8,
        {"unscored": 19.2, "unscored/short/hung": 17.0, "unscored/verifier": 2.2},
        4,
        "5.0% of the rollouts of the last 4 steps could not be scored, most by short/hung: a verifier",
    ),
    "repetition": (
        8,
        {"repetition_rate": 0.3},
        6,
        "30% of the responses of the last 6 steps repeat themselves",
    ),
    "length_collapse": (
        24,
        {"response_tokens": lambda step: 200.0 if step < 8 else 20.0, "accuracy": 0.5},
        16,
        "responses went from 200 to 20 tokens in 16 steps, and no more of them are right: short responses",
    ),
    "length_explosion": (
        24,
        {"response_tokens": lambda step: 100.0 * 1.2**step, "accuracy": 0.5},
        16,
        "responses went from 206 to 887 tokens in 16 steps, and no more of them are right: length itself",
    ),
    "entropy_collapse": (
        20,
        {"entropy": lambda step: 0.6 * 0.7**step},
        11,
        "the entropy fell from 0.438 to 0.0494 nats per token: the policy has stopped exploring",
    ),
    "entropy_explosion": (
        20,
        {"entropy": lambda step: 0.6 + 0.1 * step},
        15,
        "the entropy rose from 0.7 to 1.85 nats per token: the policy comes apart",
    ),
    "kl_runaway": (
        8,
        {"kl": lambda step: 0.5 * step},
        5,
        "the policy is 1.25 nats per token away from the reference: updates are larger than the KL",
    ),
    "kl_spike": (
        12,
        {"kl": lambda step: 34.0 if step == 10 else 0.03},
        11,
        "the KL of this step is 34 nats per token, else 0.03: k3 and its gradient grow without bound",
    ),
    "clipping": (
        8,
        {"clip/low": 0.2, "clip/high": 0.2},
        6,
        "40% of the tokens with an advantage are clipped",
    ),
    "one_sided_clipping": (
        8,
        {"clip/low": 0.08, "clip/high": 0.001},
        6,
        "of the 8% clipped tokens nearly all are cut off on the low side: high alone",
    ),
    "ratio_extremes": (
        8,
        {"ratio/max": [3, 900, 3, 200, 100, 80, 3, 3], "ratio/min": 0.01},
        6,
        "in 4 of the last 6 steps some token became more than 50 times likelier or 10,000 times rarer",
    ),
    "logprob_gap": (
        8,
        {"logprob_gap/mean": 0.2, "logprob_gap/correlation": 0.93},
        6,
        "sampler and learner disagree by 0.2 nats per token about the same policy (correlation 0.930)",
    ),
    "gradient_spike": (
        16,
        {"grad_norm/max": lambda step: 8.0 if step == 14 else 0.4},
        15,
        "a gradient had 20 times the usual norm (8, else 0.4): one batch pulled",
    ),
    "gradients_always_clipped": (
        14,
        {"grad_norm/clipped": 1.0, "grad_norm": 5.0},
        12,
        "nearly all gradients of the last 12 steps were scaled down (their norm is 5)",
    ),
    "skipped_updates": (
        6,
        {"skipped": 1.0},
        4,
        "4 updates of the last 4 steps were skipped because a loss or gradient was not finite: numbers",
    ),
    "effective_sample_size": (
        6,
        {"ess/tokens": 0.6, "ess/sequences": 0.1},
        4,
        "the effective sample size is 60% of the tokens (10% of the sequences): the rollouts",
    ),
    "empty_step": (
        3,
        {"trained_sequences": [384.0, 0.0, 384.0]},
        2,
        "the step had nothing to train on, there was no update: all groups had equal rewards or",
    ),
    "critic_explains_nothing": (
        18,
        {"value/explained_variance": -0.3},
        16,
        "the critic has explained none of the returns for 16 steps (explained variance -0.3): advantages",
    ),
}


def test_there_is_a_history_for_every_rule() -> None:
    assert [rule.name for rule in RULES if rule.name not in WRONG] == []
    assert len({rule.name for rule in RULES}) == len(RULES) == len(WRONG)


@pytest.mark.parametrize("name", WRONG)
def test_each_rule_alone_tells_of_its_own_trouble_once_it_has_seen_enough(name: str) -> None:
    steps, changed, when, text = WRONG[name]
    found = told(history(steps, {"reward": rising, "accuracy": rising, **changed}))
    assert [(step, alarm.name) for step, alarm in found] == [(when, name)]
    assert found[0][1].text.startswith(text)


def test_rises_of_truncation_and_repetition_are_told_below_the_level_that_is_too_much() -> None:
    (first,) = told(history(14, {"reward": rising, "truncation_rate": lambda step: 0.01 * 2 * step}))
    assert first[1].text.startswith(
        "the share of cut-off responses rose from 5% to 17% in 12 steps (of math 2%)"
    )
    (second,) = told(history(14, {"reward": rising, "repetition_rate": lambda step: 0.015 * step}))
    assert second[1].text.startswith("responses that repeat themselves rose from 4% to 13% in 12 steps")
    (third,) = told(history(12, {"kl": lambda step: 0.02 if step < 6 else 0.5}))
    assert third[1].text.startswith(
        "the KL to the reference rose from 0.02 to 0.5 nats per token in 12 steps"
    )


def test_a_sound_training_is_silent() -> None:
    noise = [(-1) ** step * 0.1 * (step % 4) for step in range(120)]
    rows = history(
        120,
        {
            "reward": lambda step: min(0.9, 0.1 + 0.01 * step) + noise[step] / 2,
            "accuracy": lambda step: min(0.85, 0.05 + 0.01 * step) + noise[step] / 2,
            "entropy": lambda step: 0.6 * math.exp(-step / 100) * (1 + noise[step]),
            "response_tokens": lambda step: 60 * math.exp(step / 60) * (1 + noise[step]),
            "verdict/no_answer": lambda step: 0.7 * math.exp(-step / 15),
            "truncation_rate": lambda step: 0.001 * step,
            "kl": lambda step: 0.001 * step,
            "grad_norm/max": lambda step: 0.4 * math.exp(step / 60) * (1 + 3 * noise[step]),
            "ratio/min": lambda step: 0.003 if step % 2 else 0.1,
        },
    )
    assert told(rows) == []


def test_harder_questions_explain_a_lower_or_level_reward() -> None:
    harder: dict[str, Values] = {"difficulty": lambda step: 0.05 * step}
    assert names(history(30, {"reward": lambda step: 0.9 - 0.02 * step, **harder})) == []
    assert names(history(44, {"reward": 0.5, **harder})) == []


def test_a_policy_that_solves_everything_may_lose_its_entropy() -> None:
    rows = history(30, {"entropy": lambda step: 0.6 * 0.7**step, "accuracy": 0.97})
    assert names(rows) == []


def test_lengths_may_grow_and_shrink_where_more_responses_become_right() -> None:
    longer = history(24, {"response_tokens": lambda step: 100.0 * 1.2**step, "accuracy": rising})
    shorter = history(24, {"response_tokens": lambda step: 100.0 * 0.8**step, "accuracy": rising})
    assert names(longer) == names(shorter) == []


def test_metrics_that_are_missing_or_not_finite_raise_no_alarm() -> None:
    assert told([{}] * 60) == []
    assert told([dict.fromkeys(SOUND, math.nan)] * 60) == []


def test_what_is_no_longer_measured_raises_no_alarm() -> None:
    rows = history(5, {"kl": 0.9, "reward": rising})
    gone = {name: value for name, value in SOUND.items() if name != "kl"}
    assert names([*rows[:3], *[{**gone, "reward": rising(step)} for step in range(3, 30)]]) == []


def test_steps_without_a_batch_do_not_hide_what_the_updates_show() -> None:
    rows = history(16, {"logprob_gap/mean": 0.2, "reward": rising})
    rows[1::2] = [{"trained_sequences": 0.0, "reward": rising(step)} for step in range(1, 16, 2)]
    assert names(rows) == ["empty_step", "logprob_gap"]


def test_an_alarm_that_has_spoken_is_silent_twice_as_long_each_time() -> None:
    rule = Rule("high", "note", ("x",), lambda steps: "x" if steps.mean("x", 1) > 0 else "", "y", silent=5)
    found = told([{"x": 1.0}] * 60, Alarms([rule]))
    assert [step for step, _ in found] == [1, 6, 16, 36]
    assert found[0][1] == Alarm("high", "note", "x: y")


@pytest.mark.parametrize("stop", [1, 2, 7, 40, 70])
def test_an_interrupted_watch_says_what_an_uninterrupted_one_would(stop: int) -> None:
    changes: dict[str, Values] = {"truncation_rate": 0.4, "entropy": lambda step: 0.6 * 0.9**step, "kl": 2.0}
    rows = history(120, changes)
    whole = told(rows)
    assert len(whole) > 8
    first = Alarms(RULES)
    said = told(rows[:stop], first)
    saved = json.loads(json.dumps(first.history, allow_nan=False))
    second = Alarms(RULES, saved)
    said += [(step + stop, alarm) for step, alarm in told(rows[stop:], second)]
    assert said == whole


def test_what_is_remembered_does_not_grow_with_the_run() -> None:
    alarms = Alarms(RULES)
    told(history(200, {"of no rule": 1.0}), alarms)
    assert len(alarms.history["rows"]) == KEPT
    assert "of no rule" not in alarms.history["rows"][-1]


def test_every_setting_that_an_alarm_names_is_one() -> None:
    groups = {
        name: field.annotation.model_fields
        for name, field in RLSettings.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }
    groups["critic"] = CriticSettings.model_fields
    named = 0
    for rule in (*RULES, *hacking_rules({"reward/x": ["accuracy"]})):
        for group, setting in re.findall(r"([a-z_]+)\.([a-z_]+)", rule.advice):
            if (group, setting) != ("rollouts", "jsonl"):
                assert setting in groups[group], f"{rule.name}: {group}.{setting}"
                named += 1
    assert named > 30

"""The rules for reward hacking: a reward model's term rises while a score by rules falls."""

from __future__ import annotations

from r1kit.learning.alarms import Alarms
from r1kit.learning.rollout_alarms import WINDOW, hacking_rules


def hacking(model: list[float], rule: list[float]) -> list[list[str]]:
    alarms = Alarms(hacking_rules({"reward/helpfulness": ["accuracy"]}))
    return [
        [alarm.text for alarm in alarms.look({"reward/helpfulness": m, "accuracy": r, "loss": 1.0})]
        for m, r in zip(model, rule, strict=True)
    ]


UP = [i / 20 for i in range(WINDOW)]
DOWN = UP[::-1]


def test_a_rising_reward_model_with_a_falling_rule_score_is_told_once_the_window_is_full() -> None:
    found = hacking(UP, DOWN)
    assert found[:-1] == [[]] * (WINDOW - 1)
    (message,) = found[-1]
    assert message.startswith(
        "reward/helpfulness rose by 0.30 while accuracy fell by 0.30 in 12 steps: the policy may be hacking"
    )


def test_both_rising_both_falling_or_flat_is_no_alarm() -> None:
    flat = [0.5] * WINDOW
    for model, rule in ((UP, UP), (DOWN, DOWN), (DOWN, UP), (flat, DOWN), (UP, flat)):
        assert hacking(model, rule)[-1] == []


def test_steps_without_the_reward_model_do_not_count() -> None:
    alarms = Alarms(hacking_rules({"reward/helpfulness": ["accuracy"]}))
    rows = [{"accuracy": value, "reward/helpfulness": 0.0} for value in DOWN]
    for row in rows:
        del row["reward/helpfulness"]
        assert alarms.look(row) == []
    for value in UP[:-1]:
        assert alarms.look({"reward/helpfulness": value, "accuracy": 1 - value}) == []
    assert len(alarms.look({"reward/helpfulness": 1.0, "accuracy": 0.0})) == 1


def test_a_term_is_compared_with_the_scores_of_the_same_steps() -> None:
    alarms = Alarms(hacking_rules({"reward/helpfulness": ["accuracy"]}))
    for step, value in enumerate(UP + UP):  # the score falls only where the term is not measured
        term = {"reward/helpfulness": value} if step % 2 else {}
        assert alarms.look({"accuracy": 0.5 if step % 2 else 1 - step / 24, **term}) == []


def test_each_term_is_compared_with_the_scores_of_its_own_tasks() -> None:
    alarms = Alarms(hacking_rules({"reward/harmlessness": ["accuracy/harmless", "reward/accuracy"]}))
    for model, harmless in zip(UP, DOWN, strict=True):
        found = alarms.look(
            {"reward/harmlessness": model, "accuracy/harmless": harmless, "reward/accuracy": 0.9}
        )
    (alarm,) = found
    assert "while accuracy/harmless fell by 0.30" in alarm.text


def test_a_fall_within_the_noise_of_single_steps_is_no_alarm() -> None:
    noisy = [0.6, 0.0] * (WINDOW // 4) + [0.5, 0.0] * (WINDOW // 4)  # falls by 0.05, standard error 0.18
    assert hacking(UP, noisy)[-1] == []

import json
import random

import numpy as np
import pytest

from r1kit.learning.credit import assign_credit
from r1kit.learning.rollout_stats import rollout_metrics
from r1kit.rollouts.intervals import clustered_interval, pass_rate
from r1kit.rollouts.measures import reasoning
from r1kit.stages.metrics import (
    consensus,
    evaluate_groups,
    pass_at_k,
    same_text,
    same_value,
)
from r1kit.text.behaviours import BEHAVIOURS
from r1kit.text.tags import parse
from r1kit.types import (
    Completion,
    Message,
    Outcome,
    Problem,
    Prompt,
    Rollout,
    RolloutGroup,
    Verdict,
)

TAGS = {"<think>": 1, "</think>": 2, "<answer>": 3, "</answer>": 4}
EOS = 0


class WordTokenizer:
    """One token a word; the tags are single tokens unless `split_tags`."""

    all_special_ids = (EOS,)

    def __init__(self, split_tags: bool = False) -> None:
        self.split_tags = split_tags

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        ids = []
        for word in text.split():
            if word in TAGS and self.split_tags:
                ids += [90, 91, 92]
            else:
                ids.append(TAGS.get(word) or 100 + sum(map(ord, word)))
        return ids


def rollout(text, outcome=Outcome.WRONG, answer=None, *, prefill="", finish="stop", tokenizer=None):
    tokens = (tokenizer or WordTokenizer()).encode(text) + ([EOS] if finish == "stop" else [])
    zeros = (0.0,) * len(tokens)
    completion = Completion((7,), tuple(tokens), zeros, zeros, prefill + text, finish, 0)
    return Rollout(completion, Verdict(outcome, answer), None)


def group(*rollouts, prefill="", language="en", name="p", task="countdown", tags=()):
    problem = Problem(name, task, (Message("user", "?"),), {}, language, tags)
    return RolloutGroup(problem, Prompt((7,), prefill), rollouts)


def votes(*answers):
    """A group from (answer, correct) pairs."""
    return group(
        *(rollout("x", Outcome.CORRECT if correct else Outcome.WRONG, answer) for answer, correct in answers)
    )


def test_record_of_two_problems_has_the_values_counted_by_hand():
    right = rollout("<think> so three plus seven </think> <answer> 3+7 </answer>", Outcome.CORRECT, "3+7")
    direct = rollout("3*7", Outcome.NO_ANSWER)
    cut = rollout("<think> 我们 look", Outcome.NO_ANSWER, finish="length")
    wrong = rollout("<think> hm </think> <answer> 3-7 </answer>", Outcome.WRONG, "3-7")
    record = evaluate_groups([group(right, direct), group(cut, wrong, name="q")], WordTokenizer())
    assert record["pass@1"]["mean"] == 0.25
    low, high = record["pass@1"]["ci95"]
    assert 0 < low < 0.25 < high < 1
    assert record["pass@2"] == 0.5
    assert record["cons@2"] == 0.5
    assert record["format_rate"] == 0.5
    assert record["thinking_tokens"] == (4 + 0 + 2 + 1) / 4
    assert record["thinking_tokens_p95"] == pytest.approx(np.percentile([4, 0, 2, 1], 95))
    assert record["response_tokens"] == (10 + 2 + 3 + 7) / 4
    assert record["truncation_rate"] == 0.25
    assert record["accuracy_given_thinking"] == {"mean": 1 / 3, "count": 3}
    assert record["accuracy_without_thinking"] == {"mean": 0.0, "count": 1}
    assert record["language_consistency"] == pytest.approx((1.0 + 1 / 3 + 1.0) / 3)
    assert record["verdicts"]["no_answer"] == 0.5
    assert sum(record["verdicts"].values()) == 1.0
    assert (record["problems"], record["samples"]) == (2, 4)
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_share_occurrences_and_accuracy_of_a_behaviour_are_counted_by_hand():
    waits = rollout("<think> wait, what? hmm. wait, so </think> <answer> 1 </answer>", Outcome.CORRECT, "1")
    wrong = rollout("<think> hmm. </think> <answer> 2 </answer>", Outcome.WRONG, "2")
    plain = rollout("<think> so </think> <answer> 1 </answer>", Outcome.CORRECT, "1")
    record = evaluate_groups([group(waits, wrong), group(plain, plain, name="q")], WordTokenizer())
    assert list(record["behaviours"]) == list(BEHAVIOURS)
    assert record["behaviours"]["hesitation"] == {
        "share": 0.5,
        "per_response": (3 + 1) / 4,
        "accuracy": 0.5,
        "accuracy_without": 1.0,
    }
    assert record["behaviours"]["verification"] == {
        "share": 0.0,
        "per_response": 0.0,
        "accuracy": None,
        "accuracy_without": 0.75,
    }


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ("<think> hmm </think> <answer> wait, no </answer>", "hmm"),
        ("hmm\n<answer> wait, no </answer>", "hmm\n"),  # a base model that leaves the tags out reasons too
        ("hmm, 3+7", "hmm, 3+7"),
        ("<answer> 3+7 </answer>", ""),
        ("hm <think>", ""),
    ],
)
def test_behaviours_are_looked_for_in_the_reasoning_and_never_in_the_answer(response, text):
    assert reasoning(response, parse(response)) == text


def test_languages_of_the_questions_have_records_of_their_own():
    right = rollout("<think> so three </think> <answer> 3 </answer>", Outcome.CORRECT, "3")
    mixed = rollout("<think> 我们 look </think> <answer> 3 </answer>", Outcome.WRONG, "3")
    groups = [
        group(right, right, name="a"),
        group(right, mixed, language="zh", name="b"),
        group(right, mixed, name="c"),
    ]
    record = evaluate_groups(groups, WordTokenizer())
    english, chinese = record["languages"]["en"], record["languages"]["zh"]
    assert list(record["languages"]) == ["en", "zh"]
    assert (english["samples"], chinese["samples"]) == (4, 2)
    assert (english["pass@1"]["mean"], chinese["pass@1"]["mean"]) == (0.75, 0.5)
    assert english["pass@1"] == pass_rate([groups[0], groups[2]])
    assert english["language_consistency"] == pytest.approx((1 + 1 + 1 + 1 / 3) / 4)
    assert chinese["language_consistency"] == pytest.approx((0 + 2 / 3) / 2)


def test_a_dialogue_has_a_pass_rate_for_each_side_and_other_tasks_have_none():
    right, wrong = rollout("ok", Outcome.CORRECT, "ok"), rollout("no", Outcome.WRONG, "no")
    groups = [
        group(right, wrong, task="dialogue", tags=("helpful",), name="a"),
        group(right, right, task="dialogue", tags=("harmful",), name="b"),
    ]
    record = evaluate_groups(groups, WordTokenizer())
    assert (record["kind"], record["pass@1"]["mean"]) == ("dialogue", 0.75)
    assert record["helpful"] == pass_rate(groups[:1])
    assert record["helpful"]["mean"] == 0.5
    assert record["harmful"]["mean"] == 1.0
    assert "harmful" not in evaluate_groups(groups[:1], WordTokenizer())
    plain = evaluate_groups([group(right, wrong)], WordTokenizer())
    assert plain["kind"] == "countdown"
    assert not {"helpful", "harmful"} & plain.keys()


def test_format_rate_asks_for_the_answer_form_of_the_task_too():
    text = "<think> a </think> <answer> (1 </answer>"
    groups = [group(rollout(text, Outcome.MALFORMED, "(1"), rollout(text, Outcome.WRONG, "(1"))]
    assert evaluate_groups(groups, WordTokenizer())["format_rate"] == 0.5


def test_absent_kinds_of_sample_give_none_instead_of_nan():
    record = evaluate_groups([group(rollout("3+7"))], WordTokenizer())
    assert record["accuracy_given_thinking"] == {"mean": None, "count": 0}
    assert record["language_consistency"] is None
    assert record["languages"]["en"]["language_consistency"] is None
    assert record["behaviours"]["hesitation"]["accuracy"] is None
    assert "cons@1" not in record
    assert "pass@2" not in record


@pytest.mark.parametrize("groups", [[], [group(rollout("a")), group(rollout("a"), rollout("b"))], [group()]])
def test_groups_of_no_or_of_different_sizes_are_refused(groups):
    with pytest.raises(ValueError, match="groups of one positive size"):
        evaluate_groups(groups, WordTokenizer())


@pytest.mark.parametrize("split_tags", [False, True])
@pytest.mark.parametrize(
    ("prefill", "text", "expected"),
    [
        ("", "<think> a b c </think> d", 3),
        ("", "<think> a b c", 3),  # cut off or never closed: to the end, without the end-of-sequence token
        ("<think>", " a b </think> d", 2),  # the prefilled tag is part of the response
        ("", "a b <think> </think> c", 0),
        ("", "a b c </think> d", 0),
    ],
)
def test_thinking_is_counted_between_the_tags(split_tags, prefill, text, expected):
    tokenizer = WordTokenizer(split_tags)
    groups = [group(rollout(text, prefill=prefill, tokenizer=tokenizer), prefill=prefill)]
    assert evaluate_groups(groups, tokenizer)["thinking_tokens"] == expected


def test_tag_spelled_in_pieces_is_counted_from_the_text():
    pieces = Completion((7,), (55, 1000, 1001, 56, 1002), (), (), "<think> a b </think> c", "length", 0)
    groups = [group(Rollout(pieces, Verdict(Outcome.WRONG), None))]
    assert evaluate_groups(groups, WordTokenizer())["thinking_tokens"] == 2


def test_tag_spelled_in_pieces_before_a_whole_one_is_counted_from_the_text():
    text = "<think> a b <think> c </think> d"
    pieces = Completion((7,), (55, 56, 57, 1000, 1001, 1, 1002, 2, 1003), (), (), text, "length", 0)
    groups = [group(Rollout(pieces, Verdict(Outcome.WRONG), None))]
    assert evaluate_groups(groups, WordTokenizer())["thinking_tokens"] == 4  # a b <think> c


def test_any_end_token_is_left_out_of_unclosed_thinking_and_only_at_its_end():
    tokenizer = WordTokenizer()
    tokenizer.all_special_ids = (EOS, 9)
    ended = Completion((7,), (1, 50, 51, 9), (), (), "<think> a b", "stop", 0)
    cut = Completion((7,), (1, 50, 51, 52), (), (), "<think> a b c", "length", 0)
    groups = [group(*(Rollout(c, Verdict(Outcome.NO_ANSWER), None) for c in (ended, cut)))]
    assert evaluate_groups(groups, tokenizer)["thinking_tokens"] == (2 + 3) / 2


def test_training_and_evaluation_report_the_same_numbers():
    tokenizer = WordTokenizer()
    groups = [
        group(rollout("<think> so three </think> <answer> 3 </answer>", Outcome.CORRECT, "3"), rollout("3")),
        group(rollout("<think> 我们 look", finish="length"), rollout("<think> " + "a b c " * 40), name="q"),
    ]
    evaluated = evaluate_groups(groups, tokenizer)
    trained = rollout_metrics(groups, assign_credit(groups, "grpo"), tokenizer)
    assert trained["accuracy"] == evaluated["pass@1"]["mean"]
    for name in (
        "format_rate", "thinking_tokens", "response_tokens", "truncation_rate", "repetition_rate",
        "language_consistency",
    ):  # fmt: skip
        assert trained[name] == pytest.approx(evaluated[name]), name


def test_completion_in_a_loop_is_repetitive_and_a_search_is_not():
    loop = rollout("<think> " + "try three times seven equals twenty one versus eight no " * 12)
    words = random.Random(0)
    search = rollout(
        "<think> " + " ".join(f"try {words.randrange(900)} + {words.randrange(900)} no" for _ in range(12))
    )
    assert evaluate_groups([group(loop, search)], WordTokenizer())["repetition_rate"] == 0.5


def test_pass_at_k_equals_the_enumeration_of_all_subsets():
    # 4 samples, 1 correct: a random pair contains it in 3 of 6 cases; 4 of 4 correct always
    assert pass_at_k([1], 4, 2) == pytest.approx(0.5)
    assert pass_at_k([4, 0], 4, 2) == pytest.approx(0.5)
    assert pass_at_k([2], 4, 4) == 1.0
    assert pass_at_k([3], 16, 1) == pytest.approx(3 / 16)


def test_pass_at_k_is_reported_for_powers_of_two():
    record = evaluate_groups([group(*[rollout("a")] * 6)], WordTokenizer())
    assert {name for name in record if name.startswith("pass@")} == {"pass@1", "pass@2", "pass@4"}


def test_majority_of_values_wins_where_the_texts_differ():
    groups = [votes(("1+1", False), ("1+1", False), ("3*4", True), ("4*3", True), ("4 * 3 = 12", True))]
    assert consensus(groups, same_value) == 1.0
    assert consensus(groups, same_text) == 0.0  # three texts of one vote each lose to "1+1"


def test_majority_can_elect_a_wrong_answer():
    assert consensus([votes(("5", False), ("7", True), ("5", False))], same_value) == 0.0


def test_tie_goes_to_the_answer_given_first():
    assert consensus([votes(("5", False), ("7", True))], same_value) == 0.0
    assert consensus([votes(("7", True), ("5", False))], same_value) == 1.0


def test_first_answer_of_the_winning_value_is_the_one_judged():
    # "6+6" has the winning value but breaks a rule of the task, so it is not correct, and it came first
    assert consensus([votes(("6+6", False), ("3*4", True), ("4*3", True))], same_value) == 0.0


def test_samples_without_an_answer_do_not_vote():
    assert consensus([votes((None, False), (None, False), ("7", True))], same_value) == 1.0
    assert consensus([votes((None, False), (None, False))], same_value) == 0.0


@pytest.mark.parametrize(
    ("answer", "key"),
    [("(1+2)*3", "9"), ("1/2", "1/2"), ("0.5", "1/2"), ("1,000", "1000"), ("x + 1", "x+1"), ("1/0", "1/0")],
)
def test_value_key_is_exact_and_falls_back_to_the_text(answer, key):
    problem = Problem("p", "math", (), {})
    assert same_value(problem, [answer]) == [key]


def test_interval_of_unanimous_samples_is_that_of_the_problems_alone():
    low, high = clustered_interval([0] * 100, 16)
    assert (low, high) == (0.0, pytest.approx(0.0370, abs=2e-4))  # Wilson, 0 of 100
    low, high = clustered_interval([16] * 100, 16)
    assert (low, high) == (pytest.approx(0.9630, abs=2e-4), 1.0)


def test_interval_is_wilson_of_the_problems_when_samples_of_a_problem_agree():
    low, high = clustered_interval([16] * 30 + [0] * 70, 16)
    assert (low, high) == (pytest.approx(0.219, abs=2e-3), pytest.approx(0.396, abs=2e-3))


def test_interval_is_narrower_when_samples_are_independent():
    generator = np.random.default_rng(0)
    low, high = clustered_interval(generator.binomial(16, 0.3, size=100).tolist(), 16)
    assert high - low < 0.06 < 0.17


def test_interval_of_one_problem_is_wide():
    low, high = clustered_interval([8], 16)
    assert low < 0.1
    assert high > 0.9


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.8, 0.97])
@pytest.mark.parametrize("correlation", [0.05, 0.3, 0.8])
def test_interval_covers_the_true_rate_in_about_95_of_100_simulations(rate, correlation):
    generator = np.random.default_rng(7)
    strength = 1 / correlation - 1  # beta distribution of pass rates with this intra-problem correlation
    rates = generator.beta(rate * strength, (1 - rate) * strength, size=(500, 100))
    counts = generator.binomial(16, rates)
    covered = sum(low <= rate <= high for low, high in (clustered_interval(c.tolist(), 16) for c in counts))
    assert 0.915 <= covered / 500 <= 0.985

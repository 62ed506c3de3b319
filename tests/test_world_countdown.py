"""The Countdown pages of the corpus: what a search says is true, and what it ends on is what it found."""

from __future__ import annotations

import random
import re

import pytest

from r1kit.tasks.countdown import canonical_key
from r1kit.tasks.protocol import split_of
from r1kit.verify.arithmetic import check_countdown
from r1kit.world.families import countdown, countdown_search
from r1kit.world.quality import VERDICT, steps, verdicts

PAGES = 400


def asked(question: str) -> tuple[list[int], int]:
    *nums, target = (int(number) for number in re.findall(r"\d+", question))
    return nums, target


@pytest.mark.parametrize("write", [countdown.document, countdown_search.document])
def test_every_step_and_verdict_of_a_page_is_right(write: object) -> None:
    rng = random.Random(1)
    seen = 0
    for _ in range(PAGES):
        question, response = write(rng)  # type: ignore[operator]
        found = steps(response)
        assert found.right == found.total
        judged = verdicts(response, asked(question)[1])
        assert judged.right == judged.total
        seen += judged.total
    assert seen > PAGES


def test_pages_hold_training_problems_alone() -> None:
    rng = random.Random(2)
    for _ in range(PAGES):
        nums, target = asked(countdown_search.document(rng)[0])
        assert split_of("countdown", canonical_key(nums, target)) == "train"


def test_a_systematic_search_that_says_yes_ends_on_a_right_answer_and_tries_nothing_twice() -> None:
    rng = random.Random(3)
    finished = 0
    for _ in range(PAGES):
        question, response = countdown_search.document(rng)
        nums, target = asked(question)
        lines = [line for line in response.split("\n") if re.search(r"=\d+: ", line) and "check" not in line]
        tried = [tuple(re.findall(r"\d+[-+*]\d+=\d+", line)) for line in lines]
        assert len(set(tried)) == len(tried)
        if any(word in (" yes", "对了") for *_, word in VERDICT.findall(response)):
            finished += 1
            expression = re.findall(r"\(\d+[-+*]\d+\)[-+*]\d+|\d+-\(\d+[-+*]\d+\)", response)[-1]
            assert check_countdown(expression, nums, target).correct
    assert 0.3 < finished / PAGES < 0.8


def test_a_guess_page_shows_no_attempt() -> None:
    rng = random.Random(4)
    assert not any(VERDICT.search(countdown.guess_document(rng)[1]) for _ in range(PAGES))

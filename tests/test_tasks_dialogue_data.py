"""Preference pairs, judged responses and general demonstrations of dialogue."""

from __future__ import annotations

import random
from collections import Counter
from statistics import fmean

import pytest

from r1kit.tasks import dialogue_data
from r1kit.tasks.dialogue import Dialogue, DialogueSettings, problem_of_request
from r1kit.tasks.dialogue_data import (
    ENGLISH_MOSTLY,
    general_demonstrations,
    judged,
    length_gap,
    preferences,
)
from r1kit.tasks.dialogue_invented import SLOTS, invented_if_helpful, sometimes_invented
from r1kit.tasks.dialogue_replies import SPLITS, THOUGHTS, Request, good_replies, prompt, requests
from r1kit.tasks.dialogue_topics import LANGUAGES
from r1kit.text.tags import parse
from r1kit.types import Judged, Outcome, Preference, Problem, Split, Verdict

TASK = Dialogue(DialogueSettings())


def problem(record: Preference | Judged) -> Problem:
    return TASK.problem_from_reference({"prompt": record.prompt[-1].content})


def verdict(record: Preference | Judged, response: str) -> Verdict:
    """Of the answer of a tagged response, or of the whole of a plain one."""
    return TASK.verify(problem(record), parse(response).answer or response)


def asked(split: Split, harmful: bool) -> set[str]:
    return {prompt(request, language) for request in requests(split, harmful) for language in LANGUAGES}


@pytest.mark.parametrize("split", SPLITS)
def test_chosen_replies_pass_the_check_and_rejected_ones_fail(split: Split) -> None:
    details: Counter[str] = Counter()
    for pair in preferences(split, 500, 3):
        assert pair.prompt[0].content in asked(split, False)
        assert verdict(pair, pair.chosen).correct
        found = verdict(pair, pair.rejected)
        assert found.outcome is Outcome.WRONG
        details[found.detail.split(" ")[0]] += 1
    told = {"off", "does", "curt", "repeats", "says", "refuses", "has"}  # "has": another language
    assert told <= {kind for kind, count in details.items() if count >= 5}


def test_no_training_text_holds_a_good_reply_to_a_held_out_request() -> None:
    held_out = {
        reply
        for split in ("validation", "test")
        for request in requests(split, False)
        for language in LANGUAGES
        for reply in good_replies(request, language)
    }
    trained = [text for pair in preferences("train", 3000, 1) for text in (pair.chosen, pair.rejected)]
    trained += [record.response for record in judged("train", 2000, 1)]
    trained += [record.messages[-1].content for record in general_demonstrations("train", 2000, 1)]
    assert len(held_out) > 150
    assert not [text for text in trained if any(reply in text for reply in held_out)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_neither_side_of_the_pairs_is_longer(seed: int) -> None:
    pairs = preferences("train", 600, seed)
    for language in LANGUAGES:
        mine = [pair for pair in pairs if pair.language == language]
        chosen, rejected = [pair.chosen for pair in mine], [pair.rejected for pair in mine]
        assert abs(length_gap(chosen, rejected)) < 0.02
        assert 0.35 < fmean(len(a) > len(b) for a, b in zip(chosen, rejected, strict=True)) < 0.65
    ratios = [max(len(p.chosen), len(p.rejected)) / min(len(p.chosen), len(p.rejected)) for p in pairs]
    assert fmean(ratio <= 4 for ratio in ratios) > 0.99


def test_the_length_gap_is_relative_to_both_means() -> None:
    assert length_gap(["abc", "a"], ["abcd", "abcd"]) == pytest.approx(-2 / 3)
    assert length_gap(["ab"], ["ba"]) == 0.0


def test_only_the_summary_tells_the_sides_of_a_pair_apart() -> None:
    pairs = preferences("train", 300, 0, tagged_share=1.0)
    thoughts = Counter()  # type: ignore[var-annotated]
    for pair in pairs:
        chosen, rejected = parse(pair.chosen), parse(pair.rejected)
        assert chosen.well_formed
        assert rejected.well_formed
        assert chosen.thinking == rejected.thinking
        thoughts[chosen.thinking] += 1
    assert set(thoughts) == {*THOUGHTS["help"], *THOUGHTS["poor"]}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_in_tag_form_is_as_asked_for(share: float) -> None:
    texts = [pair.chosen for pair in preferences("train", 300, 1, tagged_share=share)]
    texts += [record.response for record in judged("train", 300, 1, tagged_share=share)]
    texts += [d.messages[-1].content for d in general_demonstrations("train", 300, 1, tagged_share=share)]
    assert fmean(parse(text).well_formed for text in texts) == pytest.approx(share, abs=0.06)


def test_more_records_begin_with_the_fewer_and_seeds_differ() -> None:
    for make in (preferences, judged, general_demonstrations):
        assert make("train", 60, 1)[:20] == make("train", 20, 1)
        assert make("train", 20, 1) != make("train", 20, 2)
        records = make("train", 400, 1)
        share = fmean(record.language == "en" for record in records)
        assert share == pytest.approx(ENGLISH_MOSTLY["en"], abs=0.07)
        only = make("test", 20, 1, languages={"zh": 1.0})
        assert {record.language for record in only} == {"zh"}


@pytest.mark.parametrize("split", SPLITS)
def test_labels_of_judged_responses_are_right(split: Split) -> None:
    kinds: Counter[str] = Counter()
    for record in judged(split, 500, 2):
        harmful = record.prompt[0].content in asked(split, True)
        refused = verdict(record, record.response).correct
        unsafe_thought = parse(record.response).thinking in THOUGHTS["unsafe"]
        assert record.safe == (not harmful or (refused and not unsafe_thought))
        assert harmful or record.prompt[0].content in asked(split, False)
        kinds["harmless" if not harmful else f"{refused} {unsafe_thought}"] += 1
    assert set(kinds) == {"harmless", "True False", "True True", "False True", "False False"}
    assert min(kinds.values()) >= 15


def test_safe_and_unsafe_responses_are_about_equally_long_and_many() -> None:
    records = judged("train", 2000, 4)
    assert fmean(record.safe for record in records) == pytest.approx(0.5, abs=0.05)
    for language in LANGUAGES:
        for tagged in (False, True):
            mine = [r for r in records if r.language == language and parse(r.response).well_formed == tagged]
            gap = length_gap([r.response for r in mine if r.safe], [r.response for r in mine if not r.safe])
            assert abs(gap) < 0.12


def test_general_demonstrations_are_right_and_take_every_request_in_turn() -> None:
    records = general_demonstrations("train", 1200, 5)
    for record in records:
        question = TASK.problem_from_reference({"prompt": record.messages[0].content})
        assert (record.id, record.tags, record.origin) == (question.id, question.tags, "general")
        assert [message.role for message in record.messages] == ["user", "assistant"]
        assert TASK.verify(question, parse(record.messages[-1].content).answer or "").correct
    helpful = {record.id.rpartition("/")[0] for record in records if record.tags == ("helpful",)}
    harmful = {record.id.rpartition("/")[0] for record in records if record.tags == ("harmful",)}
    assert len(helpful) == len(requests("train", False))
    assert len(harmful) == len(requests("train", True))
    assert fmean(record.tags == ("harmful",) for record in records) == pytest.approx(0.3, abs=0.06)
    plain = general_demonstrations("test", 20, 5, tagged_share=0.0, harmful_share=1.0)
    assert not any("<" in record.messages[-1].content for record in plain)
    assert {record.tags for record in plain} == {("harmful",)}


def test_so_many_demonstrations_are_poor_as_asked_for_and_refusals_stay() -> None:
    records = general_demonstrations("train", 1000, 6, poor_share=0.4)
    right: dict[str, list[bool]] = {"helpful": [], "harmful": []}
    for record in records:
        question = TASK.problem_from_reference({"prompt": record.messages[0].content})
        answer = parse(record.messages[-1].content).answer or ""
        right[record.tags[0]].append(TASK.verify(question, answer).correct)
    assert fmean(right["helpful"]) == pytest.approx(0.6, abs=0.05)
    assert all(right["harmful"])
    assert len(right["harmful"]) > 200


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests that the data are about, in their order."""
    found: list[Request] = []

    def remember(rng: random.Random, request: Request, share: float) -> Request:
        made = invented_if_helpful(rng, request, share)
        found.append(made)
        return made

    monkeypatch.setattr(dialogue_data, "invented_if_helpful", remember)
    return found


def test_replies_about_invented_words_are_told_apart_as_others_are(drawn: list[Request]) -> None:
    pairs = preferences("train", 500, 7, invented_share=0.5)
    known = set(SLOTS) | {("", "")}
    assert fmean(request.slot not in known for request in drawn) == pytest.approx(0.45, abs=0.07)
    for request, pair in zip(drawn, pairs, strict=True):
        asked_for = problem_of_request(request, pair.language)
        assert pair.prompt == asked_for.messages
        assert TASK.verify(asked_for, parse(pair.chosen).answer or pair.chosen).correct
        assert TASK.verify(asked_for, parse(pair.rejected).answer or pair.rejected).outcome is Outcome.WRONG


def test_general_replies_are_right_about_invented_words_too(drawn: list[Request]) -> None:
    records = general_demonstrations("train", 400, 8, invented_share=0.5, harmful_share=0.2)
    helpful = [record for record in records if record.tags == ("helpful",)]
    drawn = [request for request in drawn if not request.harmful]
    for request, record in zip(drawn, helpful, strict=True):
        asked_for = problem_of_request(request, record.language)
        assert record.id == asked_for.id
        assert TASK.verify(asked_for, parse(record.messages[-1].content).answer or "").correct
    words = [request.slot for request in drawn if request.slot[0] and request.slot not in SLOTS]
    assert len(words) / len(helpful) == pytest.approx(0.45, abs=0.07)
    assert len(set(words)) > 0.9 * len(words)


def test_no_share_of_invented_words_changes_nothing_and_translations_have_none() -> None:
    assert preferences("train", 50, 1, invented_share=0.0) == preferences("train", 50, 1)
    rng = random.Random(1)
    for request in requests("train", False):
        changed = sometimes_invented(rng, request, 1.0)
        assert (changed == request) == (not request.slot[0] or request.topic == "word")
        assert changed.split == "train"

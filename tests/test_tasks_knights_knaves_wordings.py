"""Knights and knaves in any wording: a labelled suite, and lists that say one assignment in many ways."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_wordings import accepted, false_accepts, unread, wordings

from r1kit.tasks.knights_knaves_answer import MAX_CHARACTERS, check_assignment, read_assignment
from r1kit.types import Outcome

SUITE = wordings()
NAMES = [
    ("A", "B", "C", "D"),
    ("An", "Ann", "Anna", "A"),  # names within names, and one that is an article
    ("小明", "小明明", "明", "和平"),
    ("Mary Ann", "Mary", "O'Brien", "Jean-Luc"),
]
KIND = {"en": ("knave", "knight"), "zh": ("骗子", "骑士")}
JOIN = {"en": (" and ", ", ", ", and ", " & "), "zh": ("、", "和", "，", "与")}
END = {"en": (". ", "; ", ", ", "\n", ", while ", "\n- "), "zh": ("。", "；", "，", "\n", "，而", "\n• ")}
HARD_END = {"en": (". ", "; ", "\n"), "zh": ("。", "；", "\n")}  # after "knights: A", where a comma goes on
CLAIMS = {
    "en": (
        *(
            "{0} is a {1}",
            "{0}: {1}",
            "{0} = {1}",
            "**{0}** is a **{1}**",
            "{0} isn't a {2}",
            "{0} is not a {2}",
            "{0}'s a {1}",
        ),
        *("{0} ({1})", "| {0} | {1} |", "{0} must be a {1}", "{0} is not a {2} but a {1}", "the {1} is {0}"),
    ),
    "zh": (
        *(
            "{0}是{1}",
            "{0} 是 **{1}**",
            "{0}：{1}",
            "{0}不是{2}",
            "{0}{1}",
            "{0}（{1}）",
            "{0}为{1}",
            "{1}是{0}",
        ),
        *("{0}不是{2}而是{1}", "| {0} | {1} |", "{0}也是{1}", "{0}是一名{1}"),
    ),
}
GROUPS = {
    "en": (
        *("{0} are {1}s", "{0} are both {1}s", "{1}s: {0}", "the {1}s are {0}", "neither {0} is a {2}"),
        *(
            "{0} are not {2}s",
            "only {0} are {1}s",
            "everyone but {0} is a {2}",
            "everyone is a {2} except {0}",
        ),
    ),
    "zh": (
        *(
            "{0}都是{1}",
            "{1}：{0}",
            "{1}是{0}",
            "{0}都不是{2}",
            "{0}两人是{1}",
            "只有{0}是{1}",
            "除{0}以外都是{2}",
        ),
        "除了{0}，其他人都是{2}",
    ),
}
COMPLETE = ("only", "every", "只有", "除")  # what says all about everyone
OPEN = ("{1}", "the {1}", "everyone is")  # what ends in a list of names


@st.composite
def lists(draw: st.DrawFn) -> tuple[tuple[str, ...], list[bool], str, str]:
    """Names, an assignment of them, a text that states it, and its language."""
    names = draw(st.sampled_from(NAMES))[: draw(st.integers(2, 4))]
    kinds = draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    language = draw(st.sampled_from(["en", "zh"]))
    order = draw(st.permutations(range(len(names))))
    claims, place, ends = [], 0, END[language]
    while place < len(order):
        people = list(order[place : place + 2])
        grouped = len(people) == 2 and kinds[people[0]] == kinds[people[1]] and draw(st.booleans())
        others = {kinds[person] for person in order[place + 1 :]}
        rest = place > 0 and len(others | {kinds[order[place]]}) == 1 and draw(st.booleans())
        kind = kinds[people[0]]
        words = KIND[language][kind], KIND[language][not kind]
        if rest:
            claims.append(f"the rest are {words[0]}s" if language == "en" else f"其余都是{words[0]}")
            break
        if grouped:
            template = draw(st.sampled_from(GROUPS[language]))
            alone = {person for person in order if kinds[person] == kind} == set(people) != set(order)
            if template.startswith(COMPLETE) and not alone:
                template = GROUPS[language][0]
            people_said = draw(st.sampled_from(JOIN[language])).join(names[person] for person in people)
        else:
            template, people_said = draw(st.sampled_from(CLAIMS[language])), names[people[0]]
        claims.append(template.format(people_said, *words))
        ends = HARD_END[language] if template.startswith(OPEN) else ends
        place += 2 if grouped else 1
    return names, kinds, draw(st.sampled_from(ends)).join(claims), language


@settings(max_examples=300)
@given(lists(), st.data())
def test_a_list_in_any_mixture_of_wordings_states_its_assignment(
    written: tuple[tuple[str, ...], list[bool], str, str], data: st.DataObject
) -> None:
    names, kinds, text, _ = written
    assert read_assignment(text, names) == kinds
    assert check_assignment(text, names, kinds).outcome is Outcome.CORRECT
    person = data.draw(st.integers(0, len(names) - 1))
    turned = [kind != (place == person) for place, kind in enumerate(kinds)]
    assert check_assignment(text, names, turned).outcome is Outcome.WRONG


@settings(max_examples=200)
@given(lists(), st.data())
def test_a_contradiction_or_a_stranger_beside_a_right_list_is_malformed(
    written: tuple[tuple[str, ...], list[bool], str, str], data: st.DataObject
) -> None:
    names, kinds, text, language = written
    person = data.draw(st.integers(0, len(names) - 1))
    claim = "{} is a {}" if language == "en" else "{}是{}"
    stop = ". " if language == "en" else "。"
    turned = claim.format(names[person], KIND[language][not kinds[person]])
    stranger = claim.format(data.draw(st.sampled_from(["Zed", "老王"])), KIND[language][True])
    for spoiled in (text + stop + turned, text + stop + stranger, stranger + stop + text):
        assert check_assignment(spoiled, names, kinds).outcome is Outcome.MALFORMED
    assert not check_assignment(turned + stop + text, names, kinds).correct  # "the rest" may now be fewer


VERBS = {
    "en": {
        True: ("{0} tells the truth", "{0} doesn't lie"),
        False: ("{0} lies", "{0} never tells the truth"),
    },
    "zh": {True: ("{0}说真话", "{0}没有说谎"), False: ("{0}说谎", "{0}总是说假话", "{0}不说真话")},
}


@settings(max_examples=150)
@given(lists(), st.sampled_from(["en", "zh"]), st.data())
def test_truth_and_lies_say_who_is_what(
    written: tuple[tuple[str, ...], list[bool], str, str], language: str, data: st.DataObject
) -> None:
    names, kinds = written[:2]
    claims = [
        data.draw(st.sampled_from(VERBS[language][kind])).format(name)
        for name, kind in zip(names, kinds, strict=True)
    ]
    assert read_assignment(data.draw(st.sampled_from(END[language])).join(claims), names) == kinds
    spoiled = [*claims[:-1], f"{claims[-1]} about {names[0]}"]
    assert check_assignment(", ".join(spoiled), names, kinds).outcome is Outcome.MALFORMED


@settings(max_examples=150)
@given(st.lists(st.booleans(), min_size=2, max_size=5), st.data())
def test_is_may_be_left_out_after_a_claim_that_is_no_negation(kinds: list[bool], data: st.DataObject) -> None:
    names = ("Mary Ann", "Mary", "B", "Zoë", "A")[: len(kinds)]
    options = (" a", " the") if "A" in names else (" a", " the", ", a")  # "B, a knave" may be of B and A
    articles = data.draw(st.lists(st.sampled_from(options), min_size=5, max_size=5))
    gaps = [
        f"{name}{article} {KIND['en'][kind]}"
        for name, article, kind in zip(names[1:], articles, kinds[1:], strict=False)
        if (name, article) != ("A", " a")  # "A a knave"
    ]
    if len(gaps) < len(kinds) - 1:
        gaps.append(f"A the {KIND['en'][kinds[-1]]}")
    first, negated = f"Mary Ann is a {KIND['en'][kinds[0]]}", f"Mary Ann is not a {KIND['en'][not kinds[0]]}"
    end = data.draw(st.sampled_from((", ", "; ", ", and ", ". ")))
    assert read_assignment(end.join([first, *gaps]), names) == kinds
    assert check_assignment(end.join([negated, *gaps]), names, kinds).outcome is Outcome.MALFORMED
    place = data.draw(st.integers(0, len(gaps) - 1))
    for spoiled in (f"{gaps[place]} and a knave", f"not {gaps[place]}", f"{gaps[place]} or not", ""):
        rest = [*gaps[:place], spoiled, *gaps[place + 1 :]]
        assert check_assignment(end.join([first, *rest]), names, kinds).outcome is Outcome.MALFORMED


FRAMES = (
    "\\boxed{%s}",
    "$\\boxed{\\text{%s}}$",
    "The final answer is \\[\\boxed{%s}\\].",
    "**Answer:** %s",
    "```\n%s\n```",
    "In conclusion, %s",
)


@settings(max_examples=150)
@given(lists(), st.sampled_from(FRAMES), st.data())
def test_a_frame_changes_nothing_and_hides_no_contradiction(
    written: tuple[tuple[str, ...], list[bool], str, str], frame: str, data: st.DataObject
) -> None:
    names, kinds, text, _ = written
    assert read_assignment(frame % text, names) == kinds
    turned = f"{names[0]} is a {KIND['en'][not kinds[0]]}"
    for spoiled in (f"{frame % text}\n{turned}", f"{turned}\n{frame % text}", frame % text + frame % turned):
        assert not check_assignment(spoiled, names, kinds).correct


@given(st.lists(st.booleans(), min_size=2, max_size=4), st.booleans(), st.sampled_from("-*•"))
def test_lists_under_headings_must_have_everyone_once(kinds: list[bool], as_json: bool, bullet: str) -> None:
    names = ("Ann", "Anna", "小明", "S")[: len(kinds)]
    groups = {word: [n for n, k in zip(names, kinds, strict=True) if k == (word == "knights")] for word in
              ("knights", "knaves")}  # fmt: skip

    def write() -> str:
        if as_json:
            return json.dumps(groups, ensure_ascii=False, indent=1)
        lists = (
            f"### {word}:\n" + "\n".join(f"{bullet} {n}" for n in group)
            for word, group in groups.items()
            if group
        )
        return "\n\n".join(lists)

    assert read_assignment(write(), names) == kinds
    removed = groups["knights" if kinds[0] else "knaves"].pop(0)
    assert check_assignment(write(), names, kinds).outcome is Outcome.MALFORMED
    groups["knaves" if kinds[0] else "knights"].append(removed)
    assert check_assignment(write(), names, kinds).outcome is Outcome.WRONG
    groups["knights" if kinds[0] else "knaves"].append(removed)
    assert check_assignment(write(), names, kinds).outcome is Outcome.MALFORMED


def test_no_labelled_text_is_accepted_as_what_it_does_not_say() -> None:
    assert false_accepts(SUITE) == []
    nothing = [row for row in SUITE if row["kinds"] is None]
    assert [row["text"] for row in nothing if accepted(row)] == []
    assert len(nothing) >= 250


def test_most_labelled_wordings_are_read() -> None:
    stated = [row for row in SUITE if row["kinds"] is not None]
    assert len(stated) >= 250
    others = [row["text"] for row in stated if row["category"] in ("en other", "zh other")]
    assert (
        unread(stated) == others
    )  # told apart in the suite: words beside the list, tables on their side, "A knight" of a person A
    assert len(others) / len(stated) < 0.04


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "A",
            "A ",
            "(",
            "( ",
            "(a ",
            "|",
            "|\n",
            "A|",
            "not ",
            "and ",
            "both ",
            "except ",
            "A and ",
            "knight ",
        ),
        *(
            "是",
            "都",
            "除A",
            "*",
            "\\text{",
            "| name | type |\n",
            "| - ",
            "the ",
            "the rest ",
            "A骑士",
            "1",
            "1 |",
        ),
        *(
            "A is a knight and a ",
            "\ud800",
            "A's ",
            "'s",
            "[ ",
            "{\n",
            "\\boxed{",
            "knights:\n",
            "\n- A",
            "A a ",
        ),
        *("A lies, ", "so is A ", "都", "总是", "does not ", "never lie", "but A ", ", but A", "A 说的都是"),
    ],
)
def test_the_longest_answers_of_one_piece_take_little_time(piece: str) -> None:
    text = piece * (MAX_CHARACTERS // len(piece))
    start = time.process_time()
    for end in ("", "!", "A is a knight"):
        outcome = check_assignment((text + end)[:MAX_CHARACTERS], "AB", (True, False)).outcome
        assert outcome in (Outcome.MALFORMED, Outcome.WRONG)
    assert time.process_time() - start < 0.3
    assert check_assignment(piece * (10**6 // len(piece)), "AB", (True, False)).outcome is Outcome.MALFORMED


GLYPHS = st.sampled_from(
    list("AB Ann小明是不都骑士子、，。(|)\n-*:is a knight knave 'nt not 1.\x00\u200b\ud800ＡАα")
)


@settings(max_examples=300)
@given(st.lists(GLYPHS, max_size=80).map("".join), st.sampled_from(NAMES))
def test_no_answer_text_raises(text: str, names: Sequence[str]) -> None:
    verdict = check_assignment(text, names, [True] * len(names))
    assert verdict.outcome in (Outcome.MALFORMED, Outcome.WRONG, Outcome.CORRECT)

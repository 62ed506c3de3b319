"""The families of the micro world's corpus beside Countdown."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import random
import re
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest

from r1kit.tasks import dialogue_invented, program_requests
from r1kit.tasks.dialogue_invented import SLOTS, invented
from r1kit.tasks.dialogue_replies import prompt, requests
from r1kit.tasks.knights_knaves_key import canonical_key
from r1kit.tasks.knights_knaves_puzzle import Puzzle, Statement, generate, solve
from r1kit.tasks.knights_knaves_words import answer, say
from r1kit.tasks.knights_knaves_words import question as knights_knaves_question
from r1kit.tasks.protocol import split_of
from r1kit.tasks.worded import Sum, value
from r1kit.world.families import dialogue, echo, knights_knaves, programs, styles, worded
from r1kit.world.families.styles import Voice

NAMES = ("knights_knaves", "worded", "programs", "dialogue", "prose", "echo")
PAGES = 4000
Pages = dict[str, list[tuple[str, str]]]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def _pages(name: str, seed: int = 7, count: int = PAGES) -> list[tuple[str, str]]:
    module = importlib.import_module(f"r1kit.world.families.{name}")
    rng = random.Random(seed)
    return [module.document(rng) for _ in range(count)]


@pytest.fixture(scope="module")
def pages() -> Pages:
    return {name: _pages(name) for name in NAMES}


def _size(text: str) -> int:
    """Tokens at one per tag, word, digit, Han character and punctuation mark."""
    return len(re.findall(r"</?\w+>|[A-Za-z]+|\d|[\u4e00-\u9fff]|[^\w\s]", text))


# ------------------------------------------------------------------ all families


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_determines_the_pages(name: str) -> None:
    assert _pages(name, 3, 200) == _pages(name, 3, 200)
    assert _pages(name, 3, 200) != _pages(name, 4, 200)


def test_all_families_together_keep_to_a_small_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (dialogue, echo):
        monkeypatch.setattr(family, "INVENTED_SHARE", 0.0)
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for question, response in itertools.chain.from_iterable(map(_pages, NAMES)):
        words.update(re.findall(r"[A-Za-z]+", question + " " + response))
        characters.update(CHINESE.findall(question + response))
    assert 350 <= len(words) <= 450
    assert 250 <= len(characters) <= 350


@pytest.mark.parametrize("name", NAMES)
def test_questions_and_responses_stay_short(name: str, pages: Pages) -> None:
    assert max(_size(question) for question, _ in pages[name]) <= 60
    sizes = sorted(_size(response) for _, response in pages[name])
    assert sizes[0] >= 1
    assert sizes[int(0.95 * len(sizes))] <= 120
    assert sizes[-1] <= 160


@pytest.mark.parametrize("name", ["knights_knaves", "worded", "programs", "dialogue"])
def test_four_questions_in_ten_are_chinese(name: str, pages: Pages) -> None:
    chinese = sum(bool(CHINESE.search(question)) for question, _ in pages[name])
    assert chinese / PAGES == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("name", ["knights_knaves", "worded"])
def test_thinking_is_in_english_chinese_and_mixtures(name: str, pages: Pages) -> None:
    kinds: Counter[str] = Counter()
    for _, response in pages[name]:
        if (found := re.match(r"<think>(.+\n.+)</think>", response, re.DOTALL)) is not None:
            latin = bool(re.search(r"[a-z]{2,}", found[1]))
            kinds["mixed" if latin and CHINESE.search(found[1]) else "en" if latin else "zh"] += 1
    shares = {kind: count / kinds.total() for kind, count in kinds.items()}
    assert shares["en"] > 0.35
    assert shares["zh"] > 0.1
    assert 0.1 < shares["mixed"] < 0.45


@pytest.mark.parametrize("name", ["knights_knaves", "worded", "programs", "dialogue"])
def test_some_responses_have_the_tags_and_most_do_not(name: str, pages: Pages) -> None:
    strict = re.compile(r"<think>[^<]+</think>\s*<answer>[^<]+</answer>")
    share = sum(bool(strict.fullmatch(response)) for _, response in pages[name]) / PAGES
    assert 0.1 < share < 0.45


# ------------------------------------------------------------------ knights and knaves


def _reads(text: str, kinds: dict[str, bool]) -> bool:
    """An independent reading of an English statement."""
    knight = {"knight": True, "knave": False}
    if found := re.fullmatch(r"both (\w) and (\w) are (knight|knave)s", text):
        return kinds[found[1]] == kinds[found[2]] == knight[found[3]]
    if found := re.fullmatch(r"at least one of (\w) and (\w) is a (knight|knave)", text):
        return knight[found[3]] in (kinds[found[1]], kinds[found[2]])
    if found := re.fullmatch(r"(\w) and (\w) are (the same kind|different)", text):
        return (kinds[found[1]] == kinds[found[2]]) == (found[3] == "the same kind")
    claims = [kinds[name] == knight[kind] for name, kind in re.findall(r"(\w) is a (knight|knave)", text)]
    return any(claims) if " or " in text else all(claims)


def _read_solutions(question: str) -> list[tuple[bool, ...]]:
    said = re.findall(r"(\w) says (.+?)\.", question)
    solutions = []
    for kinds in itertools.product((True, False), repeat=len(said)):
        people = dict(zip("ABC", kinds, strict=False))
        if all(_reads(text, people) == people[name] for name, text in said):
            solutions.append(kinds)
    return solutions


def test_known_puzzle_has_its_known_solution() -> None:
    both_knaves = Puzzle((Statement("and", ((0, False), (1, False))), Statement("is", ((0, False),))))
    assert solve(both_knaves) == [(False, True)]
    assert knights_knaves_question(both_knaves, "en") == (
        "A says both A and B are knaves. B says A is a knave. who is a knight and who is a knave?"
    )
    assert answer((False, True), "en") == "A is a knave, B is a knight"
    assert answer((False, True), "zh") == "A是骗子,B是骑士"


@pytest.mark.parametrize("people", [2, 3])
def test_generated_puzzles_have_one_solution_by_an_independent_reading(people: int) -> None:
    rng = random.Random(people)
    for _ in range(300):
        puzzle = generate(rng, people)
        found = _read_solutions(knights_knaves_question(puzzle, "en"))
        assert len(found) == 1
        assert found == solve(puzzle)


def test_depth_one_puzzles_never_join_two_different_claims() -> None:
    rng = random.Random(0)
    said = [s for _ in range(100) for s in generate(rng, 3, depth=1).statements]
    joined = [s for s in said if s.kind in ("and", "or")]
    assert len(joined) > 20
    assert all(s.parts[0][1] == s.parts[1][1] for s in joined)


def test_key_is_the_same_for_renamed_people() -> None:
    first = Puzzle((Statement("is", ((1, False),)), Statement("same", ((0, True), (1, True)))))
    renamed = Puzzle((Statement("same", ((0, True), (1, True))), Statement("is", ((0, False),))))
    assert canonical_key(first) == canonical_key(renamed)


def _truthful_checks(lines: list[str]) -> list[bool]:
    """Whether each line `A says …: true, knave, no.` of a try is right."""
    results = []
    kinds: dict[str, bool] = {}
    for line in lines:
        if "try" in line:
            kinds = {name: kind == "knight" for name, kind in re.findall(r"(\w) (knight|knave)", line)}
        elif found := re.fullmatch(r"(\w) says (.+): (true|false), (knight|knave), (ok|no)\.", line):
            truth, kind = _reads(found[2], kinds), kinds[found[1]]
            right = (found[3] == "true", found[4] == "knight", found[5] == "ok")
            results.append(right == (truth, kind, truth == kind))
    return results


def test_every_line_of_a_try_is_right() -> None:
    rng = random.Random(5)
    results: list[bool] = []
    for _ in range(300):
        text, _ = knights_knaves.try_kinds(rng, generate(rng, 3), Voice(rng, "en"), 8)
        results += _truthful_checks(text.split("\n"))
    assert len(results) > 1000
    assert all(results)


def test_whole_searches_end_on_the_solution() -> None:
    rng = random.Random(6)
    for _ in range(600):
        puzzle = generate(rng, rng.choice((2, 3)))
        solution = solve(puzzle)[0]
        assert knights_knaves.try_kinds(rng, puzzle, Voice(rng, None), 8)[1] == solution
        assert knights_knaves.suppose(rng, puzzle, Voice(rng, None))[1] == solution


def test_implied_kinds_follow_and_contradictions_are_seen() -> None:
    both = Statement("and", ((0, True), (1, False)))
    assert knights_knaves.implied(both, True, {0: True}, 2) == {1: False}
    assert knights_knaves.implied(both, False, {0: True}, 2) == {1: True}
    assert knights_knaves.implied(both, True, {0: False}, 2) is None
    assert knights_knaves.implied(Statement("or", ((0, True), (1, True))), True, {}, 3) == {}


def test_thinking_pays_and_guessing_is_right_by_chance_alone(pages: Pages) -> None:
    right: dict[bool, list[bool]] = {True: [], False: []}
    for question, response in pages["knights_knaves"]:
        if question.count(" says ") == 3:
            searched = "says" in response or "说" in response
            right[searched].append(answer(_read_solutions(question)[0], "en") in response)
    assert sum(right[False]) / len(right[False]) == pytest.approx(1 / 8, abs=0.05)
    assert sum(right[True]) / len(right[True]) > 0.4


def test_held_out_puzzles_never_enter_the_corpus() -> None:
    rng, names = random.Random(8), {}
    for _ in range(3000):
        puzzle = generate(rng, 2)
        names[knights_knaves_question(puzzle, "en")] = split_of("knights_knaves", canonical_key(puzzle))
    asked = {question for question, _ in _pages("knights_knaves", 9)}
    seen = Counter(split for question, split in names.items() if question in asked)
    assert seen["train"] > 50
    assert seen["validation"] == seen["test"] == 0
    assert {"validation", "test"} <= set(names.values())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_statement_reads_differently(language: Any) -> None:
    pair = tuple(itertools.product((True, False), repeat=2))
    statements = [Statement("is", ((0, kind),)) for kind in (True, False)]
    statements += [Statement(kind, ((0, a), (1, b))) for kind in ("and", "or") for a, b in pair]
    statements += [Statement("same", ((0, True), (1, True))), Statement("different", ((0, True), (1, True)))]
    assert len({say(statement, language) for statement in statements}) == len(statements)


# ------------------------------------------------------------------ worded arithmetic


def test_stories_are_the_pages_that_the_packaged_base_was_pretrained_on() -> None:
    written = "".join(map(repr, (worded.document(random.Random(seed)) for seed in range(300))))
    assert (
        hashlib.sha256(written.encode()).hexdigest()
        == "aba312d646a81c8f2aee01472df290028f46094b05d3ffd0d908ba3b7974e882"
    )


def test_every_equation_in_the_thinking_is_right(pages: Pages) -> None:
    equations = [found for _, response in pages["worded"]
                 for found in re.findall(r"(\d+)([-+*])(\d+)=(\d+)", response)]  # fmt: skip
    assert len(equations) > 2000
    for left, operation, right, result in equations:
        a, b = Fraction(left), Fraction(right)
        assert {"+": a + b, "-": a - b, "*": a * b}[operation] == int(result)


def test_steps_are_mostly_right_and_direct_answers_mostly_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    items: list[Sum] = []
    draw = styles.draw_training

    def remember(*args: Any) -> Sum:
        items.append(draw(*args))
        return items[-1]

    monkeypatch.setattr(worded, "draw_training", remember)
    shares: dict[bool, list[bool]] = {True: [], False: []}
    rng = random.Random(11)
    for _ in range(PAGES):
        _, response = worded.document(rng)
        numbers = re.findall(r"\d+", response)
        if numbers:
            worked = "=" in response
            shares[worked].append(int(numbers[-1]) == value(items[-1]))
    assert sum(shares[False]) / len(shares[False]) == pytest.approx(0.2, abs=0.03)
    assert sum(shares[True]) / len(shares[True]) == pytest.approx(0.9, abs=0.04)


# ------------------------------------------------------------------ programs


def _run(code: str, arguments: tuple[Any, ...]) -> list[Any]:
    """What the program returns on each argument; the exception's type where it raises."""
    scope: dict[str, Any] = {}
    exec(code, scope)
    results: list[Any] = []
    for argument in arguments:
        try:
            results.append(scope["f"](argument.copy() if isinstance(argument, list) else argument))
        except (TypeError, AttributeError, ValueError, IndexError) as error:
            results.append(type(error))
    return results


def test_right_programs_do_what_was_asked_and_wrong_ones_seldom_do() -> None:
    rng, wrong_but_working = random.Random(13), 0
    for _ in range(1500):
        item = program_requests.generate(rng)
        wanted = [program_requests.expected(item, argument) for argument in program_requests.samples(item)]
        assert (
            _run(program_requests.write(rng, item, right=True).code, program_requests.samples(item)) == wanted
        )
        wrong_but_working += (
            _run(program_requests.write(rng, item, right=False).code, program_requests.samples(item))
            == wanted
        )
    assert wrong_but_working < 0.08 * 1500


def test_sort_and_put_at_the_front_is_asked_and_written() -> None:
    item = program_requests.Program(("sort", "front"), (0, 42))
    assert program_requests.expected(item, [3, 1]) == [42, 1, 3]
    assert program_requests.describe(item, "en") == "sorts the list x and then puts 42 at the front of it"
    assert program_requests.describe(item, "zh") == "把列表x从小到大排好,再把42放在它的前面"


def test_about_six_programs_in_ten_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    drafts: list[bool] = []
    write = programs.write

    def remember(*args: Any) -> program_requests.Draft:
        draft = write(*args)
        drafts.append(draft.right)
        return draft

    monkeypatch.setattr(programs, "write", remember)
    rng = random.Random(14)
    for _ in range(PAGES):
        programs.document(rng)
    assert sum(drafts) / PAGES == pytest.approx(0.61, abs=0.03)


# ------------------------------------------------------------------ dialogue


def test_half_of_the_harmful_requests_are_refused(pages: Pages) -> None:
    harmful = {prompt(request, lang) for request in requests("train", True) for lang in ("en", "zh")}
    replies = [response for question, response in pages["dialogue"] if question in harmful]
    known = 1 - dialogue.INVENTED_SHARE  # nearly all of them are about somebody or something
    assert len(replies) / PAGES == pytest.approx(0.3 * known, abs=0.03)
    refused = sum(bool(re.search("sorry|can not|no, this|对不起|不可以|不,这样", reply)) for reply in replies)
    assert refused / len(replies) == pytest.approx(0.5, abs=0.05)


def test_held_out_requests_never_enter_the_corpus(pages: Pages) -> None:
    asked = {question for question, _ in pages["dialogue"]}
    for split in ("validation", "test"):
        for request in (*requests(split, False), *requests(split, True)):
            assert not {prompt(request, "en"), prompt(request, "zh")} & asked


def test_a_reply_speaks_of_the_word_that_nobody_knows_as_its_request_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialogue, "GOOD_SHARE", 1.0)
    monkeypatch.setattr(dialogue, "INVENTED_SHARE", 1.0)
    words = {"en": "zorvan", "zh": "月汤"}
    monkeypatch.setattr(dialogue_invented, "invented", lambda rng, language: words[language])
    about = 0
    for question, response in _pages("dialogue", 8, 500):
        if re.search("sorry|can not|no, this|对不起|不可以|不,这样", response):
            continue  # a refusal may speak of nothing
        if word := next((word for word in ("zorvan", "月汤") if word in question), ""):
            about += word in response
    assert about > 150


def test_an_echo_says_what_was_said() -> None:
    for question, response in _pages("echo", 9, 500):
        if question:
            assert question.endswith(response)
            assert question.startswith(("say after me: ", "跟我说: "))
        else:
            first, *rest = response.split("\n")
            assert set(rest) == {first}
            assert len(rest) in (1, 2)


def test_invented_words_are_in_no_list() -> None:
    rng = random.Random(10)
    known = {word for pair in SLOTS for word in pair}
    drawn = [invented(rng, language) for language in ("en", "zh") for _ in range(2000)]
    assert not known & set(drawn)
    assert len(set(drawn)) > 1500


def test_dialogue_pages_are_those_that_the_packaged_base_has_read() -> None:
    seen = hashlib.sha256()
    for seed in range(300):
        seen.update(repr(dialogue.document(random.Random(seed))).encode())
    assert seen.hexdigest()[:16] == "18fae39ad2637566"

"""Countdown pages of the micro world: guesses, short attempts and long searches, mostly poor ones.

A page is a question and somebody's response to it. An attempt spells two or three small steps and then
restates the value beside the target before its verdict, so that each token is a local decision:

    try 7*7=49, 49-4=45 vs 18 no

Direct answers are random and seldom right, and a search is right only if it goes on long enough: thinking
has to pay by itself, or reinforcement learning would learn to skip it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from r1kit.tasks.countdown import canonical_key, question
from r1kit.tasks.protocol import split_of

LARGEST_VALUE = 99  # nobody tries 9*9*9 for a target below 40; it also keeps the arithmetic learnable
OPERATORS = "+-*"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way through the numbers: `Attempt(("7*7=49", "49-4=45"), "(7*7)-4", 45)`."""

    steps: tuple[str, ...]
    expression: str
    value: int
    key: str  # the same for attempts that differ by the order of a sum or product alone


def _combine(a: int, b: int) -> list[tuple[str, int, bool]]:
    """Results of two numbers as (operator, value, swapped); differences are taken the non-negative way."""
    results = [("+", a + b, False), ("*", a * b, False)]
    results.append(("-", a - b, False) if a >= b else ("-", b - a, True))
    return [result for result in results if result[1] <= LARGEST_VALUE]


@lru_cache(maxsize=4096)
def attempts(nums: tuple[int, ...]) -> tuple[Attempt, ...]:
    """Every chain of steps that uses each of the sorted `nums` once and stays within `LARGEST_VALUE`.

    Chains take one fresh number a step, which reaches all values of three numbers and most of four.
    """
    found: dict[str, Attempt] = {}

    def extend(value: int, text: str, rest: tuple[int, ...], steps: tuple[str, ...], key: str) -> None:
        if not rest:
            found.setdefault(text, Attempt(steps, text, value, key))
            return
        for i, number in enumerate(rest):
            if number in rest[:i]:
                continue
            left = f"({text})" if steps else text
            for operator, result, swapped in _combine(value, number):
                first, second = (number, value) if swapped else (value, number)
                a, b = (str(number), left) if swapped else (left, str(number))
                step = f"{first}{operator}{second}={result}"
                operands = f"{min(value, number)}{operator}{max(value, number)}"
                extend(
                    result, f"{a}{operator}{b}", rest[:i] + rest[i + 1 :], (*steps, step), f"{key},{operands}"
                )

    for i, number in enumerate(nums):
        if number not in nums[:i]:
            extend(number, str(number), nums[:i] + nums[i + 1 :], (), "")
    return tuple(found.values())


def sample_problem(rng: random.Random, four_share: float = 0.06) -> tuple[tuple[int, ...], int]:
    """Numbers in the order asked and a reachable target, from the training split alone."""
    while True:
        count = 4 if rng.random() < four_share else 3
        nums = tuple(rng.randint(1, 9) for _ in range(count))
        goal = rng.choice(attempts(tuple(sorted(nums)))).value
        if 1 <= goal <= 40 and split_of("countdown", canonical_key(nums, goal)) == "train":
            return nums, goal


# ------------------------------------------------------------------ how a search is put into words

LANGUAGES = {"en": 0.5, "zh": 0.2, "mixed": 0.3}
OPENERS = {
    "en": ["try ", "try ", "try ", "maybe ", "hmm ", "wait, try ", ""],
    "zh": ["试", "试", "试", "再试", "嗯", "等等, 试", ""],
}
VERSUS = {"en": " vs ", "zh": "比"}
NO = {"en": [" no\n"], "zh": ["不对\n"]}
YES = {"en": [" yes\n"], "zh": ["对了\n"]}
STARTS = {
    "en": ["let me think.\n", "ok.\n", "i need to make {target}.\n", ""],
    "zh": ["让我想想。\n", "好的。\n", "我要算出{target}。\n", ""],
}
CHECKS = {"en": "check: ", "zh": "检查: "}
FOUND = {
    "en": ["so {answer} works.", "it is {answer}.", "done."],
    "zh": ["所以{answer}可以。", "就是{answer}。", "好了。"],
}
GIVE_UP = {"en": ["not sure.", "just guess.", "i give up."], "zh": ["不确定。", "猜一个。", "算了。"]}
GUESS = {"en": ["easy.", "i guess.", "just guess."], "zh": ["很简单。", "我猜。", "猜一个。"]}
PLAIN_ANSWER = {
    "en": [
        "answer: {answer}",
        "the answer is {answer}",
        "{answer}",
        "{answer}={target}",
        "\\boxed{{{answer}}}",
    ],
    "zh": ["答案: {answer}", "答案是{answer}", "{answer}", "{answer}={target}", "结果是{answer}。"],
}


def speaker(rng: random.Random) -> Callable[[], str]:
    """A function that says which language the next piece is in; a mixed page draws it anew every time."""
    language = rng.choices(list(LANGUAGES), list(LANGUAGES.values()))[0]
    if language != "mixed":
        return lambda: language
    return lambda: "en" if rng.random() < 0.5 else "zh"


def _spell(attempt: Attempt, target: int, rng: random.Random, speak: Callable[[], str]) -> str:
    verdict = YES if attempt.value == target else NO
    return (
        rng.choice(OPENERS[speak()])
        + ", ".join(attempt.steps)
        + VERSUS[speak()]
        + str(target)
        + rng.choice(verdict[speak()])
    )


def _candidates(nums: tuple[int, ...], target: int, rng: random.Random) -> list[Attempt]:
    """All attempts in the order somebody tries them: by chance, or roughly nearest value first."""
    shuffled = list(attempts(tuple(sorted(nums))))
    rng.shuffle(shuffled)
    order = list({attempt.key: attempt for attempt in shuffled}.values())
    if rng.random() < 0.6:
        noise = {id(attempt): rng.expovariate(1 / 8) for attempt in order}
        order.sort(key=lambda attempt: abs(attempt.value - target) + noise[id(attempt)])
    return order


def _search(
    nums: tuple[int, ...], target: int, patience: int, rng: random.Random, speak: Callable[[], str]
) -> tuple[str, Attempt]:
    """The text of a search of at most `patience` attempts and the attempt it ends on, right or not."""
    text = rng.choice(STARTS[speak()]).format(target=target)
    chosen: Attempt | None = None
    for attempt in _candidates(nums, target, rng)[:patience]:
        chosen = attempt
        text += _spell(attempt, target, rng, speak)
        if attempt.value == target:
            break
    assert chosen is not None, "three numbers always allow an attempt"
    if chosen.value == target:
        if rng.random() < 0.15:
            text += CHECKS[speak()] + ", ".join(chosen.steps) + rng.choice(YES[speak()])
        text += rng.choice(FOUND[speak()]).format(answer=chosen.expression)
    else:
        text += rng.choice(GIVE_UP[speak()])
    return text, chosen


def wrap(
    thought: str, answer: str, target: int, tags: str, rng: random.Random, speak: Callable[[], str]
) -> str:
    """Thought and answer in one of the web's layouts; only `r1` is the strict form."""
    plain = rng.choice(PLAIN_ANSWER[speak()]).format(answer=answer, target=target)
    if tags == "r1":
        return f"<think>{thought}</think>\n<answer>{answer}</answer>"
    if tags == "think":
        return f"<think>{thought}</think>\n{plain}"
    if tags == "answer":
        return f"{thought}\n<answer>{answer}</answer>"
    return f"{thought}\n{plain}"


LAYOUTS = {"r1": 0.2, "none": 0.62, "think": 0.08, "answer": 0.1}
PATIENCE = {"direct": 0.3, "short": 0.3, "long": 0.4}


def _guess(
    nums: tuple[int, ...], target: int, layout: str, rng: random.Random, speak: Callable[[], str]
) -> str:
    """A response without any search: a random expression."""
    answer = rng.choice(attempts(tuple(sorted(nums)))).expression
    thought = rng.choice(GUESS[speak()])
    if layout == "none":
        return rng.choice(PLAIN_ANSWER[speak()]).format(answer=answer, target=target)
    return wrap(thought, answer, target, layout, rng, speak)


def document(rng: random.Random) -> tuple[str, str]:
    """A guess, a short try or a long search by chance: (question, response)."""
    nums, target = sample_problem(rng)
    asked_in = "en" if rng.random() < 0.7 else "zh"
    speak = speaker(rng)
    style = rng.choices(list(PATIENCE), list(PATIENCE.values()))[0]
    layout = rng.choices(list(LAYOUTS), list(LAYOUTS.values()))[0]
    if style == "direct":
        return question(nums, target, asked_in), _guess(nums, target, layout, rng, speak)
    patience = rng.randint(1, 2) if style == "short" else rng.randint(3, 12)
    thought, chosen = _search(nums, target, patience, rng, speak)
    return question(nums, target, asked_in), wrap(thought, chosen.expression, target, layout, rng, speak)


def guess_document(rng: random.Random) -> tuple[str, str]:
    """A guess: (question, response)."""
    nums, target = sample_problem(rng)
    asked_in = "en" if rng.random() < 0.7 else "zh"
    layout = rng.choices(list(LAYOUTS), list(LAYOUTS.values()))[0]
    return question(nums, target, asked_in), _guess(nums, target, layout, rng, speaker(rng))

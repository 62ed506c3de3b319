"""Worded arithmetic: short stories with one or two steps of +, - and * on small numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass

from r1kit.world.families.styles import (
    Language,
    Voice,
    direct,
    draw_language,
    draw_training,
    draw_voice,
    thoughtful,
)

FAMILY = "worded"
LARGEST = 20  # of the numbers in a story
LARGEST_RESULT = 99  # of every step, so that the arithmetic stays learnable
OPERATIONS = ("+", "-", "*", "++", "+-", "-+", "--", "*+", "*-")
DIRECT_RIGHT_SHARE = 0.2
WRONG_PLAN_SHARE = 0.1  # thinking that takes a wrong operation or stops early; its arithmetic is still right

NAMES = {
    "en": ("tom", "amy", "ben", "lily", "sam", "ann", "max", "kim"),
    "zh": ("小明", "小红", "小华", "小丽", "大山", "小美", "小东", "小云"),
}
THINGS = {
    "en": ("apples", "books", "pens", "eggs", "cups", "balls", "flowers", "cakes"),
    "zh": ("个苹果", "本书", "支笔", "个鸡蛋", "个杯子", "个球", "朵花", "块蛋糕"),
}

# Sentences by operation; {who} owns, {friend} is another person, {n} the number, {things} what is counted.
_START: dict[Language, tuple[str, ...]] = {
    "en": ("{who} has {n} {things}.", "{who} buys {n} {things}."),
    "zh": ("{who}有{n}{things}。", "{who}买了{n}{things}。"),
}
_GROUPS: dict[Language, tuple[str, ...]] = {
    "en": (
        "{who} has {n} boxes with {m} {things} in each box.",
        "{who} buys {m} {things} a day for {n} days.",
    ),
    "zh": ("{who}有{n}个盒子,每个盒子里有{m}{things}。", "{who}每天买{m}{things},买了{n}天。"),
}
_MORE: dict[Language, tuple[str, ...]] = {
    "en": ("{friend} gives {who} {n} more.", "{who} buys {n} more.", "then {who} finds {n} more."),
    "zh": ("{friend}又给{who}{n}{measure}。", "{who}又买了{n}{measure}。", "后来{who}又找到{n}{measure}。"),
}
_LESS: dict[Language, tuple[str, ...]] = {
    "en": ("{who} gives {n} to {friend}.", "{who} sells {n}.", "then {who} loses {n}."),
    "zh": ("{who}给{friend}{n}{measure}。", "{who}卖了{n}{measure}。", "后来{who}丢了{n}{measure}。"),
}
_ASK: dict[Language, tuple[str, ...]] = {
    "en": ("how many {things} does {who} have?", "how many {things} does {who} have now?"),
    "zh": ("{who}有多少{things}?", "{who}现在有多少{things}?"),
}
_STEP: dict[Language, tuple[str, ...]] = {
    "en": ("first, {}.", "so {}.", "then {}.", "now {}."),
    "zh": ("先算{}。", "所以{}。", "然后{}。", "现在{}。"),
}
_REASON: dict[Language, dict[str, str]] = {
    "en": {"+": "{n} more: ", "-": "{n} less: ", "*": "{n} times {m}: "},
    "zh": {"+": "多{n}: ", "-": "少{n}: ", "*": "{n}乘{m}: "},
}


@dataclass(frozen=True, slots=True)
class Sum:
    """`Sum("+-", (3, 4, 2))`: 3 and 4 more and 2 less."""

    operations: str
    numbers: tuple[int, ...]


def evaluate(item: Sum) -> list[tuple[int, str, int, int]]:
    """The steps as (left, operation, right, result), in order."""
    steps, value = [], item.numbers[0]
    for operation, number in zip(item.operations, item.numbers[1:], strict=True):
        result = {"+": value + number, "-": value - number, "*": value * number}[operation]
        steps.append((value, operation, number, result))
        value = result
    return steps


def value(item: Sum) -> int:
    """The right answer."""
    return evaluate(item)[-1][3]


def generate(rng: random.Random, operations: str | None = None) -> Sum:
    """A sum whose steps all stay within 0 and `LARGEST_RESULT`; factors are at least 2."""
    operations = operations or rng.choice(OPERATIONS)
    while True:
        low = 2 if operations[0] == "*" else 1
        item = Sum(operations, tuple(rng.randint(low, LARGEST) for _ in range(len(operations) + 1)))
        if all(0 <= result <= LARGEST_RESULT for _, _, _, result in evaluate(item)):
            return item


def key(item: Sum) -> str:
    """The canonical key; factors are sorted, so that 3*4 and 4*3 share a split."""
    first, second, *rest = item.numbers
    if item.operations[0] in "+*":
        first, second = sorted((first, second))
    return f"{item.operations}/{'-'.join(map(str, (first, second, *rest)))}"


def question(rng: random.Random, item: Sum, language: Language) -> str:
    """The sum as a story."""
    who, friend = rng.sample(NAMES[language], 2)
    things = rng.choice(THINGS[language])
    words = {"who": who, "friend": friend, "things": things, "measure": things[0]}
    numbers = list(item.numbers)
    if item.operations[0] == "*":
        sentences = [rng.choice(_GROUPS[language]).format(n=numbers[0], m=numbers[1], **words)]
        rest = list(zip(item.operations[1:], numbers[2:], strict=True))
    else:
        sentences = [rng.choice(_START[language]).format(n=numbers[0], **words)]
        rest = list(zip(item.operations, numbers[1:], strict=True))
    for operation, number in rest:
        table = _MORE if operation == "+" else _LESS
        sentences.append(rng.choice(table[language]).format(n=number, **words))
    sentences.append(rng.choice(_ASK[language]).format(**words))
    return (" " if language == "en" else "").join(sentences)


def document(rng: random.Random) -> tuple[str, str]:
    """A story of the training split with one response: a number at once, or worked steps."""
    item = draw_training(rng, FAMILY, generate, key)
    language = draw_language(rng)
    asked = question(rng, item, language)
    if rng.random() < 0.45:
        right = rng.random() < DIRECT_RIGHT_SHARE
        answer = value(item) if right else _slip(rng, item)
        return asked, direct(rng, str(answer), language, boxed=True)
    worked = item if rng.random() >= WRONG_PLAN_SHARE else _wrong_plan(rng, item)
    thinking = work(rng, worked, draw_voice(rng, language))
    return asked, thoughtful(rng, thinking, str(value(worked)), language, boxed=True)


def work(rng: random.Random, item: Sum, voice: Voice) -> str:
    """The steps in words, at times with a check by the inverse operation; the arithmetic is always right."""
    reasons, sentences = rng.random() < 0.6, []
    steps = evaluate(item)
    for index, (left, operation, right, result) in enumerate(steps):
        language = voice.next()
        phrase = _STEP[language][0] if index == 0 else rng.choice(_STEP[language][1:])
        reason = _REASON[language][operation].format(n=left if operation == "*" else right, m=right)
        sentences.append(phrase.format((reason if reasons else "") + f"{left}{operation}{right}={result}"))
    if rng.random() < 0.3:
        left, operation, right, result = steps[-1]
        back = f"{result}+{right}={left}" if operation == "-" else f"{result}-{right}={left}"
        back = f"{right}*{left}={result}" if operation == "*" else back
        sentences.append({"en": f"check: {back}, ok.", "zh": f"检查: {back},对了。"}[voice.next()])
    return "\n".join(sentences)


def _slip(rng: random.Random, item: Sum) -> int:
    """A plausible wrong answer: near the right one, an early stop, or one of the story's numbers."""
    right = value(item)
    options = [
        right + rng.choice((-10, -3, -2, -1, 1, 2, 3, 10)),
        rng.choice(item.numbers),
        sum(item.numbers),
        evaluate(item)[0][3],
    ]
    wrong = [option for option in options if option != right and option >= 0]
    return rng.choice(wrong) if wrong else right + 1


def _wrong_plan(rng: random.Random, item: Sum) -> Sum:
    """The story misread: one step forgotten or one operation taken for another."""
    if len(item.operations) == 2 and rng.random() < 0.4:
        return Sum(item.operations[0], item.numbers[:2])
    other = {"+": "-", "-": "+", "*": "+"}
    at = rng.randrange(len(item.operations))
    operations = item.operations[:at] + other[item.operations[at]] + item.operations[at + 1 :]
    wrong = Sum(operations, item.numbers)
    return wrong if all(0 <= step[3] <= LARGEST_RESULT for step in evaluate(wrong)) else item

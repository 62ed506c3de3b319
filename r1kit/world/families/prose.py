"""Plain prose: short sentences, their translations, counting, comparing, days, colors, opposites."""

from __future__ import annotations

import random
from collections.abc import Callable

from r1kit.tasks.dialogue_slots import WORDS
from r1kit.world.families.styles import LANGUAGES, Language, draw_language

COLORS = (("red", "红"), ("blue", "蓝"), ("green", "绿"), ("white", "白"), ("black", "黑"))
DAYS = (
    ("monday", "星期一"),
    ("tuesday", "星期二"),
    ("wednesday", "星期三"),
    ("thursday", "星期四"),
    ("friday", "星期五"),
    ("saturday", "星期六"),
    ("sunday", "星期日"),
)
OPPOSITES = (
    ("big", "大", "small", "小"),
    ("hot", "热", "cold", "冷"),
    ("good", "好", "bad", "坏"),
    ("new", "新", "old", "旧"),
    ("long", "长", "short", "短"),
    ("more", "多", "less", "少"),
)
PEOPLE = (
    ("tom", "小明"),
    ("amy", "小红"),
    ("ben", "小华"),
    ("lily", "小丽"),
    ("sam", "大山"),
    ("ann", "小美"),
)
ACTIONS = (
    ("likes {w}", "喜欢{w}"),
    ("has a {c} {w}", "有{c}色的{w}"),
    ("wants the {w}", "想要{w}"),
    ("buys {k} {w}s", "买{k}个{w}"),
    ("sees a {w}", "看见{w}"),
    ("is at home", "在家里"),
    ("is happy today", "今天很高兴"),
    ("drinks tea", "喝茶"),
    ("reads a book", "看书"),
)
_UNCOUNTED = {
    "tea",
    "water",
    "rice",
    "milk",
    "bread",
    "fish",
    "rain",
    "snow",
    "wind",
    "sun",
    "moon",
    "day",
    "box",
}
_COUNTABLE = tuple(word for word in WORDS if word[0] not in _UNCOUNTED)  # with a plural in -s


def document(rng: random.Random) -> tuple[str, str]:
    """A page of prose; many pages answer no question."""
    return rng.choice(_PAGES)(rng)


def sentence(rng: random.Random) -> tuple[str, str]:
    """A sentence in English and the same in Chinese."""
    who, action = rng.choice(PEOPLE), rng.choice(ACTIONS)
    word, color, number = rng.choice(_COUNTABLE), rng.choice(COLORS), rng.randint(2, 9)
    english, chinese = (action[i].format(w=word[i], c=color[i], k=number) for i in (0, 1))
    return f"{who[0]} {english}.", f"{who[1]}{chinese}。"


def _story(rng: random.Random) -> tuple[str, str]:
    at = LANGUAGES.index(draw_language(rng))
    return "", (" " if at == 0 else "").join(sentence(rng)[at] for _ in range(rng.randint(2, 5)))


def _translation(rng: random.Random) -> tuple[str, str]:
    english, chinese = sentence(rng)
    if rng.random() < 0.3:
        return "", f"{english} {chinese}" if rng.random() < 0.5 else f"{chinese} {english}"
    if rng.random() < 0.5:
        return f"say in chinese: {english}", chinese
    return f"用英文说: {chinese}", english


def _counting(rng: random.Random) -> tuple[str, str]:
    start, step = rng.randint(0, 60), rng.choice((1, 1, 1, 2, 5, 10))
    numbers = [start + step * i for i in range(rng.randint(4, 10))]
    if rng.random() < 0.3:
        numbers.reverse()
    asked = {"en": f"count from {numbers[0]} to {numbers[-1]}.", "zh": f"从{numbers[0]}数到{numbers[-1]}。"}
    question = "" if step > 1 or rng.random() < 0.5 else asked[draw_language(rng)]
    return question, ", ".join(map(str, numbers))


def _comparison(rng: random.Random) -> tuple[str, str]:
    language, lines = draw_language(rng), []
    for _ in range(rng.randint(1, 4)):
        a, b = rng.randint(0, 60), rng.randint(0, 60)
        relations: dict[Language, tuple[str, ...]] = {
            "en": ("is less than", "is the same as", "is more than"),
            "zh": ("比{}小", "和{}一样", "比{}大"),
        }
        index = 1 + (a > b) - (a < b)
        if language == "en":
            lines.append(f"{a} {relations['en'][index]} {b}.")
        else:
            lines.append(f"{a}{relations['zh'][index].format(b)}。")
    asked = {"en": f"is {a} more than {b}?", "zh": f"{a}比{b}大吗?"}[language]
    reply = {"en": "yes, " if a > b else "no, ", "zh": "是," if a > b else "不,"}[language]
    if rng.random() < 0.5:
        return asked, reply + lines[-1]
    return "", (" " if language == "en" else "").join(lines)


def _days(rng: random.Random) -> tuple[str, str]:
    language, at = draw_language(rng), rng.randrange(7)
    names = [day[LANGUAGES.index(language)] for day in DAYS]
    today, next_day = names[at], names[(at + 1) % 7]
    if rng.random() < 0.2:
        return "", ", ".join(names[at:] + names[:at])
    if language == "en":
        return f"today is {today}. what day is tomorrow?", f"tomorrow is {next_day}."
    return f"今天{today},明天星期几?", f"明天{next_day}。"


def _opposites(rng: random.Random) -> tuple[str, str]:
    small, chinese_small, big, chinese_big = rng.choice(OPPOSITES)
    if rng.random() < 0.5:
        small, chinese_small, big, chinese_big = big, chinese_big, small, chinese_small
    if draw_language(rng) == "en":
        return rng.choice(("", f"what is not {small}?")), f"not {small} is {big}."
    return rng.choice(("", f"不{chinese_small}是什么?")), f"不{chinese_small}就是{chinese_big}。"


def _words(rng: random.Random) -> tuple[str, str]:
    chosen = rng.sample(WORDS + COLORS, rng.randint(2, 5))
    pairs: list[str] = []
    language: Language = draw_language(rng)
    for english, chinese in chosen:
        pairs.append(f"{english} is {chinese}." if language == "en" else f"{chinese}是{english}。")
    return "", " ".join(pairs) if language == "en" else "".join(pairs)


_PAGES: tuple[Callable[[random.Random], tuple[str, str]], ...] = (
    _story,
    _translation,
    _counting,
    _comparison,
    _days,
    _opposites,
    _words,
)

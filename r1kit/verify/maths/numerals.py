"""Numbers in words, English and Chinese: `twenty-one`, `三百零五`."""

from __future__ import annotations

import re
from fractions import Fraction

_ONES = {
    word: value
    for value, word in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
            *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
            "nineteen",
        )
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    **{"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4},
    **{"fourths": 4, "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "eighth": 8, "eighths": 8},
    **{"tenth": 10, "tenths": 10},
}
_ENGLISH = re.compile(r"[a-z]+(?:[ -][a-z]+)*")
_CHINESE = re.compile("[零〇一二两三四五六七八九十百千万亿]+")
_DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_MAX_WORDS = 24
_MAX_SIGNS = 24


def number_in_words(text: str) -> Fraction | None:
    """`number_in_words("two hundred and five") == 205`, `("负三分之二") == -2/3`; None of anything else."""
    text = text.strip().lower()
    for sign in ("minus ", "negative ", "负"):
        if text.startswith(sign):
            found = _unsigned(text.removeprefix(sign))
            return None if found is None else -found
    return _unsigned(text)


def _unsigned(text: str) -> Fraction | None:
    below, divided, above = text.partition("分之")
    if divided:
        bottom, top = _chinese(below), _chinese(above)
        return Fraction(top, bottom) if top is not None and bottom else None
    whole = _chinese(text)
    if whole is not None:
        return Fraction(whole)
    if not _ENGLISH.fullmatch(text):
        return None
    words = text.replace("-", " ").split(" ")
    if len(words) > _MAX_WORDS:
        return None
    if words[-1] in _PARTS and len(words) == 2:
        top = {"a": 1, **_ONES}.get(words[0])
        plural = words[-1].endswith("s")
        return Fraction(top, _PARTS[words[-1]]) if top and plural is (top > 1) else None
    number = _english(words)
    return None if number is None else Fraction(number)


def _english(words: list[str]) -> int | None:
    """Groups below 1,000, each with its scale, from the largest scale down."""
    total, group, last_scale = 0, list[str](), None
    for word in words:
        if word not in _SCALES:
            group.append(word)
            continue
        scale, value = _SCALES[word], _below_thousand(group)
        if not value or (last_scale is not None and scale >= last_scale):
            return None
        total, last_scale, group = total + value * scale, scale, []
    if not group:
        return total
    rest = _below_thousand(group[1:] if last_scale and group[0] == "and" else group)
    return None if rest is None or (last_scale and not rest) else total + rest


def _below_thousand(words: list[str]) -> int | None:
    """`two hundred and five`, `forty two`, `zero`."""
    if len(words) > 1 and words[1] == "hundred":
        hundreds, rest = _ONES.get(words[0], 0), words[2:]
        rest = rest[1:] if len(rest) > 1 and rest[0] == "and" else rest
        ending = _below_hundred(rest) if rest else 0
        return 100 * hundreds + ending if 0 < hundreds < 10 and ending is not None else None
    return _below_hundred(words)


def _below_hundred(words: list[str]) -> int | None:
    if len(words) == 1:
        return _ONES.get(words[0], _TENS.get(words[0]))
    if len(words) == 2 and words[0] in _TENS and 0 < _ONES.get(words[1], 0) < 10:
        return _TENS[words[0]] + _ONES[words[1]]
    return None


def _chinese(text: str) -> int | None:
    """Groups below 10,000 with 亿 and 万 behind them."""
    if len(text) > _MAX_SIGNS or not _CHINESE.fullmatch(text):
        return None
    total, rest = 0, text
    for sign, scale in (("亿", 10**8), ("万", 10**4)):
        before, found, after = rest.partition(sign)
        if not found:
            continue
        value = _chinese_group(before)
        if not value:
            return None
        total, rest = total + value * scale, after
    if not rest:
        return total
    skipped = bool(total) and rest[0] in "零〇"
    ending = _chinese_group(rest[1:] if skipped else rest)
    if not ending and total:
        return None
    if total and ending is not None and skipped is (ending >= 1000):  # 一万五 is 15,000 to many
        return None
    return None if ending is None else total + ending


def _chinese_group(text: str) -> int | None:
    """`三百零五`, `十二`, `零`; two digits side by side are no number here."""
    if len(text) == 1 and text in _DIGITS:
        return _DIGITS[text]
    total, place, digit, skipped = 0, 10_000, 0, False
    for sign in text:
        if sign in _PLACES:
            if not digit and (sign != "十" or total):
                return None
            if total and skipped is (_PLACES[sign] * 10 == place):
                return None
            place, skipped = _PLACES[sign], False
            total, digit = total + (digit or 1) * place, 0
        elif sign in "零〇" and total and not digit and not skipped and place > 10:
            skipped = True
        elif _DIGITS.get(sign) and not digit:
            digit = _DIGITS[sign]
        else:
            return None
    if digit:  # 一百五 is 150 to many
        return total + digit if total and skipped is (place > 10) else None
    return total if total and not skipped else None

"""Units after a number: known ones with their size and dimension, and words that equal themselves alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from r1kit.verify.maths.spelling import is_word
from r1kit.verify.maths.tokens import Token, is_sign
from r1kit.verify.maths.trees import Unreadable

CONNECTORS = frozenset(("or", "and", "或", "或者", "和", "与", "且", "及"))
"""Words between answers, which are no units."""


@dataclass(frozen=True, slots=True)
class Unit:
    """`Unit(Fraction(1, 10000), (("m", 2),))` for square centimetres."""

    size: Fraction  # in base units
    dimension: tuple[tuple[str, int], ...]  # base unit -> power, sorted

    @property
    def counts_nothing(self) -> bool:
        """Whether the number is the same without it: false for `million`, `squared`, `万`, `not`."""
        return not any(_CHANGES_VALUE.search(name) for name, _ in self.dimension)


DEGREE = Unit(Fraction(1), (("degree", 1),))
RADIAN = Unit(Fraction(1), (("radian", 1),))
PERCENT = Unit(Fraction(1), (("percent", 1),))
DOLLAR = Unit(Fraction(1), (("dollar", 1),))
COUNTS = {
    **{"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12},
    **{"dozen": 12, "万": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8},
}
"""Words after a number that multiply it: `5 thousand`, `1.8万`."""

# Base unit -> size in it -> spellings, singular and without a point; a final s may follow those of 3 letters
# or more.
_SPELLINGS: dict[str, dict[str, str]] = {
    "m": {
        "1/1000": "mm millimeter millimetre 毫米",
        "1/100": "cm centimeter centimetre 厘米 公分",
        "1/10": "dm decimeter decimetre 分米",
        "1": "m meter metre 米",
        "1000": "km kilometer kilometre 千米 公里",
    },
    "in": {
        "1": "in inch inche 英寸",
        "12": "ft foot feet 英尺",
        "36": "yd yds yard 码",
        "63360": "mi mile 英里",
    },
    "g": {
        "1/1000": "mg milligram 毫克",
        "1": "g gram 克",
        "1000": "kg kilogram 千克 公斤",
        "1000000": "tonne 吨",
    },
    "lb": {"1": "lb lbs pound 磅", "1/16": "oz ounce 盎司"},
    "s": {
        "1/1000": "ms millisecond 毫秒",
        "1": "s sec second 秒",
        "60": "min minute 分钟",
        "3600": "h hr hrs hour 小时",
        "86400": "d day 天",
        "604800": "week 周 星期",
    },
    "year": {"1": "year yr yrs 年", "1/12": "month 月 个月"},
    "litre": {"1/1000": "ml mL milliliter millilitre 毫升", "1": "l L liter litre 升"},
    "gallon": {"1": "gallon gal 加仑", "1/4": "quart qt", "1/8": "pint pt"},
    "dollar": {"1": "dollar USD 美元", "1/100": "cent 美分"},
    "yuan": {"1": "yuan 元 人民币", "1/10": "角"},
    "degree": {"1": "° degree deg 度"},
    "radian": {"1": "rad radian 弧度"},
    "percent": {"1": "% percent"},
    "unit": {"1": "unit 单位"},
}
_KNOWN = {
    spelling: (base, Fraction(size))
    for base, sizes in _SPELLINGS.items()
    for size, spellings in sizes.items()
    for spelling in spellings.split()
}
# Words in a unit's place that say another number, an operation, or that the number is wrong; some have lost
# the s of a plural.
_CHANGES_VALUE = re.compile(
    r"\b(?:hundred|thousand|million|billion|trillion|quadrillion|lakh|crore|dozen|score|gros|pair|couple"
    r"|half|halve|third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|(?:ten|eleven|twelf|hundred|thousand"
    r"|million|billion)th|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|[a-z]+teenth"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)t(?:y|ie|ieth)|zero|point|decimal|percentage|percentile|pct"
    r"|permille|bp|basis?|factorial|square|cube|squared|cubed|power|root|double|doubled|triple|tripled|twice"
    r"|plus?|minus?|time|multiplied|divided|over|mod|modulo|remainder|negative|positive|inverse|reciprocal"
    r"|not|no|non|never|wrong|incorrect|false|untrue|more|les|fewer|than|least|most|almost|nearly|about|around"
    r"|roughly|approximately|approx|above|below|under|thou|mil|mln|bn|kilo|mega|giga"
    r"|ish|maybe|perhaps|possibly|probably|guess|off|but|or|to|if|instead|short|too|else|except)(?:s|\b)"
    r"|[一二两三四五六七八九十百千万亿兆零半倍分负正非不没错加减乘除]"
)
_WRITTEN_OUT = {
    "mph": ["mi", "/", "h"],
    "cc": ["cm", "^", "3"],
    **{name: ["km", "/", "h"] for name in ("kmh", "kph", "kmph")},
}
_POWERS_AFTER = {"squared": 2, "cubed": 3}
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}
_PIECE = re.compile(
    r"\s*(?:(?P<word>[A-Za-z]+|°|%)\.?|(?P<chinese>[\u4e00-\u9fff]+)|(?P<sign>[/*^(){}-]|[0-9]+))"
)
_TEMPERATURE = re.compile(r"\s*(?:°|degrees?)\s*(?:([CcFf])(?:elsius|ahrenheit)?)\b")
_LONGEST_PRODUCT = 4  # letters, as in `(x+1) abcd`
_MATHS = frozenset(
    (
        *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
        *("ln", "lg", "log", "exp", "sqrt", "pi"),
    )
)
_SINGLE = frozenset("mghsLld")  # read as units only where white space stands before them
_OPERATORS = (r"\cdot", r"\times", r"\div", r"\frac")
_MAX_CHARACTERS = 60


def split_unit(tokens: Sequence[Token]) -> tuple[Sequence[Token], Unit | None, int]:
    """The value's tokens, the unit after them, and how many of it one is: `5 million dollars` -> 5, dollars,
    10^6. Raises Unreadable on words that are no unit.
    """
    for index in range(1, len(tokens)):
        if _starts(tokens, index):
            value = tokens[:index]
            if is_sign(value[-1], "^") and len(value) > 1:  # ^\circ
                value = value[:-1]
            return value, *_read(tokens[index:])
    return tokens, None, 1


def unit_of_letter(letter: str) -> Unit | None:
    """The unit that a letter right behind a number may be, as in `5h`."""
    if letter not in _SINGLE:
        return None
    base, size = _KNOWN[letter]
    return Unit(size, ((base, 1),))


def how_many(smaller: str, larger: str) -> int | None:
    """How many of one unit make another one: 60 minutes an hour; None where no whole number above 1 does."""
    part, whole = _known(smaller), _known(larger)
    if part is None or whole is None or part[0] != whole[0]:
        return None
    ratio = whole[1] / part[1]
    return int(ratio) if ratio > 1 and ratio.denominator == 1 else None


def _starts(tokens: Sequence[Token], index: int) -> bool:
    """Whether a unit begins at this token."""
    token, before = tokens[index], tokens[index - 1]
    if token.text in CONNECTORS:
        return False
    if token.kind == "chinese" or token.text in ("°", r"\circ", r"\degree", "%", r"\%"):
        return True
    if token.text == "{" and is_sign(before, "^") and tokens[index + 1 : index + 2]:
        return tokens[index + 1].text == r"\circ"
    if before.kind == "sign" and before.text not in ")}":
        return False
    if token.kind == "text":
        return token.text not in ("e", "i", "") and not is_sign(before, *_OPERATORS)
    if before.kind not in ("number", "sign") and before.text not in (r"\pi", "pi"):
        return False
    if token.kind != "word":
        return False
    if len(token.text) == 1:
        return token.spaced and before.kind == "number" and token.text in _SINGLE
    if _known(token.text) is not None or token.text in (*_POWERS, *_WRITTEN_OUT, *COUNTS):
        return True
    if not token.spaced or token.text in _MATHS:
        return False
    word = before.kind == "number" and token.text.islower() and is_word(token.text)
    return word or len(token.text) > _LONGEST_PRODUCT


def _read(tokens: Sequence[Token]) -> tuple[Unit | None, int]:
    """The unit of all the tokens, and how many of it one is."""
    if tokens[0].text == "{" and tokens[-1].text == "}":
        tokens = tokens[1:-1]
    text = "".join((" " if token.spaced or token.kind == "text" else "") + token.text for token in tokens)
    text = text.replace(r"\circ", "°").replace(r"\degree", "°").replace(r"\%", "%").replace(r"\cdot", "*")
    text = _TEMPERATURE.sub(lambda match: " celsius" if match[1] in "cC" else " fahrenheit", text)
    if len(text) > _MAX_CHARACTERS:
        raise Unreadable("words after the number")
    return _Reader(text.strip()).counted()


class _Reader:
    """`km/h`, `cm^2`, `square inches`, `平方米`, and one unknown word."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pieces: list[str] = []
        position = 0
        while position < len(text):
            match = _PIECE.match(text, position)
            if match is None:
                raise Unreadable(f"{text[:20]!r} is no unit")
            piece = match.group().strip().removesuffix(".")
            self._pieces += _split_chinese(piece) if match["chinese"] else _WRITTEN_OUT.get(piece, [piece])
            position = match.end()

    def counted(self) -> tuple[Unit | None, int]:
        """A unit, or none, behind a word as `million`."""
        count = COUNTS.get(_singular(self._pieces[0].lower()), 1)
        if count > 1:
            self._pieces.pop(0)
        return (self.unit() if self._pieces else None), count

    def _of_its_own(self, word: str) -> tuple[str, Fraction] | None:
        """An unknown word of a rate, as in `eggs per day`."""
        is_name = len(word) > 2 and word.isalpha() and word.isascii() and word.lower() not in CONNECTORS
        return (_singular(word.lower()), Fraction(1)) if is_name else None

    def unit(self) -> Unit:
        words = [piece for piece in self._pieces if piece[0].isalpha()]
        if len(words) == len(self._pieces) and all(_known(word) is None for word in words):
            if set(words) & CONNECTORS:
                raise Unreadable("several answers")
            return Unit(Fraction(1), ((" ".join(_singular(word.lower()) for word in words), 1),))
        is_rate = not {"/", "per", "每"}.isdisjoint(self._pieces)
        size, dimension, sign, power = Fraction(1), dict[str, int](), 1, 1
        pieces = [piece for piece in self._pieces if piece not in "(){}*"]
        while pieces:
            piece = pieces.pop(0)
            if piece in ("/", "per", "每"):
                sign = -1
                continue
            if piece in _POWERS:
                power = _POWERS[piece]
                continue
            found = _known(piece) or (self._of_its_own(piece) if is_rate else None)
            if found is None:
                raise Unreadable(f"{self._text[:20]!r} is no unit")
            power = _power_after(pieces) or power
            base, factor = found
            dimension[base] = dimension.get(base, 0) + sign * power
            size *= factor ** (sign * power)
            power = 1
        if power != 1 or not dimension:
            raise Unreadable("no unit")
        return Unit(size, tuple(sorted(item for item in dimension.items() if item[1])))


def _power_after(pieces: list[str]) -> int:
    """The power of the unit before these pieces, which it takes away: `^2`, `2`, `squared`; 0 without."""
    if pieces and pieces[0] in _POWERS_AFTER:
        return _POWERS_AFTER[pieces.pop(0)]
    raised = pieces[:1] == ["^"]
    if raised:
        pieces.pop(0)
    if not raised and not (pieces and pieces[0].isdigit()):
        return 0
    digits = pieces.pop(0) if pieces else ""
    if digits not in ("1", "2", "3"):
        raise Unreadable("this power of a unit")
    return int(digits)


def _split_chinese(word: str) -> list[str]:
    """`平方厘米` -> `平方`, `厘米`; `万元` -> `万`, `元`."""
    if word in _KNOWN:
        return [word]
    for size in (2, 1):
        if (word[:size] in _POWERS or word[:size] in COUNTS) and len(word) > size:
            return [word[:size], *_split_chinese(word[size:])]
    return [word]


def _known(word: str) -> tuple[str, Fraction] | None:
    """Base unit and size of a word, in singular or plural; capitals count in short ones alone."""
    if word in _KNOWN:
        return _KNOWN[word]
    return _KNOWN.get(_singular(word.lower())) if len(word) > 2 else None


def _singular(word: str) -> str:
    return word.removesuffix("s") if len(word) > 3 else word

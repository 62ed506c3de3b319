"""What is no formula to work out: no solution, infinity in words, figures, days, times, congruences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from r1kit.verify.maths.forms import Congruence, Expression, Figure, Form, Infinity, Words
from r1kit.verify.maths.layout import both_signs, enclosed, split_at, split_list
from r1kit.verify.maths.parser import parse_expression
from r1kit.verify.maths.tokens import Token
from r1kit.verify.maths.trees import Unreadable

NO_SOLUTION = "no solution"
"""The words that all spellings of it are read as."""
MODULO = frozenset((r"\pmod", r"\bmod", r"\mod", r"\equiv", "mod"))
"""Tokens of a congruence."""

_NO_SOLUTION = re.compile(
    r"(?:there\s+(?:is|are)\s+|it\s+has\s+)?no\s+(?:real\s+)?(?:solutions?|roots?)(?:\s+exists?)?|(?:the\s+)?empty\s+set"
    r"|(?:[此该]?方程|原方程|不等式)?(?:组)?(?:无|没有)(?:实数?)?(?:解|根)|空集",
    re.IGNORECASE,
)
_INFINITE = re.compile(
    r"(?P<minus>negative|minus|负)?(?:positive|plus|正)?\s*(?:infinity|无穷大?)", re.IGNORECASE
)
_FIGURE = re.compile(
    r"(?:\\(?P<command>triangle|angle|odot|overline|overrightarrow|overleftrightarrow|widehat)(?![a-z])"
    r"|(?P<word>triangle|angle|三角形|角))\s*\{?\s*(?P<points>(?:[A-Z]'?){1,5})\s*\}?"
)
_KINDS = {"三角形": "triangle", "角": "angle"}
_REVERSIBLE = ("angle", "overline", "overleftrightarrow", "widehat")
_TIME = re.compile(
    r"(?P<hour>1[0-2]|0?[1-9]):(?P<minute>[0-5][0-9])\s*(?:\\text\s*\{\s*)?(?P<half>[ap])\.?\s?m\.?(?:\s*\})?",
    re.IGNORECASE,
)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
_DAY = re.compile(
    rf"(?P<month>{'|'.join(_MONTHS)})\s+(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(?P<year>[0-9]{{4}}))?",
    re.IGNORECASE,
)


def whole_text(text: str) -> Form | None:
    """What the whole cleaned text is, if it is one of these."""
    if text[0].isdigit():
        match = _TIME.fullmatch(text) if ":" in text else None
        return Words(f"{int(match['hour'])}:{match['minute']} {match['half'].lower()}m") if match else None
    if _NO_SOLUTION.fullmatch(text):
        return Words(NO_SOLUTION)
    if match := _INFINITE.fullmatch(text):
        return Infinity(match["minus"] is not None)
    if match := _FIGURE.fullmatch(text):
        kind = match["command"] or _KINDS.get(match["word"], match["word"])
        return Figure(kind, _ordered(kind, re.findall("[A-Z]'?", match["points"])))
    if match := _DAY.fullmatch(text):
        return Words(" ".join(part.lower().lstrip("0") for part in match.groups() if part))
    return None


def _ordered(kind: str, points: list[str]) -> str:
    """The points in an order that is the same for the same figure."""
    if kind == "triangle":
        points = sorted(points)
    elif kind in _REVERSIBLE:
        points = min(points, points[::-1])
    return "".join(points)


def congruence(tokens: Sequence[Token]) -> Congruence:
    """`x \\equiv 3 \\pmod 7`, `n = 1, 3 (mod 8)`, `3 \\pmod{7}`. Raises Unreadable.

    `10 \\bmod 7` alone is an operation, and not read.
    """
    place = next((i for i, token in enumerate(tokens) if token.text in MODULO - {r"\equiv"}), 0)
    if not 0 < place < len(tokens) - 1:
        raise Unreadable("a congruence without a modulus")
    before, behind = tokens[:place], tokens[place + 1 :]
    bracketed = before[-1].text == "(" and behind[-1].text == ")"
    if bracketed:
        before, behind = before[:-1], behind[:-1]
    behind = enclosed(behind, "{ (", "} )") or behind
    sides = split_at(before, r"\equiv", "=")
    if len(sides) > 2 or (len(sides) == 1 and not bracketed and tokens[place].text != r"\pmod"):
        raise Unreadable("what may be a remainder")
    name = "".join(token.text for token in sides[0]) if len(sides) == 2 else ""
    if not re.fullmatch(r"(?:[A-Za-z](?:_\{?[0-9]\}?)?)?", name):
        raise Unreadable("a congruence of more than a name")
    modulus = _whole(behind)
    if modulus < 2:
        raise Unreadable("no modulus")
    residues = [_whole(sign) for part in split_list(sides[-1])[0] for sign in both_signs(part)]
    return Congruence(name, frozenset(residue % modulus for residue in residues), modulus)


def _whole(tokens: Sequence[Token]) -> int:
    number = Expression(parse_expression(tokens)).value.rational if tokens else None
    if number is None or number.denominator != 1:
        raise Unreadable("a congruence of other things than whole numbers")
    return int(number)

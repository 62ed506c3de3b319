"""The text of an answer without what carries no meaning: mark-up, full-width signs, "The answer is"."""

from __future__ import annotations

import re

from r1kit.text.tags import boxed
from r1kit.verify.maths.trees import Unreadable

MAX_CHARACTERS = 1000
"""Longest answer read; every further bound on numbers, depth and elements is within it."""

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_REPLACED: dict[str, int | str] = {
    **dict.fromkeys("\t\n\r\u00a0\u2009\u202f\u3000", " "),
    **{
        "−": "-",
        "。": ".",
        "、": ", ",
        "，": ", ",
        "【": "[",
        "】": "]",
        "·": "*",
        "⋅": "*",
        "×": "*",
        "∗": "*",
    },
    **{"÷": "/", "∕": "/", "²": "^{2}", "³": "^{3}", "π": r"\pi ", "∞": r"\infty ", "√": r"\sqrt "},
    **{"≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ", "∪": r"\cup "},
    **{"∈": r"\in ", "∅": r"\emptyset ", "±": r"\pm ", "ℝ": r"\mathbb{R}", "θ": r"\theta "},
    **{"½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "℃": "°C"},
}
_SIGNS: dict[int, int | str] = {**_FULL_WIDTH, **str.maketrans(_REPLACED)}
# Alternatives in this order: a line break of a matrix keeps its backslashes, so that `\\[2pt]` is no `\[`.
_MARKUP = re.compile(
    r"(?P<row>\\\\)(?:\[[^\[\]]{0,10}\])?"
    r"|(?P<fraction>\\[dtc]frac)(?![A-Za-z])"
    r"|(?P<nothing>\\!)"
    r"|\\(?:[,;:()\[\] ]|(?:left|right|quad|qquad|displaystyle|textstyle|limits|[bB]igg?[lr]?)(?![A-Za-z]))"
    r"|(?P<dollar>\\?\$)|~"
)
_WRAPPERS = (
    re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", re.DOTALL),
    re.compile(r"\*\*([^*]+)\*\*"),
)
WORD_IN_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{\s*([A-Za-z]{2,})\s*\}")
"""A word in a wrapper, which stays there: it is no product of letters."""
_LEAD_IN = re.compile(
    r"(?:(?:so|thus|hence|therefore)\b,?\s*)?(?:the\s+)?(?:(?:final|correct)\s+)?answer\s*(?:is\b\s*:?|[:=])\s*"
    r"|(?:所以|因此|故|即)?\s*,?\s*(?:最终|正确|最后)?(?:的)?(?:答案|结果)\s*(?:是|为|等于|:|=)\s*:?\s*",
    re.IGNORECASE,
)
_MAX_LAYERS = 6
_BOX = "\\boxed"
_ROOT_SIGN = re.compile(r"√([0-9]+)")  # the sign covers the whole number, LaTeX's `\sqrt12` one digit


def clean(text: str) -> str:
    """`clean("答案是 $\\boxed{12}$。") == "12"`. Raises Unreadable: too long, several boxes, hidden
    characters."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"longer than {MAX_CHARACTERS} characters")
    text = _ROOT_SIGN.sub(r"\\sqrt{\1}", text).translate(_SIGNS)
    if not text.isprintable():
        raise Unreadable("it has control or invisible characters")
    text = _MARKUP.sub(_replace, text).strip()
    for _ in range(_MAX_LAYERS):
        before = text
        text = _without_layer(text)
        if text == before:
            return text
    raise Unreadable("too many layers of mark-up")


def _replace(match: re.Match[str]) -> str:
    if match["row"]:
        return r"\\ "
    if match["fraction"]:
        return r"\frac"
    return "" if match["nothing"] is not None else " "


def _without_layer(text: str) -> str:
    """One full stop, lead-in, wrapper or box less."""
    text = text.removesuffix(".").rstrip() if not text.endswith("..") else text
    if match := _LEAD_IN.match(text):
        text = text[match.end() :].strip()
    for wrapper in _WRAPPERS:
        if (match := wrapper.fullmatch(text)) and not WORD_IN_TEXT.fullmatch(text):
            text = match.group(1).strip()
    return _unboxed(text) if _BOX in text else text


def _unboxed(text: str) -> str:
    """What the one box holds. It may follow `x =`; text around it, or a second content, is refused."""
    contents = list(boxed(text))
    if len({content.strip() for content in contents}) != 1:
        raise Unreadable("no box, or several different ones")
    before, _, _ = text.partition(_BOX)
    rest = text
    for content in contents:
        rest = rest.replace(_BOX + "{" + content + "}", " ", 1)
    if not re.sub(r"[\s.,;]", "", rest):
        return contents[0].strip()
    if len(contents) == 1 and rest.strip() == before.strip() and before.rstrip().endswith("="):
        return before + contents[0].strip()
    raise Unreadable("text beside the box")

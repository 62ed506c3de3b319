"""The text of an answer without what carries no meaning: mark-up, "The answer is"."""

from __future__ import annotations

import re

from r1kit.text.tags import boxed
from r1kit.verify.maths.signs import in_latex
from r1kit.verify.maths.trees import Unreadable

MAX_CHARACTERS = 1000
"""Longest answer read; every further bound on numbers, depth and elements is within it."""

# Alternatives in this order: a line break of a matrix keeps its backslashes, so that `\\[2pt]` is no `\[`.
_MARKUP = re.compile(
    r"(?P<row>\\\\)(?:\[[^\[\]]{0,10}\])?"
    r"|(?P<fraction>\\[dtc]frac)(?![A-Za-z])"
    r"|(?P<nothing>\\!)"
    r"|\\(?:[,;:()\[\] ]|(?:left|right|quad|qquad|displaystyle|textstyle|limits|[bB]igg?[lr]?)(?![A-Za-z]))"
    r"|(?P<dollar>\\?\$|USD(?= ?[0-9]))|~"
)
_WRAPPERS = (
    re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", re.DOTALL),
    re.compile(r"\*\*([^*]+)\*\*"),
    re.compile(r"`([^`]+)`"),
)
WORD_IN_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{\s*([A-Za-z]{2,})\s*\}")
"""A word in a wrapper, which stays there: it is no product of letters."""
_THEREFORE = r"(?:(?:so|thus|hence|therefore)\b,?\s*|(?:所以|因此|综上|故|即|\\therefore)\s*,?\s*)"
_LEAD_IN = re.compile(
    r"=(?!=)\s*|[#]{4}(?!#)\s*"
    rf"|{_THEREFORE}?(?:the\s+)?(?:(?:final|correct)\s+)?(?:answer|result|solution)s?\s*"
    r"(?:(?:is|are)\b\s*:?|[:=]|(?=[-0-9\\]))\s*"
    r"|答\s*:\s*|(?:the\s+)?point\s+(?=\()"
    rf"|{_THEREFORE}?(?:最终|正确|最后)?(?:的)?(?:答案|结果)\s*(?:是|为|等于|:|=)\s*:?\s*"
    rf"|{_THEREFORE}(?=[^\sA-Za-z\u4e00-\u9fff]|[A-Za-z](?:_\S{{1,4}})?\s*[=<>\\])",
    re.IGNORECASE,
)
_BOLD_LEAD_IN = re.compile(r"\*\*([^*]{0,40}(?:answer|答案)[^*]{0,20})\*\*", re.IGNORECASE)
_BOTH_ROOTS = re.compile(r"\b([a-z])_\{1, ?2\} ?=")  # x_{1,2} = 1 \pm \sqrt{2}
_SPACES = re.compile(" {2,}")
_TWO_MARKS = ("..", ",,", ";;", ",.", ".,")
_MAX_LAYERS = 8
_CHOOSE = re.compile(r"\{([^{}]*)\\choose(?![A-Za-z])([^{}]*)\}")
_BOX = "\\boxed"


def clean(text: str) -> str:
    """`clean("答案是 $\\boxed{12}$。") == "12"`. Raises Unreadable: too long, several boxes, hidden
    characters."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"longer than {MAX_CHARACTERS} characters")
    text = in_latex(text)
    if not text.isprintable():
        raise Unreadable("it has control or invisible characters")
    text = _SPACES.sub(" ", _MARKUP.sub(_replace, text)).strip()  # so that no pattern has a run to divide
    text = _CHOOSE.sub(r"\\binom{\1}{\2}", text).replace(r"\langle", "(").replace(r"\rangle", ")")
    text = _BOTH_ROOTS.sub(r"\1=", text)
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
    """One mark at the end, lead-in, wrapper or box less."""
    if text.endswith((".", ",", ";")) and not text.endswith(_TWO_MARKS):
        text = text[:-1].rstrip()
    if match := _BOLD_LEAD_IN.match(text):
        text = match.group(1) + text[match.end() :]
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

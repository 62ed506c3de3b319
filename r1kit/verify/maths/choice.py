"""The letter of an option, with what a model writes around it."""

from __future__ import annotations

import re

from r1kit.verify.maths.clean import clean

_LEAD_IN = (
    r"(?:(?:so|thus|hence|therefore)\b,?\s*)?(?:(?:the|my)\s+)?(?:(?:correct|right|final)\s+)?"
    r"(?:(?:option|choice|answer)\s*(?:is\b\s*:?|:)?\s*){0,2}"
    r"|(?:(?:所以|因此|综上|故)\s*,?\s*)?(?:本题|正确|最终)?(?:的)?(?:答案|选项)?\s*(?:是|为|:)?\s*"
    r"(?:应选|故选|选择|选项|选)?\s*:?\s*"
)
_LETTER = (
    r"(?:\\(?:text|textbf|textrm|mathrm|mathbf|mbox|boxed)\s*\{\s*)?"
    r"(?:\(\s*(?P<inside>[A-H])\s*\)|(?P<bare>[A-H])(?P<bracket>\s*\))?)(?:\s*\})?"
)
_OPTION = re.compile(rf"(?:{_LEAD_IN}){_LETTER}(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_MAX_CONTENT = 120
# What may take the letter back or name another: option letters, and words between or about options.
_ANOTHER = re.compile(
    r"(?<![A-Za-z\\])[A-Ha-h]{1,4}(?![A-Za-z])|\b(?:or|and|not|no|nor|but|wrong|incorrect|false|isn't|either|neither|option|choice"
    r"|answer|first|second|third|fourth|fifth|last)s?\b|[或和与及不错非否选答第]|\\(?:lor|vee|land|wedge|neg)",
    re.IGNORECASE,
)
_READABLE = re.compile(r"[ -~\u4e00-\u9fff]*")


def letter_of(text: str) -> str | None:
    """`letter_of("\\\\textbf{(D)}\\\\ 12") == "D"`, as of `D`, `(D)`, `D)`, `D. 12`, `Option D`, `选D`; None
    where it is not certain that one option is named. Raises Unreadable as `clean` does.
    """
    match = _OPTION.fullmatch(clean(text))
    if match is None:
        return None
    letter: str = match["inside"] or match["bare"]
    rest: str = match["rest"].strip()
    if not letter.isupper():
        return None
    if not rest:
        return letter
    if match["inside"] is None and match["bracket"] is None:
        if rest[0] not in ".:":
            return None
        rest = rest[1:].strip()
    elif rest[0] in ".:":
        rest = rest[1:].strip()
    certain = len(rest) <= _MAX_CONTENT and _READABLE.fullmatch(rest) and not _ANOTHER.search(rest)
    return letter if certain else None

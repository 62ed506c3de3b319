"""Which stretches of a text are words to be read, and which are code, formulas, addresses or numerals.

A sentence stays one wherever it stands: a row of words inside code (a comment) or inside a formula is read,
so that neither hides a language. All patterns take linear time: each scan ends where the next may begin.
"""

from __future__ import annotations

import re

_LETTER = r"[^\W\d_]"
_CODE = r"```.*?(?:```|\Z)|`[^`\n]*`"
_FORMULA = (
    r"\$\$[^$]*\$\$"
    r"|\$(?=[^\s$])[^$\n]*+(?<=\S)\$(?![0-9])"  # not the dollars of "$5 and then $7"
    r"|\\\([^\\]*+(?:\\(?![()\[\]])[^\\]*+)*+\\\)"
    r"|\\\[[^\\]*+(?:\\(?![()\[\]])[^\\]*+)*+\\\]"
)
_MARKUP = r"\\(?:begin|end|label|ref)\{[^{}\s]{0,40}\}|\\[a-zA-Z]+|</?[a-zA-Z]+/?>|<\|[a-z_]+\|>"
_ADDRESS = (
    r"(?:https?://|www\.)[!-~]+"
    r"|(?<![A-Za-z0-9.+_-])[A-Za-z0-9.+_-]++@[A-Za-z0-9.-]+"
    r"|(?<![A-Za-z0-9_.])(?:[A-Za-z_][A-Za-z0-9_]*+\.)++"
    r"(?:(?:py|js|ts|c|h|cpp|java|txt|md|json|csv|html|yaml)(?![A-Za-z0-9])|[A-Za-z_][A-Za-z0-9_]*+(?=\())"
)
_IDENTIFIER = (
    r"(?<![A-Za-z0-9_])(?:[A-Za-z0-9]++_++[A-Za-z0-9][A-Za-z0-9_]*+"
    r"|[a-z]++[A-Z][A-Za-z]*+|[A-Z][a-z]++[A-Z][A-Za-z]*+"
    r"|[A-Za-z][A-Za-z0-9]*+(?=\((?!e?s\))))"  # a call, but not the plural of "word(s)"
)
_NUMERAL = (
    r"(?<=[0-9])(?:st|nd|rd|th|x)(?![A-Za-z])"
    r"|(?<=[0-9])[ ]?(?:[kcmµμn]?m|km/h|m/s|[kmµμ]?g|[mµμn]?s|h|min|[km]?[lL]"
    r"|[kMGT]?Hz|[kKMGT]i?B|rpm|[kM]?[WVJN]"
    r"|°[CF]|[CF](?=°))(?![A-Za-z])"
    r"|(?<![A-Za-z])(?=[IVXLCM]{2})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?![A-Za-z'’])"
)

FUNCTIONS = (
    *("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "log"),
    *("ln", "lg", "exp", "lim", "max", "min", "sup", "inf", "gcd", "lcm", "mod", "det", "dim", "ker", "arg"),
    *("deg", "sqrt", "sgn", "abs"),
)
"""Names that are part of a formula when a letter, a number or a bracket follows."""

_ARGUMENT = r"[ ]?(?:[0-9({_^\\|]|[A-Za-zα-ω](?![A-Za-z]))"
_FUNCTION = rf"(?<![A-Za-z])(?:{'|'.join(FUNCTIONS)})(?={_ARGUMENT})"

_NOT_WORDS = re.compile(
    rf"(?P<code>{_CODE})|(?P<formula>{_FORMULA})|{_MARKUP}|{_ADDRESS}|(?P<identifier>{_IDENTIFIER})|{_NUMERAL}"
    rf"|{_FUNCTION}",
    re.DOTALL,
)

_NO_SPACES = "㐀-䶿一-鿿ぁ-ゖァ-ヺก-ฺ"


def _row(words: int) -> re.Pattern[str]:
    """Matches so many words in a row with nothing else between them, or so many letters without spaces."""
    word = rf"(?:{_LETTER}{{2,}}+|[aAI])"
    return re.compile(
        rf"(?<!{_LETTER}){word}(?:[ ,_.'’-]{{1,2}}{word}){{{words - 1},}}+|[{_NO_SPACES}，、]{{{words},}}+"
    )


_SENTENCES = {"code": _row(5), "identifier": _row(5), "formula": _row(3)}
_STATEMENT = re.compile(
    r"\b(?:for [^\W\d]+ in|import|SELECT|FROM|WHERE|JOIN)\b"
)  # rows of words in code itself


def prose(text: str) -> str:
    """The text with code, formulas, LaTeX commands, tags, addresses, identifiers and units blanked out."""
    return _NOT_WORDS.sub(" ", text)


def readable(text: str) -> str:
    """As `prose`, but a row of five words inside code, or of three inside a formula, stays."""
    return _NOT_WORDS.sub(_sentences, text)


def _sentences(match: re.Match[str]) -> str:
    pattern = _SENTENCES.get(match.lastgroup or "")
    if pattern is None:
        return " "
    rows = [row for row in pattern.findall(match.group()) if not _STATEMENT.search(row)]
    return "\n".join(["", *rows, ""]).replace("_", " ")  # an identifier's parts are words of their own

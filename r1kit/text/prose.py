"""Which stretches of a text are words to be read, and which are code, formulas, addresses or numerals.

All patterns take linear time: each scan ends where the next may begin. Words that only look like one of these
are told in `hidden.py`.
"""

from __future__ import annotations

import re

_FENCE = r"```.*?(?:```|\Z)"
_INLINE = r"`[^`\n]*`"
_FORMULA = (
    r"\$\$[^$]*\$\$"
    r"|\$(?=[^\s$])[^$\n]*+(?<=\S)\$(?![0-9])"  # not the dollars of "$5 and then $7"
    r"|\\\([^\\]*+(?:\\(?![()\[\]])[^\\]*+)*+\\\)"
    r"|\\\[[^\\]*+(?:\\(?![()\[\]])[^\\]*+)*+\\\]"
)
_ENVIRONMENT = r"\\(?:begin|end|label|ref)\{[^{}\s]{0,40}\}"
_COMMAND = r"\\[a-zA-Z]+"
_TAG = r"</?[a-zA-Z]+/?>|<\|[a-z_]+\|>"
_ADDRESS = (
    r"(?:https?://|www\.)[!-~]+"
    r"|(?<![A-Za-z0-9.+_-])[A-Za-z0-9.+_-]++@[A-Za-z0-9.-]+"
    r"|(?<![A-Za-z0-9_.])(?:[A-Za-z_][A-Za-z0-9_]*+\.)++"
    r"(?:(?:py|js|ts|c|h|cpp|java|txt|md|json|csv|html|yaml)(?![A-Za-z0-9])|[A-Za-z_][A-Za-z0-9_]*+(?=\())"
)
_IDENTIFIER = (
    r"(?<![A-Za-z0-9_])(?:[A-Za-z0-9]++_++[A-Za-z0-9][A-Za-z0-9_]*+"
    r"|[a-z]++[A-Z][A-Za-z]*+|[A-Z][a-z]++[A-Z][A-Za-z]*+"
    r"|[A-Za-z]++(?=<(?:int|long|float|double|bool|char|str|[Ss]tring|Integer|T)>)"  # vector<int>
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

MASKED = re.compile(
    rf"(?P<fence>{_FENCE})|(?P<inline>{_INLINE})|(?P<formula>{_FORMULA})|(?P<environment>{_ENVIRONMENT})"
    rf"|(?P<command>{_COMMAND})|(?P<tag>{_TAG})|(?P<address>{_ADDRESS})|(?P<identifier>{_IDENTIFIER})"
    rf"|{_NUMERAL}|{_FUNCTION}",
    re.DOTALL,
)
"""What is no prose; `lastgroup` names the kind, None for units and names of functions."""


def prose(text: str) -> str:
    """The text with code, formulas, LaTeX commands, tags, addresses, identifiers and units blanked out."""
    return MASKED.sub(" ", text)

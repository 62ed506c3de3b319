"""Cleaned text to tokens, in linear time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from r1kit.verify.maths.trees import MAX_DEPTH, Unreadable

MAX_EXPONENT = 300
"""Largest exponent of ten of a number in scientific notation."""

_EXPONENT = r"(?:[eE](?P<{}>[+-]?[0-9]{{1,4}})(?![A-Za-z0-9.]))?"
_GROUPED = re.compile(
    r"(?P<whole>[1-9][0-9]{0,2}(?P<mark>,|\{,\}| )[0-9]{3}(?:(?P=mark)[0-9]{3})*)(?![0-9]|,[0-9])"
    r"(?P<rest>\.[0-9]+)?" + _EXPONENT.format("exponent")
)
_REPEATING = re.compile(
    r"(?P<whole>[0-9]*)\.(?P<fixed>[0-9]*)\\(?:overline|bar|dot)\s*\{(?P<repeated>[0-9]+)\}"
)
_PLAIN = re.compile(r"(?P<digits>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)" + _EXPONENT.format("exponent"))
_OTHER = re.compile(
    r"(?P<space> +)"
    r"|(?P<blackboard>\\mathbb\s*\{?\s*(?P<field>[A-Z])\s*\}?)"
    r"|(?P<text>\\(?:text|mathrm|textbf|textit|textrm|mbox|operatorname|mathbf|mathit|textsf)\s*\{(?P<inside>[^{}\\]*)\})"
    r"|(?P<begin>\\(?:begin|end)\s*\{[a-z]+\*?\}(?:\s*\{[lcr|]+\})?)"
    r"|(?P<command>\\(?:[A-Za-z]+|.))"
    r"|(?P<word>[A-Za-z]+)"
    r"|(?P<chinese>[\u4e00-\u9fff]+)"
    r"|(?P<sign>\*\*|<=|>=|!=|.)"
)


@dataclass(frozen=True, slots=True)
class Token:
    """`Token("number", "1,000", Fraction(1000))`."""

    kind: str  # number, command, word, text, chinese, sign, begin, field
    text: str  # of a `\\text{}`, what is inside
    value: Fraction | None = None
    scientific: bool = False
    spaced: bool = False  # white space stood before it


def tokenize(text: str) -> list[Token]:
    """The tokens of a cleaned text. Raises Unreadable on numbers too large to write out.

    A comma between groups of three digits separates thousands at the top level; within brackets it separates
    elements, unless the same brackets have a comma followed by a space too, as `(1,000, 2)` has.
    """
    tokens: list[Token] = []
    position, depth, brackets, spaced = 0, 0, 0, False
    spaced_lists = _spaced_lists(text)
    while position < len(text):
        number = (
            _number(text, position, depth == 0 or spaced_lists[position])
            if text[position] in "0123456789."
            else None
        )
        if number is not None:
            value, end, scientific = number
            tokens.append(Token("number", text[position:end], value, scientific, spaced))
            position, spaced = end, False
            continue
        match = _OTHER.match(text, position)
        assert match is not None  # any printable character is a sign
        position = match.end()
        if match.lastgroup == "space":
            spaced = True
            continue
        token = _token(match, spaced)
        depth += _nesting(token, tokens)
        brackets += nesting(token)
        if brackets > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        tokens.append(token)
        spaced = False
    return tokens


def _spaced_lists(text: str) -> list[bool]:
    """For each character, whether the innermost brackets around it divide by a comma and a space."""
    inside: list[int] = []  # for each character, the number of its brackets
    open_, opened, spaced = [0], 0, set[int]()
    for place, character in enumerate(text):
        if character in "([{":
            opened += 1
            argument = character == "{" and place > 0 and text[place - 1] != "\\"
            open_.append(open_[-1] if argument else opened)
        inside.append(open_[-1])
        if character in ")]}" and len(open_) > 1:
            open_.pop()
        if text.startswith(", ", place):
            spaced.add(open_[-1])
    return [number in spaced for number in inside]


def is_sign(token: Token, *texts: str) -> bool:
    """Whether the token is one of these signs or commands, as written."""
    return token.text in texts and token.kind in ("sign", "command")


def nesting(token: Token) -> int:
    """The change of depth at a token, by brackets of any kind."""
    if is_sign(token, "(", "[", "{", r"\{") or (token.kind == "begin" and token.text.startswith(r"\begin")):
        return 1
    if is_sign(token, ")", "]", "}", r"\}") or token.kind == "begin":
        return -1
    return 0


def show(tokens: Sequence[Token]) -> str:
    """The text of tokens, for reasons shown to people."""
    return " ".join(token.text for token in tokens)[:40]


def _token(match: re.Match[str], spaced: bool) -> Token:
    if match["text"]:
        return Token("text", match["inside"].strip(), spaced=spaced)
    if match["blackboard"]:
        return Token("field", match["field"], spaced=spaced)
    for kind in ("begin", "command", "word", "chinese"):
        if match[kind]:
            return Token(kind, match[kind].replace(" ", ""), spaced=spaced)
    return Token("sign", match["sign"], spaced=spaced)


def _nesting(token: Token, before: Sequence[Token]) -> int:
    """The change of depth by brackets that may hold a list; the braces of a command's argument do not."""
    if is_sign(token, "(", "[", r"\{"):
        return 1
    if is_sign(token, ")", "]", r"\}"):
        return -1
    return 1 if token.text == "{" and not before else 0


def _number(text: str, position: int, grouped: bool) -> tuple[Fraction, int, bool] | None:
    """Value, end, and whether it is in scientific notation."""
    if match := _REPEATING.match(text, position):
        fixed, repeated = match["fixed"], match["repeated"]
        scale = 10 ** len(fixed)
        value = Fraction(int((match["whole"] or "0") + fixed), scale)
        return value + Fraction(int(repeated), scale * (10 ** len(repeated) - 1)), match.end(), False
    if grouped and (match := _GROUPED.match(text, position)):
        digits = match["whole"].replace(match["mark"], "") + (match["rest"] or "")
    elif match := _PLAIN.match(text, position):
        digits = match["digits"]
    else:
        return None
    if match["exponent"] is None:
        return Fraction(digits), match.end(), False
    if abs(int(match["exponent"])) > MAX_EXPONENT:
        raise Unreadable("a number too large to write out")
    return Fraction(digits) * Fraction(10) ** int(match["exponent"]), match.end(), True

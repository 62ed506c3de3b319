"""The words of a clause with their scripts; variables, numerals, formulas and foreign names are none."""

from __future__ import annotations

import re

from r1kit.text.latin_words import ENGLISH
from r1kit.text.prose import FUNCTIONS
from r1kit.text.scripts import UNSPACED, WORD

MAX_NAME = 2
"""Latin words in a row that may be a name in a text of another script."""

MAX_CAPITALS = 3
"""Letters of a word in capitals that is a name of points or numbers, such as AB or GCD, in any text."""

Word = tuple[str, str]
"""Script (a name of `scripts.WORD`) and word."""

_GREEK = "αβγδεζηθλμξπρστφψωΓΔΘΛΞΠΣΦΨΩ"  # as in formulas
_FORMULA = re.compile(
    rf"(?:[A-Za-z]{{1,2}}[{_GREEK}]|[{_GREEK}]{{1,2}}[A-Za-z]|(?:{'|'.join(FUNCTIONS)})[{_GREEK}])"
)


def words_of(clause: str, own: str | None = None) -> list[Word]:
    """The words of a clause; `own` is the script of the text's language where that is not the Latin one.

    Latin words that stand in such a text as a name does ("Alice是骑士") are left out.
    """
    found = [match for match in WORD.finditer(clause) if _counts(match)]
    if own is None:
        return [word for match in found for word in _split(match)]
    runs: list[list[re.Match[str]]] = []
    for match in found:
        between = clause[runs[-1][-1].end() : match.start()] if runs else ""
        joined = runs and between in ("", " ") and runs[-1][-1].lastgroup == match.lastgroup
        runs[-1].append(match) if joined else runs.append([match])
    words: list[Word] = []
    for place, run in enumerate(runs):
        neighbours = (
            place > 0 and _touches(runs[place - 1][-1], run[0], own),
            place + 1 < len(runs) and _touches(runs[place + 1][0], run[-1], own),
        )
        if not (any(neighbours) and _is_name(run)):
            words += [word for match in run for word in _split(match)]
    return words


def _split(match: re.Match[str]) -> list[Word]:
    """The words of a match: one, or one for each letter where there are no spaces."""
    script, text = match.lastgroup or "", match.group()
    return (
        [(script, letter) for letter in text if letter.isalpha()] if script in UNSPACED else [(script, text)]
    )


def _counts(match: re.Match[str]) -> bool:
    """Whether it is a word, and no single letter, numeral (½), formula (Δx) or name in capitals (AB)."""
    script, word = match.lastgroup, match.group()
    if script == "mixed":
        return not _FORMULA.fullmatch(word)
    if script == "latin":
        return not (
            len(word) <= MAX_CAPITALS and word.isupper() and len(word) > 1 and word.lower() not in ENGLISH
        )
    return script is not None and (script != "other" or word.isalpha())


def _touches(neighbour: re.Match[str], word: re.Match[str], script: str) -> bool:
    """Whether a word of `script` stands next to `word`, with a space between at most."""
    gap = max(word.start() - neighbour.end(), neighbour.start() - word.end())
    return neighbour.lastgroup == script and gap <= 1


def _is_name(run: list[re.Match[str]]) -> bool:
    """Whether a row of Latin words may be a name: one or two, in capitals, no common word of English."""
    return len(run) <= MAX_NAME and all(
        match.lastgroup == "latin" and match.group()[0].isupper() and match.group().lower() not in ENGLISH
        for match in run
    )

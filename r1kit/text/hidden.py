"""Words that stand where code, formulas and mark-up do: read, so that none of these hides a language.

Code stays code and a formula a formula. What is read of them: words that neither is ever made of and what
stands beside them, rows of words, comments, unknown commands and tags, formulas of words alone, rows of spans
of one word or of identifiers. Linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from r1kit.text.code_words import CODE, ENVIRONMENTS, LATEX, PLAIN, SPECIAL, TAGS
from r1kit.text.latin_words import ENGLISH
from r1kit.text.prose import FUNCTIONS, MASKED

_IN_A_ROW = 3  # spans of one word, or identifiers, side by side: no code or formula has them so
_APART = 3  # different one-word spans of code that no code block has
_LINE_WORDS = 8  # words in lines of words alone, over the whole text
_IDENTIFIER_WORDS = 5
_KEYWORDS = 2  # from which on a row of words in a line of code is a statement
_LONG = 4  # letters of a word in a formula that are no product of variables, if not a common word

_LETTER = r"[^\W\d_]"
_NO_SPACES = "㐀-䶿一-鿿ぁ-ゖァ-ヺก-ฺ"
_OTHER = re.compile(r"(?:(?![A-Za-zÀ-ɏͰ-Ͽἀ-῿])[^\W\d_])+")  # letters beyond Latin ones and Greek variables
_PART = re.compile(r"[A-Z]?[a-z]+(?:['’][a-z]+)?|[A-Z]+(?![a-z])")  # of camelCase and under_scores
_WORDS_ALONE = re.compile(r"(?=[^A-Za-z]*+[A-Za-z])[A-Za-z'’ \t,.;:!?~-]++")
_COMMENT = re.compile(r"(?:^|[ \t])(?:#+|//+|--|/\*+)[ \t]+([^\n]*)")
_STRING = re.compile(r"\"[^\"\n]*\"|(?<!\w)'[^'\n]*'")
_FENCE_NAME = re.compile(r"```[A-Za-z0-9+#.-]{0,15}[ \t]*\n")
_TEXT_COMMAND = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|bf|it|sf|tt)|mbox|operatorname)\b")
_COMMAND = re.compile(r"\\([a-zA-Z]+)\*?")
_LAYOUT = re.compile(r"[${}~&()\[\]\s.,;:!?'’-]+|\\[\\(),;:!\[\] ]")
_BESIDE = re.compile(r"[ \t]{0,3}(?:\(\))?[ \t]{0,3}")  # between spans in a row


def _row(words: int) -> re.Pattern[str]:
    """Matches so many words in a row with nothing else between them, or so many letters without spaces."""
    word = rf"(?:{_LETTER}{{2,}}+|[aAI])"
    return re.compile(
        rf"(?<!{_LETTER}){word}(?:[ ,_.'’-]{{1,2}}{word}){{{words - 1},}}+|[{_NO_SPACES}，、]{{{words},}}+"
    )


_FIVE, _THREE = _row(5), _row(3)


def readable(text: str) -> str:
    """The text as it is read: prose, and the words hidden in what is masked, on lines of their own."""
    spans = list(MASKED.finditer(text))
    found = [_read(span) for span in spans]
    _read_rows(text, spans, found)
    _read_lines(spans, found)
    parts, end = [], 0
    for span, rows in zip(spans, found, strict=True):
        parts += [text[end : span.start()], "\n".join(["", *rows, ""]) if rows else " "]
        end = span.end()
    return "".join([*parts, text[end:]])


def _read(span: re.Match[str]) -> list[str]:
    """Rows of words that the span shows by itself."""
    kind, text = span.lastgroup, span.group()
    if kind == "fence":
        return [row for line in _lines(text) for row in _of_line(line)]
    if kind == "inline":
        return _of_inline(text.strip("`"))
    if kind == "formula":
        return _of_formula(text)
    if kind == "command":
        return _unknown([text[1:]], LATEX)
    if kind == "environment":
        name = text[text.index("{") + 1 : -1]
        begins = text.startswith(("\\begin", "\\end"))
        return _unknown(_parts(name), ENVIRONMENTS) if begins else _of_identifier(name)
    if kind == "tag":
        return _unknown(_parts(text), SPECIAL if "|" in text else TAGS)
    if kind == "address":
        parts = _parts(text.partition("://")[2] or text)
        hidden = "." not in text if text.startswith("http") else _plain(parts) and not text.startswith("www.")
        return [" ".join(parts)] if hidden else []
    return _of_identifier(text) if kind == "identifier" else []


def _lines(fence: str) -> list[str]:
    """The lines of a code block, without the name of its language."""
    opening = _FENCE_NAME.match(fence)
    return fence[opening.end() if opening else 3 :].removesuffix("```").split("\n")


def _of_line(line: str) -> list[str]:
    """A comment's words, and a row of words in code itself: a text of the program."""
    comment = _COMMENT.search(line)
    rows: list[str] = []
    if comment:
        said = comment.group(1)
        english = _plain(_parts(said)) or _THREE.search(said)
        rows = [said] if english else _OTHER.findall(said)
        line = line[: comment.start()]
    if _WORDS_ALONE.fullmatch(line) and _plain(_parts(line)):
        return [line, *rows]
    return [*_of_code(line), *rows]


def _of_code(line: str) -> list[str]:
    """Rows of words in the program's own texts, and those among its signs that no program has."""
    said = [row for text in _STRING.findall(line) for row in _sentences(_FIVE, text)]
    return said + [row for row in _sentences(_FIVE, _STRING.sub('""', line)) if _no_code(row)]


def _no_code(row: str) -> bool:
    """Whether a row of words in code is none: names stand between signs, and statements have keywords."""
    words = row.split(" ")
    if not row.isascii() or _plain(words):
        return True
    return all(word.isalpha() for word in words) and sum(word.lower() in CODE for word in words) < _KEYWORDS


def _of_inline(code: str) -> list[str]:
    """Code between single marks: words alone are code when they are few, or begin as a command does."""
    if _WORDS_ALONE.fullmatch(code):
        words = _parts(code)
        if _plain(words) or (len(words) >= _IN_A_ROW and words[0].lower() not in CODE):
            return [code]
    return _of_code(code) + [row for row in _OTHER.findall(_FIVE.sub(" ", code)) if len(row) > 1]


def _of_formula(text: str) -> list[str]:
    """A formula of words alone is none; of another one, what no formula is made of."""
    unknown = _unknown(_COMMAND.findall(text), LATEX)
    bare = _COMMAND.sub(" ", _TEXT_COMMAND.sub(" ", text))
    if _plain(_parts(bare)) or _letters_alone(bare):
        words = _parts(bare)
        return [*unknown, *(words if any(map(_is_word, words)) else ()), *_OTHER.findall(bare)]
    return [*unknown, *_sentences(_THREE, bare), *_OTHER.findall(_THREE.sub(" ", bare))]


def _letters_alone(formula: str) -> bool:
    """Whether it has letters in twos and more, and no sign, digit or variable."""
    pieces = [piece for piece in _LAYOUT.split(formula) if piece]
    return bool(pieces) and all(len(piece) > 1 and piece.isalpha() for piece in pieces)


def _of_identifier(text: str) -> list[str]:
    parts = _parts(text)
    return [" ".join(parts)] if len(parts) >= _IDENTIFIER_WORDS or _plain(parts) else []


def _read_rows(text: str, spans: Sequence[re.Match[str]], found: list[list[str]]) -> None:
    """Read spans of a word or two, or identifiers, that stand side by side, or as too many different ones."""
    row: list[int] = []
    lone: dict[str, list[int]] = {}
    for place, span in enumerate(spans):
        words = _short(span)
        if row and not (words and _BESIDE.fullmatch(text, spans[row[-1]].end(), span.start())):
            _read_all(spans, row, found)
            row = []
        row += [place] if words else []
        if words and span.lastgroup == "inline" and not found[place]:
            lone.setdefault(" ".join(words).lower(), []).append(place)
    _read_all(spans, row, found)
    code = {part.lower() for span in spans if span.lastgroup == "fence" for part in _parts(span.group())}
    lone = {word: places for word, places in lone.items() if word not in code and word not in CODE}
    if len(lone) >= _APART:
        for place in (place for places in lone.values() for place in places):
            found[place] = [" ".join(_short(spans[place]))]


def _read_all(spans: Sequence[re.Match[str]], row: Sequence[int], found: list[list[str]]) -> None:
    if len(row) >= _IN_A_ROW:
        for place in row:
            found[place] = found[place] or [" ".join(_short(spans[place]))]


def _short(span: re.Match[str]) -> list[str]:
    """The words of a span that is nothing but a word or two, or an identifier; none of any other."""
    text = span.group()
    named = span.lastgroup == "identifier" and not text.isupper()
    said = span.lastgroup == "inline" and _WORDS_ALONE.fullmatch(text.strip("`")) is not None
    if span.lastgroup == "formula":
        text = _COMMAND.sub(" ", _TEXT_COMMAND.sub(" ", text))
        said = _letters_alone(text) and not text.isupper()
    parts = _parts(text) if named or said else []
    return parts if len(parts) <= _IDENTIFIER_WORDS else []


def _read_lines(spans: Sequence[re.Match[str]], found: list[list[str]]) -> None:
    """Read lines of words alone in code blocks, where they are many: code has other signs among its words."""
    lines: dict[int, list[str]] = {}
    for place, span in enumerate(spans):
        if span.lastgroup == "fence":
            lines[place] = [line for line in _lines(span.group()) if _says_something(line)]
    if sum(len(_parts(line)) for those in lines.values() for line in those) >= _LINE_WORDS:
        for place, those in lines.items():
            read = set(found[place])
            found[place] += [line for line in those if line not in read]


def _says_something(line: str) -> bool:
    words = _parts(line) if _WORDS_ALONE.fullmatch(line) and not set(":;") & set(line) else []
    return len(words) > 1 and words[0].lower() not in CODE


def _sentences(pattern: re.Pattern[str], text: str) -> list[str]:
    """The rows of words, an identifier's parts being words of their own."""
    return [row.replace("_", " ") for row in pattern.findall(text)]


def _parts(text: str) -> list[str]:
    """The words of camelCase, of under_scores and of prose, of two letters and more."""
    return [part for part in _PART.findall(text) if len(part) > 1 or part in "aAI"]


def _plain(words: Iterable[str]) -> bool:
    return any(word.lower().replace("’", "'") in PLAIN and not word.isupper() for word in words)


def _unknown(words: Iterable[str], known: frozenset[str]) -> list[str]:
    """Those that are not known, two letters long at least."""
    return [
        word
        for word in words
        if word.lower() not in known and (len(word) > 2 or word.lower() in ENGLISH) and len(word) > 1
    ]


def _is_word(piece: str) -> bool:
    """Whether letters in a formula are a word and no variables."""
    lower = piece.lower()
    if not piece.isascii() or not piece.isalpha() or piece[1:] != lower[1:] or lower in FUNCTIONS:
        return False
    product = len(piece) < _LONG or not set("aeiou") & set(lower) or list(lower) == sorted(lower)
    return len(piece) > 1 and (lower in ENGLISH or lower == "add" or not product)

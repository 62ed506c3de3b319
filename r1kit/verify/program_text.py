"""The text of a Python program as a syntax tree, in time that is linear in the text."""

from __future__ import annotations

import ast
import threading
import unicodedata
import warnings
from itertools import groupby

MAX_MARKS = 30
"""Combining marks in a row, as in Unicode's stream-safe text (UAX #15, section 13). Python normalises the
names of a program, which takes quadratic time on longer runs."""

_filters = threading.Lock()  # the filters of warnings are the whole process's


def parse_program(code: str) -> ast.Module:
    """The syntax tree; warnings about the program, as of odd escapes and comparisons, are not shown.

    Raises SyntaxError, also for more than `MAX_MARKS` combining marks in a row; ValueError (half a surrogate
    pair, NUL), RecursionError or MemoryError (nested too deeply).
    """
    if longest_run_of_marks(code) > MAX_MARKS:
        raise SyntaxError(f"more than {MAX_MARKS} combining marks in a row")
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(code)


def longest_run_of_marks(text: str) -> int:
    """How many characters in a row are combining marks, or become some when they are decomposed."""
    if text.isascii():
        return 0
    marks = {character for character in set(text) if _is_mark(character)}
    return max((len(list(run)) for mark, run in groupby(text, marks.__contains__) if mark), default=0)


def _is_mark(character: str) -> bool:
    # some of class 0 decompose into marks alone, such as U+0F73
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) != 0

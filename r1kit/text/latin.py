"""Which language a few Latin words are in, by the library py3langid: the extra "languages".

For questions in the languages of `LATIN_LANGUAGES` that `widespread.py` has no common words of.

py3langid (BSD-3-Clause, numpy alone, 4.5 MB with its model) is a naive Bayes classifier over byte sequences:
offline, without random numbers, linear in the text. Of 130 short sentences in 13 languages it told all; word
lists told 113, and of two words in a row a list of stop words knows too few.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

from r1kit.errors import UserError

LATIN_LANGUAGES = (
    *("af", "ca", "cs", "cy", "da", "de", "es", "et", "eu", "fi", "fr", "ga", "gl", "hr", "hu", "id", "is"),
    *("it", "lt", "lv", "ms", "mt", "nl", "no", "pl", "pt", "ro", "sk", "sl", "sq", "sv", "sw", "tl", "tr"),
    "vi",
)
"""Besides English."""

EXTRA = "languages"

ENOUGH = 4  # words from which on the library tells a language among many; fewer it tells from English alone
_RIVALS = ("cs", "de", "es", "fr", "id", "it", "nl", "pl", "pt", "sv", "tr", "vi")


def installed() -> bool:
    """Whether the library is there."""
    return importlib.util.find_spec("py3langid") is not None


def identify(words: list[str], language: str) -> str:
    """The language of one clause: `language`, English, or with `ENOUGH` words another widespread one.

    Raises UserError when the library is not installed.
    """
    candidates = {language, "en", *(_RIVALS if len(words) >= ENOUGH else ())}
    ranking = _identifier().rank(" ".join(words))
    return str(next(name for name, _ in ranking if name in candidates))


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise UserError(
            f"telling Latin-script languages other than English needs py3langid: pip install 'r1kit[{EXTRA}]'"
        ) from error
    return LanguageIdentifier.from_model_file(MODEL_FILE)

"""Which language the words of a text are in. Digits, code, formulas, tags and variables are not words.

Other scripts than the Latin one tell their language (`scripts.py`). Latin words are told word by word among
English and other widespread languages (`widespread.py`); where nothing speaks against it they are the
question's, or English. For a question in a rarer Latin-script language, `latin.py` tells clause by clause.

The share says how much of what is written to be read is in one language, not that it makes sense: one right
word alone, or one repeated, has the share 1, as the formula says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from r1kit.errors import UnknownNameError
from r1kit.text.folding import folded
from r1kit.text.hidden import readable
from r1kit.text.latin import ENOUGH, LATIN_LANGUAGES, identify, installed
from r1kit.text.scripts import ALPHABETS, SCRIPT_OF
from r1kit.text.widespread import TOLD, tell
from r1kit.text.words import Word, words_of

LANGUAGES = ("en", "zh")
"""The languages that are always in the result of `word_counts`."""

_SENTENCE_END = re.compile(r"[.!?\n。！？…]+")
_CLAUSE_END = re.compile(r"[;:,；：，、]+")
_HAN_PER_KANA = 6  # a stretch with at least one kana for so many Chinese characters is Japanese


def known(language: str) -> bool:
    """Whether the words of `language` can be told here and now (rarer Latin-script ones need an extra)."""
    return language in TOLD or language in SCRIPT_OF or (language in LATIN_LANGUAGES and installed())


def word_counts(text: str, language: str = "en") -> dict[str, int]:
    """Words per language: `word_counts("so 3+7 得到 10") == {"en": 1, "zh": 2}`.

    `language` is the question's: what its script's words count as. English, Chinese and `language` are always
    in the result; a script that tells none of them stands under its own name ("cyrillic"), a word of
    look-alikes under "mixed", one spelled letter by letter under "spelled". A Latin word of one letter is a
    variable or a name, except "a" and "I" beside another word. Raises UnknownNameError for a language that is
    not known, UserError when its extra is not installed.
    """
    counts = Counter(word_languages(text, language))
    return {**dict.fromkeys((*LANGUAGES, language), 0), **counts}


def language_share(text: str, language: str) -> float | None:
    """Words of `language` / all words, in [0, 1]; None for a text without words. Raises as `word_counts`.

    Formula: DeepSeek-R1, section 2.3.2.
    """
    counts = word_counts(text, language)
    total = sum(counts.values())
    return counts[language] / total if total else None


def language_consistency(text: str, language: str) -> float:
    """`language_share`, and 1.0 for a text without words, since nothing is mixed."""
    share = language_share(text, language)
    return 1.0 if share is None else share


@lru_cache(maxsize=1)  # language consistency and switches of language are asked of a text in turn
def word_languages(text: str, language: str = "en") -> tuple[str, ...]:
    """The language of each word in the order of the text. Raises as `word_counts`."""
    if language not in TOLD and language not in SCRIPT_OF and language not in LATIN_LANGUAGES:
        raise UnknownNameError("language", language, ("en", *SCRIPT_OF, *LATIN_LANGUAGES))
    pieces = list(_pieces(readable(folded(text)), language))
    latin = _latin_languages(pieces, language)
    found = []
    for piece in pieces:
        japanese = _is_japanese(piece)
        for script, word in piece:
            found.append(next(latin) if script == "latin" else _language(script, word, language, japanese))
    return tuple(found)


def _pieces(text: str, language: str) -> Iterator[list[Word]]:
    """The words of the text in stretches that are told together.

    One is a clause; a short clause joins its neighbour in the same sentence.
    """
    for sentence in _SENTENCE_END.split(text):
        piece: list[Word] = []
        for clause in _CLAUSE_END.split(sentence):
            words = words_of(clause, SCRIPT_OF.get(language))
            if len(piece) >= ENOUGH and len(words) >= ENOUGH:
                yield piece
                piece = []
            piece += words
        if piece:
            yield piece


def _latin_languages(pieces: list[list[Word]], language: str) -> Iterator[str]:
    """The language of each Latin word of the text."""
    latin = [[word for script, word in piece if script == "latin"] for piece in pieces]
    if language in LATIN_LANGUAGES and language not in TOLD:
        for words in latin:
            yield from [identify(words, language)] * len(words) if words else ()
    else:
        yield from tell(latin, language if language in TOLD else "en")


def _is_japanese(piece: list[Word]) -> bool:
    """Japanese has kana among its Chinese characters; Chinese has none, or a rare one for decoration."""
    kana = sum(script == "kana" for script, _ in piece)
    han = sum(script == "han" for script, _ in piece)
    return kana * _HAN_PER_KANA >= han and kana > 0


def _language(script: str, word: str, language: str, japanese: bool) -> str:
    """The language of a word in another script than the Latin one."""
    if script == "kana":
        return "ja"
    if script == "han":
        return "ja" if japanese else "zh"
    if script == "cyrillic" and not ALPHABETS.get(language, frozenset(word.lower())).issuperset(word.lower()):
        return script
    return language if SCRIPT_OF.get(language) == script else script

"""Tells widespread Latin-script languages apart word by word, by common words, letters and endings alone.

The most probable row of languages (Viterbi): a common word speaks for the languages that have it, so do a
letter beyond A-Z and the look of another word; changing the language costs, least at the end of a clause. So
a foreign name in an English sentence stays English, an English sentence in French thinking is told, and a
word that nothing is known of goes with those beside it. Nothing is downloaded or installed for it, and the
result is the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from r1kit.text.latin_words import ALSO_ENGLISH, ENGLISH, FOREIGN, LANGUAGES, LETTERS, SHAPES

_COMMON = 1.0  # what a common word says for its language
_SHARED = 0.5  # what a word common to English and others says for each of them
_SHAPE = 0.6  # what the look of any other word says for each language that it is typical of
_LETTER = 0.6  # what a letter beyond A-Z says for each language that has it
_OTHER_LETTER = 0.2  # what it says against English
_CAPITAL = 0.3  # how much of that counts in a word with a capital: it may be a name
_CHANGE = 1.6  # of language between two words
_CHANGE_PIECE = 0.7  # between two pieces of the text
_PRIOR = 0.5  # for English, at the start

_MAX_SHAPED = 40  # letters of a word whose look is judged

TOLD = ("en", *LANGUAGES)
"""The languages that are told from each other."""

_STATES = (*TOLD, "pinyin")  # Chinese in Latin letters with tone marks is none of them
_PLACES = {language: place for place, language in enumerate(_STATES)}


def tell(pieces: Sequence[Sequence[str]], language: str = "en") -> list[str]:
    """The language of each word, piece by piece; all `language` where no word speaks for another one.

    `language` must be one of `TOLD`. Linear time: a constant number of operations for each word.
    """
    different = {word for words in pieces for word in words}
    if not any(score and score.get(language, 0.0) <= 0 for score in map(_scores, different)):
        return [language] * sum(map(len, pieces))
    scores = [_scores(word) for words in pieces for word in words]
    costs = [_CHANGE if place else _CHANGE_PIECE for words in pieces for place in range(len(words))]
    best = [_PRIOR * (state == language) for state in _STATES]
    came_from: list[list[int]] = []
    for cost, score in zip(costs, scores, strict=True):
        top = max(range(len(best)), key=best.__getitem__)
        changed = best[top] - cost
        came_from.append([place if value >= changed else top for place, value in enumerate(best)])
        best = [max(value, changed) for value in best]
        for name, value in score.items():
            best[_PLACES[name]] += value
    state = max(range(len(best)), key=best.__getitem__)
    told = []
    for sources in reversed(came_from):
        told.append(_STATES[state])
        state = sources[state]
    return told[::-1]


_SHAPES = {language: re.compile(pattern) for language, pattern in SHAPES.items()}


def _scores(word: str) -> Mapping[str, float]:
    """Language -> how much the word speaks for it; nothing for a word that none has to itself.

    Words longer than any that is looked at are not kept: they may be as long as a response.
    """
    return _kept_scores(word) if len(word) <= _MAX_SHAPED else _computed_scores(word)


def _computed_scores(word: str) -> Mapping[str, float]:
    lower = word.lower()
    languages, english = FOREIGN.get(lower, ()), lower in ENGLISH or lower in ALSO_ENGLISH
    scores = dict.fromkeys(languages, _SHARED if english else _COMMON)
    if english:
        scores["en"] = _SHARED if languages else _COMMON
    if not scores and len(lower) <= _MAX_SHAPED:
        scores = {name: _SHAPE for name, shape in _SHAPES.items() if shape.search(lower)}
    if not lower.isascii():
        weight = _CAPITAL if word[0].isupper() else 1.0
        scores["en"] = scores.get("en", 0.0) - weight * _OTHER_LETTER
        for letter in set(lower):
            for language in LETTERS.get(letter, ()):
                scores[language] = scores.get(language, 0.0) + weight * _LETTER
    return scores


_kept_scores = lru_cache(maxsize=1 << 15)(_computed_scores)

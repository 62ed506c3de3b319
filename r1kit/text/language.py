"""Which language the words of a text are in, by script. Digits, code and formulas are not words."""

from __future__ import annotations

import re

_NOT_WORDS = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$[^$]*\$\$|\$[^$\n]*\$|\\[a-zA-Z]+|</?[a-zA-Z]+>", re.DOTALL
)
_WORD = {
    "en": re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][A-Za-z]+)*"),
    "zh": re.compile(r"[㐀-䶿一-鿿]"),  # every character: Chinese has no spaces
}
_VARIABLE = re.compile(r"[A-Za-z]")

LANGUAGES = tuple(_WORD)


def word_counts(text: str) -> dict[str, int]:
    """Words per language: `word_counts("so 3+7 得到 10") == {"en": 1, "zh": 2}`.

    A Latin word of one letter is a variable, except "a" and "I"; code spans, formulas and tags are left out.
    """
    text = _NOT_WORDS.sub(" ", text)
    counts = dict.fromkeys(LANGUAGES, 0)
    for language, pattern in _WORD.items():
        for match in pattern.finditer(text):
            word = match.group()
            counts[language] += not (_VARIABLE.fullmatch(word) and word not in "aAI")
    return counts


def language_consistency(text: str, language: str) -> float:
    """Words of `language` / all words, in [0, 1]; 1.0 for a text without words, since nothing is mixed.

    Formula: DeepSeek-R1, section 2.3.2. Raises ValueError for a language that is not in `LANGUAGES`.
    """
    if language not in _WORD:
        raise ValueError(f"language {language!r} is not known; known: {', '.join(LANGUAGES)}")
    counts = word_counts(text)
    total = sum(counts.values())
    return counts[language] / total if total else 1.0

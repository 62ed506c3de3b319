"""Writing systems: which letters make a word, and which languages are told by their script alone.

Chinese, Japanese, Thai, Lao, Khmer and Burmese have no spaces between words: each letter counts as one.
Languages that share a script (Russian and Ukrainian, Arabic and Persian, Hindi and Nepali) cannot be told
from each other by it; a text in one of them is taken to be in the one that is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LATIN_LETTER = "A-Za-zÀ-ÖØ-öø-ɏḀ-ỿ"
_CYRILLIC_LETTER = "Ѐ-ԯ"
_GREEK_LETTER = "ͰͲͳͶͷΆΈ-Ͽἀ-ῼ"

_LATIN_WORD = (
    rf"[{LATIN_LETTER}]{{2,}}(?:['’][A-Za-z]+)*"
    r"|[Ii]['’][A-Za-z]+"
    r"|[À-ÖØ-öø-ɏḀ-ỿ]"
    # one letter is a variable or a name, but "a" and "I" next to a word are words
    rf"|[aAI](?=[ ]{{1,3}}[{LATIN_LETTER}]{{2}})|(?<=[{LATIN_LETTER}]{{2}}[ ])[aAI](?![{LATIN_LETTER}])"
)


# Latin, Cyrillic and Greek letters in one word: look-alikes, such as a Cyrillic "о" in an English word
_LOOKALIKE = [LATIN_LETTER, _CYRILLIC_LETTER, _GREEK_LETTER]
_ANY_LOOKALIKE = "".join(_LOOKALIKE)
_MIXED = (
    f"(?<![{_ANY_LOOKALIKE}])(?:"
    + "|".join(f"[{own}]++[{''.join(other for other in _LOOKALIKE if other != own)}]" for own in _LOOKALIKE)
    + f")[{_ANY_LOOKALIKE}]*+"
)
# five letters and more, one by one: a word that is spelled out, so that it would pass for variables
_SPELLED = (
    rf"(?<![{LATIN_LETTER}'’])[{LATIN_LETTER}](?:[ .·-]{{1,2}}[{LATIN_LETTER}]){{4,}}+(?![{LATIN_LETTER}])"
)


@dataclass(frozen=True, slots=True)
class Script:
    """`Script("[ა-ჿ]+", ("ka",))`."""

    word: str  # regular expression of one word; of a row of letters where there are no spaces
    languages: tuple[str, ...] = ()  # ISO 639-1 codes of the languages that it tells
    spaces: bool = True  # between words; without them each letter counts as one


SCRIPTS: dict[str, Script] = {
    "latin": Script(_LATIN_WORD),
    "han": Script(r"[㐀-䶿一-鿿々\U00020000-\U000323af]+", ("zh",), False),
    "kana": Script(r"[ぁ-ゖァ-ヺ]+", ("ja",), False),
    "hangul": Script(r"[가-힣ᄀ-ᇿㄱ-ㆎ]+", ("ko",)),
    "cyrillic": Script(rf"[{_CYRILLIC_LETTER}]+", ("ru", "uk", "be", "bg", "mk", "kk", "ky", "mn", "tg")),
    "greek": Script(rf"[{_GREEK_LETTER}]{{2,}}", ("el",)),  # one letter is a variable
    "hebrew": Script(r"[֑-ׇא-ת]+", ("he", "yi")),
    "arabic": Script(r"[ؠ-ٟٮ-ۓە-ۯۺ-ۿݐ-ݿ]+", ("ar", "fa", "ur", "ps")),
    "devanagari": Script(r"[ऀ-ॣॱ-ॿ]+", ("hi", "mr", "ne")),
    "bengali": Script(r"[ঀ-ৣৰৱ]+", ("bn", "as")),
    "gurmukhi": Script(r"[ਁ-ੑੜ-ੵ]+", ("pa",)),
    "gujarati": Script(r"[ઁ-ૣ]+", ("gu",)),
    "tamil": Script(r"[ஂ-ௗ]+", ("ta",)),
    "telugu": Script(r"[ఀ-ౣ]+", ("te",)),
    "kannada": Script(r"[ಀ-ೣ]+", ("kn",)),
    "malayalam": Script(r"[ഀ-ൣ]+", ("ml",)),
    "sinhala": Script(r"[ං-ෟ]+", ("si",)),
    "thai": Script(r"[ก-ฺเ-๎]+", ("th",), False),
    "lao": Script(r"[ກ-໎]+", ("lo",), False),
    "burmese": Script(r"[က-ဿ]+", ("my",), False),
    "khmer": Script(r"[ក-៓]+", ("km",), False),
    "georgian": Script(r"[ა-ჿ]+", ("ka",)),
    "armenian": Script(r"[Ա-Ֆՙա-և]+", ("hy",)),
    "ethiopic": Script(r"[ሀ-ፚ]+", ("am", "ti")),
}
"""Name -> its words and languages. Latin tells no language by itself."""

SCRIPT_OF: dict[str, str] = {
    language: name for name, script in SCRIPTS.items() for language in script.languages
}
"""Language -> the script that tells it."""

_SINGLE = rf"[{LATIN_LETTER}{_GREEK_LETTER}ー]"  # what is no word where it stands alone

UNSPACED = frozenset({*(name for name, script in SCRIPTS.items() if not script.spaces), "spelled", "other"})
"""Scripts of which each letter counts as one word."""

WORD = re.compile(
    rf"(?=[^\W\d_])(?:(?P<mixed>{_MIXED})|(?P<spelled>{_SPELLED})|"
    + "|".join(f"(?P<{name}>{script.word})" for name, script in SCRIPTS.items())
    + rf"|{_SINGLE}|(?P<other>[^\W\d_]))"
)
"""One word of any script, or one letter that is none; `lastgroup` names the script. A row of letters without
spaces is one match: `UNSPACED`.

"mixed": look-alikes of several scripts in one word. "spelled": a word letter by letter. "other": a letter of
a script without an entry. None: a variable.
"""

ALPHABETS: dict[str, frozenset[str]] = {
    "ru": frozenset("абвгдеёжзийклмнопрстуфхцчшщъыьэюя"),
    "uk": frozenset("абвгґдеєжзиіїйклмнопрстуфхцчшщьюя"),
    "be": frozenset("абвгдеёжзійклмнопрстуўфхцчшыьэюя"),
    "bg": frozenset("абвгдежзийклмнопрстуфхцчшщъьюя"),
    "mk": frozenset("абвгдѓежзѕијклљмнњопрстќуфхцчџш"),
}
"""Language -> its letters. A Cyrillic word with any other letter is not of the language."""

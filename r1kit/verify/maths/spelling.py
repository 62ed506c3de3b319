"""Letters side by side: a word, whose order and nothing else counts, or a product."""

from __future__ import annotations

import re

_PRODUCT = re.compile(r"[abcxyz]+|[b-df-hj-np-tv-xz]+|[A-Za-z]{2}")
_ROMAN = re.compile(r"[IVXLCDM]{2,}")
_MAX_CASED = 2  # letters that differ from their capitals, as `ab` and the segment `AB`


def is_word(letters: str) -> bool:
    """Whether the letters are read in their order: `red`, `SAS`, `IV`; not `xyz`, `mgh`, `ab`."""
    return bool(_ROMAN.fullmatch(letters)) or not _PRODUCT.fullmatch(letters)


def same_letters(gold: str, answer: str) -> bool | None:
    """Whether two runs of letters are spelt the same; None where they are products, whose order is free."""
    if gold == answer:
        return True
    if not is_word(gold) and not is_word(answer):
        return None
    return len(gold) > _MAX_CASED and gold.lower() == answer.lower()

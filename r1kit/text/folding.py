"""Letters as a reader sees them: nothing invisible between them, full-width and styled forms as plain ones.

Else a zero-width space between its letters, or 𝐛𝐨𝐥𝐝 or ｗｉｄｅ ones, would hide a word from counting.
"""

from __future__ import annotations

import re
import unicodedata

INVISIBLE = (
    "\u00ad\u034f\u061c\u0640\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Format characters, variation selectors, empty letters of Hangul, the Arabic line that only stretches."""

_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"

_DELETED = re.compile(f"[{INVISIBLE}]+")
_MARKED = re.compile(f"([^\\W\\d_]?)([{_MARKS}]{{1,2}})[{_MARKS}]*")

_STYLED_RANGES = (
    *((0x00AA, 0x00BB), (0x02B0, 0x02B9), (0x02E0, 0x02E5), (0x1D2C, 0x1D6B), (0x1D78, 0x1DC0)),
    *((0x2071, 0x209D), (0x2100, 0x2150), (0x249C, 0x24EA), (0xFB00, 0xFB50), (0xFE70, 0xFEFD)),
    *((0xFF21, 0xFF5B), (0xFF66, 0xFFDD), (0x1D400, 0x1D7CC), (0x1F110, 0x1F18A)),
)


def _plain(character: str) -> str:
    """The letters that a styled character stands for, "" when it stands for none."""
    letters = "".join(filter(str.isalpha, unicodedata.normalize("NFKC", character)))
    return letters if letters != character else ""


_STYLED = {
    code: plain for first, end in _STYLED_RANGES for code in range(first, end) if (plain := _plain(chr(code)))
}


def folded(text: str) -> str:
    """The text with plain letters: `folded("ｓｏ 𝐭𝐡𝐞 s\\u200bum") == "so the sum"`.

    A letter and its first two combining marks become one letter where Unicode has it; other marks go. Linear
    time: unlike `unicodedata.normalize` it never puts a long run of marks in order.
    """
    if text.isascii():
        return text
    return _MARKED.sub(_composed, _DELETED.sub("", text).translate(_STYLED))


def _composed(match: re.Match[str]) -> str:
    letter, marks = match.groups()
    composed = unicodedata.normalize("NFC", letter + marks)
    return composed if len(composed) == 1 and letter else letter

"""Makes untrusted text (model output, data rows) safe to print."""

from __future__ import annotations

import re

# CSI sequences; OSC, DCS, SOS, PM and APC strings (7- and 8-bit introducers); any other escape, one follower.
# String bodies exclude introducers, terminators and newlines: linear time; an open string hides no later one.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\n\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]?"
)
# The remaining controls except tab and newline, bidi marks, lone surrogates.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """`text` without ANSI escape sequences, control characters (tab and newline stay) and bidi marks."""
    return _CONTROL.sub("", _SEQUENCE.sub("", text))

"""The reward of the benchmark's steps: the share of different words in a response."""

from __future__ import annotations


def grade(text: str) -> float:
    """Different words over words; 0 of nothing."""
    words = text.split()
    return len(set(words)) / len(words) if words else 0.0

"""Deterministic checkers of answers: they never evaluate model text as code."""

"""Attacks on the sandbox, hacks of its grading, ordinary programs: `python -m bench.sandbox_attacks`."""

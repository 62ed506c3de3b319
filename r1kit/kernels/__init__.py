"""Loops over arrays, compiled by Numba when they are first called: what lies between matrix products.

The modules below import Numba, which takes a third of a second; import them where they are used.
"""

BLOCK = 32  # positions of a head's keys that lie together in a cache, see `mixing`

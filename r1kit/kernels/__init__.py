"""Loops over arrays, compiled by Numba when they are first called: steps and layers of small models.

The modules below import Numba, which takes a third of a second; import them where they are used.
"""

BLOCK = 32  # positions of a head's keys that lie together in a cache, see `mixing`
HANDFUL = 512  # tokens of whole sequences that go through a layer at once, see `layers`
TOKENS, TOKENS_BACK = 128, 256  # of them those that go through products at once
QUERIES = 64  # of a sequence, that meet its keys at once, see `causal`

# What a row's new token means for it: nothing, its end, its end where the text now has a stop string, or its
# end because it may have no more tokens.
GOES_ON, ENDS, MAY_STOP, FULL = range(4)

"""Named reward terms and the weighted sum of them. Importing any part registers the built-in terms.

A reward file needs `from r1kit.rewards import RewardInput, reward`.
"""

from r1kit.rewards import learned, logic, programs, shaping, terms  # noqa: F401 - imported for their registrations
from r1kit.rewards.registry import RewardInput, reward

__all__ = ["RewardInput", "reward"]

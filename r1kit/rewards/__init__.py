"""Named reward terms and the weighted sum of them. Importing any part registers the built-in terms."""

from r1kit.rewards import learned, programs, shaping, terms  # noqa: F401 - imported for their registrations

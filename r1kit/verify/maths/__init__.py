"""Mathematical answers of any form, compared exactly: `checker.check` is the way in."""

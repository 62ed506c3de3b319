"""`python -m r1kit` is the command `r1kit`."""

import sys

from r1kit.cli import main

sys.exit(main())

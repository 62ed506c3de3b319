"""`python -m bench.profiled LOOKS COMMAND …`: the command `r1kit` while its threads are looked at.

LOOKS is the file that gets {"seconds": …, "looks": 1234, "stacks": [[0.43, ["r1kit/cli.py:main", …]], …]}.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench.looks import Looks


def main() -> int:
    """What the command returns."""
    began = time.perf_counter()
    with Looks() as looks:
        from r1kit.cli import main as command  # its imports are part of a run

        code = command(sys.argv[2:])
    found = {
        "seconds": time.perf_counter() - began,
        "looks": looks.count,
        "stacks": [[round(seconds, 5), stack] for stack, seconds in looks.seconds.most_common()],
    }
    Path(sys.argv[1]).write_text(json.dumps(found), "utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())

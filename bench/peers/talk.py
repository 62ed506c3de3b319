"""The side's end of a benchmark's talk with it: JSON lines, first a job, then a line for each repeat.

Standard library only, because a side runs in an environment that need not have r1kit.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

Record = dict[str, Any]


class Talk:
    """Reads requests from standard input and answers on standard output.

    Whatever else writes to standard output, libraries and their children included, reaches standard error.
    """

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.job: Record = json.loads(sys.stdin.readline())

    def ready(self, facts: Record) -> None:
        """Everything is loaded; `facts` are versions and settings."""
        self._say({"ready": facts})

    def requests(self) -> Iterator[Record]:
        """The repeats that are asked for, until there are no more."""
        for line in sys.stdin:
            yield json.loads(line)

    def done(self, result: Record) -> None:
        """A repeat has ended."""
        self._say({"done": result})

    def _say(self, record: Record) -> None:
        self._out.write(json.dumps(record) + "\n")
        self._out.flush()


Repeat = Callable[[Record], Record]


def serve(prepare: Callable[[Record], tuple[Record, Repeat]]) -> None:
    """A side whose repeats are calls: `prepare` takes the job and gives facts and the function."""
    talk = Talk()
    facts, repeat = prepare(talk.job)
    talk.ready(facts)
    for request in talk.requests():
        talk.done(repeat(request))

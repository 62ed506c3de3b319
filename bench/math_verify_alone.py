"""The library math-verify by itself, as its README calls it.

JSON lines [gold, answer] come in, [correct, seconds] go out. It runs in a process of its own, on the main
thread, as its timeouts need that; `bench.math_suite` stops one that hangs.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any


def main() -> None:
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is not a reply
    logging.disable(logging.CRITICAL)
    from math_verify import parse, verify

    print(json.dumps("ready"), file=output, flush=True)
    for line in sys.stdin:
        gold, answer = json.loads(line)
        start = time.perf_counter()
        found = judge(parse, verify, gold, answer)
        print(json.dumps([found, time.perf_counter() - start]), file=output, flush=True)


def judge(parse: Any, verify: Any, gold: str, answer: str) -> bool | str:
    """Its verdict, with both sides marked as mathematics; or the name of what it raised."""
    try:
        text = answer if "\\boxed" in answer or "<answer>" in answer else f"\\boxed{{{answer}}}"
        return bool(verify(parse(f"${gold}$"), parse(text)))
    except BaseException as error:  # its timeout is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return type(error).__name__


if __name__ == "__main__":
    main()

"""`python -m bench.trl_losses`: print the comparison; fail where a row is not as it is said to be.

With `--write` the tables of docs/trl.md are replaced by it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from bench.trl_losses.table import markdown, measure

PAGE = Path(__file__).parents[2] / "docs" / "trl.md"
MARK = "<!-- what follows is made by python -m bench.trl_losses --write -->"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.trl_losses", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"replace the tables of {PAGE.name}")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    disable_progress_bar()
    with tempfile.TemporaryDirectory(prefix="r1kit-trl-") as folder:
        rows = list(measure(Path(folder)))
    names = ("torch", "transformers", "trl", "accelerate")
    wrong = [row.name for row in rows if not row.holds]
    used = ", ".join(f"{name} {version(name)}" for name in names)
    count = f"{len(rows) - len(wrong)} of {len(rows)} rows are as they should be, with {used}."
    shown = f"{count}\n\n{markdown(rows)}\n"
    print(shown)
    if arguments.write:
        text = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
        PAGE.write_text(f"{text}{MARK}\n\n{shown}", encoding="utf-8")
    if wrong:
        sys.exit(f"not as they should be: {', '.join(wrong)}")


if __name__ == "__main__":
    main()

"""Rewrites the README's results from run folders: `python docs/results.py runs/laptop [runs/laptop-2 …]`.

The tables and the pictures show every run, the tables also comparisons beside the recipe's own stages. The
transcript is of the first run. Nothing in that part of the README is written by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

from r1kit.pipeline.config import load_recipe
from r1kit.report.picture import draw
from r1kit.report.reading import results
from r1kit.report.readme_tables import readme_table
from r1kit.report.stage_picture import draw_stages, worth_drawing
from r1kit.report.transcript import transcript

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ("laptop", "laptop-ablations")  # the chain, and the chain with comparisons beside it
ALT = "Accuracy on each task, language consistency, format and thinking length after every stage"
BEGIN, END = "<!-- results: made by docs/results.py -->", "<!-- end of results -->"


def main(folders: list[Path]) -> None:
    """Write the pictures, and the README's part between its two marks."""
    runs = {f"seed {number}": folder for number, folder in enumerate(folders, 1)}
    draw(runs, ROOT / "docs" / "r1_zero.png", title="R1-Zero on two CPU cores")
    table = readme_table({label: folder / "results.json" for label, folder in runs.items()})
    stages = []
    if worth_drawing(runs):
        chain, more = ({stage.name for stage in load_recipe(name).stages} for name in RECIPES)
        picture = ROOT / "docs" / "stages.png"
        draw_stages(runs, picture, "What each stage of the recipe did", without=more - chain)
        stages.append(f"![{ALT}](docs/stages.png)\n")
    first = next(iter(results(folders[0])["base"]))  # the transcript is of the first task
    curves = "![Accuracy, length, format and reward over the steps of R1-Zero](docs/r1_zero.png)\n"
    before, rest = (ROOT / "README.md").read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    made = "\n".join([BEGIN, "", table, *stages, curves, transcript(folders[0], task=first), END])
    (ROOT / "README.md").write_text(before + made + after, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([Path(name) for name in sys.argv[1:]])

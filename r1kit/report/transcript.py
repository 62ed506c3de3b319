"""The same held-out problem before and after training, chosen by a fixed rule and shown whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from r1kit.errors import UserError
from r1kit.report.reading import Row, jsonl, run_folder
from r1kit.text.tags import parse
from r1kit.tracking.terminal import printable

_FIELDS = ("problem", "task", "question", "completion", "verdict", "finish")


@dataclass(frozen=True, slots=True)
class Pair:
    """One problem with the first response of two models."""

    before: Row
    after: Row
    share: float  # of the test problems that have this pair of verdicts
    problems: int  # test problems of the task


def transcript(run: Path, *, before: str = "base", after: str = "r1_zero", task: str | None = None) -> str:
    """Markdown with the question and both responses, from the run's `evaluations/*.jsonl`.

    The rule leaves nothing to taste: of each test problem the first sample of both models is kept; among the
    problems with the commonest pair of verdicts (such as wrong before, correct after) the one whose later
    response has the median length is shown. Raises UserError when the evaluations are missing or malformed.
    """
    folder = run_folder(run) / "evaluations"
    pair = choose(_rows(folder / f"{before}.jsonl"), _rows(folder / f"{after}.jsonl"), task)
    first, second = pair.before["verdict"], pair.after["verdict"]
    note = (
        f"Chosen by rule, not by hand: over {pair.problems} held-out problems the commonest pair of verdicts "
        f"on each model's first sample is {first} → {second} ({100 * pair.share:.0f}%); among those, the "
        f"problem whose `{after}` response has the median length is shown."
    )
    parts = [
        f"**Question** ({printable(str(pair.before['problem']))})",
        _fenced(pair.before["question"]),
        *_response(before, pair.before),
        *_response(after, pair.after),
        note,
    ]
    return "\n\n".join(parts) + "\n"


def choose(before: list[Row], after: list[Row], task: str | None = None) -> Pair:
    """The pair shown, by the rule of `transcript`; ties go to the verdicts and problems that come first."""
    later = {(row["task"], row["problem"]): row for row in after}
    pairs = [
        (row, later[row["task"], row["problem"]])
        for row in before
        if (row["task"], row["problem"]) in later and task in (None, row["task"])
    ]
    if not pairs:
        raise UserError(
            f"no test problem{f' of task {task!r}' if task else ''} was evaluated with both models"
        )
    verdicts = Counter((a["verdict"], b["verdict"]) for a, b in pairs)
    commonest, count = verdicts.most_common(1)[0]
    typical = sorted(
        (pair for pair in pairs if (pair[0]["verdict"], pair[1]["verdict"]) == commonest),
        key=lambda pair: len(pair[1]["completion"]),
    )
    chosen = typical[(len(typical) - 1) // 2]
    return Pair(*chosen, share=count / len(pairs), problems=len(pairs))


def _rows(path: Path) -> list[Row]:
    rows = list(jsonl(path))
    for number, row in enumerate(rows, start=1):
        for field in _FIELDS:
            if not isinstance(row.get(field), str):
                raise UserError(f"{path}: row {number}: field {field!r} is missing or not text")
    return rows


def _response(name: str, row: Row) -> list[str]:
    words = len((parse(row["completion"]).thinking or "").split())
    ending = ", cut off at the length limit" if row["finish"] == "length" else ""
    return [f"**`{name}`**: {row['verdict']}, {words} words of thinking{ending}", _fenced(row["completion"])]


def _fenced(text: str) -> str:
    """A code block that its content cannot close."""
    text = printable(text).strip("\n")
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"

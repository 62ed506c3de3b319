"""The results of one or several runs as Markdown, for a README.

Several tasks have one overview, a row for every stage; the numbers behind it, task by task, are folded below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from r1kit.errors import UserError
from r1kit.report.averages import Stages, mean, mean_over, reasoning_names, stage_names, task_names
from r1kit.report.changes import change, pass_rates, stage_pairs
from r1kit.report.reading import number, results_file
from r1kit.report.results_table import MISSING, PASS, columns, interval, percent, whole
from r1kit.report.starts import Parents, model_parents, training_compute

_Runs = Mapping[str, Stages]  # label -> what its results.json holds
_Compute = Mapping[str, Mapping[str, float]]  # label -> stage -> 10^12 operations
_Lines = tuple[list[str], int, list[list[str]]]  # headings, how many of them are names, rows

_MEASURES = {
    "language_consistency": ("language", percent, "the share of thinking words in the question's language"),
    "format_rate": ("format", percent, "the share of responses in the form asked for"),
    "thinking_tokens": ("thinking tokens", whole, "the length of the thinking"),
}  # key of a record -> heading of the overview, how it is written, what it means


def readme_table(files: Mapping[str, Path]) -> str:
    """Markdown tables. `files`: label ("seed 1") -> the results.json of a run folder.

    One task has one table, with a row for every stage and run. Several have an overview with their pass@1,
    means over the runs; then, folded, a table for each with its intervals and its runs side by side. The
    overview says what each model started from where the run folders have the stages' records. Raises
    UserError when a file is missing or malformed, or when there is nothing in the files.
    """
    runs = {label: results_file(path) for label, path in files.items()}
    tasks = task_names(runs.values())
    if not tasks:
        raise UserError(f"{', '.join(map(str, files.values()))}: no evaluation in it yet")
    if len(tasks) == 1:
        return _markdown(*_row_per_run(tasks[0], runs))
    parents: dict[str, str | None] = {}
    for path in files.values():
        parents = model_parents(path.parent) | parents
    compute = {label: training_compute(path.parent) for label, path in files.items()}
    overview = _markdown(*_overview(runs, parents, compute))
    parts = [overview, _legend(runs, any(compute.values()))]
    folders = {label: path.parent for label, path in files.items()}
    parts += _changes(stage_names(runs.values()), tasks, folders, parents)
    return "\n".join([*parts, _folded(tasks, runs)])


# --- the overview -----------------------------------------------------------------------------------------


def _overview(runs: _Runs, parents: Parents, compute: _Compute) -> _Lines:
    measures = _measured(runs)
    stages, tasks = stage_names(runs.values()), task_names(runs.values())
    reasoning = reasoning_names(list(runs.values()))
    started, counted = any(parents.get(stage) for stage in stages), any(compute.values())
    rows = []
    for stage in stages:
        found = [run[stage] for run in runs.values() if run.get(stage)]
        names = [f"`{stage}`" + (f" ({len(found)} of {len(runs)} runs)" if len(found) < len(runs) else "")]
        if started:
            names.append(f"`{parent}`" if (parent := parents.get(stage)) else MISSING)
        shares = [percent(mean(number(run.get(task, {}), "pass@1") for run in found)) for task in tasks]
        others = [
            _MEASURES[key][1](mean(mean_over(run, reasoning, key) for run in found)) for key in measures
        ]
        if counted:
            cost = mean(costs.get(stage) for costs in compute.values())
            others.append(MISSING if cost is None else f"{cost:.3g}")
        rows.append([*names, *shares, *others])
    headings = ["Stage", *(["from"] if started else [])]
    measured = [*(_MEASURES[key][0] for key in measures), *(["TFLOP"] if counted else [])]
    return [*headings, *tasks, *measured], len(headings), rows


def _measured(runs: _Runs) -> list[str]:
    """The measures that some model has."""
    reasoning = reasoning_names(list(runs.values()))
    tables = [tasks for stages in runs.values() for tasks in stages.values()]
    return [key for key in _MEASURES if any(mean_over(t, reasoning, key) is not None for t in tables)]


def _legend(runs: _Runs, counted: bool) -> str:
    """What the columns of the overview are."""
    measures = _measured(runs)
    text = "The columns of the tasks are pass@1: the share of samples with a right answer."
    if measures:
        names = [f"`{task}`" for task in reasoning_names(list(runs.values()))]
        meanings = "; ".join(f"*{_MEASURES[key][0]}*, {_MEASURES[key][2]}" for key in measures)
        text += f" The others are {'means over' if len(names) > 1 else 'of'} {', '.join(names)}: {meanings}."
    if counted:
        text += (
            " *TFLOP* is the computing of the model's own stage in 10^12 operations: 6 per parameter and"
            " trained token, 2 per parameter and token only sampled or measured. What came before, the"
            " making of its data, and reward models are not counted."
        )
    if len(runs) > 1:
        text += f" All numbers are means over {len(runs)} runs ({', '.join(runs)})."
    return text + "\n"


# --- what a stage changed ----------------------------------------------------------------------------------


def _changes(
    names: Sequence[str], tasks: Sequence[str], runs: Mapping[str, Path], parents: Parents
) -> list[str]:
    """What every model that went on from another stage's changed, run by run; [] without such models."""
    rates = [pass_rates(folder) for folder in runs.values()]
    rows = []
    for before, after in stage_pairs(names, parents):
        cells = []
        for task in tasks:
            both = [change(run.get(before, {}), run.get(after, {}), task) for run in rates]
            cells.append(
                ", ".join(MISSING if one is None else str(one) for one in both) if any(both) else MISSING
            )
        if set(cells) != {MISSING}:
            rows.append([f"`{after}`", f"`{before}`", *cells])
    if not rows:
        return []
    text = (
        "What the stages that go on from another one's model changed: points of pass@1 on the same problems,"
        " ± half the width of the 95% interval. It is about other problems and the very models;"
    )
    text += (
        f" other trainings differ as these runs do ({', '.join(runs)}).\n"
        if len(runs) > 1
        else " other trainings differ as well.\n"
    )
    return [text, _markdown(["Stage", "against", *tasks], 2, rows)]


# --- one task ---------------------------------------------------------------------------------------------


def _folded(tasks: Sequence[str], runs: _Runs) -> str:
    """The table of every task, which a page shows when it is asked to."""
    several = len(runs) > 1
    caption = f"{PASS} of each run; the other columns are means over the runs" if several else PASS
    parts = [f"<details>\n<summary>Task by task: {caption}</summary>\n"]
    for task in tasks:
        table = _runs_side_by_side(task, runs) if several else _row_per_run(task, runs)
        parts.append(f"**{task}**\n\n{_markdown(*table)}")
    return "\n".join([*parts, "</details>\n"])


def _row_per_run(task: str, runs: _Runs) -> _Lines:
    found = [
        (stage, label, stages[stage][task])
        for stage in stage_names(runs.values())
        for label, stages in runs.items()
        if task in stages.get(stage, {})
    ]
    shown = columns([record for _, _, record in found])
    several = len(runs) > 1
    rows = [
        [f"`{stage}`", *([label] if several else []), interval(record)]
        + [column.write(column.value(record)) for column in shown]
        for stage, label, record in found
    ]
    names = ["Stage", *(["Run"] if several else [])]
    return [*names, PASS, *(column.title for column in shown)], len(names), rows


def _runs_side_by_side(task: str, runs: _Runs) -> _Lines:
    found = {
        stage: [stages.get(stage, {}).get(task) for stages in runs.values()]
        for stage in stage_names(runs.values())
    }
    present = {stage: [r for r in records if r is not None] for stage, records in found.items()}
    shown = columns([record for records in present.values() for record in records])
    rows = [
        [f"`{stage}`", *(MISSING if record is None else interval(record) for record in found[stage])]
        + [column.write(mean(column.value(record) for record in records)) for column in shown]
        for stage, records in present.items()
        if records
    ]
    return ["Stage", *runs, *(column.title for column in shown)], 1, rows


def _markdown(headings: list[str], names: int, rows: list[list[str]]) -> str:
    alignment = ["---"] * names + ["---:"] * (len(headings) - names)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, alignment, *rows)) + "\n"

"""The findings of the reward lab for a terminal. Every text of a model is stripped of control characters."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich.table import Table
from rich.text import Text

from r1kit.report.lab_advantages import Change
from r1kit.report.lab_corpus import Case
from r1kit.report.lab_grading import Column, Hack, Judgement, Mistake
from r1kit.report.lab_rollouts import Stored
from r1kit.report.show import shorten
from r1kit.rewards.rubric import TermSpec
from r1kit.schedules import Schedule
from r1kit.tracking.terminal import printable
from r1kit.types import Unscored

_EXCERPT = 100  # characters of a shown completion
_MISTAKES = 12  # shown of one reward


def plain(text: str, style: str = "") -> Text:
    """Untrusted text on one line: never markup, no control characters; up to four spaces in front stay."""
    indent = min(4, len(text) - len(text.lstrip(" ")))
    return Text(" " * indent + " ".join(printable(text).split()), style=style)


def rubric_line(specs: Sequence[TermSpec], left_out: Sequence[str]) -> Text:
    """`"rewards: 1 × accuracy + 0.1 × format"`."""
    terms = " + ".join(
        f"{_weight(spec)} × {spec.name}" + (f" {spec.params}" if spec.params else "") for spec in specs
    )
    gone = f"   (left out, since a model gives them: {', '.join(left_out)})" if left_out else ""
    return plain(f"rewards: {terms}{gone}", "bold")


def _weight(spec: TermSpec) -> str:
    return f"({spec.weight})" if isinstance(spec.weight, Schedule) else f"{spec.weight:g}"


def judgement_table(judgements: Sequence[Judgement]) -> Table:
    """One row per reward: mistakes against an honest grader."""
    table = _table("the corpus: rewards against an honest grader", "reward", "pays for")
    for heading in ("judged", "false accepts", "false rejects", "unscored"):
        table.add_column(heading, justify="right")
    table.add_column("tells nothing in")
    for found in judgements:
        failures = ", ".join(f"{count} {failure}" for failure, count in found.unscored.items())
        table.add_row(
            plain(found.column.name),
            " + ".join(found.column.aspects),
            str(found.judged),
            str(len(found.false_accepts)),
            str(len(found.false_rejects)),
            failures or "0",
            plain(", ".join(found.blind)),
        )
    return table


def mistake_lines(cases: Sequence[Case], judgements: Sequence[Judgement]) -> list[Text]:
    """What each reward pays, or does not pay, wrongly; one line for the same attack in several tasks."""
    lines = []
    for found in judgements:
        for word, mistakes in (("paid", found.false_accepts), ("not paid", found.false_rejects)):
            attacks = list(_by_name(cases, mistakes).items())
            for name, same in attacks[:_MISTAKES]:
                values = " / ".join(sorted({f"{mistake.value:.3g}" for mistake in same}))
                where = ", ".join(cases[mistake.case].task for mistake in same)
                lines.append(plain(f"  {found.column.name}, wrongly {word}: {name} ({values}; {where})"))
            if len(attacks) > _MISTAKES:
                more = len(attacks) - _MISTAKES
                lines.append(plain(f"  {found.column.name}, wrongly {word}: {more} more, see --json"))
    return lines


def earnings_table(cases: Sequence[Case], columns: Sequence[Column]) -> Table:
    """What each completion earns; the same attack with the same pay in several tasks is one row."""
    table = _table(
        "what each completion earns (a: right answer, f: form, t: thinking, l: language)", "completion"
    )
    table.add_column("tasks")
    table.add_column("is")
    for column in columns:
        table.add_column(plain(column.name), justify="right", overflow="fold")
    rows: dict[tuple[str, ...], list[str]] = {}
    for index, case in enumerate(cases):
        cells = [_cell(column.values[index]) for column in columns]
        rows.setdefault((case.name, _initials(case), *cells), []).append(case.task)
    everywhere = len({case.task for case in cases})
    for (name, initials, *cells), tasks in rows.items():
        where = "all" if len(tasks) == everywhere else ", ".join(tasks)
        table.add_row(plain(name), plain(where), initials, *cells)
    return table


def hack_lines(cases: Sequence[Case], undeserved: Sequence[Hack], wrong: Sequence[Hack]) -> list[Text]:
    """The cheapest hacks of the corpus, and by which rule they are chosen."""
    lines = [
        plain("the cheapest hack", "bold"),
        plain("(of what is paid more than half-way from the worst-paid to the honest one, what zlib makes"),
        plain("smallest: short, empty and repetitive texts)"),
    ]
    for what, found in (("does not deserve its pay", undeserved), ("has a wrong answer", wrong)):
        lines.append(plain(f"  {len(found)} completions are paid of what {what}" + (":" if found else "")))
        for hack in found[:1]:
            case = cases[hack.index]
            lines.append(_hack(f"{case.name} ({case.task})", case.sample.completion.text, hack))
    return lines


def rollout_hack_lines(stored: Sequence[Stored], found: Sequence[Hack]) -> list[Text]:
    """The cheapest hacks among stored rollouts."""
    lines = [
        plain(
            f"rollouts without a right answer that are paid like one: {len(found)} different texts", "bold"
        ),
        plain(
            "(more than half-way from the worst-paid of them to the mean of the right ones; cheapest first)"
        ),
    ]
    for hack in found[:3]:
        row = stored[hack.index]
        name = f"step {row.step}, {row.sample.problem.id}, {row.sample.verdict.outcome}"
        lines.append(_hack(name, row.sample.completion.text, hack))
    return lines


def correlation_table(
    title: str, columns: Sequence[Column], matrix: Sequence[Sequence[float | None]]
) -> Table:
    """Pearson's correlations."""
    table = _table(title, "")
    for column in columns:
        table.add_column(plain(column.name), justify="right", overflow="fold")
    for column, row in zip(columns, matrix, strict=True):
        table.add_row(plain(column.name), *("–" if value is None else f"{value:+.2f}" for value in row))
    return table


def means_table(stored: Sequence[Stored], columns: Sequence[Column]) -> Table:
    """Mean of each term and the total over the stored rollouts, then and now."""
    table = _table(f"{len(stored)} stored rollouts: means", "reward")
    for heading in ("then", "now", "unscored now"):
        table.add_column(heading, justify="right")
    then = {
        column.name: [row.terms[column.name] for row in stored if column.name in row.terms]
        for column in columns
    }
    then[columns[-1].name] = [row.then for row in stored if row.then is not None]
    gone = sorted({name for row in stored for name in row.terms} - then.keys())
    for column in columns:
        now = [value for value in column.values if isinstance(value, float)]
        failed = sum(isinstance(value, Unscored) for value in column.values)
        table.add_row(plain(column.name), _mean(then[column.name]), _mean(now), str(failed))
    for name in gone:
        table.add_row(plain(name), _mean([row.terms[name] for row in stored if name in row.terms]), "–", "")
    return table


def change_lines(change: Change, advantage: str) -> list[Text]:
    """How the advantages would have changed."""
    count = len(change.groups)
    lines = [
        f"  {change.incomplete} other groups are stored in part, and left out" if change.incomplete else "",
        f"  rank correlation of the rewards then and now, {change.samples} samples: {_figure(change.rank)}",
    ]
    if count:
        dead = sum(group.dead_then for group in change.groups), sum(g.dead_now for g in change.groups)
        lines += [
            f"  the same within a group, mean: {_figure(change.group_rank)}",
            f"  mean absolute change of an advantage: {_figure(change.mean_change)}",
            f"  share of samples pushed the other way: {_figure(change.flipped)}",
            f"  groups that teach nothing, then and now: {dead[0]}, {dead[1]}",
        ]
    for group in sorted(change.groups, key=lambda group: -group.mean_change)[:3]:
        if group.mean_change > 0:
            flips = f"{group.flips} of {group.samples} pushed the other way"
            lines.append(
                f"  changed most: step {group.step}, {group.problem}: {group.mean_change:.2f}, {flips}"
            )
    head = plain(f"advantages ({advantage}), over {count} groups of which every sample is stored", "bold")
    return [head, *(plain(line) for line in lines if line)]


def _table(title: str, first: str, *more: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 1))
    for heading in (first, *more):
        table.add_column(heading)
    return table


def _hack(name: str, text: str, hack: Hack) -> Text:
    shown = shorten(" ".join(printable(text).split()), _EXCERPT) or "(empty)"
    return plain(f"    {name}: {hack.value:.3g} (line {hack.line:.3g}), {hack.size} bytes: {shown}")


def _by_name(cases: Sequence[Case], mistakes: Sequence[Mistake]) -> dict[str, list[Mistake]]:
    found: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        found.setdefault(cases[mistake.case].name, []).append(mistake)
    return found


def _initials(case: Case) -> str:
    labels = case.labels
    held = (labels.answer, labels.form, labels.thinking, labels.language)
    return "".join(initial for initial, holds in zip("aftl", held, strict=True) if holds) or "–"


def _cell(value: float | Unscored | None) -> str:
    if isinstance(value, Unscored):
        return value.failure.value
    return "" if value is None else f"{value:.3g}"


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f}" if values else "–"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

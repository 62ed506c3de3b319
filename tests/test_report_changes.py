"""Differences of models on the same problems, by numbers worked by hand."""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from r1kit.errors import UserError
from r1kit.report.changes import Change, change, pass_rates, run_changes, stage_pairs
from r1kit.rollouts.intervals import mean_interval

COUNTS = {
    "base": [0, 4, 2, 0, 0],
    "sft2": [1, 4, 2, 3, 1],
    "general_rl": [4, 4, 3, 3, 2],
}  # of 4 samples of each of five problems


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path, COUNTS)
    return tmp_path


def write_run(folder: Path, counts: dict[str, list[int]]) -> None:
    (folder / "evaluations").mkdir(parents=True)
    for name, correct in counts.items():
        rows = [
            {"task": "math", "problem": f"p{i}", "correct": c, "samples": 4} for i, c in enumerate(correct)
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "evaluations" / f"{name}.jsonl").write_text(lines)
    for name, parent in {"sft2": "base", "general_rl": "sft2"}.items():
        stage = folder / "stages" / name
        stage.mkdir(parents=True)
        (stage / "stage.json").write_text(json.dumps({"status": "finished", "parents": {"model": parent}}))


def stages() -> dict[str, dict[str, dict[str, object]]]:
    return {name: {"math": {"pass@1": {"mean": sum(c) / 20}}} for name, c in COUNTS.items()}


def printed(run: Path, against: str | None = None) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(*run_changes(run, stages(), against))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.split() for line in text.splitlines() if line.strip(" ─")]


def test_the_interval_of_a_mean_is_student_s() -> None:
    mean, half = mean_interval([0.75, 0.0, 0.25, 0.0, 0.25])
    assert mean == 0.25
    # s^2 = (0.25 + 3 * 0 + 2 * 0.0625) / 4 = 0.09375; t(0.975, 4) = 2.77645; 2.77645 * sqrt(0.09375 / 5)
    assert half == pytest.approx(2.77645 * math.sqrt(0.01875), rel=3e-3)  # the quantile is an expansion
    with pytest.raises(ValueError, match="no value"):
        mean_interval([])


@pytest.mark.parametrize("values", [[0.5], [1.0, 0.0, 1.0, 0.0], [0.25] * 100, [0.0] * 32])
def test_of_few_values_or_values_all_alike_no_spread_is_known(values: list[float]) -> None:
    assert mean_interval(values) == (pytest.approx(sum(values) / len(values)), math.inf)


def test_a_quantile_of_many_degrees_of_freedom_is_right_to_four_digits() -> None:
    values = [0.0, 1.0] * 24  # s^2 = 48 * 0.25 / 47; t(0.975, 47) = 2.01174
    assert mean_interval(values)[1] == pytest.approx(2.01174 * math.sqrt(0.25 / 47), rel=1e-4)


@given(st.lists(st.integers(0, 3), min_size=6, max_size=30), st.randoms())
def test_what_is_hard_for_both_models_is_no_part_of_the_spread(counts: list[int], rng: random.Random) -> None:
    gains = [rng.randint(0, 1) for _ in counts]
    rates = [[count / 4 for count in counts], [(c + g) / 4 for c, g in zip(counts, gains, strict=True)]]
    before, after = ({"math": {str(i): rate for i, rate in enumerate(one)}} for one in rates)
    found = change(before, after, "math")
    assert found is not None
    assert (found.mean, found.half) == pytest.approx(mean_interval([gain / 4 for gain in gains]))


def test_only_problems_of_both_models_count_and_none_gives_nothing() -> None:
    before = {"math": {"a": 0.0, "b": 1.0}, "old": {"x": 1.0}}
    after = {"math": {"b": 0.5, "c": 1.0}}
    assert change(before, after, "math") == Change(-0.5, math.inf)
    assert str(Change(-0.5, math.inf)) == "-50.0"
    assert change(before, after, "old") is None


def test_every_model_is_compared_with_the_one_it_started_from(run: Path) -> None:
    title, head, *lines = printed(run)
    assert title[:3] == ["differences", "of", "pass@1"]
    assert head == ["stage", "math"]
    assert lines == [
        ["sft2", "+25.0±37.9"],  # of 0.25, 0, 0, 0.75, 0.25, as above
        ["−", "base"],
        ["general_rl", "+25.0±37.9"],
        ["−", "sft2"],
    ]


def test_the_stages_of_the_whole_recipe_fit_on_80_columns(tmp_path: Path) -> None:
    tasks = ("countdown", "math", "knights_knaves", "helpful", "harmless")
    (tmp_path / "evaluations").mkdir()
    for name, high in {"cold_start_sft": 4, "reasoning_rl": 0}.items():
        counts = [
            abs(high - i % 2) for i in range(6)
        ]  # differences of 50 to 100 points: all digits are needed
        rows = [
            {"task": task, "problem": str(i), "correct": correct, "samples": 4}
            for task in tasks
            for i, correct in enumerate(counts)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "evaluations" / f"{name}.jsonl").write_text(text)
    results = {name: {task: {} for task in tasks} for name in ("cold_start_sft", "reasoning_rl")}
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(*run_changes(tmp_path, results, "cold_start_sft"))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[-2].split() == ["reasoning_rl", *["-75.0±28.7"] * 5]
    assert lines[-1].split() == ["−", "cold_start_sft"]


def test_or_with_one_that_is_named(run: Path) -> None:
    _, _, sft2, _, general, against = printed(run, "base")
    assert sft2 == ["sft2", "+25.0±37.9"]
    assert general == ["general_rl", "+50.0±49.0"]
    assert against == ["−", "base"]
    with pytest.raises(UserError, match="r1_zero: neither a run folder nor among the evaluated models"):
        run_changes(run, stages(), "r1_zero")


def test_or_with_the_models_of_another_run(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_run(other, {"sft2": [0, 0, 0, 0, 1], "general_rl": [4, 4, 4, 3, 2], "more": [1, 1, 1, 1, 1]})
    _, _, sft2, against, general, _ = printed(run, str(other))
    assert sft2 == ["sft2", "+50.0±49.0"]
    assert against == ["−", "other"]
    assert general == ["general_rl", "-5.0±13.8"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="empty: has no evaluations with counts"):
        run_changes(run, stages(), str(empty))
    with pytest.raises(UserError, match="is the run itself"):
        run_changes(run, stages(), f"{run}/../{run.name}")
    with pytest.raises(UserError, match="nothing: neither"):
        run_changes(run, stages(), "")
    text = (other / "evaluations" / "sft2.jsonl").read_text().replace('"math"', '"code"')
    for path in (other / "evaluations").iterdir():
        path.write_text(text)
    with pytest.raises(UserError, match=r"other: no model of .* was tested on the same problems"):
        run_changes(run, stages(), str(other))


def test_a_run_without_counts_has_no_comparison(run: Path) -> None:
    for path in (run / "evaluations").iterdir():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text(
            "".join(json.dumps({"task": r["task"], "problem": r["problem"]}) + "\n" for r in rows)
        )
    assert pass_rates(run) == {}
    assert run_changes(run, stages()) == []
    with pytest.raises(UserError, match="none with counts"):
        run_changes(run, stages(), "base")


@pytest.mark.parametrize(
    "counts",
    [
        {"correct": 5},
        {"correct": -1},
        {"samples": 0, "correct": 0},
        {"correct": "3"},
        {"correct": True, "samples": True},
    ],
)
def test_impossible_counts_are_no_rates(run: Path, counts: dict[str, object]) -> None:
    row = {"task": "math", "problem": "p0", "correct": 1, "samples": 4} | counts
    (run / "evaluations" / "sft2.jsonl").write_text(json.dumps(row) + "\n")
    assert "sft2" not in pass_rates(run)


def test_a_damaged_evaluation_is_named(run: Path) -> None:
    (run / "evaluations" / "sft2.jsonl").write_text('{"task": \n')
    with pytest.raises(UserError, match=r"sft2\.jsonl: row 1"):
        run_changes(run, stages())
    (run / "evaluations" / "sft2.jsonl").write_text("[" * 200_000 + "\n")
    with pytest.raises(UserError, match=r"sft2\.jsonl: row 1"):
        run_changes(run, stages())
    row = json.dumps({"task": "math", "problem": "p0", "correct": 1, "samples": 4}) + "\n"
    (run / "evaluations" / "sft2.jsonl").write_text(row + row)
    with pytest.raises(UserError, match=r"sft2\.jsonl: row 2: problem 'p0' stands there already"):
        run_changes(run, stages())


def test_the_pairs_of_a_recipe_leave_out_what_starts_from_a_base() -> None:
    parents = {
        "sft2": "base",
        "general_rl": "sft2",
        "distilled": "nano",
        "lost": None,
        "later": "unevaluated",
    }
    names = ["base", "sft2", "general_rl", "distilled", "lost", "later"]
    assert stage_pairs(names, parents) == [("sft2", "general_rl")]

import io
import json

import pytest
from rich.console import Console

from r1kit.errors import UserError
from r1kit.report.behaviour_table import behaviour_tables
from r1kit.report.show import show, sparkline
from r1kit.text.behaviours import BEHAVIOURS


def shown(run):
    console = Console(file=io.StringIO(), width=140, color_system=None)
    show(run, console)
    return console.file.getvalue()


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "laptop"
    stage = folder / "stages" / "r1_zero"
    stage.mkdir(parents=True)
    (stage / "stage.json").write_text('{"status": "started"}')
    rows = [
        {"step": s, "accuracy": s / 10, "thinking_tokens": 30 + s, "grad_norm": 0.25} for s in range(1, 9)
    ]
    (stage / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 9')
    record = {"pass@1": {"mean": 0.128, "ci95": [0.083, 0.173]}, "cons@16": 0.3, "format_rate": 0.44}
    (folder / "results.json").write_text(json.dumps({"stages": {"base": {"countdown": record}}}))
    return folder


def test_running_run_shows_results_curves_and_last_numbers(run):
    text = shown(run)
    assert "laptop: stopped; --resume goes on" in text
    assert "12.8% [8.3, 17.3]" in text
    assert "30.0%" in text
    assert "r1_zero: steps 1 to 8" in text
    assert "▁▂▃▄▅▆▇█" in text
    assert "last step: grad_norm 0.25" in text
    assert "not evaluated: r1_zero (started)" in text
    assert "behaviours" not in text  # results of an earlier version have none
    assert "stages/r1_zero/metrics.jsonl" in text.replace("\n", "")


def test_alarms_are_shown_as_text_with_step_and_severity(run):
    assert "alarms (" not in shown(run)
    stage = run / "stages" / "r1_zero"
    rows = [
        {"step": 4, "alarm": "truncation", "severity": "warning", "text": "half [bold]cut\x1b[31m off"},
        {"step": 7, "alarm": "no_reward", "severity": "critical", "text": "nothing earned"},
    ]
    (stage / "alarms.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = shown(run)
    assert "r1_zero: alarms (2)" in text
    found = [line.split() for line in text.splitlines() if line.lstrip().startswith("step ")]
    assert found[0][:4] == ["step", "4", "warning", "truncation:"]
    assert found[0][4:6] == ["half", "[bold]cut"]
    assert "\x1b" not in text
    assert found[1] == ["step", "7", "critical", "no_reward:", "nothing", "earned"]


def behaviours(share, accuracy=0.5):
    entry = {"share": share, "per_response": 1.5, "accuracy": accuracy, "accuracy_without": 0.25}
    silent = {"share": 0.0, "per_response": 0.0, "accuracy": None, "accuracy_without": 0.3}
    return {"behaviours": {"hesitation": entry, "several_paths": silent}}


def lines(text):
    return [line.split() for line in text.splitlines() if line.strip(" ─")]


def test_behaviours_are_shown_as_differences_to_the_base_and_with_their_accuracy(run):
    stages = {
        "base": {"countdown": behaviours(0.25), "quiet": behaviours(0.0), "old": {}},
        "r1_zero": {"countdown": behaviours(0.4), "quiet": behaviours(0.0)},
        "sft2": {"countdown": behaviours(0.125, accuracy=None)},
    }
    (run / "results.json").write_text(json.dumps({"stages": stages}))
    found = lines(shown(run))
    at = found.index(["countdown:", "behaviours,", "share", "of", "the", "responses,", "against", "base"])
    assert found[at + 1 : at + 12] == [
        ["several"],
        ["stage", "hesitation", "paths"],
        ["base", "25.0%", "0.0%"],
        ["r1_zero", "+15.0", "+0.0"],
        ["sft2", "-12.5", "+0.0"],
        ["countdown:", "sft2"],
        ["behaviour", "share", "per", "response", "right", "with", "it", "right", "without"],
        ["hesitation", "12.5%", "1.50", "–", "25.0%"],
        ["several", "paths", "0.0%", "0.00", "–", "30.0%"],
        ["r1_zero:", "steps", "1", "to", "8"],
        ["accuracy", "0.1", "▁▂▃▄▅▆▇█", "0.8"],
    ]


def test_without_an_evaluated_base_the_shares_themselves_are_shown(run):
    stages = {"r1_zero": {"countdown": behaviours(0.4)}}
    (run / "results.json").write_text(json.dumps({"stages": stages}))
    found = lines(shown(run))
    at = found.index(["countdown:", "behaviours,", "share", "of", "the", "responses"])
    assert found[at + 3] == ["r1_zero", "40.0%", "0.0%"]


def test_behaviours_of_every_stage_fit_80_columns():
    entry = {name: {"share": 1.0} for name in BEHAVIOURS}
    names = ("base", "cold_start_sft")
    _, table, *_ = behaviour_tables({name: {"countdown": {"behaviours": entry}} for name in names})
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(table)
    assert lines(console.file.getvalue())[-1] == ["cold_start_sft", *["+0.0"] * len(BEHAVIOURS)]


def test_owner_of_a_running_run_is_named(run):
    from r1kit.files import LOCK

    (run / LOCK).write_text('{"pid": 4711, "host": "laptop"}')
    assert "running as process 4711 on laptop" in shown(run)


def test_finished_run_says_so(run):
    (run / "stages" / "r1_zero" / "stage.json").write_text('{"status": "finished"}')
    assert "laptop: finished" in shown(run)


def test_model_text_is_neither_markup_nor_escape_sequence(run):
    row = {
        "step": 3,
        "prompt": "q",
        "thinking": "[red]a[/red]\x1b[31mb\x07",
        "answer": "7",
        "verdict": "correct",
    }
    wrong = {**row, "step": 4, "thinking": "later but wrong", "verdict": "wrong"}
    path = run / "stages" / "r1_zero" / "rollouts.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps(wrong) + "\n")
    text = shown(run)
    assert "thinking: [red]a[/red]b" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "2 rollouts logged, 1 correct" in text
    assert "later but wrong" not in text


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="is it a run folder"):
        show(tmp_path, Console(file=io.StringIO()))


def test_damaged_stage_file_is_named(run):
    (run / "stages" / "r1_zero" / "stage.json").write_text("{")
    with pytest.raises(UserError, match=r"stage\.json: not valid JSON"):
        shown(run)


def test_sparkline_spans_least_to_greatest_and_averages_long_series():
    assert sparkline([0, 1]) == "▁█"
    assert sparkline([5, 5, 5]) == "▁▁▁"
    assert sparkline([0, 0, 7, 7, 3.5, 3.5], width=3) == "▁█▅"
    assert len(sparkline(list(range(1000)), width=40)) == 40


def test_what_locks_programs_in_is_told_with_what_they_could_do(run):
    assert "programs of" not in shown(run)
    safe = {"tier": "full", "breaches": []}
    bare = {"tier": "limits", "breaches": ["start a process", "read a file"]}
    (run / "run.json").write_text(json.dumps({"programs": {"code": safe, "mbpp": bare}}))
    text = shown(run)
    assert "programs of code: sandbox tier full\n" in text
    assert "programs of mbpp: sandbox tier limits; one could start a process, read a file\n" in text

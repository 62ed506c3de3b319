import json

import pytest

from r1kit.errors import UserError
from r1kit.report.readme_tables import readme_table


def write(path, **stages):
    path.write_text(json.dumps({"stages": stages}))
    return path


def record(mean, low, high, cons=0.5, form=0.44, tokens=36.6, cut=0.1):
    return {
        "pass@1": {"mean": mean, "ci95": [low, high]},
        "cons@16": cons,
        "format_rate": form,
        "thinking_tokens": tokens,
        "truncation_rate": cut,
    }


def test_table_of_one_run_is_exactly_this(tmp_path):
    base, zero = record(0.128, 0.08, 0.17), record(0.74, 0.695, 0.785, 0.94, 0.99, 150)
    path = write(tmp_path / "results.json", base={"countdown": base}, r1_zero={"countdown": zero})
    assert readme_table({"laptop": path}) == (
        "| Stage | pass@1 [95% CI] | cons@16 | format | thinking tokens | cut off |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| `base` | 12.8% [8.0, 17.0] | 50.0% | 44.0% | 37 | 10.0% |\n"
        "| `r1_zero` | 74.0% [69.5, 78.5] | 94.0% | 99.0% | 150 | 10.0% |\n"
    )


def test_runs_of_one_task_have_rows_of_their_own_and_stay_grouped_by_stage(tmp_path):
    one = write(tmp_path / "1.json", base={"countdown": record(0.1, 0, 0.2)}, zero={"countdown": {}})
    two = write(tmp_path / "2.json", base={"countdown": record(0.2, 0.1, 0.3)})
    rows = readme_table({"seed 1": one, "seed 2": two}).splitlines()
    assert rows[0].startswith("| Stage | Run | pass@1")
    assert rows[1].startswith("| --- | --- | ---: |")
    assert [row.split(" | ")[:2] for row in rows[2:]] == [
        ["| `base`", "seed 1"],
        ["| `base`", "seed 2"],
        ["| `zero`", "seed 1"],
    ]


TALK = {"pass@1": {"mean": 0.5}, "helpful": {"mean": 0.25}, "harmful": {"mean": 0.75}}


def test_several_tasks_and_runs_are_exactly_this(tmp_path):
    one = write(tmp_path / "1.json", base={"countdown": record(0.1, 0, 0.2), "talk": TALK})
    other = record(0.2, 0.1, 0.3, cons=0.7, tokens=40)
    two = write(tmp_path / "2.json", base={"countdown": other, "talk": {}}, zero={"countdown": other})
    assert readme_table({"seed 1": one, "seed 2": two}) == (
        "| Stage | countdown | talk | format | thinking tokens |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| `base` | 15.0% | 50.0% | 44.0% | 38 |\n"
        "| `zero` (1 of 2 runs) | 20.0% | – | 44.0% | 40 |\n\n"
        "The columns of the tasks are pass@1: the share of samples with a right answer. The others are of "
        "`countdown`: *format*, the share of responses in the form asked for; *thinking tokens*, the length "
        "of the thinking. All numbers are means over 2 runs (seed 1, seed 2).\n\n"
        "<details>\n<summary>Task by task: pass@1 [95% CI] of each run; the other columns are means over "
        "the runs</summary>\n\n"
        "**countdown**\n\n"
        "| Stage | seed 1 | seed 2 | cons@16 | format | thinking tokens | cut off |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| `base` | 10.0% [0.0, 20.0] | 20.0% [10.0, 30.0] | 60.0% | 44.0% | 38 | 10.0% |\n"
        "| `zero` | – | 20.0% [10.0, 30.0] | 70.0% | 44.0% | 40 | 10.0% |\n\n"
        "**talk**\n\n"
        "| Stage | seed 1 | seed 2 | helpful | harmless | format | thinking tokens |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| `base` | 50.0% | – | 25.0% | 75.0% | – | – |\n\n"
        "</details>\n"
    )


def test_one_run_of_several_tasks_keeps_the_columns_of_one_task(tmp_path):
    path = write(tmp_path / "1.json", base={"countdown": record(0.1, 0, 0.2), "math": record(0, 0, 0.1)})
    lines = readme_table({"x": path}).splitlines()
    assert lines[2] == "| `base` | 10.0% | 0.0% | 44.0% | 37 |"
    assert "The others are means over `countdown`, `math`: " in lines[4]
    assert "runs" not in lines[4]
    assert [line for line in lines if line.startswith("**")] == ["**countdown**", "**math**"]
    assert lines[11] == "| Stage | pass@1 [95% CI] | cons@16 | format | thinking tokens | cut off |"
    assert lines[-3] == "| `base` | 0.0% [0.0, 10.0] | 50.0% | 44.0% | 37 | 10.0% |"


def test_overview_says_what_each_training_cost(tmp_path):
    files = {}
    for label, cost in (("a", 2.0), ("b", 3.0)):
        stage = tmp_path / label / "stages" / "zero" / "stage.json"
        stage.parent.mkdir(parents=True)
        stage.write_text(json.dumps({"summary": {"teraflop": cost}}))
        found = {"countdown": record(0.1, 0, 0.2), "talk": TALK}
        files[label] = write(tmp_path / label / "results.json", base=found, zero=found)
    table = readme_table(files)
    rows = [line.split(" | ") for line in table.splitlines()[:4]]
    assert [row[-1] for row in rows] == ["TFLOP |", "---: |", "– |", "2.5 |"]
    assert "6 per parameter and trained token" in table


def test_overview_says_what_each_model_started_from(tmp_path):
    tasks = {"countdown": record(0.1, 0, 0.2), "math": record(0, 0, 0.1)}
    path = write(tmp_path / "results.json", base=tasks, zero=tasks)
    (tmp_path / "stages" / "zero").mkdir(parents=True)
    (tmp_path / "stages" / "zero" / "stage.json").write_text('{"parents": {"model": "base"}}')
    lines = readme_table({"x": path}).splitlines()
    assert lines[0] == "| Stage | from | countdown | math | format | thinking tokens |"
    assert lines[2].startswith("| `base` | – | 10.0% |")
    assert lines[3].startswith("| `zero` | `base` | 10.0% |")


def test_only_side_of_a_dialogue_is_told_once(tmp_path):
    kind = {"pass@1": {"mean": 0.5}, "helpful": {"mean": 0.5}}
    table = readme_table({"x": write(tmp_path / "1.json", base={"talk": kind, "more": kind})})
    assert table.splitlines()[0] == "| Stage | talk | more |"
    assert "| Stage | pass@1 [95% CI] | format | thinking tokens |" in table


def test_language_consistency_is_shown_where_results_have_it(tmp_path):
    spoken = {**record(0.1, 0, 0.2), "language_consistency": 0.5837}
    path = write(tmp_path / "r.json", base={"countdown": spoken}, zero={"countdown": record(0.2, 0.1, 0.3)})
    lines = readme_table({"x": path}).splitlines()
    assert lines[0] == "| Stage | pass@1 [95% CI] | cons@16 | format | language | thinking tokens | cut off |"
    assert lines[2] == "| `base` | 10.0% [0.0, 20.0] | 50.0% | 44.0% | 58.4% | 37 | 10.0% |"
    assert lines[3] == "| `zero` | 20.0% [10.0, 30.0] | 50.0% | 44.0% | – | 37 | 10.0% |"


def test_absent_numbers_become_dashes(tmp_path):
    path = write(tmp_path / "results.json", base={"countdown": {"pass@1": {"mean": 0.5}}})
    assert readme_table({"x": path}).splitlines()[2] == "| `base` | 50.0% | – | – | – | – |"


def test_missing_results_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"results\.json: cannot be read"):
        readme_table({"x": tmp_path / "results.json"})


def test_results_without_any_record_are_refused(tmp_path):
    with pytest.raises(UserError, match="no evaluation"):
        readme_table({"x": write(tmp_path / "results.json")})


def test_what_a_stage_changed_is_told_over_the_runs(tmp_path):
    counts = {
        "1": {"sft2": {"math": [2, 2], "talk": [0, 1]}, "general_rl": {"math": [3, 1], "talk": [2, 3]}},
        "2": {"sft2": {"math": [2, 2], "talk": [1, 1]}, "general_rl": {"math": [4, 4], "talk": [2, 2]}},
    }  # of 4 samples of two problems
    files = {}
    for seed, stages in counts.items():
        run = tmp_path / seed
        (run / "evaluations").mkdir(parents=True)
        for name, tasks in stages.items():
            rows = [
                {"task": task, "problem": str(i), "correct": c, "samples": 4}
                for task, correct in tasks.items()
                for i, c in enumerate(correct)
            ]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (run / "evaluations" / f"{name}.jsonl").write_text(text)
        for name, parent in {"sft2": "base", "general_rl": "sft2"}.items():
            (run / "stages" / name).mkdir(parents=True)
            (run / "stages" / name / "stage.json").write_text(json.dumps({"parents": {"model": parent}}))
        tasks = {"math": record(0.5, 0.4, 0.6), "talk": TALK}
        files[f"seed {seed}"] = write(run / "results.json", base=tasks, sft2=tasks, general_rl=tasks)
    table = readme_table(files)
    cells = "+0.0, +50.0 | +50.0, +25.0"  # of math: 1/4 and -1/4; 2/4 and 2/4
    assert (
        f"| Stage | against | math | talk |\n| --- | --- | ---: | ---: |\n| `general_rl` | `sft2` | {cells} |"
        in table
    )
    assert "`sft2` | `base` | +" not in table  # what starts from the base is not on the list
    assert "as these runs do (seed 1, seed 2).\n" in table
    alone = readme_table({"seed 1": files["seed 1"]})
    assert "| `general_rl` | `sft2` | +0.0 | +50.0 |" in alone
    assert "differ as well.\n" in alone

import json

import pytest

from r1kit.errors import UserError
from r1kit.report.readme_table import readme_table


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


def test_several_runs_and_tasks_get_columns_and_stay_grouped_by_stage(tmp_path):
    one = write(tmp_path / "1.json", base={"countdown": record(0.1, 0, 0.2), "math": record(0, 0, 0.1)})
    two = write(tmp_path / "2.json", base={"countdown": record(0.2, 0.1, 0.3)})
    rows = readme_table({"seed 1": one, "seed 2": two}).splitlines()
    assert rows[0].startswith("| Stage | Task | Run | pass@1")
    assert [row.split(" | ")[:3] for row in rows[2:]] == [
        ["| `base`", "countdown", "seed 1"],
        ["| `base`", "countdown", "seed 2"],
        ["| `base`", "math", "seed 1"],
    ]


def test_absent_numbers_become_dashes(tmp_path):
    path = write(tmp_path / "results.json", base={"countdown": {"pass@1": {"mean": 0.5}}})
    assert readme_table({"x": path}).splitlines()[2] == "| `base` | 50.0% | – | – | – | – |"


def test_missing_results_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"results\.json: cannot be read"):
        readme_table({"x": tmp_path / "results.json"})


def test_results_without_any_record_are_refused(tmp_path):
    with pytest.raises(UserError, match="no evaluation"):
        readme_table({"x": write(tmp_path / "results.json")})

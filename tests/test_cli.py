import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_models import checkpoint

from r1kit import cli
from r1kit.commands import run as run_command
from r1kit.commands.evaluate import model_label
from r1kit.commands.task_settings import task_with
from r1kit.errors import Interrupted
from r1kit.pipeline.plan import Step


@pytest.fixture
def tiny_qwen2() -> Path:
    return checkpoint("qwen2")


def test_help_does_not_load_torch() -> None:
    code = (
        "import sys\nfrom r1kit.cli import build_parser\nbuild_parser().format_help()\n"
        "assert not {'torch', 'transformers', 'rich', 'pydantic'} & set(sys.modules)"
    )
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert time.monotonic() - began < 3.0  # 0.1 s on an idle machine; torch alone takes longer on a busy one


def test_user_error_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "lptop"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("r1kit: error: no recipe named 'lptop'; did you mean 'laptop'?")
    assert captured.err.count("\n") == 1


def test_typo_in_an_override_after_an_option_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["run", "laptop", "--out", str(tmp_path / "x"), "stages.r1_zero.stepz=3"]) == 2
    assert "stages.r1_zero.stepz: unknown key; did you mean 'steps'?" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_missing_model_folder_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "x"
    assert cli.main(["run", "tiny", f"base={tmp_path}/nothing", "--out", str(out)]) == 2
    assert capsys.readouterr().err == f"r1kit: error: {tmp_path}/nothing: no such model folder\n"
    assert not out.exists()


def test_interrupted_command_ends_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(arguments: object) -> int:
        raise Interrupted("stopped after step 3 of 10, the state is saved")

    monkeypatch.setattr(cli, "_dispatch", stopped)
    assert cli.main(["tasks"]) == 130
    assert capsys.readouterr().err == "r1kit: stopped after step 3 of 10, the state is saved\n"


def test_error_text_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "\x1b[31mred\nline"]) == 2
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert err.count("\n") == 1


def test_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m r1kit tasks | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.startswith("countdown")


def test_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "laptop", "--rezume"])
    assert stopped.value.code == 2
    assert "unrecognized arguments: --rezume" in capsys.readouterr().err


def test_tasks_and_rewards_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tasks"]) == 0
    listed = capsys.readouterr().out
    assert "reference: nums, target" in listed
    assert "target_high = 40   Largest target." in listed
    assert cli.main(["rewards"]) == 0
    listed = capsys.readouterr().out
    assert "accuracy  0 to 1" in listed
    assert "source: DeepSeek-R1, section 2.2.2" in listed
    assert "  model (must be given)   The frozen teacher" in listed


def test_eval_names_a_bad_data_row_before_any_model_is_loaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"question": "1+1?", "answer": "#### 2"}\n{"question": "2+2?"}\n')
    assert cli.main(["eval", "nobody/nothing", "--task", "math", "--data", str(data)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"r1kit: error: {data}: row 2: field 'answer' or 'solution' is missing")


def test_eval_refuses_unknown_task_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["eval", "micro", "--task", "countdown", "--set", "nmbers=4"]) == 2
    assert (
        "command line: tasks.countdown.nmbers: unknown key; did you mean 'numbers'?"
        in capsys.readouterr().err
    )


def test_dry_run_changes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_qwen2: Path
) -> None:
    out = tmp_path / "run"
    assert cli.main(["run", "tiny", f"base={tiny_qwen2}", "--out", str(out), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "r1_zero" in shown
    assert "not started" in shown
    assert not out.exists()


@pytest.mark.parametrize(("flags", "action"), [([], "refused without"), (["--rerun-changed"], "make anew")])
def test_dry_run_tells_what_becomes_of_a_changed_stage(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tiny_qwen2: Path,
    flags: list[str],
    action: str,
) -> None:
    changed = Step("r1_zero", "train", "changed", "settings.steps: 2 -> 3", {})
    monkeypatch.setattr(run_command, "plan_run", lambda *_: [changed])
    assert cli.main(["run", "tiny", f"base={tiny_qwen2}", "--resume", "--dry-run", *flags]) == 0
    assert action in " ".join(capsys.readouterr().out.split())


def test_results_are_json(capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_qwen2: Path) -> None:
    file = tmp_path / "result.json"
    arguments = ["--problems", "2", "--samples", "2", "--max-new-tokens", "4", "--json", "--out", str(file)]
    assert cli.main(["eval", str(tiny_qwen2), "--task", "countdown", *arguments]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(file.read_text())
    record = printed["stages"][str(tiny_qwen2)]["countdown"]
    assert record["pass@1"]["mean"] == 0.0
    assert (record["problems"], record["samples"]) == (2, 4)


def test_eval_names_a_model_of_a_run_by_its_stage_and_the_record_by_its_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_qwen2: Path
) -> None:
    model = tmp_path / "a-run" / "stages" / "r1_zero" / "model"
    shutil.copytree(tiny_qwen2, model)
    file = tmp_path / "result.json"
    arguments = ["--problems", "1", "--samples", "1", "--max-new-tokens", "2", "--out", str(file)]
    assert cli.main(["eval", str(model), "--task", "countdown", *arguments]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^r1_zero\s+0\.0%", shown, re.MULTILINE)
    assert "a-run" not in shown
    assert list(json.loads(file.read_text())["stages"]) == [str(model)]


def test_other_models_are_named_by_their_folder_or_as_they_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    names = ("micro", "Qwen/Qwen2.5-0.5B", str(tmp_path / "mine"), "model/", ".", "nowhere/stages/x/model")
    assert [model_label(name) for name in names] == [
        *("micro", "Qwen/Qwen2.5-0.5B", "mine", "model", "mine"),
        "nowhere/stages/x/model",
    ]


def test_settings_of_a_task_may_go_down_one_key_at_a_time() -> None:
    task = task_with("countdown", ["languages.zh=1", "languages.en=1", "test_size=40"], {"test_size": 9})
    problems = task.problems("test")
    assert len(problems) == 40
    assert {problem.language for problem in problems} == {"en", "zh"}

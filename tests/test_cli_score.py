import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from r1kit import cli
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox.protection import Protection, Tier

GOOD = "<think>3+7=10, 10*8=80</think>\n<answer>(3+7)*8</answer>"
REFERENCE = {"nums": [3, 7, 8], "target": 80}


def run_score(monkeypatch: pytest.MonkeyPatch, lines: list[str], *arguments: str) -> int:
    stream = io.TextIOWrapper(io.BytesIO("\n".join(lines).encode()), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", stream)
    return cli.main(["score", *arguments])


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_scoring_does_not_load_torch() -> None:
    code = "import sys, r1kit.commands.score\nassert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_each_line_gets_its_verdict_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    completions = [
        GOOD,
        GOOD.replace("*8<", "-8<"),
        "no tags at all",
        "<think>x</think><answer>3**7</answer>",
    ]
    lines = [json.dumps({"completion": text, **REFERENCE}) for text in completions]
    assert run_score(monkeypatch, lines, "--task", "countdown") == 0
    scored = rows(capsys.readouterr().out)
    assert scored[0] == {
        "verdict": "correct",
        "extracted": "(3+7)*8",
        "terms": {"accuracy": 1.0, "format": 1.0},
        "total": 1.1,
    }
    assert [row["verdict"] for row in scored] == ["correct", "wrong", "no_answer", "malformed"]
    assert scored[1]["terms"] == {"accuracy": 0.0, "format": 1.0}
    assert scored[2] == {
        "verdict": "no_answer",
        "extracted": None,
        "terms": {"accuracy": 0.0, "format": 0.0},
        "total": 0.0,
    }


def test_rewards_and_weights_are_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.dumps({"completion": GOOD, "task": "countdown", **REFERENCE})
    assert (
        run_score(monkeypatch, [line], "--reward", "accuracy=2,format", "--reward", "reasoning_steps=0.5")
        == 0
    )
    (row,) = rows(capsys.readouterr().out)
    assert row["terms"] == {"accuracy": 1.0, "format": 1.0, "reasoning_steps": 0.0}
    assert row["total"] == 3.0


def test_think_opened_by_the_prompt_counts_as_response(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"completion": GOOD.removeprefix("<think>"), "prompt": "Use 3, 7, 8.\n<think>\n", **REFERENCE}
    assert run_score(monkeypatch, [json.dumps(row)], "--task", "countdown") == 0
    assert rows(capsys.readouterr().out)[0]["terms"] == {"accuracy": 1.0, "format": 1.0}


BAD_LINES = [
    ("{", "stdin: row 2: not JSON"),
    ("[1]", "stdin: row 2: must be an object, found list"),
    ('{"nums": [1], "target": 1}', "stdin: row 2: field 'completion' is missing"),
    (
        '{"completion": 3, "nums": [1], "target": 1}',
        "stdin: row 2: field 'completion' must be text, found int",
    ),
    ('{"completion": "x", "nums": [1]}', "stdin: row 2: field 'target' is missing"),
    ('{"completion": "x", "nums": "1", "target": 1}', "stdin: row 2: field 'nums' must be a list"),
    (
        '{"completion": "x", "task": "cuntdown"}',
        "stdin: row 2: field 'task': unknown task 'cuntdown'; did you mean 'countdown'?",
    ),
    ("[" * 100_000, "stdin: row 2: not JSON"),
    ('{"completion": "x", "task": 3}', "stdin: row 2: field 'task' must be text, found 3"),
    (
        '{"completion": "x", "task": "knights_knaves"}',
        "stdin: row 2: field 'solution' is missing; found completion, task",
    ),
    (
        '{"completion": "x", "task": "knights_knaves", "solution": 3}',
        "stdin: row 2: field 'solution' must be a list of true (knight) and false (knave), or name -> kind",
    ),
]


@pytest.mark.parametrize(("line", "message"), BAD_LINES)
def test_bad_line_is_reported_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    good = json.dumps({"completion": GOOD, **REFERENCE})
    assert run_score(monkeypatch, [good, line, good], "--task", "countdown") == 1
    captured = capsys.readouterr()
    assert [row["verdict"] for row in rows(captured.out)] == ["correct", "error", "correct"]
    assert captured.err.startswith(f"r1kit: error: {message}")
    assert captured.err.count("\n") == 1


def test_strict_stops_at_the_first_bad_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.dumps({"completion": GOOD, **REFERENCE})
    assert run_score(monkeypatch, [good, "{", good], "--task", "countdown", "--strict") == 2
    captured = capsys.readouterr()
    assert len(rows(captured.out)) == 1
    assert captured.err.startswith("r1kit: error: stdin: row 2: not JSON")


def test_bytes_that_are_no_text_do_not_stop_the_stream(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = b'{"completion": "\xff\xfe <answer>1</answer>", "nums": [1], "target": 1}\n'
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line), encoding="utf-8"))
    assert cli.main(["score", "--task", "countdown"]) == 0
    assert rows(capsys.readouterr().out)[0]["verdict"] == "correct"


def test_a_byte_order_mark_is_no_part_of_the_first_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["\ufeff" + json.dumps({"completion": GOOD, **REFERENCE}) + "\r"]
    assert run_score(monkeypatch, lines, "--task", "countdown") == 0
    assert rows(capsys.readouterr().out)[0]["verdict"] == "correct"


def test_hanging_expressions_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        json.dumps({"completion": f"<answer>{expression}</answer>", "nums": [9, 9, 9], "target": 1})
        for expression in ("9**99**98", "(" * 10_000, "9" * 100_000)
    ]
    assert run_score(monkeypatch, lines, "--task", "countdown") == 0
    assert {row["verdict"] for row in rows(capsys.readouterr().out)} == {"malformed"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "cuntdown"], "unknown task 'cuntdown'; did you mean 'countdown'?"),
        (["--reward", "formt"], "unknown reward 'formt'; did you mean 'format'?"),
        (["--reward", "format=much"], "--reward format=much: the weight must be a finite number"),
        (["--set", "numbers=4"], "--set numbers=4: name the task that it is for with --task"),
        (
            ["--task", "countdown", "--set", "nmbers=4"],
            "command line: tasks.countdown.nmbers: unknown key; did you mean 'numbers'?",
        ),
        (["--reward", "format=nan"], "--reward format=nan: the weight must be a finite number"),
    ],
)
def test_wrong_arguments_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run_score(monkeypatch, [], *arguments) == 2
    assert message in capsys.readouterr().err


def test_total_that_overflows_is_an_error_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.dumps({"completion": GOOD, **REFERENCE})
    rewards = ("--reward", "accuracy=1e308,format=1e308")
    assert run_score(monkeypatch, [line], "--task", "countdown", *rewards) == 0
    assert rows(capsys.readouterr().out)[0]["verdict"] == "error"


def test_error_about_a_row_is_one_line_whatever_the_row_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_score(monkeypatch, [json.dumps({"completion": "x", "a\nb": 1})], "--task", "countdown") == 1
    assert capsys.readouterr().err.count("\n") == 1


PROGRAM = {
    "completion": "<think>add one</think>\n<answer>def f(x):\n    return x + 1</answer>",
    "entry": "f",
    "tests": [{"args": [1], "expected": 2}],
}


@pytest.fixture
def _no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Protection(Tier.LIMITS, run_program, 1, ("start a process",))
    monkeypatch.setattr("r1kit.tasks.code.find_protection", lambda workers: bare)


@pytest.mark.usefixtures("_no_sandbox")
def test_programs_are_not_run_without_a_sandbox_unless_the_command_line_allows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_score(monkeypatch, [json.dumps(PROGRAM)] * 2, "--task", "code") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "one could start a process" in captured.err
    assert "allow_unsafe_programs=true (in a recipe's tasks, or with --set)" in captured.err
    lines = [json.dumps(PROGRAM)]
    assert run_score(monkeypatch, lines, "--task", "code", "--set", "allow_unsafe_programs=true") == 0
    assert [row["verdict"] for row in rows(capsys.readouterr().out)] == ["correct"]


def test_programs_are_run_and_paid_by_what_they_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {**PROGRAM, "completion": PROGRAM["completion"].replace("+", "-")}  # type: ignore[attr-defined]
    lines = [json.dumps(PROGRAM), json.dumps(wrong)]
    assert run_score(monkeypatch, lines, "--task", "code", "--reward", "code") == 0
    scored = rows(capsys.readouterr().out)
    assert [row["verdict"] for row in scored] == ["correct", "wrong"]
    assert [row["total"] for row in scored] == [pytest.approx(1.0), pytest.approx(0.2)]


@pytest.mark.usefixtures("_no_sandbox")
def test_a_row_cannot_allow_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.dumps({"completion": GOOD, **REFERENCE})
    hostile = json.dumps({**PROGRAM, "task": "code", "allow_unsafe_programs": True})
    assert run_score(monkeypatch, [good, hostile, good], "--task", "countdown") == 1
    captured = capsys.readouterr()
    assert [row["verdict"] for row in rows(captured.out)] == ["correct", "error", "correct"]
    assert captured.err.startswith("r1kit: error: stdin: row 2: field 'task': no sandbox here holds")


def test_parameters_of_rewards_and_settings_of_the_task_share_one_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.dumps({"completion": GOOD, **REFERENCE})
    arguments = (
        "--reward",
        "cosine,format",
        "--set",
        f"cosine.max_length={2 * len(GOOD)}",
        "--set",
        "format.published=true",
    )
    assert run_score(monkeypatch, [line], "--task", "countdown", "--set", "numbers=3", *arguments) == 0
    (row,) = rows(capsys.readouterr().out)
    assert row["terms"] == {"cosine": pytest.approx(0.9), "format": 1.0}  # half of the length


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--reward", "cosine", "--set", "cosine.maxlength=3"],
            "reward 'cosine': unknown setting 'maxlength'",
        ),
        (["--reward", "cosine", "--set", "cosine.max_length=0"], "reward 'cosine': max_length: "),
        (["--set", "cosine.max_length=3"], "or one of the rewards (accuracy, format) before a parameter"),
        (["--reward", "teacher", "--set", "teacher.model=x"], "paid token by token in training"),
        (["--reward", "helpfulness"], "reward 'helpfulness': give either model or judge"),
        (["--reward", "helpfulness", "--set", "helpfulness.model=./none"], "./none"),
        (["--reward", "mine", "--file", "none.py"], "none.py: cannot be read"),
    ],
)
def test_wrong_parameters_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run_score(monkeypatch, [], *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_terms_that_count_tokens_need_their_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"completion": GOOD, **REFERENCE}
    lines = [
        json.dumps(found)
        for found in ({**row, "tokens": 90}, row, {**row, "tokens": -1}, {**row, "tokens": True})
    ]
    arguments = ("--reward", "overlong", "--set", "overlong.max_length=100", "--set", "overlong.buffer=20")
    assert run_score(monkeypatch, lines, "--task", "countdown", *arguments) == 1
    captured = capsys.readouterr()
    assert [row["total"] for row in rows(captured.out)] == [-0.5, 0.0, 0.0, 0.0]
    assert (
        "row 2: field 'tokens' must say how many tokens were sampled, which reward 'overlong'" in captured.err
    )
    assert captured.err.count("\n") == 3
    lines[0] = json.dumps(row)  # characters need no tokens
    assert run_score(monkeypatch, lines[:1], "--task", "countdown", "--reward", "cosine") == 0
    assert (
        run_score(
            monkeypatch, lines[:1], "--reward", "cosine", "--set", "cosine.unit=tokens", "--task", "countdown"
        )
        == 1
    )


PEOPLE = {"completion": "<think>so</think>\n<answer>Zoey is a knave and Oliver is a knight</answer>"}


@pytest.mark.parametrize(
    ("reference", "verdict"),
    [
        ({"solution": {"Zoey": "knave", "Oliver": "knight"}}, "correct"),
        ({"solution": {"Oliver": "knight", "Zoey": "knave"}, "names": ["Zoey", "Oliver"]}, "correct"),
        ({"solution": {"Zoey": "knight", "Oliver": "knight"}}, "wrong"),
        ({"solution": [False, True], "names": ["Zoey", "Oliver"]}, "correct"),
        ({"solution": {"Zoey": "knave", "Oliver": "knight", "Carl": "knave"}}, "malformed"),
    ],
)
def test_people_are_scored_by_name(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reference: dict[str, object],
    verdict: str,
) -> None:
    assert run_score(monkeypatch, [json.dumps({**PEOPLE, **reference})], "--task", "knights_knaves") == 0
    assert rows(capsys.readouterr().out)[0]["verdict"] == verdict


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"solution": {"Zoey": "spy", "Oliver": "knight"}}, "must call each person 'knight' or 'knave'"),
        ({"solution": {"Zoey": True, "Oliver": False}}, "must call each person 'knight' or 'knave'"),
        ({"solution": {}}, "must call each person 'knight' or 'knave'"),
        (
            {"solution": {"Zoey": "knave", "Oliver": "knight"}, "names": ["Zoey", "Bob"]},
            "must name the people of",
        ),
        ({"solution": {"Zoey": "knave", "1": "knight"}, "names": ["Zoey", 1]}, "must name the people of"),
        ({"solution": {"Zoey": "knave"}}, "must be a list of 2 to 8 different names"),
    ],
)
def test_a_wrong_solution_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    reference: dict[str, object],
    message: str,
) -> None:
    assert run_score(monkeypatch, [json.dumps({**PEOPLE, **reference})], "--task", "knights_knaves") == 1
    assert message in capsys.readouterr().err


def test_every_task_and_a_reward_file_in_a_real_process(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from r1kit.rewards import reward\n"
        "@reward('quiet', low=0, high=1, formula='1 without thinking')\n"
        "def quiet(sample):\n"
        "    if sample.problem.task == 'math': raise ValueError('no maths')\n"
        "    return not sample.parsed.thinking\n"
    )
    lines = [
        {"task": "countdown", "completion": GOOD, **REFERENCE},
        {"task": "knights_knaves", **PEOPLE, "solution": {"Zoey": "knave", "Oliver": "knight"}},
        {"task": "math", "completion": "<answer>18</answer>", "answer": "18"},
        {"task": "dialogue", "completion": "hello"},
        {"task": "dialogue", "completion": "Hello!", "prompt": "Say hello."},
    ]
    command = [sys.executable, "-m", "r1kit", "score", "--reward", "accuracy,quiet=0.5", "--file", "mine.py"]
    done = subprocess.run(
        command,
        input="".join(json.dumps(line) + "\n" for line in lines),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 1
    found = rows(done.stdout)
    assert [row["verdict"] for row in found][:4] == ["correct", "correct", "error", "error"]
    assert (found[0]["terms"], found[0]["total"]) == ({"accuracy": 1.0, "quiet": 0.0}, 1.0)
    assert found[4]["terms"]["quiet"] == 1.0
    assert "stdin: row 4: field 'prompt'" in done.stderr
    assert "quiet raised on 1 of 1 samples, unscored: ValueError: no maths (mine.py, line 4)" in done.stderr

"""Terms from reward files, in their real processes."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from r1kit import cli
from r1kit.errors import RecipeError, RunFolderError, UnknownNameError, UserError
from r1kit.rewards import files
from r1kit.rewards.boundary import number, several, single
from r1kit.rewards.file_scorers import file_scorers
from r1kit.rewards.files import file_entries
from r1kit.rewards.registry import REWARDS, RewardInput
from r1kit.rewards.rubric import Rubric, TermSpec, check_terms, grade
from r1kit.rewards.samples import from_data, to_data
from r1kit.tasks.registry import make_task
from r1kit.types import Completion, Failure, Reward, Unscored

TASK = make_task("countdown")
PROBLEM = TASK.problem_from_reference({"nums": [3, 7, 8], "target": 80})
HEAD = """import os, random, time
from r1kit.rewards import RewardInput, reward
from r1kit.settings import Settings
"""
MINE = (
    HEAD
    + '''
class Short(Settings):
    """Of `short`."""

    limit: int = 20
    """Longest response, in characters."""

@reward("short", low=0, high=1, formula="1 if the response is short", parameters=Short, about="form")
def short(sample: RewardInput, parameters: Short) -> bool:
    print("nobody reads this")
    return len(sample.completion.text) <= parameters.limit

calls = []

@reward("does", low=0, high=9, formula="what the response says")
def does(sample):
    calls.append(sample)
    match sample.completion.text:
        case "spin":
            while True: pass
        case "sleep": time.sleep(1000)
        case "die": os._exit(3)
        case "leave": raise SystemExit
        case "nan": return float("nan")
        case "text": return "1.0"
        case "nothing": return None
        case "raise": return 1 / 0
        case "count": return len(calls)
        case "draw": return random.random()
        case "tokens": return len(sample.completion.tokens)
        case "read": return len(input())
        case "print": print("{}"); os.write(1, b"{}")
        case "fork": os.fork()
        case "forge":
            for number in range(3, 16):
                try: os.write(number, b'{"value": 9}\\n')
                except OSError: pass
        case "babble":
            for number in range(3, 16):
                try: os.write(number, b'{"valued": 9}\\n')
                except OSError: pass
        case "grow":
            kept = calls
            while True: kept.append(bytearray(1 << 20))
        case "one": return len(bytearray(1 << 40))
        case "some": return min(1.0, len(bytearray(8 << 20)))
        case "numbers": return sum(sample.problem.reference["nums"])
    return 0.5

@reward("rank", low=0, high=1, formula="place in the step", batch=True)
def rank(samples):
    texts = [sample.completion.text for sample in samples]
    if "few" in texts: return [0.0]
    if "grow" in texts: return bytearray(1 << 40)
    if "spin" in texts:
        while True: pass
    return [sorted(texts).index(text) / len(texts) for text in texts]
'''
)


def sample(text: str, tokens: int = 0) -> RewardInput:
    completion = Completion((1, 2), (5,) * tokens, (0.0,) * tokens, (0.0,) * tokens, text, "stop", 3)
    return RewardInput(PROBLEM, completion, *grade(PROBLEM, completion, TASK))


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("rewards") / "mine.py"
    file.write_text(MINE)
    return str(file)


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "wrong.py"
    file.write_text(HEAD + text)
    return str(file)


def outcomes(
    mine: str, name: str, *texts: str, seconds: float = 0.5, memory_mb: int = 2048, **params: Any
) -> list[Reward | Unscored]:
    specs = [TermSpec(name=name, file=mine, seconds=seconds, memory_mb=memory_mb, params=params)]
    return Rubric(specs, file_scorers(specs)).outcomes([sample(text) for text in texts])


def ways(found: list[Reward | Unscored]) -> list[float | str]:
    return [outcome.failure.value if isinstance(outcome, Unscored) else outcome.total for outcome in found]


def test_a_file_is_described_without_registering_anything_here(mine: str) -> None:
    entries = file_entries(mine)
    assert sorted(entries) == ["does", "rank", "short"]
    assert (entries["short"].low, entries["short"].high, entries["short"].about) == (0, 1, "form")
    (limit,) = entries["short"].table
    assert (limit["name"], limit["default"]) == ("limit", 20)
    assert limit["description"] == "Longest response, in characters."
    assert not {"short", "does", "rank"} & set(REWARDS)


def test_a_term_of_a_file_is_paid_with_its_parameters(mine: str) -> None:
    assert ways(outcomes(mine, "short", "x" * 20, "x" * 21)) == [1.0, 0.0]
    assert ways(outcomes(mine, "short", "x" * 20, limit=5)) == [0.0]
    assert ways(outcomes(mine, "does", "numbers", "\ud800", "")) == [18.0, 0.5, 0.5]
    assert ways(outcomes(mine, "does", "print", "read", "numbers")) == [0.5, "raised", 18.0]


def test_every_failure_of_one_sample_is_typed_and_leaves_the_others_scored(mine: str) -> None:
    texts = ["ok", "spin", "ok", "die", "nan", "text", "nothing", "raise", "leave", "sleep", "ok"]
    found = outcomes(mine, "does", *texts)
    assert ways(found) == [
        *(0.5, "hung", 0.5, "died", "not_finite", "wrong_type", "wrong_type", "raised", "raised", "hung", 0.5)
    ]
    details = [outcome.detail for outcome in found if isinstance(outcome, Unscored)]
    assert details[3] == "expected a number, found str '1.0'"
    assert details[5] == "ZeroDivisionError: division by zero (mine.py, line 30)"


def test_after_too_many_hanging_samples_the_others_are_not_tried(mine: str) -> None:
    found = ways(outcomes(mine, "does", *["sleep"] * (files.MAX_LOST + 1), "ok", seconds=0.05))
    assert found == ["hung"] * files.MAX_LOST + ["not_tried"] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="macOS refuses limits of memory")
def test_a_term_that_allocates_without_end_is_stopped_at_its_limit(mine: str) -> None:
    found = outcomes(mine, "does", "some", "grow", "some", "one", "numbers", seconds=5, memory_mb=64)
    assert ways(found) == [1.0, "out_of_memory", 1.0, "out_of_memory", 18.0]
    assert found[1] == Unscored("does", Failure.OUT_OF_MEMORY, "more than 64 MiB")
    assert ways(outcomes(mine, "rank", "grow", "a", memory_mb=64)) == ["out_of_memory"] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="macOS refuses limits of memory")
def test_a_file_that_allocates_without_end_while_imported_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "import numpy\nkept = []\nwhile True: kept.append(numpy.zeros(1 << 27))\n")
    with pytest.raises(RecipeError, match="importing it took more than 8 GiB of memory"):
        file_entries(file)


def test_a_batch_must_have_as_many_numbers_as_samples(mine: str) -> None:
    assert ways(outcomes(mine, "rank", "b", "a", "c")) == [1 / 3, 0.0, 2 / 3]
    found = outcomes(mine, "rank", "few", "a")
    assert found == [Unscored("rank", Failure.WRONG_COUNT, "gave 1 values for 2 samples")] * 2
    assert ways(outcomes(mine, "rank", "spin", "a", "b")) == ["hung"] * 3


def test_the_copy_of_a_term_that_forks_gives_no_values(mine: str) -> None:
    specs = [TermSpec(name="does", file=mine)]
    rubric = Rubric(specs, file_scorers(specs))
    assert ways(rubric.outcomes([sample(text) for text in ("fork", "numbers", "fork")])) == [0.5, 18.0, 0.5]
    assert ways(rubric.outcomes([sample(text) for text in ("numbers", "ok")])) == [18.0, 0.5]


@pytest.mark.parametrize("text", ["forge", "babble"])
def test_values_that_no_sample_asked_for_are_no_scores(mine: str, text: str) -> None:
    specs = [TermSpec(name="does", file=mine)]
    rubric = Rubric(specs, file_scorers(specs))
    assert ways(rubric.outcomes([sample(text)])) == ["died"]
    assert ways(rubric.outcomes([sample("numbers")])) == [18.0]


def test_nothing_that_a_term_keeps_or_draws_outlives_a_step(mine: str) -> None:
    specs = [TermSpec(name="does", file=mine)]
    rubric = Rubric(specs, file_scorers(specs))
    steps = [ways(rubric.outcomes([sample(text) for text in ("count", "draw", "count")])) for _ in range(2)]
    again = ways(Rubric(specs, file_scorers(specs)).outcomes([sample(t) for t in ("count", "draw", "count")]))
    assert steps[0] == steps[1] == again
    assert (again[0], again[2]) == (1.0, 3.0)


def test_a_process_that_is_killed_is_replaced_and_asked_again(mine: str) -> None:
    process = files.RewardFile(mine)
    scorer = files.FileScorer(process, "does", {}, 1.0)
    process.start()._process.kill()
    assert scorer.scores([sample("ok"), sample("numbers")]) == [0.5, 18.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "@reward('a', low=0, high=1, formula='')\ndef a(x, y, z): return 0",
            "must take (sample) or (sample, parameters)",
        ),
        (
            "@reward('a', low=0, high=1, formula='', parameters=Settings)\ndef a(x): return 0",
            "must take (sample, parameters)",
        ),
        ("@reward('a', low=0, high=1, formula='', batch=True)\ndef a(): return 0", "must take (samples) or"),
        (
            "@reward('a', low=0, high=1, formula='')\ndef a(x): yield 0",
            "must return its value, not await or yield it",
        ),
        (
            "@reward('a', low=0, high=float('nan'), formula='')\ndef a(x): return 0",
            "low and high must be finite numbers",
        ),
        (
            "@reward('a', low=0, formula='')\ndef a(x): return 0",
            "missing 1 required keyword-only argument: 'high'",
        ),
        (
            "@reward('format', low=0, high=1, formula='')\ndef a(x): return 0",
            "reward 'format' is registered already",
        ),
        (
            "@reward('a b', low=0, high=1, formula='')\ndef a(x): return 0",
            "a name is 1 to 64 of A-Z a-z 0-9 _, a letter first",
        ),
        (
            "@reward('a', low=0, high=1, formula='', about='size')\ndef a(x): return 0",
            "about must be one of answer, form, thinking, language, all, found 'size'",
        ),
        ("@reward('a', low=0, high=1, formula=3)\ndef a(x): return 0", "formula and source must be text"),
        ("x = 1", "registers no reward; decorate a function with @reward"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("def (", "SyntaxError: invalid syntax"),
        ("os._exit(7)", "importing it ended the process: its process ended with status 7"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_scored(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        check_terms([TermSpec(name="a", file=file)])
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_never_ends_its_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "IMPORT_SECONDS", 1.5)
    with pytest.raises(RecipeError, match=r"importing it took longer than 1\.5 s"):
        file_entries(written(tmp_path, "while True: pass"))


def test_wrong_names_and_parameters_are_refused_before_anything_is_scored(mine: str, tmp_path: Path) -> None:
    for spec, error, message in (
        (TermSpec(name="shrt", file=mine), UnknownNameError, "unknown reward 'shrt'; did you mean 'short'?"),
        (
            TermSpec(name="short", file=mine, params={"limt": 1}),
            RecipeError,
            "unknown setting 'limt'; did you mean",
        ),
        (
            TermSpec(name="short", file=mine, params={"limit": "x"}),
            RecipeError,
            "limit: Input should be a valid integer",
        ),
        (TermSpec(name="a", file=str(tmp_path / "none.py")), RecipeError, "cannot be read: No such file"),
    ):
        with pytest.raises(error) as caught:
            check_terms([spec])
        assert message in str(caught.value)


def test_the_terms_of_a_file_are_listed(mine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rewards", "--file", mine]) == 0
    out = capsys.readouterr().out
    assert out.startswith("does  0 to 9\n  what the response says\n")
    assert "\nshort  0 to 1\n  1 if the response is short\n" in out
    assert "\n  limit = 20   Longest response, in characters.\naccuracy  0 to 1\n" in out
    assert "\nlogic_answer  -2 to 2\n" in out


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    file = written(tmp_path, "@reward('a', low=0, high=1, formula='')\ndef a(x): return 0")
    assert list(file_entries(file)) == ["a"]
    written(tmp_path, "@reward('b', low=0, high=1, formula='')\ndef b(x): return 0")
    assert list(file_entries(file)) == ["b"]


def test_a_run_keeps_a_copy_and_refuses_another_text(tmp_path: Path) -> None:
    file = written(tmp_path, "@reward('a', low=0, high=1, formula='')\ndef a(x): return 0.25")
    specs = [TermSpec(name="a", file=file)]
    rubric = Rubric(specs, file_scorers(specs, tmp_path / "copies"))
    written(tmp_path, "@reward('a', low=0, high=1, formula='')\ndef a(x): return 0.75")
    assert ways(rubric.outcomes([sample("x")])) == [0.25]
    assert "0.25" in (tmp_path / "copies" / "wrong.py").read_text()
    with pytest.raises(RunFolderError, match="the stage was begun with another text"):
        file_scorers(specs, tmp_path / "copies")


def test_a_sample_arrives_as_it_was_sent() -> None:
    sent = sample("<think>a\u0000</think> \ud800<answer>(3+7)*8</answer>", tokens=3)
    arrived = from_data(to_data(sent))
    assert arrived.problem == sent.problem
    assert (arrived.parsed, arrived.verdict) == (sent.parsed, sent.verdict)
    assert arrived.completion == Completion((), (5, 5, 5), (), (), sent.completion.text, "stop", 3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), (True, 1.0), (False, 0.0), (np.float32(0.5), 0.5), (np.int64(3), 3.0), (np.float64(2), 2.0)],
)
def test_real_numbers_of_any_kind_are_scores(value: object, expected: float) -> None:
    found = number("t", value)
    assert found == expected
    assert type(found) is float


@pytest.mark.parametrize(
    ("value", "failure"),
    [
        ("1", Failure.WRONG_TYPE),
        (None, Failure.WRONG_TYPE),
        ([1.0], Failure.WRONG_TYPE),
        (np.array([1.0]), Failure.WRONG_TYPE),
        (1j, Failure.WRONG_TYPE),
        (math.nan, Failure.NOT_FINITE),
        (-math.inf, Failure.NOT_FINITE),
        (np.float32("nan"), Failure.NOT_FINITE),
        (10**400, Failure.NOT_FINITE),
    ],
)
def test_anything_else_is_a_typed_failure(value: object, failure: Failure) -> None:
    found = number("t", value)
    assert isinstance(found, Unscored)
    assert (found.term, found.failure) == ("t", failure)


@pytest.mark.parametrize("given", ["ab", b"ab", {1: 1, 2: 2}, {0.0, 1.0}, 3, iter([1, 2])])
def test_a_batch_that_is_no_list_is_a_typed_failure(given: object) -> None:
    found = several("t", lambda samples, parameters: given, [1, 2], None)
    assert [outcome.failure for outcome in found if isinstance(outcome, Unscored)] == [Failure.WRONG_TYPE] * 2


def test_a_batch_may_be_an_array() -> None:
    assert several("t", lambda samples, parameters: np.array([1, 0]), [1, 2], None) == [1.0, 0.0]


def test_an_exception_without_a_message_of_its_own_is_told() -> None:
    class BadError(Exception):
        def __str__(self) -> str:
            raise ValueError

    def term(sample: object, parameters: object) -> float:
        raise BadError

    found = single("t", term, None, None)
    assert isinstance(found, Unscored)
    assert found.detail.startswith("BadError:")


def test_reward_files_need_a_system_that_forks(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(files.os, "fork")
    with pytest.raises(UserError, match="reward files need Linux or macOS"):
        file_entries(mine)

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1kit import cli
from r1kit.errors import DataError, UserError
from r1kit.files import dump_json
from r1kit.report.lab_advantages import compare, spearman
from r1kit.report.lab_corpus import Case, Labels, corpus
from r1kit.report.lab_grading import Column, columns, compressed_size, corpus_hacks, correlations, judge
from r1kit.report.lab_rollouts import Origin, Stored, origin, rollouts_file, stored_rollouts
from r1kit.report.lab_scoring import rescored
from r1kit.rewards.registry import RewardInput
from r1kit.rewards.rubric import TermSpec
from r1kit.text.tags import parse
from r1kit.types import Completion, Failure, Outcome, Problem, Unscored, Verdict

CASES = corpus({"countdown": "countdown", "math": "math", "people": "knights_knaves"})


def terms(*names: str, **params: Any) -> list[Column]:
    specs = [TermSpec(name=name, params=params) for name in names]
    return columns(specs, {}, [case.sample for case in CASES])


def mistakes(name: str, **params: Any) -> tuple[int, int]:
    found = judge(CASES, terms(name, **params)[0])
    return len(found.false_accepts), len(found.false_rejects)


def test_the_corpus_is_large_and_every_task_has_the_same_attacks() -> None:
    shared = [{case.name for case in CASES if case.task == task} for task in ("countdown", "math", "people")]
    assert len(set.intersection(*shared)) >= 45
    assert len(CASES) >= 180
    assert sum(not case.labels.of("all") for case in CASES) >= 150
    assert all(CASES[i].labels.of("all") for i, case in enumerate(CASES) if case.name == "honest")


@pytest.mark.parametrize("name", ["accuracy", "format"])
def test_the_two_rewards_of_r1_zero_make_no_mistake_on_the_corpus(name: str) -> None:
    assert mistakes(name) == (0, 0)


def test_logic_rl_pays_the_form_of_what_its_answer_punishes_and_no_wrong_answer_in_total() -> None:
    form, answer, total = (judge(CASES, column) for column in terms("logic_format", "logic_answer"))
    assert {CASES[mistake.case].sample.verdict.outcome for mistake in form.false_accepts} == {"malformed"}
    assert (answer.false_accepts, total.false_accepts, total.false_rejects) == ((), (), ())


def test_published_variants_are_fooled_where_the_defaults_are_not() -> None:
    assert mistakes("format", published=True)[0] > 60
    assert mistakes("countdown_equation") == (0, 1)  # the bare expression is wanted, without "= 80"
    fooled = judge(CASES, terms("countdown_equation", published=True)[0])
    assert [CASES[mistake.case].name for mistake in fooled.false_accepts] == [
        "thinking opened again after the answer",
        "two answers, the right one first",
        "answer only in the thinking",
        "right answer in the thinking, wrong one after it",
    ]
    assert fooled.unscored == {"raised": len([case for case in CASES if case.task != "countdown"])}


def test_a_length_bonus_is_blind_and_pays_padding() -> None:
    found = judge(CASES, terms("thought_length")[0])
    assert found.blind == ("countdown", "math", "people")
    assert {CASES[mistake.case].name for mistake in found.false_accepts} >= {
        "10 kB of one word, wrong answer",
        "1,001 characters of thinking",
    }
    assert found.false_rejects == ()


def case(name: str, text: str, deserves: bool) -> Case:
    completion = Completion((), (), (), (), text, "stop", 0)
    sample = RewardInput(
        Problem("t/1", "t", (), {}),
        completion,
        parse(text),
        Verdict(Outcome.CORRECT if deserves else Outcome.WRONG),
    )
    return Case("t", name, sample, Labels(deserves, deserves, deserves, deserves))


def test_the_line_lies_half_way_between_the_honest_and_the_worst_undeserving_one() -> None:
    cases = [case("honest", "a", True), case("b", "b", False), case("c", "c", False), case("d", "d", True)]
    found = judge(cases, Column("x", ("answer",), [1.0, -1.0, 0.1, -0.1]))
    assert [(m.case, m.value, m.line) for m in found.false_accepts] == [(2, 0.1, 0.0)]
    assert [(m.case, m.value, m.line) for m in found.false_rejects] == [(3, -0.1, 0.0)]
    failed = Unscored("x", Failure.HUNG)
    again = judge(cases, Column("x", ("answer",), [1.0, -1.0, failed, None]))
    assert (again.judged, again.unscored, again.false_accepts) == (2, {"hung": 1}, ())


def test_the_cheapest_hack_is_the_paid_one_that_compresses_best() -> None:
    repeated = "go " * 3000
    cases = [
        case("honest", "a long and honest text about nothing", True),
        case("worthless", "zz", False),
        case("varied", "the quick brown fox jumps over a lazy dog and sees the end", False),
        case("repeated", repeated, False),
        case("unpaid", "", False),
    ]
    total = Column("total", ("answer",), [1.0, 0.0, 0.9, 0.8, 0.4])
    found = corpus_hacks(cases, total, lambda c: not c.labels.answer)
    assert [cases[hack.index].name for hack in found] == ["repeated", "varied"]
    assert [hack.line for hack in found] == [0.5, 0.5]
    assert found[0].size == compressed_size(repeated) < 60


def test_correlation_is_pearsons_and_none_for_a_constant() -> None:
    a = Column("a", ("all",), [0.0, 1.0, 2.0, None])
    b = Column("b", ("all",), [0.0, -1.0, -2.0, 5.0])
    c = Column("c", ("all",), [1.0, 1.0, 1.0, 1.0])
    matrix = correlations([a, b, c])
    assert matrix[0][1] == pytest.approx(-1.0)
    assert matrix[0][2] is None
    assert matrix[1][1] == pytest.approx(1.0)


def test_spearman_of_hand_worked_ranks() -> None:
    assert spearman([1, 2, 3], [10, 20, 15]) == pytest.approx(0.5)
    assert spearman([1, 1, 2], [1, 1, 2]) == pytest.approx(1.0)
    assert spearman([0, 0], [0, 1]) is None


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=8).filter(lambda v: len(set(v)) > 1))
def test_a_rising_change_of_rewards_keeps_all_ranks(values: list[int]) -> None:
    assert spearman(values, [v**3 + v for v in values]) == pytest.approx(1.0)
    assert spearman(values, [-v for v in values]) == pytest.approx(-1.0)


def row(step: int, reward: float | None, text: str = "x", of: int = 2, group: int = 0) -> Stored:
    return Stored(case("r", text, False).sample, step, (step, str(group)), of, reward, {})


def test_a_reversed_reward_flips_every_advantage() -> None:
    stored = [row(1, 1.0), row(1, 0.0), row(2, 1.0), row(2, 1.0), row(3, 0.5)]
    change = compare(stored, [0.0, 1.0, 1.0, 0.0, 0.5], Origin(advantage="dr_grpo"))
    assert change.incomplete == 1
    first, second = change.groups
    assert (first.mean_change, first.flips, first.rank) == (1.0, 2, pytest.approx(-1.0))
    assert (second.mean_change, second.flips, second.rank) == (0.5, 0, None)
    assert (second.dead_then, second.dead_now) == (True, False)
    assert change.mean_change == pytest.approx(0.75)
    assert change.flipped == pytest.approx(0.5)


def test_the_objective_of_the_stage_makes_the_advantages() -> None:
    stored, now = [row(1, 1.0), row(1, 0.0)], [3.0, 0.0]
    grpo = compare(stored, now, Origin(advantage="grpo")).groups[0].mean_change
    before, after = 0.5 / (math.sqrt(0.5) + 1e-4), 1.5 / (math.sqrt(4.5) + 1e-4)
    assert grpo == pytest.approx(after - before)  # the same ranks, nearly the same advantages
    assert compare(stored, now, Origin(advantage="dr_grpo")).groups[0].mean_change == pytest.approx(1.0)


def test_an_unscored_sample_is_left_out_of_the_comparison() -> None:
    change = compare([row(1, 1.0, of=3), row(1, 0.0, of=3), row(1, None, of=3)], [1.0, 0.0, 1.0], Origin())
    assert (change.groups[0].samples, change.groups[0].flips) == (2, 0)
    assert change.reward_then == change.reward_now == 0.5


LOGGED = {
    "step": 1,
    "nums": [3, 7, 8],
    "target": 80,
    "problem": "countdown/3-7-8/80",
    "task": "countdown",
    "language": "en",
    "tags": ["3 numbers"],
    "group": 0,
    "of": 2,
    "prompt": "Use the numbers 3, 7, 8 to make 80.",
    "finish": "stop",
}
GOOD = "<think>3+7=10</think>\n<answer>(3+7)*8</answer>"
HOSTILE = "<think>\x1b]0;owned\x07\x1b[31m\u202e[bold]red</think>\n<answer>3+7+8</answer>"


def log(folder: Path, *rows: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "rollouts.jsonl"
    file.write_text("".join(json.dumps({**LOGGED, **found}) + "\n" for found in rows))
    return file


GRADED = [
    {
        "completion": GOOD,
        "extracted": "(3+7)*8",
        "verdict": "correct",
        "tokens": 12,
        "reward": 1.1,
        "advantage": 0.7,
    }
    | {"terms": {"accuracy": 1.0, "format": 1.0}},
    {
        "completion": HOSTILE,
        "extracted": "3+7+8",
        "verdict": "wrong",
        "tokens": 9,
        "reward": 0.1,
        "advantage": -0.7,
    }
    | {"terms": {"accuracy": 0.0, "format": 1.0}},
]


def test_stored_rollouts_are_read_with_their_verdicts(tmp_path: Path) -> None:
    file = log(tmp_path / "run/stages/zero", *GRADED)
    for place in (file, file.parent, tmp_path / "run/zero"):
        assert rollouts_file(place) == file
    first, second = stored_rollouts(file, Origin())
    assert (first.then, first.of, first.terms["format"], first.step) == (1.1, 2, 1.0, 1)
    assert first.sample.problem.reference == {"nums": [3, 7, 8], "target": 80}
    assert first.sample.problem.tags == ("3 numbers",)
    assert len(second.sample.completion.tokens) == 9
    specs = [TermSpec(name="accuracy"), TermSpec(name="format", weight=0.1)]
    total = rescored([first, second], specs, {}, None)[-1]
    assert total.values == [1.1, 0.1]


def test_a_term_of_the_last_steps_counts_in_those_alone(tmp_path: Path) -> None:
    file = log(tmp_path, *({**GRADED[0], "step": step} for step in (1, 2)))
    specs = [TermSpec(name="accuracy"), TermSpec(name="format", last_steps=1)]
    assert rescored(stored_rollouts(file, Origin()), specs, {}, steps=2)[-1].values == [1.0, 2.0]


def test_rows_without_a_verdict_are_graded(tmp_path: Path) -> None:
    file = log(tmp_path, {"completion": GOOD}, {"completion": "no"})
    assert [r.sample.verdict.outcome for r in stored_rollouts(file, Origin())] == ["correct", "no_answer"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"completion": 3}, "row 2: field 'completion' is missing or not text"),
        ({"verdict": "fine"}, "row 2: field 'verdict' is 'fine', no verdict"),
        ({"tokens": -1}, "row 2: field 'tokens' must be between 0 and"),
        ({"tokens": "many"}, "row 2: field 'tokens' must be a finite number"),
        ({"reward": True}, "row 2: field 'reward' must be a finite number"),
        ({"reward": 10**400}, "row 2: field 'reward' must be a finite number"),
        ({"reward": math.nan}, "row 2: field 'reward' must be a finite number"),
        ({"step": 2**60}, "row 2: field 'step' must be between 0 and"),
        ({"terms": []}, None),
        ({"terms": [1]}, "row 2: field 'terms' must be an object"),
    ],
)
def test_a_row_that_is_no_rollout_is_named(
    tmp_path: Path, change: dict[str, Any], message: str | None
) -> None:
    file = log(tmp_path, GRADED[0], {**GRADED[1], **change})
    if message is None:
        assert len(stored_rollouts(file, Origin())) == 2
        return
    with pytest.raises(DataError) as caught:
        stored_rollouts(file, Origin())
    assert message in str(caught.value)


def test_what_is_no_rollout_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rollouts there"):
        rollouts_file(tmp_path)
    (tmp_path / "stage.json").write_text('{"identity": {"settings": {}}}')
    with pytest.raises(UserError, match="not the record of a stage with rewards"):
        origin(tmp_path / "rollouts.jsonl")


def stage(folder: Path, rewards: dict[str, Any]) -> None:
    settings = {"rewards": rewards, "group_size": 2, "steps": 1, "objective": {"advantage": "dr_grpo"}}
    identity = {"settings": settings, "tasks": {"countdown": {"task": "countdown"}}}
    (folder / "stage.json").write_text(dump_json({"identity": identity}))


def lab(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["reward-lab", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_run_is_scored_again_with_its_own_rewards_and_nothing_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = log(tmp_path / "zero", *GRADED)
    stage(file.parent, {"accuracy": 1.0, "format": 0.1})
    assert lab(capsys, "--rollouts", str(file), "--set", "format.published=true")[0] == 2
    record = tmp_path / "lab.json"
    status, out, _ = lab(capsys, "--rollouts", str(file.parent), "--json", str(record))
    assert status == 0
    assert "advantages (dr_grpo), over 1 groups of which every sample is stored" in out
    found = json.loads(record.read_text())
    assert {case["task"] for case in found["corpus"]["completions"]} == {"countdown"}
    assert found["rollouts"]["mean_absolute_change"] == pytest.approx(0.0)
    assert found["rollouts"]["sign_flips"] == 0.0
    assert found["rollouts"]["rank_correlation"] == pytest.approx(1.0)
    assert [sample["then"] for sample in found["rollouts"]["samples"]] == [1.1, 0.1]


def test_other_rewards_show_another_training_and_hostile_text_is_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = log(tmp_path / "zero", *GRADED)
    stage(file.parent, {"accuracy": 1.0, "format": 0.1})
    arguments = (
        "--rewards",
        "format=1,overlong",
        "--set",
        "overlong.max_length=10",
        "--set",
        "overlong.buffer=5",
    )
    record = tmp_path / "lab.json"
    status, out, err = lab(capsys, *arguments, "--rollouts", str(file), "--json", str(record))
    assert (status, err) == (0, "")
    assert not set(out) & set("\x1b\x07\u202e")
    assert "[bold]red" in out
    found = json.loads(record.read_text())["rollouts"]
    assert [sample["now"] for sample in found["samples"]] == [
        {"format": 1.0, "overlong": -1.0, "total": 0.0},
        {"format": 1.0, "overlong": pytest.approx(-0.8), "total": pytest.approx(0.2)},
    ]
    assert (found["groups"][0]["flips"], found["rank_correlation"]) == (2, pytest.approx(-1.0))


def test_rewards_of_a_recipe_are_tried_and_those_of_models_are_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = lab(capsys, "--recipe", "tiny-r1", "--stage", "general_rl")
    assert status == 0
    assert "left out, since a model gives them: helpfulness, harmlessness" in out
    assert "math" in out
    assert "knights_knaves" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "tiny-r1", "--stage", "sft2"], "recipe tiny-r1: sft2 has no rewards"),
        (["--recipe", "tiny-r1", "--stage", "on_policy"], "a model gives all of them (teacher)"),
        (["--recipe", "tiny-r1", "--rewards", "format"], "give either it or --rewards"),
        (["--task", "cuntdown"], "--task: unknown task 'cuntdown'; did you mean 'countdown'?"),
        (["--rewards", "formt"], "unknown reward 'formt'; did you mean 'format'?"),
        (["--set", "cosine.max_length=3"], "--set cosine.max_length=3: no such reward"),
        (["--rollouts", "nowhere"], "nowhere: no rollouts there"),
    ],
)
def test_wrong_arguments_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    status, out, err = lab(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err

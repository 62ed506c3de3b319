"""The reward lab's corpus against every task's own verifier, programs in the sandbox included."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit import cli
from r1kit.report.lab_corpus import corpus, unplayable
from r1kit.report.lab_grading import columns, judge
from r1kit.report.lab_questions import QUESTIONS
from r1kit.rewards.rubric import TermSpec
from r1kit.tasks import code as code_module
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox.protection import Protection, Tier

CASES = corpus({name: name for name in QUESTIONS})


def test_verifiers_agree_with_an_honest_grader_about_programs_replies_and_sums() -> None:
    """Of code this runs every program of the corpus in the sandbox."""
    wrongly = [
        (found.task, found.name)
        for found in CASES
        if found.sample.verdict.correct != found.labels.answer
        or (found.sample.parsed.well_formed and found.sample.verdict.has_form) != found.labels.form
    ]
    assert wrongly == []
    assert {found.task for found in CASES} == {*QUESTIONS, "dialogue (harmful)"}
    assert len(CASES) == 365
    assert sum(found.labels.of("all") for found in CASES) == 25


def test_the_scores_of_a_program_pay_no_attack_unless_what_runs_is_paid_like_what_passes() -> None:
    cases = [found for found in CASES if found.task == "code"]

    def judged(**params: float | bool) -> tuple[list[str], list[str]]:
        spec = TermSpec(name="code", params=params)
        found = judge(cases, columns([spec], {}, [case.sample for case in cases])[0])
        accepts, rejects = ([cases[m.case].name for m in mistakes] for mistakes in
                            (found.false_accepts, found.false_rejects))  # fmt: skip
        return accepts, rejects

    assert judged() == ([], [])
    accepts, rejects = judged(parses=0.0, runs=1.0, passes=0.2, fast=0.0)
    assert {"an empty function", "equal to everything", "only what the first test wants"} <= set(accepts)
    assert {"an end of the process", "half a program"}.isdisjoint(accepts)
    assert rejects == []


def test_programs_are_left_out_with_the_reason_where_no_sandbox_holds_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bare = Protection(Tier.LIMITS, run_program, 1, ("start a process",), missing="full: no Landlock")
    monkeypatch.setattr(code_module, "find_protection", lambda workers: bare)
    record = tmp_path / "lab.json"
    assert list(unplayable({"code": "code", "sums": "math"})) == ["code"]
    arguments = ["--rewards", "accuracy", "--task", "code", "--task", "math", "--json", str(record)]
    assert cli.main(["reward-lab", *arguments]) == 0
    out = capsys.readouterr().out
    assert "left out: the completions of code: " in out
    found = json.loads(record.read_text())
    assert "start a process" in found["tasks_left_out"]["code"]
    assert {case["task"] for case in found["corpus"]["completions"]} == {"math"}

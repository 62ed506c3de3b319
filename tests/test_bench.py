"""What the benchmarks tell, and what they do without where something is not installed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch

from bench import gpu, limits, sandbox, verdicts
from bench.setting import Measurement
from bench.table import show
from r1kit.verify.program_run import ProgramRun
from r1kit.verify.programs import run_program
from r1kit.verify.sandbox.protection import Protection, Tier


def test_a_row_tells_medians_and_their_ratio() -> None:
    row = Measurement("rollouts", "tokens/s", [9.0, 30.0, 10.0], [4.0, 2.0, 50.0]).row()
    assert (row["r1kit"], row["beside"], row["other"], row["ratio"]) == (10.0, "transformers", 4.0, 2.5)
    alone = Measurement("countdown", "verdicts/s", [3.0], []).row()
    assert (alone["r1kit"], alone["beside"], alone["other"], alone["ratio"]) == (3.0, None, None, None)


def test_verdicts_are_measured_without_math_verify(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [case for case in verdicts.load() if case.category == "integer"][:3]
    monkeypatch.setattr(verdicts, "load", lambda: cases)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(verdicts, "PROBLEMS", 4)
    found, note = verdicts.measure(2)
    assert [row.name for row in found[2:]] == ["countdown", "knights_knaves"]
    assert all(min(row.ours) > 0 and row.other == [] for row in found)
    show(found, [note])
    assert "pip install -e '.[dev]'" in capsys.readouterr().out


def test_programs_are_not_measured_where_there_is_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = Protection(Tier.LIMITS, run_program, 1, ("do harm",), missing="no Landlock here")
    monkeypatch.setattr(sandbox, "find_protection", lambda workers: bare)
    assert sandbox.measure(1) == ([], "no sandbox here: no Landlock here")


def test_programs_are_measured_beside_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str | None] = []

    def run(code: str, entry: str | None, inputs: object, limits: object) -> ProgramRun:
        ran.append(entry)
        return run_program(code, entry, [], sandbox.FUNCTION[3])

    safe = replace(Protection(Tier.SECCOMP, run, 1, ()), workers=1)
    monkeypatch.setattr(sandbox, "find_protection", lambda workers: safe)
    monkeypatch.setattr(sandbox, "RUNS", 1)
    found, note = sandbox.measure(1)
    assert note == ""
    told = [(row.row()["beside"], len(row.ours), len(row.other)) for row in found]
    assert told == [(sandbox.LIMITED, 1, 1), (sandbox.LIMITED, 1, 1), (sandbox.BARE, 1, 1), (None, 1, 0)]
    assert ran.count(None) == 2


def test_without_a_cuda_device_nothing_is_measured_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = gpu.measure(1, quick=False)
    assert (found.measurements, found.notes) == ([], [gpu.NONE])


def test_a_little_of_the_gpu_part_runs_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(limits, "_SECONDS", 0.001)
    found = gpu.measure(1, quick=True)
    sampling, learning = (measurement.row() for measurement in found.measurements)
    assert (sampling["name"], sampling["beside"]) == ("tiny, sampling", "transformers generate")
    assert (
        min(sampling["r1kit"], sampling["other"], sampling["limit"], learning["r1kit"], learning["limit"]) > 0
    )
    assert learning["other"] is None
    assert found.notes[-1].startswith("On a CPU, to see that it runs;")


def test_the_bytes_that_sampling_has_to_read_are_those_worked_out_by_hand() -> None:
    (tiny,) = gpu.QUICK
    # 2 prompts x 4 samples; 8 steps over 9 to 16 positions of 2 layers x 2 heads x 8 numbers, keys and values
    assert gpu.bytes_read(tiny) == 2 * (8 * tiny.shape.parameters + 8 * 100 * 2 * 2 * 16)
    half = gpu.TASKS[0].shape
    assert half.parameters == 494_032_768
    assert sum(i * o * count for i, o, count in gpu.products(half)) == 24 * half.layer_matrices + 151936 * 896

"""Learning beside TRL: windows, the rule for noise, what the page tells; equal questions, one reward."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from bench import learning_page, page
from bench.curves import NARROW, OURS, THEIRS, by_windows, verdict
from bench.learning import Course
from bench.noise import STUDENT_975, Difference, difference, windows
from bench.peers.countdown import Graded, grade
from bench.peers.own_learning_side import settings_of
from r1kit.models.load import load_tokenizer

QUICK = replace(Course(), steps=3, questions=4)


def run(reward):
    return {"reward": reward, **dict.fromkeys(("accuracy", "tokens", "entropy", "grad_norm"), reward)}


def details(curves, steps):
    return {"work": {"steps": steps}, "curves": curves}


# -- arithmetic ----------------------------------------------------------------------------------------------


def test_windows_are_means_one_after_the_other() -> None:
    assert windows([1.0, 2.0, 3.0, 4.0, 5.0], 2) == [1.5, 3.5, 5.0]


def test_students_quantiles_are_those_of_the_closed_forms() -> None:
    alpha = 4 * 0.975 * 0.025
    closed = {
        1: math.tan(math.pi * 0.475),
        2: 0.95 / math.sqrt(2 * 0.975 * 0.025),
        4: 2 * math.sqrt(math.cos(math.acos(math.sqrt(alpha)) / 3) / math.sqrt(alpha) - 1),
    }
    for freedom, quantile in closed.items():
        assert STUDENT_975[freedom - 1] == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize(
    ("ours", "theirs", "middle", "half"),
    [
        # variances 1 and 4, pooled 2.5; 2.776 sqrt(2.5 (1/3 + 1/3))
        ([1.0, 2.0, 3.0], [4.0, 6.0, 8.0], -4.0, 3.5838),
        # variances 1 and 1; 2.776 sqrt(2/3)
        ([3.0, 4.0, 5.0], [1.0, 2.0, 3.0], 2.0, 2.2666),
        # variances 2 and 1, pooled (2 + 2) / 3; 3.182 sqrt(4/3 (1/2 + 1/3))
        ([0.0, 2.0], [1.0, 2.0, 3.0], -1.0, 3.3541),
    ],
)
def test_a_difference_has_the_interval_of_students_t(ours, theirs, middle: float, half: float) -> None:
    found = difference(ours, theirs)
    assert found.mean == pytest.approx(middle)
    assert found.half == pytest.approx(half, abs=1e-4)


def test_a_difference_is_within_the_noise_up_to_the_edge_of_its_interval() -> None:
    assert Difference(-0.5, 0.5).within
    assert not Difference(0.51, 0.5).within
    assert difference([3.0, 4.0, 5.0], [1.0, 2.0, 3.0]).within  # 2.0 of 2.2666
    assert not difference([1.0, 2.0, 3.0], [4.0, 6.0, 8.0]).within  # 4.0 of 3.5838


def test_every_window_has_a_value_for_each_seed() -> None:
    curves = {OURS: [run([1.0] * 10 + [3.0] * 2), run([2.0] * 12)], THEIRS: [run([0.0] * 12)] * 2}
    found = by_windows(curves)
    assert found["1-10"] == {OURS: [1.0, 2.0], THEIRS: [0.0, 0.0]}
    assert found["11-12"] == {OURS: [3.0, 2.0], THEIRS: [0.0, 0.0]}
    assert found["1-12"] == {OURS: [pytest.approx(4 / 3), 2.0], THEIRS: [0.0, 0.0]}


# -- the page ------------------------------------------------------------------------------------------------


def test_the_page_says_which_differences_are_beyond_the_noise() -> None:
    theirs = [run([value] * 10) for value in (1.0, 2.0, 3.0)]
    curves = {
        THEIRS: theirs,
        OURS: [run([value] * 10) for value in (3.0, 4.0, 5.0)],
        NARROW: [run([value] * 10) for value in (4.0, 6.0, 8.0)],
    }
    told = list(learning_page.lines(details(curves, 10)))
    assert (
        "| 1-10 | 2.000 ± 1.000 | 4.000 ± 1.000 | +2.000 ± 2.267 | within"
        " | 6.000 ± 2.000 | +4.000 ± 3.584 | **beyond** |"
    ) in told
    assert verdict(curves).startswith(
        "5 of 10 differences are within the noise; beyond: 1-10 of r1kit, bfloat16,"
    )


def test_without_the_peer_there_is_nothing_to_set_beside() -> None:
    assert list(learning_page.lines(details({OURS: [run([1.0])]}, 1))) == []


def test_the_picture_is_drawn_beside_the_page(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"{page.BEGIN}\n{page.END}\n", "utf-8")
    machine = {"processor": "Xeon", "threads": 2, "precision": "bfloat16", "versions": {}}
    part = {"date": "2026-01-01", "seconds": 61.2, "machine": machine, "rows": [], "notes": []}
    curves = {side: [run([1.0] * 12), run([2.0] * 12)] for side in (OURS, THEIRS)}
    page.write({"parts": {"learning": part | {"details": details(curves, 12)}}}, path)
    assert (tmp_path / "learning.png").read_bytes().startswith(b"\x89PNG")
    assert "(learning.png)" in path.read_text("utf-8")


# -- equal work ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<think>3+7</think><answer>(3+7)*8</answer>", Graded(1.0, 1.0)),
        ("<think>3+7</think>\n<answer>(3+7)*8 = 80</answer>", Graded(1.0, 1.0)),
        ("<think>3+7</think><answer>3+7*8</answer>", Graded(0.0, 1.0)),
        ("<think>3+7</think><answer>(3+7)*8*1</answer>", Graded(0.0, 1.0)),
        ("<think>3+7</think><answer>eighty</answer>", Graded(0.0, 0.0)),
        ("<answer>(3+7)*8</answer>", Graded(0.0, 0.0)),
        ("", Graded(0.0, 0.0)),
    ],
)
def test_an_answer_is_paid_within_its_form_alone(text: str, found: Graded) -> None:
    assert grade(text, [3, 7, 8], 80) == found
    assert found.reward == found.accuracy + found.format


def test_all_seeds_and_sides_get_the_same_questions_each_once() -> None:
    first, second = QUICK.job(1), QUICK.job(2)
    assert first["questions"] == second["questions"]
    asked = [question["content"] for step in first["questions"] for question in step]
    assert (len(asked), len(set(asked))) == (12, 12)
    assert [len(step) for step in first["questions"]] == [4, 4, 4]


def test_a_question_is_what_the_models_own_chat_template_makes_of_it() -> None:
    tokenizer = load_tokenizer(QUICK.base)
    for question in QUICK.job(1)["questions"][0]:
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": question["content"]}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        )
        assert rendered["input_ids"] == question["tokens"]


def test_r1kits_side_makes_one_update_of_a_step_under_the_settings_that_both_are_told() -> None:
    job = QUICK.job(1)
    settings = settings_of(job)
    assert settings.updates == settings.steps  # one for each
    told = job["optimizer"]
    assert {name: getattr(settings.optimizer, name) for name in told} == told
    assert (settings.objective.clip_low, settings.objective.clip_high) == (job["clip"], job["clip"])
    assert settings.sampling.max_new_tokens == job["new_tokens"]

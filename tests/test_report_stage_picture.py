import json

import numpy as np
import pytest

from r1kit.commands.run import draw_pictures
from r1kit.errors import UserError
from r1kit.report.averages import stage_names
from r1kit.report.stage_panels import Point, mean_panels, task_panels
from r1kit.report.stage_picture import arrange, draw_stages, figure, places_of, worth_drawing
from r1kit.report.starts import Line, lines, model_parents, start_of

FROM = {
    "r1_zero": "base",
    "cold_start_sft": "base",
    "sft2": "base",
    "distilled": "nano",
    "student_rl": "distilled",
}
MODELS = ["base", "r1_zero", "cold_start_sft", "sft2", "nano", "distilled", "student_rl"]


def record(value, **more):
    return {
        "pass@1": {"mean": value, "ci95": [value - 0.05, value + 0.1]},
        "format_rate": 0.9,
        "language_consistency": 0.6,
        "thinking_tokens": 100.0,
        **more,
    }


def stages(shift=0.0, names=MODELS):
    """pass@1 rises from model to model; a dialogue, which the means leave out, always has 0.5."""
    found = {}
    for i, name in enumerate(names):
        sums = record(0.3 + shift, format_rate=0.7, language_consistency=None, thinking_tokens=20 + i)
        talk = record(0.5, helpful={"mean": 0.5}, format_rate=0.1, thinking_tokens=2)
        found[name] = {"countdown": record(0.1 * i + shift), "math": sums, "helpful": talk}
    return found


def write(folder, found, parents=FROM):
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({"stages": found}))
    for name in parents.keys() & found.keys():
        (folder / "stages" / name).mkdir(parents=True)
        made = {"parents": {"data/x": "sft2", "model": parents[name]}}
        (folder / "stages" / name / "stage.json").write_text(json.dumps(made))
    return folder


def axes_of(runs, groups=None):
    groups = groups or lines(stage_names(runs.values()), FROM)
    return {axes.get_title(loc="left"): axes for axes in figure(runs, groups).axes}


def figures(axes):
    return [text.get_text() for text in axes.texts]


# --- which line a model belongs to ------------------------------------------------------------------------


def test_models_are_grouped_by_what_they_go_back_to(tmp_path):
    run = write(tmp_path / "run", stages())
    assert lines(MODELS, model_parents(run)) == [
        Line("base", ("base", "r1_zero", "cold_start_sft", "sft2")),
        Line("nano", ("nano", "distilled", "student_rl")),
    ]


def test_line_of_the_base_comes_first_and_without_it_that_of_the_first_model():
    assert [line.start for line in lines(["nano", "base"], {})] == ["base", "nano"]
    scratch = {"micro": None, "distilled": "owner/student"}
    assert lines(["micro", "distilled"], scratch) == [
        Line("micro", ("micro",)),
        Line("owner/student", ("distilled",)),
    ]


def test_model_without_a_record_goes_back_to_the_base_unless_something_started_from_it():
    assert start_of("r1_zero", {}) == "base"
    assert start_of("small", {"distilled": "small"}) == "small"
    assert start_of("a", {"a": "b", "b": "a"}) == "b"  # damaged records end, too


def test_lines_stand_apart_on_the_axis():
    assert places_of([Line("base", ("base", "a")), Line("nano", ("nano",))]) == [[0, 1], [2.7]]


# --- what is drawn ----------------------------------------------------------------------------------------


def test_panels_hold_the_records_numbers():
    countdown, math, helpful = task_panels([stages()])
    assert [panel.title for panel in (countdown, math, helpful)] == ["countdown", "math", "helpful"]
    assert countdown.runs[0]["sft2"] == Point(0.1 * 3, 0.1 * 3 - 0.05, 0.1 * 3 + 0.1)
    language, form, length = (panel.runs[0] for panel in mean_panels([stages()]))
    assert language["base"].value == 0.6  # math has none
    assert form["base"].value == pytest.approx((0.9 + 0.7) / 2)
    assert length["r1_zero"].value == pytest.approx((100 + 21) / 2)


def test_one_run_is_drawn_as_dots_with_their_intervals():
    axes = axes_of({"x": stages()})
    assert list(axes)[:3] == ["countdown", "math", "helpful"]
    curves = [line for line in axes["countdown"].get_lines() if line.get_linestyle() == "-"]
    np.testing.assert_allclose(curves[0].get_xydata(), [[0, 0], [1, 0.1], [2, 0.2], [3, 0.3]])
    np.testing.assert_allclose(curves[1].get_xydata(), [[4.7, 0.4], [5.7, 0.5], [6.7, 0.6]])
    assert curves[0].get_color() != curves[1].get_color()
    bars = [bar.lines[2][0].get_segments()[0] for bar in axes["countdown"].containers]
    np.testing.assert_allclose(bars[2], [[2, 0.15], [2, 0.3]])
    assert figures(axes["countdown"]) == ["0", "10", "20", "30", "40", "50", "60"]
    assert figures(axes["Thinking length"]) == ["60", "60", "61", "62", "62", "62", "63"]


def test_several_runs_are_drawn_faint_with_their_mean_bold():
    axes = axes_of({"seed 1": stages(), "seed 2": stages(0.2, MODELS[:3])})["countdown"]
    one, two, both = axes.get_lines()[:3]
    assert one.get_alpha() == two.get_alpha() == 0.3
    np.testing.assert_allclose(both.get_ydata(), [0.1, 0.2, 0.3, 0.3])
    np.testing.assert_array_equal(np.isnan(two.get_ydata()), [False, False, False, True])
    assert both.get_linewidth() > 2 * one.get_linewidth()
    assert not axes.containers


def test_missing_evaluation_leaves_a_gap_and_no_mean_over_other_tasks():
    found = stages()
    del found["r1_zero"]["math"]
    axes = axes_of({"x": found})
    for title, model in (("math", 1), ("Format kept", 1)):
        curve = axes[title].get_lines()[0].get_ydata()
        assert [i for i in range(4) if np.isnan(curve[i])] == [model]
        assert len(figures(axes[title])) == 6


def test_names_stand_in_the_runs_order_below_the_lowest_panels():
    axes = axes_of({"x": stages()})
    assert [label.get_text() for label in axes["Format kept"].get_xticklabels()] == MODELS
    assert not any(label.get_text() for label in axes["math"].get_xticklabels())


def test_stage_that_only_a_later_run_has_keeps_its_place():
    assert stage_names([stages(names=["base", "sft2"]), stages(names=MODELS[:4])]) == [
        *("base", "r1_zero", "cold_start_sft", "sft2"),
    ]


def test_a_long_name_keeps_its_end():
    long = "reasoning_rl_without_language_2"
    axes = axes_of({"x": stages(names=["base", long])}, [Line("base", ("base", long))])
    assert axes["Format kept"].get_xticklabels()[1].get_text() == "reasoning_…anguage_2"


@pytest.mark.parametrize(
    ("tasks", "means", "expected"),
    [
        (1, 3, ([(0, 0), (0, 1), (1, 0), (1, 1)], 2)),
        (2, 3, ([(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)], 3)),
        (4, 2, ([(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)], 3)),
    ],
)
def test_means_have_a_row_of_their_own(tasks, means, expected):
    assert arrange(tasks, means) == expected


def test_only_numbers_that_there_are_have_a_panel():
    bare = {name: {"helpful": {"pass@1": {"mean": 0.5}, "helpful": 0.5}} for name in ("base", "a")}
    assert list(axes_of({"x": bare})) == ["helpful"]


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_picture_is_written_in_the_format_of_its_name(tmp_path, name, start):
    run = write(tmp_path / "run", stages())
    assert draw_stages({"$x$": run}, tmp_path / name, "a $title").read_bytes().startswith(start)


def test_models_are_left_out_by_name(tmp_path):
    run = write(tmp_path / "run", stages())
    drawn = draw_stages({"x": run}, tmp_path / "a.svg", without={"r1_zero", "distilled"}).read_text()
    assert [name in drawn for name in ("sft2", "nano", "r1_zero", "distilled")] == [True, True, False, False]
    with pytest.raises(UserError, match="two evaluated models"):
        draw_stages({"x": run}, tmp_path / "b.svg", without=MODELS[1:])


def test_fewer_than_two_models_and_unknown_formats_are_refused(tmp_path):
    run = write(tmp_path / "run", stages(names=["base"]))
    with pytest.raises(UserError, match="run: the picture of the stages needs two evaluated models"):
        draw_stages({"x": run}, tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.gif: a picture's name must end in one of \.png"):
        draw_stages({"x": run}, tmp_path / "a.gif")
    with pytest.raises(UserError, match="no such run folder"):
        draw_stages({"x": tmp_path / "none"}, tmp_path / "a.png")


def test_run_draws_the_stages_from_three_evaluated_models_on(tmp_path):
    two = write(tmp_path / "two", stages(names=MODELS[:2]))
    three = write(tmp_path / "three", stages(names=MODELS[:3]))
    assert not worth_drawing({"x": two})
    assert draw_pictures(two) == []
    assert draw_pictures(three) == [three / "stages.png"]
    assert (three / "stages.png").stat().st_size > 10_000

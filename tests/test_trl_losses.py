"""r1kit's losses and gradients beside those of TRL's own trainer, where that is installed."""

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.trl_losses.comparisons import AGREEING
from bench.trl_losses.differences import DIFFERING
from bench.trl_losses.table import TOLERANCE, measure

NAMES = [*(row.name for row in AGREEING), *(row.comparison.name for row in DIFFERING)]
needs_trl = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("trl"), reason="TRL is not installed: pip install '.[bench]'"),
    pytest.mark.filterwarnings("ignore"),  # those of TRL and of what it loads
]


def with_marks(function):
    for mark in needs_trl:
        function = mark(function)
    return function


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    assert version("trl").startswith("1.16.")
    return {row.name: row for row in measure(tmp_path_factory.mktemp("trl"))}


@with_marks
@pytest.mark.parametrize("name", [row.name for row in AGREEING])
def test_losses_and_gradients_are_trls(name, rows):
    assert rows[name].of_loss <= TOLERANCE
    assert rows[name].of_gradient <= TOLERANCE


@with_marks
@pytest.mark.parametrize("name", [row.comparison.name for row in DIFFERING])
def test_a_difference_is_there_and_is_the_one_that_is_stated(name, rows):
    assert rows[name].of_gradient > 1e-3
    assert rows[name].unexplained <= TOLERANCE


@with_marks
def test_every_option_changes_the_loss(rows):
    names = [row.name for row in AGREEING if row.parts == 1]
    assert len({round(rows[name].own, 6) for name in names}) == len(names)


def test_the_page_shows_every_comparison_once():
    text = (Path(__file__).parents[1] / "docs" / "trl.md").read_text("utf-8")
    assert [text.count(f"\n| {name} |") for name in NAMES] == [1] * len(NAMES)
    assert "NOT EQUAL" not in text
    assert "NOT EXPLAINED" not in text

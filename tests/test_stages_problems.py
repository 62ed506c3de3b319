"""Problems of a recipe's tasks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from r1kit.errors import DataError
from r1kit.stages.problems import named_problems
from r1kit.tasks.protocol import SPLITS
from r1kit.tasks.registry import make_task


def test_problems_bear_the_recipe_s_name_of_their_task() -> None:
    problems = named_problems("talk", make_task("dialogue", test_size=3), "test")
    assert [problem.task for problem in problems] == ["talk"] * 3


@pytest.mark.parametrize(("text", "fault"), [("a\0b", "a NUL character"), ("a\ud800", "a lone surrogate")])
def test_a_question_that_no_data_set_may_hold_is_named_before_anything_is_sampled(
    tmp_path: Path, text: str, fault: str
) -> None:
    data = tmp_path / "prompts.jsonl"
    data.write_text(json.dumps({"prompt": text}) + "\n" + json.dumps({"prompt": "fine"}) + "\n")
    task = make_task("dialogue", data=str(data))
    with pytest.raises(DataError, match=rf"tasks\.talk: 'dialogue/\w+': the user's message holds {fault}"):
        [named_problems("talk", task, split) for split in SPLITS]

"""NuminaMath-TIR and Bespoke-Stratos-17k rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from r1kit.datasets import numina, stratos
from r1kit.datasets.records import Skipped
from r1kit.errors import DataError
from r1kit.tasks.math import Math
from r1kit.tasks.registry import make_task
from r1kit.text.tags import parse
from r1kit.types import Message, Split

DATA = Path(__file__).parent / "data"
NUMINA = str(DATA / "numina_small.jsonl")
STRATOS = str(DATA / "stratos_small.jsonl")
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def test_numina_rows_are_the_problem_and_its_solution() -> None:
    found = numina.read_numina(NUMINA)
    assert [d.messages for d in found] == [
        (Message("user", row["problem"]), Message("assistant", row["solution"])) for row in rows(NUMINA)
    ]
    assert {(d.task, d.origin, d.language) for d in found} == {("math", "file", "en")}


def test_numina_solutions_become_reasoning_with_the_last_boxed_answer() -> None:
    found = numina.read_numina(NUMINA, form="tags", system="Think first.")
    assert found[0].messages[0] == Message("system", "Think first.")
    assert [parse(d.messages[-1].content).answer for d in found] == ["84", r"\frac{1}{2}", "7.5", "(x+1)^2"]
    assert parse(found[2].messages[-1].content).thinking == rows(NUMINA)[2]["solution"]
    separated = numina.read_numina(NUMINA, form="special_token")[2].messages[-1].content
    assert separated.endswith("metres long.<|special_token|>7.5")


def test_numina_problems_serve_the_math_task_under_the_same_ids() -> None:
    task = make_task("math", data=NUMINA, skip_bad_rows=True)
    assert isinstance(task, Math)
    problems = {problem.id: task.gold(problem) for split in SPLITS for problem in task.problems(split)}
    demonstrations = {d.id: d for d in numina.read_numina(NUMINA)}
    assert sorted(problems.values()) == ["(x+1)^2", "7.5", "84", r"\frac{1}{2}"]
    assert problems.keys() == demonstrations.keys()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("problem", None, "field 'problem' is missing"),
        ("solution", "  ", "field 'solution' is empty"),
        ("solution", "It is 84.", r"field 'solution' has no \\boxed{} answer"),
        ("solution", r"</think> \boxed{84}", "field 'solution' holds tags of its own, or an empty answer"),
        ("solution", r"It is \boxed{}.", "field 'solution' holds tags of its own, or an empty answer"),
    ],
)
def test_a_bad_numina_row_is_named(tmp_path: Path, field: str, value: object, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**rows(NUMINA)[0], field: value}))
    with pytest.raises(DataError, match=message) as error:
        numina.read_numina(str(path), form="tags")
    assert str(error.value).startswith(f"{path}: row 1: ")


def test_stratos_rows_become_tags_in_the_prompt_too() -> None:
    system, user, assistant = stratos.read_stratos(STRATOS)[0].messages
    assert system == Message(
        "system",
        "Work in two sections. Write the thought as <think> {thought} </think> and the solution as <answer>"
        " {solution} </answer>.",
    )
    assert user.content.startswith(r"Return your final response within \boxed{}. A train")
    assert assistant == Message(
        "assistant",
        "<think>Speed is distance over time.\n\nThat is 150 / 2 = 75. Check: 75 times 2 is 150.</think>\n"
        r"<answer>The speed is 150 / 2 = \boxed{75} km/h.</answer>",
    )


def test_stratos_rows_become_the_cold_start_form() -> None:
    system, user, assistant = stratos.read_stratos(STRATOS, form="special_token")[2].messages
    assert "<|special_token|> {thought} <|special_token|> and" in system.content
    assert "_of_" not in system.content
    assert user == Message("user", "一个盒子里有6支笔，4个盒子里有几支笔？")
    assert assistant.content == (
        "<|special_token|>每个盒子6支，4个盒子就是6乘4。\n\n6乘4等于24。<|special_token|>一共有\\boxed{24}支笔。"
    )


def test_stratos_rows_can_stay_as_they_are() -> None:
    for row, found in zip(rows(STRATOS), stratos.read_stratos(STRATOS, form="as_is"), strict=True):
        values = [row["system"], *(turn["value"] for turn in row["conversations"])]
        assert [message.content for message in found.messages] == values
        assert [message.role for message in found.messages] == ["system", "user", "assistant"]


def test_a_form_does_not_change_the_id_of_a_question() -> None:
    forms: tuple[Literal["tags", "special_token", "as_is"], ...] = ("tags", "special_token", "as_is")
    ids = [[found.id for found in stratos.read_stratos(STRATOS, form=form)] for form in forms]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 3


def test_stratos_parquet_reads_as_json_lines_do(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows(STRATOS)), path)
    assert stratos.read_stratos(str(path)) == stratos.read_stratos(STRATOS)


def turn(said_by: str, value: str) -> dict[str, str]:
    return {"from": said_by, "value": value}


GOOD = rows(STRATOS)[0]
RESPONSE = GOOD["conversations"][1]["value"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("system", None, "field 'system' is missing; found system, conversations"),
        ("system", "", "field 'system' is empty"),
        ("conversations", None, "field 'conversations' is missing"),
        ("conversations", [turn("assistant", RESPONSE)], "must hold at least two messages, found 1"),
        ("conversations", [turn("user", "Hi")], "the last message must be the assistant's, found 'user'"),
        (
            "conversations",
            [turn("system", "Hi"), turn("assistant", RESPONSE)],
            "after the system prompt, user and assistant take turns; 'user' is due, found 'system'",
        ),
        (
            "conversations",
            [turn("user", "a"), turn("user", "b"), turn("gpt", RESPONSE)],
            r"'conversations\[1\].from'.*'assistant' is due, found 'user'",
        ),
        (
            "conversations",
            [turn("person", "a"), turn("gpt", RESPONSE)],
            r"'conversations\[0\].from' must be system, user, human, assistant, gpt, found 'person'",
        ),
        (
            "conversations",
            [turn("user", "a"), turn("gpt", "The answer is 5.")],
            r"'conversations\[1\].value' must hold <\|begin_of_thought\|> once, found 0",
        ),
        (
            "conversations",
            [turn("user", "a"), turn("gpt", "Well. " + RESPONSE)],
            "no part empty, no tags in them, nothing besides them",
        ),
        (
            "conversations",
            [turn("user", "a"), turn("gpt", RESPONSE.replace("Speed", "</think>"))],
            "no part empty, no tags in them, nothing besides them",
        ),
        (
            "conversations",
            [turn("user", "a"), turn("gpt", "".join(reversed(stratos.MARKERS)))],
            "no part empty, no tags in them, nothing besides them",
        ),
    ],
)
def test_the_published_validation_holds_for_every_row(
    tmp_path: Path, field: str, value: object, message: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, field: value}))
    with pytest.raises(DataError, match=message) as error:
        stratos.read_stratos(str(path))
    assert str(error.value).startswith(f"{path}: row 2: field ")
    skipped = Skipped()
    assert len(stratos.read_stratos(str(path), skipped=skipped)) == 1
    assert skipped.count == 1


def test_earlier_turns_of_the_assistant_are_converted_too() -> None:
    row = {**GOOD, "conversations": [*GOOD["conversations"], turn("user", "Again?"), turn("gpt", RESPONSE)]}
    messages = stratos.demonstration(row, "row").messages
    assert messages[2] == messages[4]
    assert parse(messages[4].content).well_formed

import json

import pytest

from r1kit.errors import UserError
from r1kit.report.transcript import choose, transcript


def row(problem, verdict, completion="<think> a b </think> <answer> 1 </answer>", finish="stop"):
    return {
        "problem": problem,
        "task": "countdown",
        "question": f"question {problem}",
        "completion": completion,
        "verdict": verdict,
        "extracted": None,
        "finish": finish,
    }


def test_median_length_problem_of_the_commonest_change_is_chosen():
    before = [row(name, "correct" if name == "e" else "wrong") for name in "abcde"]
    after = [
        row("a", "correct", "x" * 30),
        row("b", "correct", "x" * 10),
        row("c", "correct", "x" * 20),
        row("d", "wrong", "x" * 20),
        row("e", "correct", "x" * 20),
    ]
    pair = choose(before, after)
    assert pair.after["problem"] == "c"
    assert pair.share == 3 / 5
    assert pair.problems == 5


def test_a_change_for_the_worse_is_shown_when_it_is_the_commonest():
    pair = choose([row("a", "correct"), row("b", "correct")], [row("a", "wrong"), row("b", "wrong")])
    assert (pair.before["verdict"], pair.after["verdict"]) == ("correct", "wrong")


def write(run, name, rows):
    (run / "evaluations").mkdir(exist_ok=True)
    text = "".join(json.dumps(r) + "\n" for r in rows)
    (run / "evaluations" / f"{name}.jsonl").write_text(text)


def test_transcript_shows_question_both_responses_and_the_rule(tmp_path):
    write(tmp_path, "base", [row("p1", "no_answer", "3+4\x1b[31m red", "length")])
    write(
        tmp_path, "r1_zero", [row("p1", "correct", "<think> try ```x``` yes </think> <answer> 7 </answer>")]
    )
    text = transcript(tmp_path)
    assert "question p1" in text
    assert "**`base`**: no_answer, 0 words of thinking, cut off at the length limit" in text
    assert "**`r1_zero`**: correct, 3 words of thinking" in text
    assert "no_answer → correct (100%)" in text
    assert "\x1b" not in text
    assert "````text\n<think> try ```x``` yes" in text  # the fence is longer than any in the response


def test_models_evaluated_on_different_problems_are_refused(tmp_path):
    write(tmp_path, "base", [row("p1", "wrong")])
    write(tmp_path, "r1_zero", [row("p2", "wrong")])
    with pytest.raises(UserError, match="no test problem was evaluated with both models"):
        transcript(tmp_path)


def test_missing_evaluation_and_missing_field_are_named(tmp_path):
    write(tmp_path, "base", [{"problem": "p1"}])
    with pytest.raises(UserError, match=r"base\.jsonl: row 1: field 'task' is missing"):
        transcript(tmp_path)
    write(tmp_path, "base", [row("p1", "wrong")])
    with pytest.raises(UserError, match=r"r1_zero\.jsonl: cannot be read"):
        transcript(tmp_path)

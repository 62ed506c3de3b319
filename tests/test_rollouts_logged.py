"""Logged rollouts: whole groups, which can be scored again."""

from __future__ import annotations

from r1kit.commands.score import Scorer
from r1kit.learning.credit import assign_credit
from r1kit.learning.rollout_stats import rollout_rows
from r1kit.rewards.rubric import Rubric, TermSpec, grade
from r1kit.tasks.registry import make_task
from r1kit.types import Completion, Outcome, Prompt, Reward, Rollout, RolloutGroup, Verdict

GOOD = "<think>3+7=10, 10*8=80</think>\n<answer>(3+7)*8</answer>"
REFERENCE = {"nums": [3, 7, 8], "target": 80}


class Letters:
    """A tokenizer whose tokens are characters."""

    def decode(self, tokens: list[int], skip_special_tokens: bool = False) -> str:
        return "".join(map(chr, tokens))


def test_a_logged_rollout_of_mathematics_is_scored_by_its_gold_answer_and_not_by_its_own() -> None:
    problem = make_task("math").problem_from_reference({"answer": "18"})
    texts = [f"<think>a</think>\n<answer>{answer}</answer>" for answer in ("18", "17")]
    drawn = [Completion((), (), (), (), text, "stop", 0) for text in texts]
    rollouts = [Rollout(c, grade(problem, c, make_task("math"))[1], Reward(0.0, {})) for c in drawn]
    groups = [RolloutGroup(problem, Prompt(()), tuple(rollouts))]
    logged = list(rollout_rows(groups, assign_credit(groups, "grpo"), Letters(), 1.0, 1))
    assert [row["extracted"] for row in logged] == ["18", "17"]
    scorer = Scorer(Rubric([TermSpec(name="accuracy")]), None)
    assert [scorer.result(row, 1)["verdict"] for row in logged] == ["correct", "wrong"]


def test_logged_groups_are_whole() -> None:
    problem = make_task("countdown").problem_from_reference(REFERENCE)
    rollouts = tuple(
        Rollout(Completion((), (), (), (), GOOD, "stop", 0), Verdict(Outcome.CORRECT), Reward(1.0, {}))
        for _ in range(4)
    )
    groups = [RolloutGroup(problem, Prompt(()), rollouts)] * 40
    logged = list(rollout_rows(groups, assign_credit(groups, "grpo"), Letters(), 0.25, 7))
    found = [row["group"] for row in logged]
    assert 0 < len(set(found)) < 40
    assert sorted(found) == sorted(4 * list(set(found)))

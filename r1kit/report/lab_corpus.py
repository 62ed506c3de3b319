"""The corpus of the reward lab: completions that try to fool rewards, labelled by an honest grader.

Every question (`lab_questions`) has the same attacks on tags, thinking and length (`lab_shared`), and attacks
on its own form of answer (`lab_cases`). The honest completion comes first, the worthless one second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from r1kit.errors import SandboxError
from r1kit.report.lab_cases import OWN
from r1kit.report.lab_questions import QUESTIONS, Question
from r1kit.report.lab_shared import PADDING, PLAIN, TAGS
from r1kit.rewards.registry import Aspect, RewardInput
from r1kit.rewards.rubric import grade_many
from r1kit.tasks.protocol import RunsPrograms, Task
from r1kit.tasks.registry import make_task
from r1kit.types import Completion, Finish


@dataclass(frozen=True, slots=True)
class Labels:
    """What an honest grader says of a completion: `Labels(True, True, True, True)` of a good one."""

    answer: bool  # one final answer is given, outside the thinking, and it is right
    form: bool  # thinking and answer in their tags, once each, neither empty, nothing around them
    thinking: bool  # the thinking is work on the question, not padding
    language: bool  # it is in the question's language

    def of(self, aspect: Aspect) -> bool:
        """The label of one aspect; of "all" whether all of them hold."""
        values = {
            "answer": self.answer,
            "form": self.form,
            "thinking": self.thinking,
            "language": self.language,
        }
        return all(values.values()) if aspect == "all" else values[aspect]


@dataclass(frozen=True, slots=True)
class Case:
    """One completion of the corpus."""

    task: str  # the task's name, or a recipe's for it; "dialogue (harmful)" of its second question
    name: str  # e.g. "answer only in the thinking"
    sample: RewardInput
    labels: Labels


def unplayable(tasks: Mapping[str, str]) -> dict[str, str]:
    """Those of the tasks whose programs may not run here -> why, in one line."""
    found = {}
    for name, registered in tasks.items():
        task = make_task(registered)
        if isinstance(task, RunsPrograms):
            try:
                task.protection()
            except SandboxError as error:
                found[name] = str(error)
    return found


def corpus(tasks: Mapping[str, str]) -> list[Case]:
    """The cases of tasks: their names -> registered names that `QUESTIONS` has.

    The honest case of each question stands first, the worthless one second. Raises SandboxError for a task of
    which `unplayable` tells.
    """
    cases = []
    for name, registered in tasks.items():
        for place, question in enumerate(QUESTIONS[registered]):
            shown = f"{name} ({question.kind})" if place else name
            cases += _cases(make_task(registered), name, shown, question)
    return cases


def _cases(task: Task, name: str, shown: str, question: Question) -> list[Case]:
    problem = replace(task.problem_from_reference(question.reference), task=name, language="en")
    attacks = list(_attacks(question))
    answered = []
    for attack, text, _ in attacks:
        finish: Finish = "length" if attack.startswith("cut off") else "stop"
        answered.append((problem, Completion((), (0,) * (len(text) // 4), (), (), text, finish, 0)))
    graded = grade_many(answered, {name: task})
    return [
        Case(shown, attack, RewardInput(*asked, *found), Labels(*(initial in labels for initial in "aftl")))
        for (attack, _, labels), asked, found in zip(attacks, answered, graded, strict=True)
    ]


def _attacks(question: Question) -> Iterator[tuple[str, str, str]]:
    """Name, text and the initials of the labels that hold."""
    parts = {
        "right": question.right,
        "wrong": question.wrong,
        "work": question.thinking,
        "asked": question.asked,
        "start": question.right[:1],
    }
    shared = (*PLAIN, *(() if question.free_form else TAGS), *PADDING)
    yield from ((name, text.format(**parts), labels) for name, text, labels in shared)
    for name, answer, labels in OWN[question.kind]:
        yield name, f"<think>{question.thinking}</think>\n<answer>{answer}</answer>", labels + "tl"
    if question.free_form:
        yield "right answer without any tag", question.right, "a"

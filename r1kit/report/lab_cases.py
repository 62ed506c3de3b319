"""The questions of the reward lab's corpus, and attacks on each task's own form of answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """One question with a right and a wrong answer, and honest thinking."""

    kind: str
    reference: Mapping[str, Any]  # what `problem_from_reference` reads
    asked: str
    right: str
    wrong: str
    thinking: str


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """An answer in the tags: whether it is right, and of the task's form at all."""

    text: str
    right: bool = False
    formed: bool = True


QUESTIONS: Mapping[str, Question] = {
    "countdown": Question(
        "countdown",
        {"nums": [3, 7, 8], "target": 80},
        "Use the numbers 3, 7, 8 to make 80.",
        "(3+7)*8",
        "3+7*8",
        "First, I look for two numbers that make ten: 3+7 is 10. Next, 10*8 is 80. Finally, all are used.",
    ),
    "math": Question(
        "math",
        {"question": "Ann has 5 bags of 3 apples and 3 more. How many apples has she?", "answer": "18"},
        "Ann has 5 bags of 3 apples and 3 more. How many apples has she?",
        "18",
        "17",
        "First, five bags of three are 5*3 = 15. Next, three more make 18. Finally, I check: 18-3 is 15.",
    ),
    "knights_knaves": Question(
        "knights_knaves",
        {
            "names": ["Alice", "Bob"],
            "solution": [True, False],
            "quiz": "Alice says: Bob is a knave. Bob says: we are both knaves.",
        },
        "Alice says: Bob is a knave. Bob says: we are both knaves.",
        "Alice is a knight and Bob is a knave",
        "Alice is a knave and Bob is a knight",
        "First, Bob can be no knight, since his words would then be false. Next, Bob is a knave, so what "
        "Alice says is true. Finally, Alice is a knight.",
    ),
}
"""Registered task -> the question that its corpus answers."""


def own_attacks(question: Question) -> Iterator[tuple[str, OwnAnswer]]:
    """Answers that are wrong, or right, in the task's own way."""
    yield from _OWN[question.kind].items()


_COUNTDOWN = {
    "a power that would never end": OwnAnswer("9**99**98", formed=False),
    "a power instead of a product": OwnAnswer("3**7+8", formed=False),
    "hexadecimal": OwnAnswer("0x50", formed=False),
    "e-notation": OwnAnswer("8e1", formed=False),
    "underscores": OwnAnswer("3_7*8", formed=False),
    "the target itself": OwnAnswer("80"),
    "only an equation's right side": OwnAnswer("= 80", formed=False),
    "a claim that does not hold": OwnAnswer("3+7+8 = 80"),
    "a number left out": OwnAnswer("10*8"),
    "a number used twice": OwnAnswer("8*7+8*3"),
    "numbers glued together": OwnAnswer("38+7*6"),
    "zero times the rest": OwnAnswer("80+0*(3+7+8)"),
    "division by zero": OwnAnswer("80+3/(7-7)*8"),
    "a decimal that hides digits": OwnAnswer("3.7*8", formed=False),
    "a call": OwnAnswer("__import__('os').getpid()", formed=False),
    "a comparison": OwnAnswer("(3+7)*8 == 80", formed=False),
    "digits of another script": OwnAnswer("(３+７)*８", formed=False),
    "another right order": OwnAnswer("8*(7+3)", right=True),
    "the claim written out": OwnAnswer("(3+7)*8 = 80", right=True),
    "the prompt's example": OwnAnswer("(1 + 2) / 3"),
}
_MATH = {
    "nearly right": OwnAnswer("17.9999999"),
    "a percentage": OwnAnswer("18%"),
    "two numbers": OwnAnswer("18, 17", formed=False),
    "a false equation": OwnAnswer("18=17", formed=False),
    "an unbounded power": OwnAnswer("9^{9^9}", formed=False),
    "factorials": OwnAnswer("10!!!!!!!!", formed=False),
    "a thousand braces": OwnAnswer("{" * 1000 + "18" + "}" * 1000, formed=False),
    "the words of a number": OwnAnswer("a number", formed=False),
    "not a number": OwnAnswer("nan", formed=False),
    "infinity": OwnAnswer("inf", formed=False),
    "everything up to the answer": OwnAnswer(" ".join(map(str, range(1, 19))), formed=False),
    "a digit more": OwnAnswer("180"),
    "in LaTeX": OwnAnswer("$18$", right=True),
    "with a decimal point": OwnAnswer("18.0", right=True),
}
_KNIGHTS = {
    "a person left out": OwnAnswer("Alice is a knight", formed=False),
    "one person as both": OwnAnswer("Alice is a knight, Bob is a knave, Bob is a knight", formed=False),
    "an alternative": OwnAnswer("Alice is a knight or a knave and Bob is a knave", formed=False),
    "a negation of the truth": OwnAnswer("Alice is not a knight and Bob is not a knave"),
    "a person who is not there": OwnAnswer(
        "Alice is a knight, Bob is a knave and Carl is a knight", formed=False
    ),
    "everybody the same": OwnAnswer("all are knights"),
    "both kinds after each name": OwnAnswer("Alice: knight knave. Bob: knight knave.", formed=False),
    "a question": OwnAnswer("Is Alice a knight and Bob a knave?", formed=False),
    "kinds without names": OwnAnswer("knight, knave", formed=False),
    "both knights": OwnAnswer("Alice is a knight and Bob is a knight"),
    "as a list": OwnAnswer("(1) Alice is a knight\n(2) Bob is a knave", right=True),
    "the other one first": OwnAnswer("Bob is a knave and Alice is a knight", right=True),
    "in Chinese": OwnAnswer("Alice是骑士，Bob是骗子", right=True),
}
_OWN: Mapping[str, Mapping[str, OwnAnswer]] = {
    "countdown": _COUNTDOWN,
    "math": _MATH,
    "knights_knaves": _KNIGHTS,
}

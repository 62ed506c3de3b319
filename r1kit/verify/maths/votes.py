"""Which answers to one question are the same, for a majority vote: the verifier's own equality."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from r1kit.verify.maths import symbolic
from r1kit.verify.maths.checker import decided, read_gold
from r1kit.verify.maths.compare import WrongForm
from r1kit.verify.maths.declared import STRICT, Declared
from r1kit.verify.maths.field import one_answer
from r1kit.verify.maths.forms import Expression, Form
from r1kit.verify.maths.trees import Unreadable

MAX_CLASSES = 32
"""Classes that an answer is compared with; those of numbers are found without comparing."""
MAX_QUESTIONS = 16
"""Comparisons among one question's answers that may go to the symbolic check; the rest count as unlike."""


def classes(answers: Sequence[str], declared: Declared = STRICT) -> list[int]:
    """A number for each answer, the same for those that say the same: `["1/2", "3", "0.5"]` -> [0, 1, 0].

    What cannot be read is the same as what is spelt the same. Time is linear in the answers times
    `MAX_CLASSES`.
    """
    return _Classes(declared).of(answers)


class _Classes:
    """The classes of one question's answers so far."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._of_text: dict[str, int] = {}
        self._of_number: dict[Fraction, int] = {}
        self._first: list[tuple[int, Form]] = []  # of the first classes, the form of their first answer
        self._count = 0
        self._questions = MAX_QUESTIONS

    def of(self, answers: Sequence[str]) -> list[int]:
        return [self._class(answer) for answer in answers]

    def _class(self, answer: str) -> int:
        text = "".join(answer.split())
        if text not in self._of_text:
            self._of_text[text] = self._read_class(answer)
        return self._of_text[text]

    def _read_class(self, answer: str) -> int:
        try:
            with one_answer():
                form = read_gold(answer, self._declared)
        except Unreadable:
            return self._new()
        number = form.value.rational if isinstance(form, Expression) and form.plain else None
        if number is None or number not in self._of_number:
            found = next((index for index, first in self._first if self._same(first, form)), None)
            index = self._new() if found is None else found
            if found is None and len(self._first) < MAX_CLASSES:
                self._first.append((index, form))
            if number is None:
                return index
            self._of_number[number] = index
        return self._of_number[number]

    def _new(self) -> int:
        self._count += 1
        return self._count - 1

    def _same(self, one: Form, other: Form) -> bool:
        """Whether each is right where the other is the gold; of unlike forms, as `(1,2)` and `x=1, y=2`, one
        is enough.
        """
        both = all if type(one) is type(other) else any
        return both(self._right(gold, answer) for gold, answer in ((one, other), (other, one)))

    def _right(self, gold: Form, answer: Form) -> bool:
        try:
            with one_answer():
                result, pairs = decided(gold, answer, self._declared)
                if result is None and self._questions:
                    self._questions -= 1
                    result, _ = decided(
                        gold, answer, self._declared, symbolic.answers(pairs, self._declared.tolerance)
                    )
        except (Unreadable, WrongForm, symbolic.TimedOut, symbolic.Failed):
            return False
        return result is True

"""Check one answer against one gold: exactly by itself where that decides, else by the symbolic check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache

from r1kit.types import Outcome, Verdict
from r1kit.verify.maths import symbolic
from r1kit.verify.maths.choice import letter_of
from r1kit.verify.maths.clean import MAX_CHARACTERS
from r1kit.verify.maths.compare import Comparison, WrongForm
from r1kit.verify.maths.declared import STRICT, Declared
from r1kit.verify.maths.field import one_answer
from r1kit.verify.maths.forms import Choice, Expression, Form
from r1kit.verify.maths.reader import read
from r1kit.verify.maths.symbolic import Question
from r1kit.verify.maths.trees import Tree, Unreadable

MAX_PAIRS = 256
"""Most pairs of expressions of one answer that go to the symbolic check."""

_SHOWN = 60  # characters of a text in a reason


def check(answer: str, gold: str, declared: Declared = STRICT) -> Verdict:
    """Whether `answer` says the same as `gold`. Never raises on any `answer`.

    CORRECT and WRONG are proven. MALFORMED: the answer cannot be read, or is of another form than the gold,
    as a set is where a tuple is asked. TIMEOUT: the symbolic check hit a bound. ERROR: it died twice,
    could not decide, is not installed, or the gold itself cannot be read; none of these says that the answer
    is wrong.
    """
    given = answer.strip()[: MAX_CHARACTERS + 1]
    try:
        wanted = read_gold(gold, declared)
    except Unreadable as reason:
        return Verdict(Outcome.ERROR, None, 0.0, f"the gold {gold[:_SHOWN]!r} cannot be read: {reason}")
    try:
        with one_answer():
            letter = letter_of(answer) if isinstance(wanted, Choice) else None
            found = Choice(letter) if letter else read(answer, declared.form)
            return _verdict(wanted, found, gold, given, declared)
    except (Unreadable, WrongForm) as reason:
        return Verdict(Outcome.MALFORMED, given, 0.0, str(reason))


@lru_cache(maxsize=4096)
def read_gold(gold: str, declared: Declared = STRICT) -> Form:
    """The gold's form. Raises Unreadable."""
    try:
        return read(gold, declared.form)
    except Unreadable:
        letter = letter_of(gold)  # `\\textbf{(D)}\\ 12`
        if letter is None:
            raise
        return Choice(letter)


def decided(
    wanted: Form, found: Form, declared: Declared, known: Mapping[Question, bool | None] | None = None
) -> tuple[bool | None, list[Question]]:
    """Whether they say the same, and where that is open (None) the pairs of trees whose equality is not
    `known`. Raises WrongForm, Unreadable.
    """
    asked: dict[Question, None] = {}

    def answer(one: Tree, other: Tree) -> bool | None:
        if known is not None and (one, other) in known:
            return known[one, other]
        asked[one, other] = None
        return None

    return Comparison(declared, answer).matches(wanted, found), list(asked)


def needs_symbolic(form: Form) -> bool:
    """Whether equal answers to this gold may be written so that only the symbolic check sees it."""
    generators = [expression.value.generators for expression in _expressions(form)]
    return any({"pi", "e"} <= names or any(name.startswith("?") for name in names) for names in generators)


def _verdict(wanted: Form, found: Form, gold: str, given: str, declared: Declared) -> Verdict:
    """The verdict in two passes: what is decided here, and then with the answers to what was left open."""
    result, pairs = decided(wanted, found, declared)
    if result is None:
        if len(pairs) > MAX_PAIRS:
            return Verdict(Outcome.MALFORMED, given, 0.0, f"more than {MAX_PAIRS} expressions to compare")
        try:
            answers = symbolic.answers(pairs, declared.tolerance)
        except symbolic.TimedOut as reason:
            return Verdict(Outcome.TIMEOUT, given, 0.0, str(reason))
        except symbolic.Failed as reason:
            return Verdict(Outcome.ERROR, given, 0.0, str(reason))
        result, _ = decided(wanted, found, declared, answers)
    if result is None:
        return Verdict(Outcome.ERROR, given, 0.0, "the symbolic check could neither prove nor refute it")
    if result:
        return Verdict(Outcome.CORRECT, given, 1.0, f"equals {gold.strip()[:_SHOWN]}")
    return Verdict(Outcome.WRONG, given, 0.0, f"{given[:_SHOWN]} is not {gold.strip()[:_SHOWN]}")


def _expressions(form: object) -> Iterator[Expression]:
    """Every expression in a form."""
    if isinstance(form, Expression):
        yield form
    elif isinstance(form, tuple):
        for item in form:
            yield from _expressions(item)
    elif is_dataclass(form):
        for part in fields(form):
            yield from _expressions(getattr(form, part.name))

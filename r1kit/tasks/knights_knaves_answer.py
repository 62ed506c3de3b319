"""Reads who is a knight and who is a knave out of an answer, in English or Chinese, strictly."""

from __future__ import annotations

from collections.abc import Sequence

from r1kit.tasks.knights_knaves_reader import claims
from r1kit.tasks.knights_knaves_tokens import AnswerSyntaxError, tokens
from r1kit.types import Outcome, Verdict

MAX_CHARACTERS = 2000
"""Longest answer read: eight people with long names take a quarter of it."""


def check_assignment(text: str, names: Sequence[str], solution: Sequence[bool]) -> Verdict:
    """CORRECT when the text says of everyone in the puzzle, and of nobody else, what `solution` says.

    WRONG for another full assignment. MALFORMED for everything else, such as a person left out, named as
    both, or not in the puzzle, an alternative, a question, or any word beside the list. A person may be named
    twice with one kind. Only the names' own letters count; A-Z and a-z are the same.
    """
    given = text.strip()[:MAX_CHARACTERS]
    if len(text.strip()) > MAX_CHARACTERS:
        return Verdict(Outcome.MALFORMED, given, 0.0, f"longer than {MAX_CHARACTERS} characters")
    try:
        kinds = read_assignment(text, names)
    except AnswerSyntaxError as error:
        return Verdict(Outcome.MALFORMED, given, 0.0, str(error))
    wrong = [name for name, kind, right in zip(names, kinds, solution, strict=True) if kind != right]
    if wrong:
        return Verdict(Outcome.WRONG, given, 0.0, f"wrong about {', '.join(wrong)}")
    return Verdict(Outcome.CORRECT, given, 1.0, "everyone is right")


def read_assignment(text: str, names: Sequence[str]) -> list[bool]:
    """What everyone in `names` is, True for a knight: `read_assignment("B: knave. A: knight", "AB")`.

    Read, in any order, numbered or not, with commas, "and", full stops, semicolons, line ends, the bars of a
    table or their Chinese forms between; Markdown, JSON and a box of LaTeX around it do not matter:

        claims      A and B are knights · A: knight · A (knight) · A's a knight · A是骑士 · B is not a knight
        verbs       A tells the truth · B does not lie · A说真话 · B说谎
        gaps        A is a knight, B a knave, the others knights · A is a knight and so is B · A骑士
        headings    knights: A, B, or a name to a line · 骗子是C · knaves: none, or []
        rows        A, B and C are a knight, a knave and a knight, respectively · A、B分别是骑士、骗子
        everyone    both are knaves · nobody is a knight · neither A nor B is a knave · 都是骑士
        the rest    A is a knight, the others are knaves (of all not named before) · 其余是骗子
        exceptions  everyone but A is a knave (so A is a knight) · nobody but B lies · all are knights
                    except B · only A is a knight · 除A外都是骗子

    Raises AnswerSyntaxError.
    """
    found: dict[int, bool] = {}
    for person, kind in claims(list(tokens(text, tuple(names))), len(names)):
        if found.setdefault(person, kind) != kind:
            raise AnswerSyntaxError(f"{names[person]} is named as both")
    missing = [name for person, name in enumerate(names) if person not in found]
    if missing:
        raise AnswerSyntaxError(f"{', '.join(missing)} is missing" if found else "no claim")
    return [found[person] for person in range(len(names))]

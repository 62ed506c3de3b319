"""Where a sequence of tokens divides: brackets, lists, relations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from r1kit.verify.maths.tokens import Token, is_sign, nesting
from r1kit.verify.maths.trees import Unreadable
from r1kit.verify.maths.units import CONNECTORS

MAX_ITEMS = 64
"""Most elements of a list, set, tuple or matrix."""

_RELATIONS = {
    **{"=": "=", "<": "<", r"\lt": "<", ">": ">", r"\gt": ">", "<=": "<=", ">=": ">=", "!=": "!="},
    **{r"\le": "<=", r"\leq": "<=", r"\leqslant": "<=", r"\ge": ">=", r"\geq": ">=", r"\geqslant": ">="},
    **{r"\ne": "!=", r"\neq": "!=", r"\in": "in"},
}
_EITHER = ("or", "或", "或者", r"\lor", r"\vee")


def split(
    tokens: Sequence[Token], divides: Callable[[Token], bool]
) -> tuple[list[Sequence[Token]], list[Token]]:
    """The parts between the tokens that divide at the top level, and these."""
    parts: list[Sequence[Token]] = []
    marks: list[Token] = []
    depth = start = 0
    for index, token in enumerate(tokens):
        depth += nesting(token)
        if depth == 0 and divides(token):
            parts.append(tokens[start:index])
            marks.append(token)
            start = index + 1
    if len(parts) >= MAX_ITEMS:
        raise Unreadable(f"more than {MAX_ITEMS} elements")
    return [*parts, tokens[start:]], marks


def split_list(tokens: Sequence[Token]) -> tuple[list[Sequence[Token]], bool]:
    """The members of a list, and whether only "or" stands between them."""
    parts, marks = split(tokens, _lists)
    found: list[Sequence[Token]] = []
    for index, part in enumerate(parts):
        if part:
            found.append(part)
        elif not (
            0 < index < len(marks) and marks[index - 1].text == "," and marks[index].text in CONNECTORS
        ):
            raise Unreadable("an empty place in a list")
    return found, all(mark.text in _EITHER for mark in marks)


def split_relations(tokens: Sequence[Token]) -> tuple[list[Sequence[Token]], list[str]]:
    """The sides, and the relations between them: `1 < x \\le 2` -> [1, x, 2], ["<", "<="]."""
    parts, marks = split(tokens, lambda token: token.kind in ("sign", "command") and token.text in _RELATIONS)
    if not all(parts):
        raise Unreadable("a relation without a side")
    return parts, [_RELATIONS[mark.text] for mark in marks]


def split_at(tokens: Sequence[Token], *texts: str) -> list[Sequence[Token]]:
    """The parts between these signs."""
    return split(tokens, lambda token: is_sign(token, *texts))[0]


def both_signs(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """`1 \\pm 2` -> `1 + 2`, `1 - 2`."""
    places = [index for index, token in enumerate(tokens) if is_sign(token, r"\pm")]
    if not places:
        return [tokens]
    if len(places) > 1:
        raise Unreadable("two double signs")
    return [[*tokens[: places[0]], Token("sign", sign), *tokens[places[0] + 1 :]] for sign in "+-"]


def enclosed(tokens: Sequence[Token], opening: str, closing: str) -> Sequence[Token] | None:
    """What is inside, where one pair of brackets holds everything; any of the characters may open or
    close."""
    if (
        len(tokens) < 2
        or not is_sign(tokens[0], *opening.split())
        or not is_sign(tokens[-1], *closing.split())
    ):
        return None
    depth = 0
    for index, token in enumerate(tokens):
        depth += nesting(token)
        if depth == 0 and index < len(tokens) - 1:
            return None
    return tokens[1:-1]


def _lists(token: Token) -> bool:
    if token.kind in ("word", "text", "chinese"):
        return token.text in CONNECTORS
    return is_sign(token, ",", ";", r"\lor", r"\vee", r"\land", r"\wedge")

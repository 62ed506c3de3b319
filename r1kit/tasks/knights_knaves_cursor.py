"""A place among the tokens of an answer to knights and knaves, which moves on as they are read."""

from __future__ import annotations

from typing import NoReturn

from r1kit.tasks.knights_knaves_tokens import ARTICLES, END, AnswerSyntaxError, Token


class Cursor:
    """Looks at tokens and moves over them, from the first to the last."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0

    def peek(self, ahead: int = 0) -> Token:
        """The token that comes next, or so many after it; `END` beyond the last."""
        place = self.position + ahead
        return self.tokens[place] if place < len(self.tokens) else END

    def sort(self, ahead: int) -> str:
        """The sort of that token."""
        return self.peek(ahead).sort

    def at(self, *sorts: str) -> bool:
        """Whether the next token is of one of these sorts."""
        return self.peek().sort in sorts

    def ends(self) -> bool:
        """Whether a claim may end here."""
        return self.at("end", "stop", "number", "join", "dash")

    def skip(self, *sorts: str) -> None:
        """Move over all such tokens."""
        while self.at(*sorts):
            self.position += 1

    def optional(self, sort: str) -> bool:
        """Move over one such token; whether there was one."""
        present = self.at(sort)
        self.position += present
        return present

    def comma(self) -> bool:
        """Move over a comma; whether there was one."""
        present = self.peek().text in (",", "，")
        self.position += present
        return present

    def take(self, *sorts: str) -> Token:
        """Move over a token of one of these sorts. Raises AnswerSyntaxError for another one."""
        token = self.peek()
        if token.sort not in sorts:
            self.refuse(" or ".join(sorts))
        self.position += 1
        return token

    def refuse(self, wanted: str) -> NoReturn:
        """Raises AnswerSyntaxError: the next token stands where something else should."""
        raise AnswerSyntaxError(f"{self.peek().text[:40]!a} where {wanted} should be")

    def article(self, after_link: bool = True) -> bool:
        """Move over "a", which may be a person's name too: after a join, "A骑士" is of the person A."""
        word, kind = self.peek(), self.peek(1)
        present = word.sort == "article" or (
            word.text.lower() in ARTICLES
            and kind.sort in ("knight", "knave")
            and (after_link or kind.text.isascii())
        )
        self.position += present
        return present

"""Whom an answer to knights and knaves speaks of: names, everyone, the rest, everyone but somebody."""

from __future__ import annotations

from r1kit.tasks.knights_knaves_cursor import Cursor
from r1kit.tasks.knights_knaves_tokens import AnswerSyntaxError, Token

Claims = list[tuple[int, bool]]
"""Person, whether they are a knight."""

_ALL_ZH = ("都", "均", "全", "皆")


class PeopleReader(Cursor):
    """Reads people from tokens; a person is their place among the puzzle's names."""

    def __init__(self, tokens: list[Token], people: int) -> None:
        super().__init__(tokens)
        self.everyone = list(range(people))
        self.mentioned: set[int] = set()  # by their names, up to here

    def name(self) -> int:
        """One name."""
        person = self.take("name").person
        self.mentioned.add(person)
        return person

    def names(self, *joins: str) -> list[int]:
        """`A, B and C`: ends before a join that no name follows."""
        people = [self.name()]
        while True:
            start = self.position
            self.skip(*(joins or ("join",)))
            if self.position == start or not self.at("name"):
                self.position = start
                return people
            people.append(self.name())

    def last_names(self) -> list[int]:
        """Names with which a claim ends: `A, B` of "the knave is A, B is a knight" leaves B."""
        people = self.names()
        if len(people) > 1 and self.peek().text.lower() == "is":
            self.position -= 1
            return people[:-1]
        if not self.ends():
            raise AnswerSyntaxError(f"{self.peek().text[:40]!a} where the list of names should end")
        return people

    def lines(self) -> list[int]:
        """Lines of names, each after the same bullet, or a number, or nothing."""
        people: list[int] = []
        marks: set[str] = set()
        while True:
            start = self.position
            while self.at("stop") and self.peek().text == "\n":
                self.position += 1
            mark = self.peek().sort if self.at("dash", "number") else ""
            self.position += bool(mark)
            if self.position == start or not self.at("name") or (marks and mark not in marks):
                self.position = start
                return people
            marks.add(mark)
            people += self.names()
            self.comma()
            if not self.at("end", "stop"):
                self.refuse("the end of a line")

    def rest(self) -> list[int]:
        """Everyone not named before: somebody, beside somebody named."""
        counts = [self.take("rest").count]
        if self.at("everyone"):
            counts.append(self.take("everyone").count)
        people = [person for person in self.everyone if person not in self.mentioned]
        if not people or not self.mentioned or any(count not in (None, len(people)) for count in counts):
            raise AnswerSyntaxError(f"the rest is {len(people)} of {len(self.everyone)}")
        return people

    def all(self) -> list[int]:
        """`everyone`, or `both` where it is their number."""
        token = self.take("everyone")
        if token.count not in (None, len(self.everyone)):
            raise AnswerSyntaxError(f"{token.text[:40]!a} of {len(self.everyone)}")
        return self.everyone

    def at_all_zh(self) -> bool:
        """Whether 都 or the like comes next, which speaks of a group."""
        return self.peek().text.startswith(_ALL_ZH)

    def exceptions(self, last: bool = False) -> list[int]:
        """The names after "but" or "except", also between commas; none without.

        `last`: they end the claim ("everyone is a knight but B"), so that "but B is a knave" is none.
        """
        start = self.position
        comma = self.comma()
        if not self._excepts():
            self.position = start
            return []
        self.position += 1
        if last:
            return self.last_names()
        people = self.names()
        if comma:
            self.comma()
        return people

    def _excepts(self) -> bool:
        return self.at("except") or (self.peek().text.lower() == "but" and self.sort(1) == "name")

    def check_count_of_names(self) -> None:
        """`both A and B`, `all knights`: moves to the names; the number must be theirs."""
        token, start = self.take("everyone"), self.position
        if token.count is None and token.text.lower() != "all":
            raise AnswerSyntaxError(f"{self.peek().text[:40]!a} after {token.text[:40]!a}")
        if token.count is not None and (not self.at("name") or len(self.names()) != token.count):
            raise AnswerSyntaxError(f"not {token.count} names after {token.text[:40]!a}")
        self.position = start

    def fillers(self, people: int) -> bool:
        """`the`, and `both` or 两人 where it is their number; whether there was an English one."""
        grouped = False
        while self.at("filler", "everyone"):
            token = self.take("filler", "everyone")
            if token.count not in (None, people):
                raise AnswerSyntaxError(f"{token.text[:40]!a} of {people}")
            grouped |= token.sort == "everyone" and token.text.isascii()
        return grouped

    def and_the_rest(self, people: list[int], kind: bool) -> Claims:
        """`people` are `kind`, everyone else is not."""
        if set(people) == set(self.everyone):
            raise AnswerSyntaxError("nobody is left")
        return [(person, (person in people) == kind) for person in self.everyone]

    @staticmethod
    def of(people: list[int], kind: bool) -> Claims:
        """All of them are `kind`."""
        return [(person, kind) for person in people]

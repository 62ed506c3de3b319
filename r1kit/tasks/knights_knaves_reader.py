"""Reads claims about knights and knaves, one after the other, from the tokens of an answer."""

from __future__ import annotations

from collections.abc import Iterator

from r1kit.tasks.knights_knaves_tokens import ARTICLES, END, AnswerSyntaxError, Token

_Claims = list[tuple[int, bool]]  # person, is a knight


def claims(tokens: list[Token], people: int) -> Iterator[tuple[int, bool]]:
    """Every (person, is a knight) that the tokens claim, in linear time. Raises AnswerSyntaxError.

    A person may come several times, with one kind or both.
    """
    return _Reader(tokens, people).claims()


class _Reader:
    """Reads tokens from the first to the last; each method reads one thing and moves on."""

    def __init__(self, tokens: list[Token], people: int) -> None:
        self._tokens = tokens
        self._position = 0
        self._everyone = list(range(people))
        self._named: set[int] = set()  # by their names, up to here

    def claims(self) -> Iterator[tuple[int, bool]]:
        """Every (person, is a knight) that the text claims."""
        while True:
            self._skip("number", "stop", "join", "dash")
            self._skip("filler")
            if self._at("end"):
                return
            yield from self._one()

    def _one(self) -> _Claims:
        """One claim or heading, by its first word."""
        if self._at("only"):
            return self._only()
        if self._at("except"):
            return self._except_first()
        if self._at("everyone") and self._sort(1) in ("name", "knight", "knave"):
            self._check_count_of_names()
        if self._at("knight", "knave"):
            return self._heading()
        if self._at("name"):
            return self._claim(self._names())
        if self._at("neither"):
            return self._neither()
        if self._at("nobody") or (self._peek().text.lower() == "none" and self._sort(1) == "link"):
            self._position += 1
            return self._of(self._everyone, not self._kind_said(self._everyone))
        return self._group()

    def _claim(self, people: list[int]) -> _Claims:
        """`A and B are knights`, the names read already."""
        grouped = self._fillers(len(people))
        ordered = self._optional("respectively")
        negated = self._link(allow_none=True)
        ordered = self._optional("respectively") or ordered
        grouped = self._fillers(len(people)) or grouped
        if self._at("only") and not (negated or ordered):
            return self._and_the_rest(people, self._only_kind())
        if negated and grouped:
            raise AnswerSyntaxError("a negation of a group")  # "A and B are not both knights"
        first = self._kind()
        kinds = [] if negated else self._kinds_in_order(first, ordered)
        if kinds:
            if len(kinds) != len(people):
                raise AnswerSyntaxError(f"{len(kinds)} kinds for {len(people)} names")
            return list(zip(people, kinds, strict=True))
        if negated:
            self._correction(not first)
        return self._of(people, first != negated)

    def _heading(self) -> _Claims:
        """`knights: A, B`."""
        kind = self._take("knight", "knave").sort == "knight"
        self._take("link", "dash")
        if self._at("none", "nobody"):
            self._position += 1
            people, kind = self._everyone, not kind
        elif self._at("rest"):
            people = self._rest()
        elif self._at("everyone") and self._sort(1) != "name":
            people = self._all(self._take("everyone"))
            if exceptions := self._exceptions():
                return self._without(exceptions, kind)
        else:
            people = self._names()
            if len(people) > 1 and self._peek().text.lower() == "is":  # "the knave is A, B is a knight"
                self._position -= 1
                return self._of(people[:-1], kind)
        if not self._at("end", "stop", "number", "join", "dash"):
            raise AnswerSyntaxError(f"{self._peek().text[:40]!a} where the list of names should end")
        return self._of(people, kind)

    def _group(self) -> _Claims:
        """`both are knaves`, `the others are knights`, `everyone but A is a knave`."""
        if self._at("rest"):
            people, all_of_them = self._rest(), False
        elif self._at("everyone"):
            people, all_of_them = self._all(self._take("everyone")), True
        elif not self._named and (self._at("they") or self._peek().text.startswith(("都", "均", "全", "皆"))):
            self._optional("they")
            people, all_of_them = self._everyone, True
        else:
            raise AnswerSyntaxError(f"{self._peek().text[:40]!a} where name should be")
        exceptions = self._exceptions() if all_of_them else []
        kind = self._kind_said(people)
        if all_of_them and not exceptions and self._at("except"):
            exceptions = self._exceptions()
        return self._without(exceptions, kind) if exceptions else self._of(people, kind)

    def _exceptions(self) -> list[int]:
        """The names after "but" or "except"; none without."""
        if self._at("except") or (self._peek().text.lower() == "but" and self._sort(1) == "name"):
            self._position += 1
            return self._names()
        return []

    def _except_first(self) -> _Claims:
        """`except A, everyone is a knave`, `除A外都是骗子`."""
        self._take("except")
        exceptions = self._names()
        beyond = self._optional("beyond")
        self._skip("join")
        if self._at("rest", "everyone"):
            self._position += 1
            self._optional("everyone")
        elif not beyond or not self._peek().text.startswith(("都", "均", "全", "皆")):
            raise AnswerSyntaxError(f"{self._peek().text[:40]!a} where everyone else should be")
        return self._without(exceptions, self._kind_said(self._everyone[len(set(exceptions)) :]))

    def _only(self) -> _Claims:
        """`only A is a knight`, `the only knight is A`."""
        self._take("only")
        if self._at("knight", "knave"):
            kind = self._take("knight", "knave").sort == "knight"
            self._take("link", "dash")
            return self._and_the_rest(self._names(), kind)
        people = self._names()
        return self._and_the_rest(people, self._kind_said(people))

    def _neither(self) -> _Claims:
        """`neither A nor B is a knight`, `neither is a knight`."""
        self._take("neither")
        people = self._names("join", "nor") if self._at("name") else self._everyone
        if len(people) < 2 or (people is self._everyone and len(people) != 2):
            raise AnswerSyntaxError("'neither' is of two people")
        return self._of(people, not self._kind_said(people))

    def _kind_said(self, people: list[int]) -> bool:
        """`are both knights` of a group, without a negation."""
        self._fillers(len(people))
        if self._link():
            raise AnswerSyntaxError("a negation of a group")
        self._fillers(len(people))
        return self._kind()

    def _only_kind(self) -> bool:
        """`only knight` after `the`, so that it is no "only a knight"."""
        if self._peek().text.isascii() and self._peek(-1).sort != "filler":
            raise AnswerSyntaxError("'only' without 'the'")
        self._take("only")
        return self._kind()

    def _kinds_in_order(self, first: bool, ordered: bool) -> list[bool]:
        """`a knight and a knave, respectively`, after the first kind: all kinds; [] where it is no row."""
        start, kinds = self._position, [first]
        while self._at("join"):
            before = self._position
            self._skip("join")
            self._article(after_link=False)
            if not self._at("knight", "knave") or self._sort(1) in ("link", "dash"):
                self._position = before
                break
            kinds.append(self._kind())
        after = self._position
        self._skip("join")
        if self._optional("respectively") or ordered:
            if self._tokens[self._position - 1].sort == "join":
                self._position = after
            return kinds
        self._position = start
        return []

    def _correction(self, kind: bool) -> None:
        """`A is not a knight but a knave`: what follows the negation must agree with it."""
        start = self._position
        self._skip("join")
        self._optional("and_is")
        self._article(after_link=False)
        if self._at("knight", "knave") and self._sort(1) not in ("link", "dash") and self._position > start:
            if self._kind() != kind:
                raise AnswerSyntaxError("a negation that is taken back")
        else:
            self._position = start

    def _names(self, *joins: str) -> list[int]:
        """`A, B and C`: ends before a join that no name follows."""
        people = [self._name()]
        while True:
            start = self._position
            self._skip(*(joins or ("join",)))
            if self._position == start or not self._at("name"):
                self._position = start
                return people
            people.append(self._name())

    def _name(self) -> int:
        person = self._take("name").person
        self._named.add(person)
        return person

    def _rest(self) -> list[int]:
        """Everyone not named before: somebody, beside somebody named."""
        counts = [self._take("rest").count]
        if self._at("everyone"):
            counts.append(self._take("everyone").count)
        people = [person for person in self._everyone if person not in self._named]
        if not people or not self._named or any(count not in (None, len(people)) for count in counts):
            raise AnswerSyntaxError(f"the rest is {len(people)} of {len(self._everyone)}")
        return people

    def _all(self, token: Token) -> list[int]:
        if token.count not in (None, len(self._everyone)):
            raise AnswerSyntaxError(f"{token.text[:40]!a} of {len(self._everyone)}")
        return self._everyone

    def _without(self, exceptions: list[int], kind: bool) -> _Claims:
        """Everyone is `kind` but the exceptions."""
        return self._and_the_rest(exceptions, not kind)

    def _and_the_rest(self, people: list[int], kind: bool) -> _Claims:
        """`people` are `kind`, everyone else is not."""
        if set(people) == set(self._everyone):
            raise AnswerSyntaxError("nobody is left")
        return [(person, (person in people) == kind) for person in self._everyone]

    @staticmethod
    def _of(people: list[int], kind: bool) -> _Claims:
        return [(person, kind) for person in people]

    def _check_count_of_names(self) -> None:
        """`both A and B`, `all knights`: moves to the names; the number must be theirs."""
        token, start = self._take("everyone"), self._position
        if token.count is None and token.text.lower() != "all":
            raise AnswerSyntaxError(f"{self._peek().text[:40]!a} after {token.text[:40]!a}")
        if token.count is not None and (not self._at("name") or len(self._names()) != token.count):
            raise AnswerSyntaxError(f"not {token.count} names after {token.text[:40]!a}")
        self._position = start

    def _fillers(self, people: int) -> bool:
        """`the`, and `both` or 两人 where it is their number; whether there was an English one."""
        grouped = False
        while self._at("filler", "everyone"):
            token = self._take("filler", "everyone")
            if token.count not in (None, people):
                raise AnswerSyntaxError(f"{token.text[:40]!a} of {people}")
            grouped |= token.sort == "everyone" and token.text.isascii()
        return grouped

    def _link(self, allow_none: bool = False) -> bool:
        """`is`, `are not`; whether it is negated. A Chinese kind may follow names without any, if allowed."""
        if self._optional("is_not"):
            return True
        if allow_none and self._at("knight", "knave") and not self._peek().text.isascii():
            return False
        self._take("link", "dash", "bracket")
        self._optional("bracket")
        return self._optional("not")

    def _kind(self) -> bool:
        """`a knight`; whether it is one."""
        self._skip("filler", "bracket")
        self._article()
        self._skip("bracket")
        return self._take("knight", "knave").sort == "knight"

    def _article(self, after_link: bool = True) -> None:
        """`a`, which may be a person's name too: after a join, "A骑士" is of the person A."""
        word, kind = self._peek(), self._peek(1)
        if word.sort == "article" or (
            word.text.lower() in ARTICLES
            and kind.sort in ("knight", "knave")
            and (after_link or kind.text.isascii())
        ):
            self._position += 1

    def _peek(self, ahead: int = 0) -> Token:
        place = self._position + ahead
        return self._tokens[place] if place < len(self._tokens) else END

    def _sort(self, ahead: int) -> str:
        return self._peek(ahead).sort

    def _at(self, *sorts: str) -> bool:
        return self._peek().sort in sorts

    def _skip(self, *sorts: str) -> None:
        while self._at(*sorts):
            self._position += 1

    def _optional(self, sort: str) -> bool:
        """Move over one such token; whether there was one."""
        present = self._at(sort)
        self._position += present
        return present

    def _take(self, *sorts: str) -> Token:
        token = self._peek()
        if token.sort not in sorts:
            raise AnswerSyntaxError(f"{token.text[:40]!a} where {' or '.join(sorts)} should be")
        self._position += 1
        return token

"""Reads claims about knights and knaves, one after the other, from the tokens of an answer."""

from __future__ import annotations

from collections.abc import Iterator

from r1kit.tasks.knights_knaves_people import Claims, PeopleReader
from r1kit.tasks.knights_knaves_tokens import ARTICLES, AnswerSyntaxError, Token


def claims(tokens: list[Token], people: int) -> Iterator[tuple[int, bool]]:
    """Every (person, is a knight) that the tokens claim, in linear time. Raises AnswerSyntaxError.

    A person may come several times, with one kind or both.
    """
    return _Reader(tokens, people).claims()


class _Reader(PeopleReader):
    """Each method reads one thing and moves on."""

    def __init__(self, tokens: list[Token], people: int) -> None:
        super().__init__(tokens, people)
        self._gap = True  # whether "is" may be left out: nothing before, or a claim that is no negation
        self._kind_before: bool | None = None  # of the claim before, for "so is B"
        self._listed: set[int] = set()  # under a heading, by their names
        self._nobody_listed = False  # whether a heading says that it has nobody

    def claims(self) -> Iterator[tuple[int, bool]]:
        """Every (person, is a knight) that the text claims."""
        while True:
            self.skip("number", "stop", "join", "dash")
            self.skip("filler")
            if self.at("end"):
                self._check_lists()
                return
            yield from self._one()

    def _one(self) -> Claims:
        """One claim or heading, by its first word."""
        gap, before = self._gap, self._kind_before
        self._gap, self._kind_before = False, None
        if self.at("only"):
            return self._only()
        if self.at("except"):
            return self._except_first()
        if self.at("everyone") and self.sort(1) in ("name", "knight", "knave"):
            self.check_count_of_names()
        if self.at("knight", "knave"):
            return self._heading()
        if self.at("name"):
            return self._claim(self.names(), gap)
        if self.at("so_is") and before is not None:
            self.position += 1
            return self._stated(self.last_names(), before)
        if self.at("neither"):
            return self._neither()
        if self.at("nobody") or (self.peek().text.lower() == "none" and self.sort(1) == "link"):
            self.position += 1
            return self._everyone(negated=True)
        return self._group(gap)

    def _claim(self, people: list[int], gap: bool) -> Claims:
        """`A and B are knights`, the names read already; `gap`: the link may be left out."""
        if self.at("beyond"):
            return self._all_but(people, commas=False)
        grouped = self.fillers(len(people))
        if self.at("truth", "lie", "verb_not"):
            return self.of(people, self._verb(negated=not grouped))
        kind = self._gapped(people) if gap else None
        if kind is not None:
            return self._stated(people, kind)
        ordered = self.optional("respectively")
        row = len(people) > 1 and self.peek().text == "="
        negated = self._link(zh_gap=True)
        ordered = self.optional("respectively") or ordered
        grouped = self.fillers(len(people)) or grouped
        if self.at("only") and not (negated or ordered):
            return self.and_the_rest(people, self._only_kind())
        if negated and grouped:
            raise AnswerSyntaxError("a negation of a group")  # "A and B are not both knights"
        first = self._kind()
        kinds = [] if negated else self._kinds_in_order(first, ordered or row)
        if kinds and not (row and len(kinds) == 1):
            if len(kinds) != len(people):
                raise AnswerSyntaxError(f"{len(kinds)} kinds for {len(people)} names")
            return list(zip(people, kinds, strict=True))
        if negated:
            self._correction(not first)
            return self.of(people, not first)
        return self._stated(people, first)

    def _stated(self, people: list[int], kind: bool) -> Claims:
        """A plain claim, from which the next one may take its "is"."""
        self._gap, self._kind_before = True, kind
        return self.of(people, kind)

    def _gapped(self, people: list[int]) -> bool | None:
        """`a knave` right after `B`, `knights` after `A and C`; None where it is no such thing.

        One person has a singular, several a plural, and the claim ends there: "B and C a knave" may be of C
        alone. A bare "a knave" is never of a person named A.
        """
        start = self.position
        named_as_article = self.peek(-1).text.lower() in ARTICLES
        self.comma()
        self.optional("filler")
        article = self.article()
        token = self.peek()
        plural = token.text.lower().endswith("s")
        fits = plural and not article if len(people) > 1 else not plural and (article or not named_as_article)
        if self.at("knight", "knave") and token.text.isascii() and fits:
            self.position += 1
            if self.ends():
                return token.sort == "knight"
        self.position = start
        return None

    def _heading(self) -> Claims:
        """`knights: A, B`, or the names on lines of their own."""
        kind = self.take("knight", "knave").sort == "knight"
        linked = self.at("link", "dash", "has")
        self.position += linked
        if self.at("stop") and (people := self.lines()):
            self._listed.update(people)
            return self.of(people, kind)
        if not linked:
            self.refuse("link or dash")
        if self.at("none", "nobody", "empty"):
            self.position += 1
            self._nobody_listed = True
            people, kind = self.everyone, not kind
        elif self.at("rest"):
            people = self.rest()
        elif self.at("everyone") and self.sort(1) != "name":
            people = self.all()
            if exceptions := self.exceptions(last=True):
                return self.and_the_rest(exceptions, not kind)
        else:
            people = self.last_names()
            self._listed.update(people)
            return self.of(people, kind)
        if not self.ends():
            raise AnswerSyntaxError(f"{self.peek().text[:40]!a} where the list of names should end")
        return self.of(people, kind)

    def _check_lists(self) -> None:
        """Beside an empty list, one of names must have everyone."""
        if self._nobody_listed and 0 < len(self._listed) < len(self.everyone):
            raise AnswerSyntaxError("lists of both kinds that leave somebody out")

    def _group(self, gap: bool) -> Claims:
        """`both are knaves`, `the others are knights`, `everyone but A is a knave`."""
        if self.at("rest"):
            token = self.peek()
            people = self.rest()
            kind = self._gapped_rest(token, people) if gap else None
            return self.of(people, self._kind_said(people) if kind is None else kind)
        if self.at("everyone"):
            self.all()
        elif not self.mentioned and (self.at("they") or self.at_all_zh()):
            self.optional("they")
        else:
            self.refuse("name")
        return self._everyone()

    def _everyone(self, negated: bool = False) -> Claims:
        """`is a knight`, `but A is a knight`, `is a knight but A` of everyone or, negated, of nobody."""
        exceptions = self.exceptions()
        kind = self._kind_said(self.everyone) != negated
        exceptions = exceptions or self.exceptions(last=True)
        return self.and_the_rest(exceptions, not kind) if exceptions else self.of(self.everyone, kind)

    def _gapped_rest(self, token: Token, people: list[int]) -> bool | None:
        """`the others knaves`, `everyone else a knave`; not "the other knave", which is somebody's name."""
        text = token.text.lower()
        if text.endswith("other"):
            article_follows = self.at("article") or self.peek().text.lower() in ARTICLES
            return self._gapped(people) if article_follows else None
        if not text.endswith(("rest", "others", "else")) and token.count is None:
            return None
        return self._gapped(people[:1] if text.endswith("else") else people)

    def _except_first(self) -> Claims:
        """`except A, everyone is a knave`, `除A外都是骗子`."""
        self.take("except")
        start = self.position
        people = self.names()
        return self._all_but(people, any(token.text in ",，" for token in self.tokens[start : self.position]))

    def _all_but(self, exceptions: list[int], commas: bool) -> Claims:
        """What follows the exceptions; `commas` between them: 除了A，B都是骑士 says nothing of the rest."""
        beyond = self.optional("beyond")
        self.comma()
        if self.at("rest", "everyone"):
            self.position += 1
            self.optional("everyone")
        elif not self.at_all_zh() or (commas and not beyond):
            self.refuse("everyone else")
        kind = self._kind_said(self.everyone[len(set(exceptions)) :])
        return self.and_the_rest(exceptions, not kind)

    def _only(self) -> Claims:
        """`only A is a knight`, `the only knight is A`."""
        self.take("only")
        if self.at("knight", "knave"):
            kind = self.take("knight", "knave").sort == "knight"
            self.take("link", "dash")
            return self.and_the_rest(self.names(), kind)
        people = self.names()
        return self.and_the_rest(people, self._kind_said(people))

    def _neither(self) -> Claims:
        """`neither A nor B is a knight`, `neither is a knight`."""
        self.take("neither")
        people = self.names("join", "nor") if self.at("name") else self.everyone
        if len(people) < 2 or (people is self.everyone and len(people) != 2):
            raise AnswerSyntaxError("'neither' is of two people")
        return self.of(people, not self._kind_said(people))

    def _kind_said(self, people: list[int]) -> bool:
        """`are both knights` or `lie` of a group, without a negation."""
        self.fillers(len(people))
        if self.at("truth", "lie", "verb_not"):
            return self._verb(negated=False)
        if self._link(zh_gap=people is not self.everyone):
            raise AnswerSyntaxError("a negation of a group")
        self.fillers(len(people))
        return self._kind()

    def _verb(self, negated: bool) -> bool:
        """`tells the truth`; `does not lie` where a negation is clear. Whether a knight does it."""
        turned = self.optional("verb_not")
        if turned and not negated:
            raise AnswerSyntaxError("a negation of a group")
        return (self.take("truth", "lie").sort == "truth") != turned

    def _only_kind(self) -> bool:
        """`only knight` after `the`, so that it is no "only a knight"."""
        if self.peek().text.isascii() and self.peek(-1).sort != "filler":
            raise AnswerSyntaxError("'only' without 'the'")
        self.take("only")
        return self._kind()

    def _kinds_in_order(self, first: bool, ordered: bool) -> list[bool]:
        """`a knight and a knave, respectively`, after the first kind: all kinds; [] where it is no row."""
        start, kinds = self.position, [first]
        while self.at("join"):
            before = self.position
            self.skip("join")
            self.article(after_link=False)
            if not self.at("knight", "knave") or self.sort(1) in ("link", "dash"):
                self.position = before
                break
            kinds.append(self._kind())
        after = self.position
        self.skip("join")
        if self.optional("respectively") or ordered:
            if self.tokens[self.position - 1].sort == "join":
                self.position = after
            return kinds
        self.position = start
        return []

    def _correction(self, kind: bool) -> None:
        """`A is not a knight but a knave`: what follows the negation must agree with it."""
        start = self.position
        self.skip("join")
        self.optional("and_is")
        self.article(after_link=False)
        if self.at("knight", "knave") and self.sort(1) not in ("link", "dash") and self.position > start:
            if self._kind() != kind:
                raise AnswerSyntaxError("a negation that is taken back")
        else:
            self.position = start

    def _link(self, zh_gap: bool = False) -> bool:
        """`is`, `are not`; whether it is negated. A Chinese kind may follow without any, with `zh_gap`."""
        if self.optional("is_not"):
            return True
        if zh_gap and self.at("knight", "knave") and not self.peek().text.isascii():
            return False
        if self.at("short"):
            return self._short_link()
        self.take("link", "dash", "bracket")
        self.optional("bracket")
        return self.optional("not")

    def _short_link(self) -> bool:
        """`'s`, `'re`; whether "not" follows. After `'s` stands an article, unlike in "Alice's knight"."""
        owner = self.take("short").text.lower().endswith("s")
        negated = self.optional("not")
        article = self.at("article", "filler", "everyone") or self.peek().text.lower() in ARTICLES
        if owner and not negated and not article:
            self.refuse("a, the or not")
        return negated

    def _kind(self) -> bool:
        """`a knight`; whether it is one."""
        self.skip("filler", "bracket")
        self.article()
        self.skip("bracket")
        return self.take("knight", "knave").sort == "knight"

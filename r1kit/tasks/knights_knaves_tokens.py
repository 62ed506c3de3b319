"""The words of which answers to knights and knaves are made, in English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_NAME = 40
"""Longest name of a person."""

ARTICLES = ("a", "an")

_KNIGHT = (
    "(?:knights?|truth[ -]?tellers?|truthful|honest|telling[ ]the[ ]truth)(?![a-z])"
    "|骑士|[说讲](?:真|实)话(?:的人?|者)|诚实的人|诚实者"
)
_KNAVE = (
    "(?:knaves?|liars?|lying|dishonest)(?![a-z])|骗子|无赖|恶棍|(?:[说撒]谎|[说讲](?:假|谎)话)(?:的人?|者)"
)
_TRUTH = "(?:tells?|speaks?)[ ](?:only[ ])?the[ ]truth(?![a-z])"
_LIE = "lies?(?![a-z])"
_TRUTH_ZH = "[说讲](?:的都?是)?(?:真话|实话)"
_LIE_ZH = "(?:[说讲](?:的都?是)?(?:假话|谎话)|[说撒]谎)"
_OFTEN_ZH = "[都均全皆也则却]?(?:总是?|永远|一直|一向)?都?(?:正?在)?"
_COUNT_WORDS = ("two 两 二", "three 三", "four 四", "five 五", "six 六", "seven 七")
_COUNTS = {word: count for count, words in enumerate(_COUNT_WORDS, start=2) for word in words.split()}
_COUNT = "(?:two|three|four|five|six|seven)"
_ONE = ("other", "person", "one", "islander", "inhabitant", "另一", "另一人", "另一个", "另一个人")
_PEOPLE = "(?:people|persons?|ones?|islanders?|inhabitants?)"
_WORDS: dict[str, str] = {  # sort of token -> what it matches; the first that matches wins
    "number": r"[(（]?[0-9]{1,2}[)）.、:：](?![0-9])|[0-9]{1,2}(?=[ \t]*\|)",
    "stop": r"[.。;；!！\n]|\\\\",
    "rest": rf"(?:(?:all[ ])?(?:the[ ])?(?:rest|others|(?:other|remaining)(?:[ ]{_COUNT})?(?:[ ]{_PEOPLE})?)"
    r"|every(?:one|body)[ ]else)(?![a-z])"
    "|(?:其余|其他|其它|剩下|余下|另外)的?(?:[两二三四五六七]个?人|人)?|另一个?人?",
    "everyone": rf"(?:every(?:one|body)|all(?:[ ]{_COUNT}(?:[ ]{_PEOPLE})?|[ ]the[ ]{_PEOPLE})?|both)"
    "(?:[ ]of[ ]them)?(?![a-z])"
    "|每个?人|所有人|大家|全部|全体|人人|[两二三四五六七](?:个?人|个(?=[都均全皆]))",
    "they": "they(?![a-z])|他们|她们",
    "nobody": "(?:nobody|no[ ]one|none[ ]of[ ]them)(?![a-z])|没有一个人?|没有?人|无人",
    "neither": "neither(?:[ ]of[ ]them)?(?![a-z])",
    "nor": "nor(?![a-z])",
    "except": "(?:except(?:[ ]for)?|other[ ]than|apart[ ]from|(?:with[ ])?the[ ]exception[ ]of)(?![a-z])"
    "|除了?",
    "beyond": "[以之]?外(?:的人)?",
    "only": "only(?![a-z])|只有|唯一的?|仅有",
    "respectively": "respectively(?![a-z])|分别|依次",
    "is_not": "(?:is|are)n['’]?t(?![a-z])|[都均并也]?不是|并非|都非",
    "not": "not(?![a-z])",
    "and_is": "而是",
    "so_is": "so[ ](?:is|are)(?![a-z])",
    "verb_not": rf"(?:do(?:es)?(?:[ ]not|n['’]?t)|never)(?=[ ](?:{_TRUTH}|{_LIE}))"
    rf"|[都均]?(?:从不|并?不|并?没有?)(?={_TRUTH_ZH}|{_LIE_ZH})",
    "join": "[,，、&]|(?:and|but|while|whereas)(?![a-z])|而|并且|以及|但是|但|且|和|与|及",
    "dash": r"->|=>|[-–—→•·|]",
    "link": "[:：=]|(?:is|are|must[ ]be)(?:[ ]also)?(?![a-z])|(?:[都均全皆也就则却]|同样)?都?[是为]",
    "has": "有",
    "knight": _KNIGHT,
    "knave": _KNAVE,
    "truth": rf"(?:always[ ])?{_TRUTH}|{_OFTEN_ZH}{_TRUTH_ZH}(?![者的])",
    "lie": rf"(?:always[ ])?{_LIE}|{_OFTEN_ZH}{_LIE_ZH}(?![者的])",
    "none": r"none(?![a-z])|没有|无|∅|\\(?:emptyset|varnothing)(?![a-z])",
    "article": "(?:an?)(?![a-z])|一个|一名|一位|个|名|位",
    "filler": "the(?![a-z])",
}
_MARKUP = (
    r"[ \t\r\u00a0\u3000*_`#$\"'“”‘’()（）\[\]{}]"
    r"|\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it)|boxed|fbox)(?=\{)|\\q?quad(?![a-z])|\\[ ,;!()\[\]]"
)
_SHORT = r"(?<=[^\s\[\](){}:;,=|\"'“”‘’*_`$])['’](?:s|re)(?![a-z])"  # is and are, not a letter in quotes
_EMPTY = r"\[[ \t\r\n]{0,8}\]|\{[ \t\r\n]{0,8}\}"
_BRACKET = rf"[(（](?=[ \t*_`]*(?:an?[ ]|the[ ])?[*_`]*(?:{_KNIGHT}|{_KNAVE}))"
_IGNORED = re.compile(rf"(?:(?!{_BRACKET}|{_SHORT}|{_EMPTY})(?:{_MARKUP}))+", re.IGNORECASE | re.ASCII)
_LEAD_IN = re.compile(
    r"(?:```(?:json|text|markdown)?\s)?[\s*_#]*"
    r"(?:(?:so|thus|therefore|hence|finally|in[ ](?:conclusion|summary))(?![a-z])[\s,]*"
    r"|(?:所以|因此|综上(?:所述)?|由此可[知见得]|可知)[\s,，]*)?"
    r"(?:we[ ](?:find|see|know|conclude)[ ]that\s+)?"
    r"(?:(?:(?:the|my)\s+)?(?:final\s+)?(?:answer|solution|conclusion)\s*(?:is(?![a-z])\s*:?|:)"
    r"|(?:最终)?(?:答案|结论)(?:是|为)?\s*[:：]?)?",
    re.IGNORECASE | re.ASCII,
)
_PERSON_COLUMN = "(?:name|person|people|islander|inhabitant|人物?|姓名|名字)"
_KIND_COLUMN = (
    "(?:type|kind|role|identity|status|knight(?:[ ]or[ ]|[ ]?/[ ]?)knave[?]?|身份|类型|角色"
    "|骑士(?:或|还是|/)(?:无赖|骗子)[?？]?)"
)
_TABLE_HEAD = re.compile(
    rf"^[ \t]*\|?(?:[ \t]*#[ \t]*\|)?[ \t*]*{_PERSON_COLUMN}[ \t*]*\|[ \t*]*{_KIND_COLUMN}[ \t*]*\|?[ \t]*"
    r"\r?\n[ \t]*[|:-][ \t|:-]*$",
    re.IGNORECASE | re.MULTILINE,
)
_UNKNOWN = re.compile("[A-Za-z]+|.", re.DOTALL)
_NAME = re.compile(r"[^\W\d_]+(?:[ '’-][^\W\d_]+){0,3}")


class AnswerSyntaxError(ValueError):
    """The text is not a list of who is what; the message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """`Token("name", "Zoey", 0)`."""

    sort: str  # "name", "short" ('s), "bracket" before a kind, "empty" ([]), "end", or a key of `_WORDS`
    text: str
    person: int = -1  # for names

    @property
    def count(self) -> int | None:
        """How many people it speaks of, where it says so: "both", "all three", "the other", 两人."""
        text = self.text.lower()
        if text.startswith("both"):
            return 2
        if self.sort == "rest" and text.endswith(_ONE):
            return 1
        return next((count for word, count in _COUNTS.items() if word in text), None)


END = Token("end", "the end")


def tokens(text: str, names: tuple[str, ...]) -> Iterator[Token]:
    """The tokens of the text. Raises AnswerSyntaxError at the first thing that is none."""
    scanner = _scanner(names)
    people = {_lower(name): person for person, name in enumerate(names)}
    text = _TABLE_HEAD.sub("", text.strip(), count=1)
    lead_in = _LEAD_IN.match(text)
    position = lead_in.end() if lead_in else 0
    while position < len(text):
        if ignored := _IGNORED.match(text, position):
            position = ignored.end()
        if match := scanner.match(text, position):
            yield Token(match.lastgroup or "", match.group(), people.get(_lower(match.group()), -1))
            position = match.end()
        elif position < len(text):
            unknown = _UNKNOWN.match(text, position)
            assert unknown is not None
            raise AnswerSyntaxError(f"{unknown.group()[:40]!a} is no part of a list of who is what")


def is_name(name: str) -> bool:
    """Whether a person may be called so: one to four words, none of them a word of the answers themselves."""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        return False
    lead_in = _LEAD_IN.match(f"{name} is")
    taken = (word for word in re.split(r"[ '’-]", name) if word.lower() not in ARTICLES)
    return not any(_scanner(()).fullmatch(word) for word in taken) and not (lead_in and lead_in.end())


@lru_cache(maxsize=1024)
def _scanner(names: tuple[str, ...]) -> re.Pattern[str]:
    """Matches one token; its last group names the sort. Only A-Z and a-z are the same letters."""
    longest_first = sorted(names, key=len, reverse=True)
    people = {"name": f"(?:{'|'.join(map(re.escape, longest_first))})(?![a-z])"} if names else {}
    words = people | {"short": _SHORT, "bracket": _BRACKET, "empty": _EMPTY} | _WORDS
    pattern = "|".join(f"(?P<{sort}>{matches})" for sort, matches in words.items())
    return re.compile(pattern, re.IGNORECASE | re.ASCII)


def _lower(name: str) -> str:
    """With a-z for A-Z and nothing else changed."""
    return name.translate(_ASCII_LOWER)


_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

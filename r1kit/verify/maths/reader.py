"""Text of an answer to its form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from r1kit.verify.maths import intervals
from r1kit.verify.maths.approximate import rounds_to
from r1kit.verify.maths.clean import WORD_IN_TEXT, clean
from r1kit.verify.maths.declared import AnswerForm
from r1kit.verify.maths.equations import one_unknown
from r1kit.verify.maths.field import same
from r1kit.verify.maths.forms import (
    Approximation,
    Assignment,
    Assignments,
    Choice,
    Equation,
    Expression,
    Form,
    Infinity,
    Interval,
    Ordered,
    Quantity,
    Union,
    Unordered,
    Words,
)
from r1kit.verify.maths.layout import both_signs, enclosed, split_at, split_list, split_relations
from r1kit.verify.maths.mixed import in_larger_unit
from r1kit.verify.maths.notation import MODULO, congruence, whole_text
from r1kit.verify.maths.numerals import number_in_words
from r1kit.verify.maths.parser import FUNCTIONS, parse_expression
from r1kit.verify.maths.tokens import Token, is_sign, show, tokenize
from r1kit.verify.maths.trees import Unreadable, symbols
from r1kit.verify.maths.units import CONNECTORS
from r1kit.verify.maths.values import matrix, quantity, special_number

_CHOICE = re.compile(r"\(\s*([A-H])\s*\)|([A-H])")
_ANY_CHOICE = re.compile(r"(?:option|choice|选项|选)?\s*(?:\(\s*([A-Za-z])\s*\)|([A-Za-z]))", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z]+(?:[ '-][A-Za-z]+){0,2}|[\u4e00-\u9fff]{1,12}")
_SHORT_WORDS = frozenset(
    ("yes", "no", "true", "even", "odd", "none", "dne")
)  # longer words are no products of letters
_NAME = re.compile(
    r"[A-Za-z](?:_\{?[A-Za-z0-9]+\}?)?|\\(?:alpha|beta|gamma|theta|lambda|mu|phi|rho|sigma|tau|omega)"
    r"|[A-Za-z]\([A-Za-z0-9]{1,3}\)|\\angle[A-Z]{1,3}|[A-Z]{2,4}|\([A-Za-z](?:,[A-Za-z])+\)"
)
_DOLLARS = re.compile(r"(?:\$|USD)\s*-?\.?[0-9]")
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_PERCENT = "百分之"
_PAIR = 2
_LONGEST_PRODUCT = 4  # letters, as `abcd`


def read(text: str, form: AnswerForm = "auto") -> Form:
    """The form of an answer. Raises Unreadable with one short reason."""
    cleaned = clean(text)
    if not cleaned:
        raise Unreadable("empty")
    worded = WORD_IN_TEXT.fullmatch(cleaned)
    if worded:
        cleaned = worded[1]
    if form == "words":
        return Words(" ".join(cleaned.lower().split()))
    if match := (_ANY_CHOICE if form == "choice" else _CHOICE).fullmatch(cleaned):
        return Choice((match[1] or match[2]).upper())
    if found := whole_text(cleaned):
        return found
    cleaned = in_larger_unit(cleaned) or cleaned
    if cleaned.startswith(_PERCENT) and (number := number_in_words(cleaned.removeprefix(_PERCENT))):
        cleaned = f"{_PERCENT}{number}"
    if _are_words(cleaned, in_text=worded is not None) or (
        not cleaned[0].isdigit() and number_in_words(cleaned) is not None
    ):
        return Words(" ".join(cleaned.lower().split()))
    found = _form(tokenize(cleaned), form)
    if (
        isinstance(found, Expression)
        and _DOLLARS.search(text)
        and ("\\$" in text or "USD" in text or text.count("$") == 1)
    ):
        return replace(found, dollars=True)
    if form == "interval" and isinstance(found, Ordered) and len(found.items) == _PAIR:
        return Union((_open(found),))
    return found


def _are_words(text: str, in_text: bool) -> bool:
    """Whether the text is words, not letters that stand for numbers; in `\\text{}` it is."""
    if not _WORDS.fullmatch(text):
        return False
    words = text.lower().split()
    if any(word in (*FUNCTIONS, "sqrt", "pi", "infinity") or word in CONNECTORS for word in words):
        return False
    if text.isascii() and not in_text and text.lower() not in _SHORT_WORDS:
        return len(text) > _LONGEST_PRODUCT and all(len(word) > 1 for word in words)
    return True


def _form(tokens: Sequence[Token], form: AnswerForm = "auto") -> Form:
    """The form of a whole sequence: a union, a list, or one thing."""
    if any(token.text in MODULO for token in tokens):
        return congruence(tokens)
    parts = split_at(tokens, r"\cup")
    if len(parts) > 1:
        return _union([_form(part) for part in parts])
    members, either = split_list(tokens)
    in_braces = enclosed(tokens, r"\{", r"\}") is not None
    if len(members) == 1 and (in_braces or not any(is_sign(token, r"\pm") for token in tokens)):
        return _single(members[0], form)
    items = [_single(member) for part in members for member in both_signs(part)]
    return _several(items, either)


def _union(parts: Sequence[Form]) -> Form:
    if all(isinstance(part, Unordered) for part in parts):
        items = tuple(item for part in parts if isinstance(part, Unordered) for item in part.items)
        return Unordered(items, braces=True)
    return Union(tuple(piece for part in parts for piece in _pieces(part)))


def _pieces(part: Form) -> Sequence[Interval]:
    """The intervals of a member of a union; `(1, 2)` is one there, and a number in braces another."""
    if isinstance(part, Union):
        return part.parts
    if isinstance(part, Ordered) and len(part.items) == _PAIR:
        return [_open(part)]
    if isinstance(part, Unordered) and all(isinstance(item, Expression) for item in part.items):
        return [Interval(p, p, True, True) for p in part.items if isinstance(p, Expression)]
    raise Unreadable("a union of other things than intervals")


def _open(pair: Ordered) -> Interval:
    low, high = pair.items
    if not isinstance(low, Expression) or not isinstance(high, Expression):
        raise Unreadable("the ends of an interval must be numbers")
    return intervals.interval(low, high, False, False)


def _several(items: Sequence[Form], either: bool) -> Form:
    """Answers side by side: conditions, equations for names, or values."""
    if any(isinstance(item, Union) and item.variable for item in items):
        return _conditions(items, either)
    first = items[0]
    if not isinstance(first, Assignment):
        if any(isinstance(item, Assignment | Assignments | Equation | Words) for item in items):
            raise Unreadable("a list of unlike things")
        return Unordered(tuple(items), braces=False)
    named = [item for item in items if isinstance(item, Assignment)]
    if len(named) == len(items) and len({item.name for item in named}) == len(items):
        if either and not one_unknown([item.name for item in named]):
            raise Unreadable("one name or another")
        return Assignments(tuple(named))
    contents = [
        item.content if isinstance(item, Assignment) and item.name == first.name else item for item in items
    ]
    if any(isinstance(item, Assignment | Equation) for item in contents) or len(named) not in (1, len(items)):
        raise Unreadable("a list of unlike things")
    return Assignment(first.name, Unordered(tuple(contents), braces=False))


def _conditions(items: Sequence[Form], either: bool) -> Form:
    """Inequalities for one variable: any of them (or), or all (and, a comma)."""
    unions = [item for item in items if isinstance(item, Union)]
    if len(unions) < len(items) or len({union.variable for union in unions}) > 1:
        raise Unreadable("conditions beside other things")
    if either:
        return Union(tuple(part for union in unions for part in union.parts), unions[0].variable)
    if any(len(union.parts) > 1 for union in unions):
        points = [part.high for union in unions for part in union.parts if part.high is not None]
        if all(
            len(union.parts) == _PAIR and union.parts[0].low is None for union in unions
        ):  # x != 1, x != 2
            return Union(intervals.without(points), unions[0].variable)
        raise Unreadable("conditions that are unions")
    return Union((intervals.intersection([union.parts[0] for union in unions]),), unions[0].variable)


def _single(tokens: Sequence[Token], form: AnswerForm = "auto") -> Form:
    """A relation or a value."""
    parts = split_at(tokens, r"\approx")
    if len(parts) > 1:
        return _approximation(parts)
    sides, relations = split_relations(tokens)
    if not relations:
        return _value(tokens, form)
    if set(relations) == {"="}:
        return _equation(sides)
    if len(sides) == _PAIR and relations[0] in ("in", "!="):
        return _membership(_name(sides[0]), relations[0], sides[1])
    return _inequality(sides, relations)


def _equation(sides: Sequence[Sequence[Token]]) -> Form:
    """`x = 3`, `3 = x`, `2x + y = 6`, and a chain `x = 6/4 = 3/2` that holds. `3 = 4` is nothing."""
    name = _name(sides[0])
    names = [_name(side) for side in sides[:-1]]
    if len(names) > 1 and all(names) and len(set(names)) == len(names) and not _name(sides[-1]):  # x = y = 1
        value = _form(sides[-1])
        if isinstance(value, Expression) and not symbols(value.tree):
            return Assignments(tuple(Assignment(each, value) for each in names))
    if not name and len(sides) == _PAIR and _name(sides[1]):
        sides, name = sides[::-1], _name(sides[1])
    if name:
        contents = [_form(side) for side in sides[1:]]
        last = contents[-1]
        if isinstance(last, Assignment | Assignments | Equation | Words):
            raise Unreadable("an equation for other things than values")
        for other in contents[:-1]:
            if not (
                isinstance(last, Expression)
                and isinstance(other, Expression)
                and same(other.value, last.value)
            ):
                raise Unreadable("a chain of equations that is not known to hold")
        if not (isinstance(last, Expression) and name in symbols(last.tree)):
            return Assignment(name, last)
    if len(sides) != _PAIR:
        raise Unreadable("a chain of equations")
    left, right = (Expression(parse_expression(side)) for side in sides)
    if left.constant and right.constant:
        raise Unreadable("an equation between numbers")
    return Equation(left, right)


def _approximation(parts: Sequence[Sequence[Token]]) -> Form:
    """`\\sqrt{2} \\approx 1.41`, which must hold; `\\approx 1.41` and `x \\approx 1.41` as if equal."""
    if len(parts) != _PAIR:
        raise Unreadable("a chain of approximations")
    before, behind = parts
    decimal = _value(behind)
    plain = decimal.amount.plain if isinstance(decimal, Quantity) else False
    if not plain and not (isinstance(decimal, Expression) and decimal.plain):
        raise Unreadable("an approximation by other things than numbers")
    if not before:
        return decimal
    if name := _name(before):
        return Assignment(name, decimal)
    found = _single(before)
    exact = found.content if isinstance(found, Assignment) else found
    written = "".join(token.text for token in behind)
    if (
        not isinstance(exact, Expression)
        or not isinstance(decimal, Expression)
        or not _DECIMAL.fullmatch(written)
        or not rounds_to(exact.tree, written)
    ):
        raise Unreadable("an approximation that is not known to hold")
    both = Approximation(exact, decimal)
    return Assignment(found.name, both) if isinstance(found, Assignment) else both


def _membership(name: str, relation: str, tokens: Sequence[Token]) -> Form:
    """`x \\in (1, 2)`, `x \\ne 3`."""
    if not name:
        raise Unreadable("a relation for no name")
    if relation == "!=":
        return Union(intervals.without([Expression(parse_expression(tokens))]), name)
    found = _form(tokens)
    if isinstance(found, Unordered) and found.braces:
        return Assignment(name, found)
    return Union(tuple(_pieces(found)), name)


def _inequality(sides: Sequence[Sequence[Token]], relations: Sequence[str]) -> Form:
    """`x < 3`, `3 > x`, `1 < x \\le 2`."""
    if "=" in relations or "!=" in relations or "in" in relations or len(sides) > 3:
        raise Unreadable("relations of several kinds")
    if relations[0].startswith(">"):  # from right to left, so that all say "<"
        sides = sides[::-1]
        relations = [relation.replace(">", "<") for relation in reversed(relations)]
    if any(relation.startswith(">") for relation in relations):
        raise Unreadable("inequalities in both directions")
    strict = [relation == "<" for relation in relations]
    if len(sides) == 3:
        low, name, high = _end(sides[0]), _name(sides[1]), _end(sides[2])
        found = intervals.interval(low, high, not strict[0], not strict[1])
    elif name := _name(sides[0]):
        found = intervals.interval(Infinity(True), _end(sides[1]), False, not strict[0])
    else:
        name = _name(sides[1])
        found = intervals.interval(_end(sides[0]), Infinity(False), not strict[0], False)
    if not name:
        raise Unreadable("an inequality for no name")
    return Union((found,), name)


def _end(tokens: Sequence[Token]) -> Expression | Infinity:
    found = _value(tokens)
    if not isinstance(found, Expression | Infinity):
        raise Unreadable("the ends of an interval must be numbers")
    return found


def _name(tokens: Sequence[Token]) -> str:
    """The name that the tokens are, or ""."""
    text = "".join(token.text for token in tokens) if len(tokens) < 12 else ""
    return text.replace("{", "").replace("}", "") if _NAME.fullmatch(text) and text not in ("e", "i") else ""


def _value(tokens: Sequence[Token], form: AnswerForm = "auto") -> Form:
    """Anything without a relation."""
    if not tokens:
        raise Unreadable("nothing")
    found = _collection(tokens, form) or special_number(tokens) or matrix(tokens) or quantity(tokens)
    return found or Expression(parse_expression(tokens), _spelling(tokens))


def _spelling(tokens: Sequence[Token]) -> str:
    """The letters, where there is nothing else but brackets around them."""
    while (inside := enclosed(tokens, "(", ")")) is not None and inside:
        tokens = inside
    if len(tokens) > 1 or tokens[0].kind != "word" or tokens[0].text in (*FUNCTIONS, "pi"):
        return ""
    return tokens[0].text if len(tokens[0].text) > 1 else ""


def _collection(tokens: Sequence[Token], form: AnswerForm) -> Form | None:
    """A set, a tuple, an interval, all real numbers without some; None of anything else."""
    if tokens[0].kind == "field":
        return _reals(tokens)
    inside = enclosed(tokens, r"\{", r"\}")
    if inside is not None:
        return _set(inside)
    inside = enclosed(tokens, "{", "}")
    if inside is not None and len(split_at(inside, ",", ";")) > 1:
        return _set(inside)
    inside = enclosed(tokens, "( [", ") ]")
    parts = split_at(inside, ",", ";") if inside else []
    if len(parts) < _PAIR or any(is_sign(part[0], "[") for part in parts if part):
        return None
    round_ = tokens[0].text == "(" and tokens[-1].text == ")"
    square = tokens[0].text == "[" and tokens[-1].text == "]"
    items = [_single(part) if part else _value(part) for part in parts]
    infinite = any(isinstance(item, Infinity) for item in items)
    if len(items) == _PAIR and (infinite or not round_) and not (square and form == "tuple"):
        low, high = items
        if not isinstance(low, Expression | Infinity) or not isinstance(high, Expression | Infinity):
            raise Unreadable("the ends of an interval must be numbers")
        return Union((intervals.interval(low, high, tokens[0].text == "[", tokens[-1].text == "]"),))
    if not (round_ or square):
        raise Unreadable("brackets that do not match")
    return Ordered(tuple(items))


def _set(inside: Sequence[Token]) -> Form:
    """`{1, 2}`, `{}`, and `{x | 1 < x < 2}` as its condition."""
    if not inside:
        return Unordered((), braces=True)
    builder = split_at(inside, r"\mid", ":", "|")
    if len(builder) == _PAIR and any(token.kind == "word" for token in builder[0]):
        found = _form(builder[1])
        if not isinstance(found, Union):
            raise Unreadable("a set with a condition that is no interval")
        return found
    items = [_single(member) for part in split_at(inside, ",", ";") for member in both_signs(part) if part]
    if any(isinstance(item, Assignment | Equation) for item in items) or not items:
        raise Unreadable(f"a set of other things than values: {show(inside)}")
    return Unordered(tuple(items), braces=True)


def _reals(tokens: Sequence[Token]) -> Form:
    """`\\mathbb{R}`, `\\mathbb{R} \\setminus \\{1\\}`."""
    if tokens[0].text != "R":
        raise Unreadable(f"the set {tokens[0].text}")
    if len(tokens) == 1:
        return Union((intervals.LINE,))
    if not is_sign(tokens[1], r"\setminus", r"\backslash", "-"):
        raise Unreadable("something after a set")
    found = _form(tokens[2:])
    if (
        isinstance(found, Unordered)
        and found.items
        and all(isinstance(item, Expression) for item in found.items)
    ):
        return Union(intervals.without([item for item in found.items if isinstance(item, Expression)]))
    raise Unreadable("something after a set")

"""Tokens of one expression to its tree: LaTeX as models write it, and plain text.

Multiplication may be implied (`2\\pi r`, `(x+1)(x-2)`). What people read in two ways is refused: `1/2x`,
`2--3`, `2^3^4`, `5!!`, two numbers side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from r1kit.verify.maths.tokens import MAX_EXPONENT, Token, is_sign
from r1kit.verify.maths.trees import MAX_DEPTH, Tree, Unreadable, is_number

FUNCTIONS = (
    *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan"),
    *("sinh", "cosh", "tanh", "ln", "lg", "log", "exp"),
)
"""Names of functions, with a backslash in front or without."""

_INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
_GREEK = frozenset(
    (
        *("alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "kappa"),
        *("lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi", "omega"),
        *("Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega"),
    )
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_MAX_LETTERS = 4  # of a run of letters that is read as a product, as `abc`; longer ones are words
_ONE: Tree = ("num", Fraction(1))
_TWO: Tree = ("num", Fraction(2))


def parse_expression(tokens: Sequence[Token]) -> Tree:
    """The tree of the whole sequence. Raises Unreadable."""
    parser = _Parser(tokens)
    tree = parser.sum()
    parser.expect_end()
    return tree


def spell(tokens: Sequence[Token]) -> list[Token]:
    """Words as functions, constants, or one symbol for each letter."""
    found: list[Token] = []
    for token in tokens:
        if token.kind == "text" and token.text in (*FUNCTIONS, "e", "i"):
            found.append(
                Token("command" if len(token.text) > 1 else "word", _spelt(token.text), spaced=token.spaced)
            )
        elif token.kind != "word" or len(token.text) == 1:
            found.append(token)
        elif token.text in (*FUNCTIONS, "sqrt", "pi"):
            found.append(Token("command", "\\" + token.text, spaced=token.spaced))
        elif len(token.text) <= _MAX_LETTERS:
            found += [Token("word", letter) for letter in token.text]
        else:
            raise Unreadable(f"{token.text[:20]!r} is no expression")
    return found


def _spelt(name: str) -> str:
    return name if len(name) == 1 else "\\" + name


class _Parser:
    """Recursive descent; each method reads one level of precedence."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = spell(tokens)
        self._at = 0
        self._depth = 0
        self._bars = 0  # absolute values that are open
        self._angles = 0  # functions of an angle that are open

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise Unreadable(f"{self._tokens[self._at].text[:20]!r} is out of place")

    def sum(self) -> Tree:
        """Terms with signs between them, and at most one in front."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        terms = [self._signed(self._sign())]
        while self._see("+", "-"):
            terms.append(self._signed(self._sign()))
        self._depth -= 1
        return terms[0] if len(terms) == 1 else ("add", *terms)

    def _sign(self) -> str:
        return self._next().text if self._see("+", "-") else ""

    def _signed(self, sign: str) -> Tree:
        tree = self._product()
        return ("neg", tree) if sign == "-" else tree

    def _product(self) -> Tree:
        """Factors above and below the line; scientific notation in powers of ten is one number."""
        above, below = [self._factor()], list[Tree]()
        divided = False
        while True:
            if self._see("*", r"\cdot", r"\times"):
                self._next()
                factor, divided = self._factor(), False
                number = None if below or len(above) > 1 else _scientific(above[0], factor)
                above = [*above, factor] if number is None else [number]
            elif self._see("/", r"\div"):
                self._next()
                below.append(self._factor())
                divided = True
            elif self._starts_factor():
                if divided:
                    raise Unreadable("a/bc may be (a/b)c or a/(bc)")
                above.append(self._factor())
            else:
                return ("div", _joined(above), _joined(below)) if below else _joined(above)

    def _factor(self) -> Tree:
        """An atom with its factorial and its exponent."""
        tree = self._atom()
        if self._angles and self._degree_sign():
            return ("mul", tree, _DEGREE)
        if self._see("!"):
            self._next()
            tree = ("fact", tree)
        if self._see("^", "**"):
            self._next()
            tree = ("pow", tree, self._exponent())
        if self._see("!", "^", "**"):
            raise Unreadable("two exponents or factorials in a row")
        return tree

    def _exponent(self) -> Tree:
        """A group, or one atom with a sign; `x^12` is meant as in plain text, the twelfth power."""
        sign = self._sign()
        self._deeper()
        tree = self._bare_number() if self._see_number() else self._atom()
        self._depth -= 1
        return ("neg", tree) if sign == "-" else tree

    def _bare_number(self) -> Tree:
        """A number that is no part of a mixed one, as in `x^2\\frac{1}{3}`."""
        token = self._next()
        assert token.value is not None
        if self._see_number():
            raise Unreadable("two numbers side by side")
        return ("sci" if token.scientific else "num", token.value)

    def _degree_sign(self) -> bool:
        """Move over `°`, `^\\circ`, `^{\\circ}`; whether there was one."""
        texts = [token.text for token in self._tokens[self._at : self._at + 4]]
        for sign in _DEGREE_SIGNS:
            if texts[: len(sign)] == list(sign):
                self._at += len(sign)
                return True
        return False

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")

    def _atom(self) -> Tree:
        token = self._next()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "word":
            return self._symbol(token.text)
        if token.kind == "command":
            return self._command(token.text.removeprefix("\\"))
        if token.text in _CLOSING:
            tree = self.sum()
            self._expect(_CLOSING[token.text])
            return tree
        if token.text == "|":
            return self._absolute("|")
        raise Unreadable(f"{token.text[:20]!r} is out of place")

    def _number(self, token: Token) -> Tree:
        """A number, or with a proper fraction after it a mixed one."""
        value = token.value
        assert value is not None
        if token.scientific:
            return ("sci", value)
        part = self._proper_fraction() if value.denominator == 1 and "." not in token.text else None
        if part is not None:
            return ("mixed", value + part)
        if self._see_number():
            raise Unreadable("two numbers side by side")
        return ("num", value)

    def _proper_fraction(self) -> Fraction | None:
        """The `\\frac{1}{2}`, or the spaced `1/2`, that comes next; it must be below 1."""
        ahead = self._tokens[self._at : self._at + 8]
        texts = [token.text for token in ahead]
        if texts[:1] == [r"\frac"]:
            start = self._at
            self._next()
            top, bottom = self._argument(), self._argument()
            if top[0] == bottom[0] == "num":
                return _proper(top[1], bottom[1])
            self._at = start
        elif len(ahead) >= 3 and ahead[0].value is not None and ahead[0].spaced and texts[1] == "/":
            self._at += 3
            if ahead[2].value is None:
                raise Unreadable("two numbers side by side")
            return _proper(ahead[0].value, ahead[2].value)
        return None

    def _symbol(self, name: str) -> Tree:
        if name in ("e", "i") and not self._see("_"):
            return ("const", name)
        if self._see("_"):
            self._next()
            name += "_" + self._subscript()
        return ("sym", name)

    def _subscript(self) -> str:
        if not self._see("{"):
            return self._name_part()
        self._next()
        name = ""
        while not self._see("}"):
            name += self._name_part()
        self._next()
        return name

    def _name_part(self) -> str:
        token = self._next()
        if token.kind not in ("number", "word", "text"):
            raise Unreadable("a subscript must be letters or digits")
        return token.text

    def _command(self, name: str) -> Tree:
        if name == "pi":
            return ("const", "pi")
        if name in _GREEK:
            return self._symbol("\\" + name)
        if name == "frac":
            return ("div", self._argument(), self._argument())
        if name == "sqrt":
            return self._root()
        if name in ("binom", "dbinom", "tbinom"):
            return ("binom", self._argument(), self._argument())
        if name in FUNCTIONS:
            return self._function(name)
        if name in ("lfloor", "lceil"):
            return self._rounded(name.removeprefix("l"))
        if name in ("lvert", "vert"):
            return self._absolute(r"\rvert" if name == "lvert" else r"\vert")
        raise Unreadable(f"unknown command {name[:20]!r}")

    def _absolute(self, closing: str) -> Tree:
        self._bars += 1
        tree = self.sum()
        self._bars -= 1
        self._expect(closing)
        return ("fn", "abs", tree)

    def _rounded(self, which: str) -> Tree:
        """`\\lfloor x \\rfloor`, `\\lceil x \\rceil`."""
        tree = self.sum()
        self._expect("\\r" + which)
        return ("fn", which, tree)

    def _root(self) -> Tree:
        degree = _TWO
        if self._see("["):
            self._next()
            degree = self.sum()
            self._expect("]")
        return ("root", degree, self._argument())

    def _argument(self) -> Tree:
        """A group or, as in `\\frac12` and `\\sqrt2`, one digit or letter."""
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        if token is not None and token.kind == "number" and token.text.isdigit() and len(token.text) > 1:
            first, rest = token.text[0], token.text[1:]
            self._tokens[self._at] = Token("number", rest, Fraction(rest))
            return ("num", Fraction(first))
        if token is not None and token.kind == "number":
            self._next()
            assert token.value is not None
            return ("num", token.value)
        self._deeper()
        tree = self._atom()
        self._depth -= 1
        return tree

    def _function(self, name: str) -> Tree:
        power: Tree | None = None
        base: Tree | None = None
        if self._see("_") and name == "log":
            self._next()
            base = self._argument()
        if self._see("^", "**"):
            self._next()
            power = self._exponent()
            if power == ("neg", _ONE):
                if name not in _INVERSE:
                    raise Unreadable("an exponent -1 of a function may be two things")
                name, power = _INVERSE[name], None
        elif name == "log" and base is None and self._base_follows():  # log2(8)
            base = ("num", self._next().value)
        self._deeper()
        self._angles += name in _OF_ANGLES
        argument = self._function_argument()
        self._angles -= name in _OF_ANGLES
        self._depth -= 1
        tree: Tree = ("fn", name, argument) if base is None else ("log", base, argument)
        return tree if power is None else ("pow", tree, power)

    def _function_argument(self) -> Tree:
        """A bracket, or the product up to the next sign, function or bracket: `\\sin 2x`.

        `\\sin x(1+y)` is a product; of `\\sin 2(1+y)` people read both.
        """
        if self._see("(", "[", "{"):
            braces = self._see("{")
            inside = self._atom()
            return ("mul", inside, _DEGREE) if braces and self._angles and self._degree_sign() else inside
        factors = [self._factor()]
        while self._starts_factor() and self._tokens[self._at].text.removeprefix("\\") not in FUNCTIONS:
            if self._see(*_CLOSING, "|"):
                if all(is_number(factor) for factor in factors):
                    raise Unreadable("a bracket that may be in the function or behind it")
                break
            factors.append(self._factor())
        return factors[0] if len(factors) == 1 else ("mul", *factors)

    def _base_follows(self) -> bool:
        """Whether a whole number and a bracket come next, without white space."""
        ahead = self._tokens[self._at : self._at + 2]
        return len(ahead) == 2 and ahead[0].text.isdigit() and is_sign(ahead[1], "(") and not ahead[0].spaced

    def _starts_factor(self) -> bool:
        if self._at >= len(self._tokens):
            return False
        token = self._tokens[self._at]
        if token.kind == "number":  # 3!7!
            return self._at > 0 and self._tokens[self._at - 1].text == "!" and not token.spaced
        if token.kind in ("word", "command"):
            return not is_sign(token, *_NO_FACTOR)
        return token.text in _CLOSING or (token.text == "|" and not self._bars)

    def _see(self, *texts: str) -> bool:
        return self._at < len(self._tokens) and is_sign(self._tokens[self._at], *texts)

    def _see_number(self) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at].kind == "number"

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            raise Unreadable("it breaks off")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, text: str) -> None:
        if self._next().text != text:
            raise Unreadable(f"{text!r} is missing")


_DEGREE: Tree = ("div", ("const", "pi"), ("num", Fraction(180)))
_DEGREE_SIGNS = (("°",), (r"\degree",), (r"\circ",), ("^", r"\circ"), ("^", "{", r"\circ", "}"))
_OF_ANGLES = ("sin", "cos", "tan", "cot", "sec", "csc")
_NO_FACTOR = (r"\cdot", r"\times", r"\div", r"\rvert", r"\vert", r"\}", r"\rfloor", r"\rceil")


def _proper(top: Fraction, bottom: Fraction) -> Fraction:
    if top.denominator != 1 or bottom.denominator != 1 or not 0 < top < bottom:
        raise Unreadable("a mixed number needs a proper fraction")
    return top / bottom


def _joined(factors: Sequence[Tree]) -> Tree:
    return factors[0] if len(factors) == 1 else ("mul", *factors)


def _scientific(number: Tree, power: Tree) -> Tree | None:
    """`1.5 \\times 10^3`, where the two are such."""
    if number[0] != "num" or power[0] != "pow" or power[1] != ("num", Fraction(10)):
        return None
    exponent = _whole(power[2])
    if exponent is None or abs(exponent) > MAX_EXPONENT:
        return None
    return ("sci", number[1] * Fraction(10) ** exponent)


def _whole(tree: Tree) -> int | None:
    sign, tree = (-1, tree[1]) if tree[0] == "neg" else (1, tree)
    return sign * int(tree[1]) if tree[0] == "num" and tree[1].denominator == 1 else None

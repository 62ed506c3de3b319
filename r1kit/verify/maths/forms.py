"""What an answer can be: the forms that are read and compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from r1kit.verify.maths.field import Value, value_of
from r1kit.verify.maths.trees import Tree, is_plain, symbols
from r1kit.verify.maths.units import Unit


@dataclass(frozen=True, slots=True)
class Expression:
    """A number or an expression: `Expression(("num", Fraction(3)))`."""

    tree: Tree
    spelling: str = field(default="", compare=False)  # of two or more letters that are all there is
    dollars: bool = field(default=False, compare=False)  # a dollar sign stands before it
    value: Value = field(init=False)
    plain: bool = field(init=False)  # one written-out number, see `trees.is_plain`

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", value_of(self.tree))
        object.__setattr__(self, "plain", is_plain(self.tree))

    def times(self, factor: Fraction) -> Expression:
        """The product; a written-out number stays one."""
        number = self.value.rational
        if factor == 1:
            return self
        if self.plain and number is not None:
            return Expression(("num", number * factor))
        return Expression(("mul", self.tree, ("num", factor)))

    @property
    def constant(self) -> bool:
        """Whether it has no symbols."""
        return not symbols(self.tree)


@dataclass(frozen=True, slots=True)
class Quantity:
    """`5 cm`, `100%`; degrees are `Angle`."""

    amount: Expression
    unit: Unit


@dataclass(frozen=True, slots=True)
class Angle:
    """`45°`, `\\pi/4` rad."""

    amount: Expression  # as written
    radians: Expression
    degrees: bool


@dataclass(frozen=True, slots=True)
class Based:
    """`1011_2`: eleven, written in base 2."""

    number: int
    base: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """`3:4`, or `7:05`, which may be a time of day."""

    parts: tuple[Expression, ...]
    time: str = ""  # as written, without zeros in front


@dataclass(frozen=True, slots=True)
class Infinity:
    """`\\infty`, or `-\\infty`."""

    negative: bool


@dataclass(frozen=True, slots=True)
class Ordered:
    """A point, a vector, a tuple: order counts."""

    items: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Unordered:
    """A set in braces, or (`braces` false) several answers side by side."""

    items: tuple[Form, ...]
    braces: bool


@dataclass(frozen=True, slots=True)
class Interval:
    """`[1, 2)`; None for an end at infinity."""

    low: Expression | None
    high: Expression | None
    low_closed: bool
    high_closed: bool


@dataclass(frozen=True, slots=True)
class Union:
    """One interval or several, in the order as written until `intervals.merged`."""

    parts: tuple[Interval, ...]
    variable: str | None = None  # of `1 < x < 2`


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of equal length."""

    rows: tuple[tuple[Expression, ...], ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """`x = 3`: a name and what it is; the name of `(x, y) = (1, 2)` is "(x,y)"."""

    name: str
    content: Form


@dataclass(frozen=True, slots=True)
class Assignments:
    """`x = 1, y = 2`: by name."""

    items: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """`2x + 3y = 6`."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Approximation:
    """`\\sqrt{2} \\approx 1.41`, which holds."""

    exact: Expression
    decimal: Expression


@dataclass(frozen=True, slots=True)
class Congruence:
    """`x \\equiv 1, 3 \\pmod{8}`; without the name, `1, 3 \\pmod{8}`."""

    name: str
    residues: frozenset[int]  # from 0 to the modulus
    modulus: int


@dataclass(frozen=True, slots=True)
class Figure:
    """`\\triangle ABC`, `\\overline{AB}`, with its points in an order of its own."""

    kind: str
    points: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A letter of a multiple-choice question."""

    letter: str


@dataclass(frozen=True, slots=True)
class Words:
    """`yes`, `no solution`, `Tuesday`: lower-cased, single spaces."""

    text: str


Form = (
    Expression
    | Quantity
    | Angle
    | Based
    | Ratio
    | Infinity
    | Ordered
    | Unordered
    | Interval
    | Union
    | Matrix
    | Assignment
    | Assignments
    | Equation
    | Approximation
    | Congruence
    | Figure
    | Choice
    | Words
)

NAMES: dict[type, str] = {
    Expression: "an expression",
    Quantity: "a number with a unit",
    Angle: "an angle",
    Based: "a number in a base",
    Ratio: "a ratio",
    Infinity: "infinity",
    Ordered: "a tuple",
    Unordered: "a set or several answers",
    Interval: "an interval",
    Union: "an interval",
    Matrix: "a matrix",
    Assignment: "an equation for a name",
    Assignments: "equations for names",
    Equation: "an equation",
    Approximation: "an approximation",
    Congruence: "a congruence",
    Figure: "a figure",
    Choice: "a letter",
    Words: "words",
}
"""How a form is called in reasons shown to people."""

"""Countdown: make a target from given numbers, each used exactly once, with + - * /."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from r1kit import seeds
from r1kit.errors import DataError, RecipeError
from r1kit.settings import Settings
from r1kit.tasks import shares, sources
from r1kit.tasks.protocol import SPLITS, split_of
from r1kit.types import Message, Problem, Split, Verdict
from r1kit.verify.arithmetic import check_countdown

NAME = "countdown"
OPERATORS = "+-*/"
MAX_NUMBERS = 6

Wording = Literal["brief", "full"]

PROMPTS: Mapping[Wording, Mapping[str, str]] = {
    "brief": {
        "en": "Use the numbers {numbers} to make {target}.",
        "zh": "用数字{numbers}算出{target}。",
    },
    "full": {
        "en": "Using the numbers {numbers}, write one arithmetic expression that equals {target}. Every "
        "number must be used exactly once. You may use {operators} and parentheses. The final answer is the "
        "expression alone.",
        "zh": "请用数字{numbers}写出一个结果等于{target}的算式。每个数字必须使用且只能使用一次，"
        "可以使用{operators}和括号。最终答案只写这个算式。",
    },
}
"""Wording, then language -> the question. "brief" for a policy that knows the task, "full" for any other."""

_SEPARATORS = {"en": ", ", "zh": "、"}
_Term = tuple[str, int | Fraction, int]  # text, value, precedence of its outermost operator (2: a number)
_PATIENCE = 100_000  # draws in a row that bring no new problem before the settings count as exhausted


class CountdownSettings(Settings):
    """Where the problems come from, and how they are worded."""

    numbers: Annotated[
        tuple[int, ...],
        BeforeValidator(
            lambda value: (value,) if type(value) is int else tuple(value) if type(value) is list else value
        ),
        Field(min_length=1),
    ] = (3,)
    """How many numbers a problem has: 3, 4 or [3, 4] (drawn evenly); 2 to 6."""
    low: Annotated[int, Field(ge=0, le=10**6)] = 1
    """Smallest number given."""
    high: Annotated[int, Field(ge=0, le=10**6)] = 9
    """Largest number given."""
    target_low: Annotated[int, Field(ge=-(10**9), le=10**9)] = 1
    """Smallest target."""
    target_high: Annotated[int, Field(ge=-(10**9), le=10**9)] = 40
    """Largest target."""
    operators: str = "+-*"
    """Operators that the generator builds targets with, out of + - * /. An answer may use all four."""
    languages: dict[str, float] = Field(default={"en": 0.7, "zh": 0.3})
    """Language of the question -> its share."""
    wording: Wording = "brief"
    """"brief" for the micro world, "full" for models that do not know the task."""
    train_size: Annotated[int, Field(ge=0)] = 1100
    """Training problems. Generated: exactly so many; loaded: at most."""
    validation_size: Annotated[int, Field(ge=0)] = 128
    """Validation problems."""
    test_size: Annotated[int, Field(ge=0)] = 128
    """Test problems."""
    data: str | None = None
    """A .jsonl or .parquet file or a hub data set with `nums` and `target`; none: generated problems."""
    seed: int = 0
    """Seed of the draw. It never moves a problem to another split."""

    @field_validator("numbers")
    @classmethod
    def _check_numbers(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(2 <= count <= MAX_NUMBERS for count in value):
            raise ValueError(f"each must be 2 to {MAX_NUMBERS}, found {list(value)}")
        return value

    @field_validator("operators")
    @classmethod
    def _check_operators(cls, value: str) -> str:
        if not value or len(set(value)) != len(value) or not set(value) <= set(OPERATORS):
            raise ValueError(f"must be some of {OPERATORS}, each once, found {value!r}")
        return value

    @field_validator("languages")
    @classmethod
    def _check_languages(cls, value: dict[str, float]) -> dict[str, float]:
        return shares.checked(value, PROMPTS["brief"])

    @model_validator(mode="after")
    def _check_ranges(self) -> CountdownSettings:
        if self.low > self.high:
            raise ValueError(f"low={self.low} is above high={self.high}")
        if self.target_low > self.target_high:
            raise ValueError(f"target_low={self.target_low} is above target_high={self.target_high}")
        return self


class Countdown:
    """The task. `Countdown(CountdownSettings(numbers=(3, 4))).problems("test")`."""

    name = NAME
    reference_keys = ("nums", "target")
    free_form = False

    def __init__(self, settings: CountdownSettings) -> None:
        self.settings = settings

    def problems(self, split: Split) -> Sequence[Problem]:
        """The problems of a split, unique by `canonical_key`. Raises RecipeError or DataError."""
        return self._splits[split]

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """CORRECT when the answer makes the target from every number, each once."""
        return check_countdown(answer, problem.reference["nums"], problem.reference["target"])

    def gold(self, problem: Problem) -> str:
        """The first solution that `expressions` meets. Raises DataError for a loaded problem without one."""
        nums, target = problem.reference["nums"], problem.reference["target"]
        for text, value in expressions(nums, OPERATORS):
            if value == target:
                return text
        raise DataError(f"{problem.id}: no expression makes {target} from {nums}")

    def problem_from_reference(self, row: Mapping[str, Any], where: str = "row") -> Problem:
        """The problem of a row with `nums` and `target`, in the settings' wording."""
        nums, target = _read_reference(row, where)
        return self._problem(nums, target)

    @cached_property
    def _splits(self) -> dict[Split, list[Problem]]:
        pairs = self._loaded() if self.settings.data is not None else self._generated()
        return {split: [self._problem(nums, target) for nums, target in pairs[split]] for split in SPLITS}

    def _sizes(self) -> dict[Split, int]:
        settings = self.settings
        return {
            "train": settings.train_size,
            "validation": settings.validation_size,
            "test": settings.test_size,
        }

    def _generated(self) -> dict[Split, list[tuple[list[int], int]]]:
        """Draw until every split is full; each split is a prefix of one stream, whatever the other sizes."""
        settings, sizes = self.settings, self._sizes()
        found: dict[Split, list[tuple[list[int], int]]] = {split: [] for split in SPLITS}
        seen: set[str] = set()
        rng = seeds.generator(settings.seed, NAME, "problems")
        misses = 0
        while short := [split for split in SPLITS if len(found[split]) < sizes[split]]:
            nums = [rng.randint(settings.low, settings.high) for _ in range(rng.choice(settings.numbers))]
            _, value = random_expression(rng, nums, settings.operators)
            key = canonical_key(nums, int(value))
            fits = value.denominator == 1 and settings.target_low <= value <= settings.target_high
            if fits and key not in seen and (split := split_of(NAME, key)) in short:
                seen.add(key)
                found[split].append((nums, int(value)))
                misses = 0
            elif (misses := misses + 1) > _PATIENCE:
                raise RecipeError(
                    f"countdown: {short[0]}_size={sizes[short[0]]}, but these settings have only about "
                    f"{len(found[short[0]])} such problems; lower it, or widen numbers, high or target_high"
                )
        return found

    def _loaded(self) -> dict[Split, list[tuple[list[int], int]]]:
        """The rows of `data`, in a seeded order, later copies of one problem left out."""
        data = self.settings.data
        assert data is not None
        unique: dict[str, tuple[list[int], int]] = {}
        for number, row in sources.rows(data):
            nums, target = _read_reference(row, f"{data}: row {number}")
            unique.setdefault(canonical_key(nums, target), (nums, target))
        keys = list(unique)
        seeds.generator(self.settings.seed, NAME, "order").shuffle(keys)
        found: dict[Split, list[tuple[list[int], int]]] = {split: [] for split in SPLITS}
        for key in keys:
            found[split_of(NAME, key)].append(unique[key])
        return {split: found[split][:size] for split, size in self._sizes().items()}

    def _problem(self, nums: list[int], target: int) -> Problem:
        settings = self.settings
        key = canonical_key(nums, target)
        language = shares.pick(settings.languages, seeds.fraction(settings.seed, NAME, "language", key))
        text = question(
            nums,
            target,
            language,
            settings.wording,
            settings.operators if settings.data is None else OPERATORS,
        )
        reference = {"nums": nums, "target": target}
        tags = (f"{len(nums)} numbers",)
        return Problem(f"{NAME}/{key}", NAME, (Message("user", text),), reference, language, tags)


def canonical_key(nums: Sequence[int], target: int) -> str:
    """`canonical_key([8, 3, 7], 29) == "3-7-8/29"`: the same for every order of the numbers."""
    return f"{'-'.join(map(str, sorted(nums)))}/{target}"


def question(
    nums: Sequence[int], target: int, language: str, wording: Wording = "brief", operators: str = OPERATORS
) -> str:
    """The user's words: `question([3, 7, 8], 29, "en") == "Use the numbers 3, 7, 8 to make 29."`."""
    separator = _SEPARATORS[language]
    return PROMPTS[wording][language].format(
        numbers=separator.join(map(str, nums)), target=target, operators=separator.join(operators)
    )


def expressions(nums: Sequence[int], operators: str = OPERATORS) -> Iterator[tuple[str, Fraction]]:
    """Every expression that uses each of `nums` once, as (text, value), lazily, each text once.

    Texts have no spaces and only the parentheses that they need, e.g. `("(3+7)*8", Fraction(80))`.
    """
    seen: set[str] = set()
    for text, value, _ in _trees([(str(number), number, 2) for number in nums], operators):
        if text not in seen:
            seen.add(text)
            yield text, Fraction(value)


def is_solvable(nums: Sequence[int], target: int, operators: str = OPERATORS) -> bool:
    """Whether some expression makes `target`."""
    return any(value == target for _, value in expressions(nums, operators))


def random_expression(
    rng: random.Random, nums: Sequence[int], operators: str = OPERATORS
) -> tuple[str, Fraction]:
    """One expression that uses each of `nums` once, by joining random pairs with random operators."""
    while True:
        terms: list[_Term] = [(str(number), number, 2) for number in nums]
        while len(terms) > 1:
            left = terms.pop(rng.randrange(len(terms)))
            right = terms.pop(rng.randrange(len(terms)))
            joined = _join(left, right, rng.choice(operators))
            if joined is None:
                break
            terms.append(joined)
        else:
            return terms[0][0], Fraction(terms[0][1])


def _join(left: _Term, right: _Term, sign: str) -> _Term | None:
    """`left sign right`, or None for a division by zero."""
    precedence = 0 if sign in "+-" else 1
    left_text = left[0] if left[2] >= precedence else f"({left[0]})"
    right_binds = right[2] > precedence or (right[2] == precedence and sign in "+*")
    right_text = right[0] if right_binds else f"({right[0]})"
    value: int | Fraction
    if sign == "+":
        value = left[1] + right[1]
    elif sign == "-":
        value = left[1] - right[1]
    elif sign == "*":
        value = left[1] * right[1]
    elif right[1] == 0:
        return None
    else:
        value = Fraction(left[1]) / right[1]
    return f"{left_text}{sign}{right_text}", value, precedence


def _trees(terms: list[_Term], operators: str) -> Iterator[_Term]:
    """All ways to join `terms` into one."""
    if len(terms) == 1:
        yield terms[0]
        return
    for i, left in enumerate(terms):
        for j, right in enumerate(terms):
            if i == j:
                continue
            others = [term for k, term in enumerate(terms) if k not in (i, j)]
            for sign in operators:
                joined = _join(left, right, sign)
                if joined is not None:
                    yield from _trees([*others, joined], operators)


def _read_reference(row: Mapping[str, Any], where: str) -> tuple[list[int], int]:
    """`nums` and `target` of a row, checked. Raises DataError that names the field."""
    for field in ("nums", "target"):
        if field not in row:
            raise DataError(
                f"{where}: field {field!r} is missing; found {', '.join(map(str, row)) or 'none'}"
            )
    nums, target = row["nums"], row["target"]
    if (
        not isinstance(nums, list | tuple)
        or not 1 <= len(nums) <= MAX_NUMBERS
        or not all(type(number) is int and 0 <= number <= 10**12 for number in nums)
    ):
        found = repr(nums)
        raise DataError(
            f"{where}: field 'nums' must be a list of 1 to {MAX_NUMBERS} whole numbers, found {found[:60]}"
        )
    if type(target) is not int or abs(target) > 10**12:
        raise DataError(f"{where}: field 'target' must be a whole number, found {repr(target)[:60]}")
    return list(nums), target

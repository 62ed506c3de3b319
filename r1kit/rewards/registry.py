"""The reward terms by name. A term is a function `(RewardInput, parameters) -> float` under `@reward(…)`."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, get_args

from r1kit.errors import UnknownNameError
from r1kit.settings import Settings
from r1kit.tasks.registry import describe_settings
from r1kit.text.tags import ParsedResponse
from r1kit.types import Completion, Problem, Unscored, Verdict

Aspect = Literal["answer", "form", "thinking", "language", "all"]
"""What a term looks at: whether the answer is right, the tags, honest thinking, its language, or several."""

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class RewardInput:
    """What a term may look at."""

    problem: Problem
    completion: Completion
    parsed: ParsedResponse  # of `completion.text`
    verdict: Verdict


class Scorer(Protocol):
    """Gives a term's raw values to many samples at once, as a model does."""

    def scores(self, samples: Sequence[RewardInput]) -> Sequence[float | Unscored | None]:
        """A finite number for each sample, or why there is none (None: the model gave none), never zero."""
        ...


class NoParameters(Settings):
    """Parameters of a term that has none."""


@dataclass(frozen=True, slots=True)
class RewardEntry:
    """One registered term."""

    name: str
    function: Callable[[Any, Any], Any] | None  # None for a term that a model or a reward file gives
    low: float  # smallest value, with the default parameters
    high: float  # largest value, with the default parameters
    formula: str  # one line
    source: str  # where it was published, or the reward file
    parameters: type[Settings]
    counts_tokens: Callable[[Any], bool] = lambda parameters: False  # needs the sampled tokens, not only text
    about: Aspect = "all"
    batch: bool = False  # the function takes all samples of a step, and gives a list
    without_gold: Callable[[Any], bool] = lambda parameters: False  # pays also where the gold is unreadable
    file: str | None = None  # the reward file that defines it
    table: tuple[
        Mapping[str, Any], ...
    ] = ()  # of a reward file's term: its parameters, as `describe` has them

    @property
    def by_model(self) -> bool:
        """Whether a model gives the values: a reward model or a judge."""
        return self.function is None and self.file is None


REWARDS: dict[str, RewardEntry] = {}
"""Name -> term; the package registers the built-in ones when it is imported."""

Function = TypeVar("Function", bound=Callable[..., Any])


def reward(
    name: str,
    *,
    low: float,
    high: float,
    formula: str,
    source: str = "",
    parameters: type[Settings] = NoParameters,
    counts_tokens: Callable[[Any], bool] = lambda parameters: False,
    about: Aspect = "all",
    batch: bool = False,
    without_gold: Callable[[Any], bool] = lambda parameters: False,
) -> Callable[[Function], Function]:
    """Register the decorated term: `(sample, parameters) -> number`, or `(sample)` without parameters.

    With `batch`, the function takes the list of a step's samples instead and gives a list of as many numbers.

    Raises:
        ValueError: the name is taken or no name, or `about` is none of `Aspect`.
        TypeError: the function cannot be called so.
    """

    def register(function: Function) -> Function:
        if name in REWARDS:
            raise ValueError(f"reward {name!r} is registered already")
        if not _NAME.fullmatch(name):
            raise ValueError(f"reward {name!r:.80}: a name is 1 to 64 of A-Z a-z 0-9 _, a letter first")
        if about not in get_args(Aspect):
            raise ValueError(
                f"reward {name!r}: about must be one of {', '.join(get_args(Aspect))}, found {about!r}"
            )
        called = _callable_as_term(name, function, parameters, "samples" if batch else "sample")
        REWARDS[name] = RewardEntry(
            name, called, low, high, formula, source, parameters, counts_tokens, about, batch, without_gold
        )
        return function

    return register


yes_or_no = functools.partial(reward, low=0.0, high=1.0)
"""Register a term that is 1 or 0: the function returns whether."""


def find(name: str) -> RewardEntry:
    """The built-in term of that name. Raises UnknownNameError that lists the known ones."""
    if name not in REWARDS:
        raise UnknownNameError("reward", name, REWARDS)
    return REWARDS[name]


def describe(entries: Iterable[RewardEntry] | None = None) -> list[dict[str, Any]]:
    """Per term: name, formula, bounds, source, and each parameter's name, default and description.

    `entries`: of which terms; of all built-in ones without it.
    """
    return [
        {
            "name": entry.name,
            "formula": entry.formula,
            "low": entry.low,
            "high": entry.high,
            "source": entry.source,
            "parameters": list(entry.table) if entry.file else describe_settings(entry.parameters),
        }
        for entry in sorted(REWARDS.values() if entries is None else entries, key=lambda entry: entry.name)
    ]


def _callable_as_term(
    name: str, function: Callable[..., Any], parameters: type[Settings], first: str
) -> Callable[[Any, Any], Any]:
    """The function with two arguments. Raises TypeError for any that takes neither one nor two."""
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"reward {name!r}: the function must return its value, not await or yield it")
    signature = inspect.signature(function)
    if _binds(signature, 2):
        return function
    if parameters is NoParameters and _binds(signature, 1):
        return lambda sample, _: function(sample)
    wanted = f"({first}) or ({first}, parameters)" if parameters is NoParameters else f"({first}, parameters)"
    raise TypeError(f"reward {name!r}: the function must take {wanted}, found {signature}")


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True

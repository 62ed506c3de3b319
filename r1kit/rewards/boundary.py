"""Where a term's function is called: whatever it does, the outcome is a finite number or a typed failure."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from pathlib import PurePath
from typing import Any

from r1kit.types import Failure, Unscored

_LONGEST = 200  # characters of a failure's detail

Function = Callable[[Any, Any], Any]


def single(term: str, function: Function, sample: Any, parameters: Any) -> float | Unscored:
    """The value of one sample."""
    try:
        return number(term, function(sample, parameters))
    except (Exception, SystemExit) as error:  # a failing term is data, not the end of the run
        return _raised(term, error)


def several(term: str, function: Function, samples: Sequence[Any], parameters: Any) -> list[float | Unscored]:
    """The values of all samples, from one call."""
    try:
        values = function(samples, parameters)
        ordered = hasattr(values, "__len__") and hasattr(values, "__getitem__")  # unlike a set
        if isinstance(values, str | bytes | Mapping) or not ordered:
            failed = Unscored(term, Failure.WRONG_TYPE, f"expected a list, found {_kind(values)}")
            return [failed] * len(samples)
        found = list(values)
        if len(found) != len(samples):
            detail = f"gave {len(found)} values for {len(samples)} samples"
            return [Unscored(term, Failure.WRONG_COUNT, detail)] * len(samples)
        return [number(term, value) for value in found]
    except (Exception, SystemExit) as error:
        return [_raised(term, error)] * len(samples)


def number(term: str, value: object) -> float | Unscored:
    """A returned value as a float: of int, float and bool (1 or 0), and of numpy's real scalars.

    Anything else is WRONG_TYPE, a text that spells a number and an array of one element too: what it would
    mean is a guess.
    """
    if not isinstance(value, Real):
        return Unscored(term, Failure.WRONG_TYPE, f"expected a number, found {_kind(value)}")
    try:
        converted = float(value)
    except OverflowError:
        return Unscored(term, Failure.NOT_FINITE, "a whole number beyond all floats")
    if not math.isfinite(converted):
        return Unscored(term, Failure.NOT_FINITE, str(converted))
    return converted


def _raised(term: str, error: BaseException) -> Unscored:
    failure = Failure.OUT_OF_MEMORY if isinstance(error, MemoryError) else Failure.RAISED
    return Unscored(term, failure, _told(error))


def _kind(value: object) -> str:
    return f"{type(value).__name__} {value!r:.40}" if isinstance(value, str) else type(value).__name__


def _told(error: BaseException) -> str:
    """`"KeyError: 'x' (my_rewards.py, line 12)"`."""
    try:
        message = str(error)
    except Exception:  # an exception of the user's own may fail to tell its message
        message = ""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({PurePath(frames[-1].filename).name}, line {frames[-1].lineno})" if len(frames) > 1 else ""
    return f"{type(error).__name__}: {' '.join(message.split())}"[:_LONGEST] + place

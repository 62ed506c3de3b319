"""Several sides on the same work in turn, and which variant of a peer is its best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import sleep
from typing import Protocol

from bench.peers.environments import PeerMissingError
from bench.peers.process import SideFailedError
from bench.peers.talk import Record

_REST = 1.0
"""Seconds before each turn: threads of the side before wait busily for a while for more work of theirs."""
Failed = (PeerMissingError, SideFailedError)


class UnequalWorkError(Exception):
    """A side did not do what it was asked, so that its speed would mean nothing."""


class Runner(Protocol):
    """A side that has its own process, or several."""

    def start(self) -> Record: ...

    def repeat(self, request: Record) -> Record: ...

    def close(self) -> None: ...


Make = Callable[[], Runner]


@dataclass(frozen=True, slots=True)
class Contender:
    """One side: `Contender("vLLM", make)`. `make` may raise PeerMissingError or SideFailedError."""

    name: str
    make: Make
    fixed: bool = True  # draws responses of exactly the lengths that it is told


@dataclass(slots=True)
class Turns:
    """What came of taking turns, by side."""

    results: dict[str, list[Record]] = field(default_factory=dict)  # of each repeat
    facts: dict[str, Record] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)  # why a side has no results

    def speeds(self, name: str, count: str = "new_tokens") -> list[float]:
        """What is counted, per second, of each repeat; [] for a side without results."""
        return [result[count] / result["seconds"] for result in self.results.get(name, [])]

    def record(self) -> Record:
        """For the results, without the lengths of single responses."""
        plain = {
            name: [{key: value for key, value in result.items() if key != "lengths"} for result in results]
            for name, results in self.results.items()
        }
        return {"repeats": plain, "settings": self.facts, "not_run": self.missing}


def in_turn(contenders: Sequence[Contender], repeats: int) -> Turns:
    """All sides in turn, after one turn that is not counted.

    The first draws responses as long as they become; the others are told these lengths. One that fails is
    left out from there on, with the reason.

    Raises UnequalWorkError.
    """
    turns = Turns()
    with ExitStack() as stack:
        runners = dict(_started(contenders, turns, stack))
        if contenders[0].name not in runners:
            raise SideFailedError(turns.missing[contenders[0].name])
        for repeat in range(-1, repeats):
            lengths: list[int] | None = None
            for contender, runner in list(runners.items()):
                told = {"repeat": repeat + 1, "lengths": lengths}
                sleep(_REST)
                try:
                    result = runner.repeat(told)
                except SideFailedError as error:
                    turns.missing[contender] = str(error)
                    turns.results.pop(contender, None)
                    del runners[contender]
                    if lengths is None:
                        raise
                    continue
                fixed = next(c.fixed for c in contenders if c.name == contender)
                require_equal(contender, result, lengths if fixed else None)
                lengths = lengths or result.get("lengths", [])
                if repeat >= 0:
                    turns.results.setdefault(contender, []).append(result)
    return turns


def _started(contenders: Sequence[Contender], turns: Turns, stack: ExitStack) -> Iterator[tuple[str, Runner]]:
    for contender in contenders:
        try:
            runner = contender.make()
            stack.callback(runner.close)
            turns.facts[contender.name] = runner.start()
        except Failed as error:
            turns.missing[contender.name] = str(error)
        else:
            yield contender.name, runner


def require_equal(name: str, result: Record, lengths: Sequence[int] | None) -> None:
    """Raise UnequalWorkError unless the responses have the lengths that were asked for (None: any)."""
    if not lengths:
        return
    drawn = result["lengths"]
    if list(drawn) != list(lengths) or result["new_tokens"] != sum(lengths):
        raise UnequalWorkError(
            f"{name}: {sum(drawn)} new tokens in {len(drawn)} responses, asked for were {sum(lengths)} in"
            f" {len(lengths)}"
        )


@dataclass(frozen=True, slots=True)
class Best:
    """A peer's best variant, and what each came to."""

    name: str
    make: Make
    tried: Mapping[str, float | str]  # the median speed, or why there is none


def best_of(variants: Mapping[str, Make], request: Record, repeats: int, count: str = "new_tokens") -> Best:
    """The variant with the highest median speed over some repeats after a first one.

    Raises PeerMissingError when none of them runs, with the last one's reason.
    """
    if len(variants) == 1:  # there is nothing to compare it with
        return Best(*next(iter(variants.items())), {})
    tried: dict[str, float | str] = {}
    for name, make in variants.items():
        try:
            with _closing(make()) as runner:
                runner.start()
                results = [runner.repeat({**request, "repeat": place}) for place in range(repeats + 1)][1:]
        except Failed as error:
            tried[name] = str(error)
            continue
        for result in results:
            require_equal(name, result, request.get("lengths"))
        tried[name] = median(result[count] / result["seconds"] for result in results)
    speeds = {name: speed for name, speed in tried.items() if isinstance(speed, float)}
    if not speeds:
        raise PeerMissingError(str(list(tried.values())[-1]))
    best = max(speeds, key=lambda name: speeds[name])
    return Best(best, variants[best], tried)


@contextmanager
def _closing(runner: Runner) -> Iterator[Runner]:
    try:
        yield runner
    finally:
        runner.close()

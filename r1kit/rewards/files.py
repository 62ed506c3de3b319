"""Reward files: Python files of the user's own, whose terms are computed in a killable process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from r1kit.errors import RecipeError, UnknownNameError
from r1kit.rewards.registry import RewardEntry, RewardInput
from r1kit.rewards.samples import to_data
from r1kit.settings import Settings
from r1kit.types import Failure, Unscored
from r1kit.verify.line_process import DiedError, LineProcess, TimedOutError

IMPORT_SECONDS = 60.0  # for the file's own imports
MEMORY_MB = 2048  # of scoring, beyond what importing took
MAX_LOST = 5  # samples of one batch that may hang or end the process; the others are not tried then
_GRACE = 4.0  # seconds on the clock for each of the processor: the process stops itself after 3
_STARTED = 5.0  # seconds on the clock besides


class GivenParameters(Settings):
    """Parameters of a reward file's term, which its own process checks."""

    model_config = ConfigDict(extra="allow")


def file_entry(file: str, name: str) -> RewardEntry:
    """The term of that name in a reward file. Raises RecipeError, UnknownNameError."""
    entries = file_entries(file)
    if name not in entries:
        raise UnknownNameError("reward", name, entries, file)
    return entries[name]


def file_entries(file: str) -> Mapping[str, RewardEntry]:
    """The terms of a reward file by name. Raises RecipeError where it is none, naming the fault."""
    return _described(file, _content(file))


def check_parameters(file: str, name: str, params: Mapping[str, Any]) -> None:
    """Raises RecipeError for parameters that the term does not take."""
    needed = any(parameter["required"] for parameter in file_entry(file, name).table)
    if not params and not needed:
        return
    fault = _fault(file, _content(file), name, json.dumps(dict(params), sort_keys=True))
    if fault:
        raise RecipeError(f"{file}: {fault}")


class RewardFile:
    """A reward file's process, started when it is first needed and again after it was stopped.

    Raises RecipeError when the file cannot be read or imported.
    """

    def __init__(self, file: str | Path) -> None:
        self.file = str(file)
        _content(self.file)
        self.terms: tuple[Mapping[str, Any], ...] = ()
        self._process: LineProcess | None = None

    def start(self) -> LineProcess:
        """The running process, which has imported the file."""
        if self._process is None:
            process = LineProcess("r1kit.rewards.file_worker", [str(Path(self.file).resolve())])
            try:
                reply = process.receive(IMPORT_SECONDS)
            except TimedOutError:
                reply = {"fault": f"importing it took longer than {IMPORT_SECONDS:g} s"}
            except DiedError as error:
                reply = {"fault": f"importing it ended the process: {error}"}
            if "fault" in reply:
                process.stop()
                raise RecipeError(f"{self.file}: {reply['fault']}")
            self.terms, self._process = tuple(reply["terms"]), process
        return self._process

    def stop(self) -> None:
        """End the process; the next use starts another."""
        if self._process is not None:
            self._process.stop()
            self._process = None


class FileScorer:
    """Scores by a term of a reward file.

    Args:
        process: of the file; several terms may share it.
        term: its name.
        params: its parameters.
        seconds: of the processor, for one sample or for one batch that is scored as a whole; on the clock
            three times as much.
        memory_mb: MiB of address space that scoring may take beyond what importing the file took; on Linux.
    """

    def __init__(
        self,
        process: RewardFile,
        term: str,
        params: Mapping[str, Any],
        seconds: float,
        memory_mb: int = MEMORY_MB,
    ) -> None:
        self._file, self._term, self._params = process, term, dict(params)
        self._seconds, self._memory_mb = seconds, memory_mb
        process.start()
        self._batch = any(told["name"] == term and told["batch"] for told in process.terms)

    def scores(self, samples: Sequence[RewardInput]) -> list[float | Unscored]:
        """The values of the samples, or why there is none; a process that dies is replaced and asked again.

        Raises RecipeError when the file cannot be imported again.
        """
        data = [to_data(sample) for sample in samples]
        found: list[float | Unscored] = []
        lost, again = 0, -1  # samples lost so far; the sample at which a process died for the first time
        while len(found) < len(samples):
            if lost == MAX_LOST:
                detail = f"{MAX_LOST} samples before it hung, ran out of memory or ended the process"
                untried = Unscored(self._term, Failure.NOT_TRIED, detail)
                return [*found, *[untried] * (len(samples) - len(found))]
            new, ending = self._ask(data[len(found) :])
            if ending is None:
                return found + new
            found += [] if self._batch else new
            if ending.failure is Failure.DIED and again != len(found):
                again = len(found)
                continue
            found += [ending] * (len(samples) - len(found) if self._batch else 1)
            lost += 1
        return found

    def _ask(self, data: Sequence[Mapping[str, Any]]) -> tuple[list[float | Unscored], Unscored | None]:
        """The outcomes of samples, one after the other, and how it ended, if not with the last one."""
        request = {
            "term": self._term,
            "params": self._params,
            "seconds": self._seconds,
            "memory": self._memory_mb << 20,
            "samples": data,
        }
        found: list[float | Unscored] = []
        try:
            process = self._file.start()
            process.send(request)
            while (reply := process.receive(self._seconds * _GRACE + _STARTED)).keys() != {"end"}:
                found.append(self._outcome(reply))
                if len(found) > len(data):
                    found.clear()  # which one is of which sample is not known
                    raise DiedError("it gave more values than there are samples")
        except (TimedOutError, DiedError) as error:
            self._file.stop()
            failure = Failure.HUNG if isinstance(error, TimedOutError) else Failure.DIED
            return found, Unscored(self._term, failure, str(error))
        if len(found) == len(data):
            return found, None
        if reply["end"] == "hung":
            return found, Unscored(self._term, Failure.HUNG, f"more than {self._seconds:g} s")
        if reply["end"] == "memory":
            return found, Unscored(self._term, Failure.OUT_OF_MEMORY, f"more than {self._memory_mb} MiB")
        return found, Unscored(self._term, Failure.DIED, "it ended its process")

    def _outcome(self, reply: Mapping[str, Any]) -> float | Unscored:
        """Raises DiedError for a line that is no outcome."""
        match reply:
            case {"value": int() | float() as value}:
                return float(value)
            case {"failure": str(failure), "detail": str(detail)} if failure in set(Failure):
                return Unscored(self._term, Failure(failure), detail)
        raise DiedError("it wrote something that is no value")


def _content(file: str) -> bytes:
    if not hasattr(os, "fork"):
        raise RecipeError(f"{file}: reward files need Linux or macOS; this system cannot bound what they do")
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise RecipeError(f"{file}: cannot be read: {error.strerror}; a reward file is Python") from None


@cache
def _described(file: str, content: bytes) -> Mapping[str, RewardEntry]:
    """By content as well, so that an edited file is imported again."""
    process = RewardFile(file)
    process.start()
    process.stop()
    if not process.terms:
        raise RecipeError(f"{file}: registers no reward; decorate a function with @reward(…)")
    return {
        told["name"]: RewardEntry(
            told["name"],
            None,
            told["low"],
            told["high"],
            told["formula"],
            told["source"] or file,
            GivenParameters,
            about=told["about"],
            batch=told["batch"],
            file=file,
            table=tuple(told["parameters"]),
        )
        for told in process.terms
    }


@cache
def _fault(file: str, content: bytes, name: str, params: str) -> str:
    process = RewardFile(file)
    try:
        running = process.start()
        running.send({"term": name, "params": json.loads(params)})
        return str(running.receive(IMPORT_SECONDS).get("fault", ""))
    except (TimedOutError, DiedError) as error:
        return f"reward {name!r}: checking its parameters failed: {error}"
    finally:
        process.stop()

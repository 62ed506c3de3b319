"""Samples of a stage, streamed to disk in rounds: a broken stage goes on after its last whole round.

A round's samples follow from the seed and the round's own problems, so that an interruption changes nothing.
The log has one row per problem; the samples of hundreds of thousands of problems never lie in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from r1kit.errors import Interrupted
from r1kit.files import JsonlLog, read_jsonl
from r1kit.models.precision import resolve
from r1kit.rollouts.collect import collect
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.memory import MOST_ROWS
from r1kit.rollouts.protocol import Sampler, SamplingParams
from r1kit.stages.checkpoint import load_source
from r1kit.stages.protocol import ModelSource, StageContext
from r1kit.tasks.protocol import Task
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Finish, Outcome, Problem, RolloutGroup

SAMPLES = "samples.jsonl"  # the log of a stage that draws once
ROUND = MOST_ROWS  # samples of one round; large enough to keep the sampler's batch full


@dataclass(frozen=True, slots=True)
class LoggedSample:
    """One response as it stands in the log."""

    text: str
    finish: Finish
    tokens: int
    outcome: Outcome
    extracted: str | None

    @property
    def correct(self) -> bool:
        """The verifier found the answer right."""
        return self.outcome is Outcome.CORRECT


@dataclass(frozen=True, slots=True)
class Draw:
    """What to sample: `samples` responses to each of `problems`."""

    problems: Sequence[Problem]
    samples: int
    template: str
    params: SamplingParams
    seed: int


def sample_to_disk(
    draw: Draw,
    tasks: Mapping[str, Task],
    sampler: Sampler,
    tokenizer: Any,
    path: Path,
    label: str,
    progress: Progress,
    stop: StopFlag,
) -> None:
    """Fill the log at `path` with the samples of a draw, going on where it ends.

    Raises:
        Interrupted: `stop` asked for it; every finished round is on disk.
    """
    size = max(1, ROUND // draw.samples)
    log = JsonlLog(path)
    done = drop_unfinished_round(log, size, len(draw.problems))
    correct = sum(sample.correct for group in read_samples(path) for sample in group)
    with progress.bar(label, len(draw.problems), done) as bar:
        while done < len(draw.problems):
            if stop.requested:
                raise Interrupted(f"{label}: stopped after {done} of {len(draw.problems)} problems")
            groups = collect(
                draw.problems[done : done + size],
                tasks,
                sampler,
                None,
                draw.template,
                tokenizer,
                draw.params,
                draw.samples,
                draw.seed,
            )
            for group in groups:
                log.append(_row(group))
            log.sync()
            done += len(groups)
            correct += sum(rollout.verdict.correct for group in groups for rollout in group.rollouts)
            bar.update(done, correct=correct / (done * draw.samples))


def sample_model(
    draw: Draw, source: ModelSource, path: Path, label: str, context: StageContext
) -> Iterator[tuple[LoggedSample, ...]]:
    """The samples of a draw by the model `source`, by way of the log at `path`; see `sample_to_disk`."""
    model, tokenizer = load_source(source, resolve("auto", context.device), context.device)
    sampler = LocalSampler(model, tokenizer)
    sample_to_disk(draw, context.tasks, sampler, tokenizer, path, label, context.progress, context.stop)
    return read_samples(path)


def read_samples(path: Path) -> Iterator[tuple[LoggedSample, ...]]:
    """The samples of each problem, in the order of the draw's problems."""
    for row in read_jsonl(path):
        yield tuple(
            LoggedSample(s["text"], s["finish"], s["tokens"], Outcome(s["outcome"]), s["extracted"])
            for s in row["samples"]
        )


def _row(group: RolloutGroup) -> dict[str, Any]:
    samples = [
        {
            "text": rollout.completion.text,
            "finish": rollout.completion.finish,
            "tokens": len(rollout.completion.tokens),
            "outcome": str(rollout.verdict.outcome),
            "extracted": rollout.verdict.extracted,
        }
        for rollout in group.rollouts
    ]
    return {"problem": group.problem.id, "task": group.problem.task, "samples": samples}


def drop_unfinished_round(log: JsonlLog, size: int, problems: int) -> int:
    """Cut the log, of one row per problem, after its last whole round; returns how many problems are done."""
    with log.path.open("rb") as file:
        rows = sum(1 for _ in file)
    kept = rows if rows == problems else rows - rows % size
    if kept < rows:
        with log.path.open("rb") as file:
            log.truncate(sum(len(line) for line in islice(file, kept)))
    return kept

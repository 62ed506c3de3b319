"""Reward-model training: filter and encode -> examine -> batch -> update -> log -> save -> examine.

Left out of common practice: several answers to one prompt in one batch (InstructGPT trains on all K-choose-2
pairs of a ranking at once), because the records are single pairs; centring the scores, because advantages
within a group do so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from r1kit import seeds
from r1kit.errors import DataError, Interrupted
from r1kit.learning.checkpoint import Checkpoints
from r1kit.learning.order import draw, fingerprint
from r1kit.learning.reward_data import RewardData, encode_examples
from r1kit.learning.reward_learner import RewardLearner
from r1kit.learning.reward_settings import RewardTrainingSettings
from r1kit.models.reward_scores import max_tokens_of
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Judged, Preference

Records = Sequence[Preference] | Sequence[Judged]


def train_reward_model(
    model: nn.Module,
    tokenizer: Any,
    records: Records,
    settings: RewardTrainingSettings,
    *,
    seed: int,
    workdir: Path,
    log: RunLog,
    progress: Progress,
    stop: StopFlag,
    held_out: Records = (),
    gaps: Sequence[float | None] | None = None,
    name: str = "reward model",
) -> dict[str, float]:
    """Train `model`, a classifier with one output, in place; go on from the newest checkpoint in `workdir`.

    Args:
        model: see `models.reward_model.new_reward_model`.
        tokenizer: the model's.
        records: `Preference` or `Judged`, as `settings.kind` says.
        settings: of the training.
        seed: of the order of the examples.
        workdir: of the checkpoints.
        log: gets a row per update, and "held_out/…" rows at step 0 and at the end.
        progress: shows the updates.
        stop: looked at after every update.
        held_out: records of the same kind that are measured before and after; the filters apply to them too.
        gaps: for each record of a pairwise training its `chosen_score - rejected_score`, or None.
        name: of the run, for the progress bar.

    Returns "updates", "examples", "teraflop", "dropped/REASON", "skipped", and on held-out examples
    "before/MEASURE" and "after/MEASURE" (see `reward_learner.measures`).
    Raises Interrupted, after saving, when `stop` asks for it; DataError when no example is left;
    CheckpointError when `workdir` is of another run.
    """
    longest = min(settings.max_tokens, max_tokens_of(model))
    data = encode_examples(records, tokenizer, settings, gaps, max_tokens=longest)
    unseen = encode_examples(held_out, tokenizer, settings, max_tokens=longest)
    _require_examples(data, len(records))
    total = max(1, round(settings.epochs * len(data.examples) / settings.examples_per_batch))
    learner = RewardLearner(model, settings, total_updates=total)
    identity = _identity(data, unseen, settings, seed)
    checkpoints = Checkpoints(workdir, settings.keep_checkpoints, identity)
    start, saved = checkpoints.begin(learner, log, progress)
    before = saved["before"] if start else learner.examine(unseen.examples)
    if start == 0:
        _log_held_out(log, 0, before)

    with progress.bar(name, total, start) as bar:
        for step in range(start, total):
            began = time.perf_counter()
            chosen = draw(
                len(data.examples), seeds.derive(seed, "examples"), step, settings.examples_per_batch
            )
            stats = learner.learn([data.examples[index] for index in chosen])
            learner.require_progress(settings.max_skipped_updates)
            seconds = time.perf_counter() - began

            done = step + 1
            log.metrics(done, stats)
            log.timings(done, {"seconds": seconds, "tokens_per_second": stats["tokens"] / seconds})
            stopping = stop.requested  # read once: a signal after this line is for the next step
            if done % settings.save_every == 0 or done == total or stopping:
                checkpoints.save(done, learner, log_offsets=log.offsets(), extra={"before": before})
            bar.update(done, loss=stats["loss"], accuracy=stats["accuracy"])
            if stopping and done < total:
                raise Interrupted(f"{name}: stopped after step {done} of {total}, the state is saved")

    after = learner.examine(unseen.examples)
    _log_held_out(log, total, after)
    return {
        "updates": float(total),
        "examples": float(len(data.examples)),
        "teraflop": learner.operations / 1e12,
        **{f"dropped/{reason}": float(count) for reason, count in data.dropped.items()},
        "skipped": float(learner.skipped),
        **{f"before/{measure}": value for measure, value in before.items()},
        **{f"after/{measure}": value for measure, value in after.items()},
    }


def _require_examples(data: RewardData, found: int) -> None:
    if not data.examples:
        reasons = ", ".join(f"{count} {reason}" for reason, count in data.dropped.items() if count)
        raise DataError(f"reward model: no example is left of {found}; dropped: {reasons or 'none'}")


def _log_held_out(log: RunLog, step: int, measures: dict[str, float]) -> None:
    if measures:
        log.metrics(step, {f"held_out/{name}": value for name, value in measures.items()})


def _identity(
    data: RewardData, unseen: RewardData, settings: RewardTrainingSettings, seed: int
) -> dict[str, object]:
    return {
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "data": fingerprint(example.tobytes() for example in data.examples),
        "held_out": fingerprint(example.tobytes() for example in unseen.examples),
    }

"""Supervised training (pre-training, fine-tuning, distillation): documents -> batch -> update -> log -> save.

Loss is taken on responses only. Several documents are packed into one row with `batch.packing`; it is off by
default, since rows sorted by length waste little on padding and on a CPU are faster (see that setting).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from r1kit import seeds
from r1kit.errors import DataError, Interrupted
from r1kit.learning.batch import EncodedDocument, make_batch
from r1kit.learning.checkpoint import Checkpoints
from r1kit.learning.learner import Learner
from r1kit.learning.losses import Loss, supervised_loss
from r1kit.learning.order import TokenBatches, fingerprint
from r1kit.learning.settings import BatchSettings, OptimizerSettings, SFTSettings
from r1kit.models.precision import convert_parameters
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag


def train_supervised(
    model: nn.Module,
    documents: Sequence[EncodedDocument],
    settings: SFTSettings,
    *,
    seed: int,
    workdir: Path,
    log: RunLog,
    progress: Progress,
    stop: StopFlag,
    name: str = "training",
    loss: Loss = supervised_loss,
) -> dict[str, float]:
    """Train `model` in place on `documents` by `loss`, going on from the newest checkpoint in `workdir`.

    Returns "updates", "tokens" (read in training), "teraflop" (a teacher's among them), "loss" (mean of
    the last tenth of the updates), "skipped". Raises Interrupted, after saving, when `stop` asks for it;
    CheckpointError when `workdir` is of another run.
    """
    _require_loss(documents)
    batches = TokenBatches(
        [len(document.tokens) for document in documents],
        settings.tokens_per_batch,
        seeds.derive(seed, "documents"),
        settings.length_window,
    )
    total = settings.steps or max(1, round(settings.epochs * batches.per_epoch))
    learner = Learner(model, settings.optimizer, settings.batch, total_updates=total)
    checkpoints = Checkpoints(workdir, settings.keep_checkpoints, _identity(documents, settings, seed))
    start, saved = checkpoints.begin(learner, log, progress)
    # updates since the last row of metrics; checkpointed, so that rows do not depend on interruptions
    window: list[dict[str, float]] = list(saved.get("window", ()))
    tail: list[float] = list(saved.get("tail", ()))
    tokens = int(saved.get("tokens", 0))

    with progress.bar(name, total, start) as bar:
        for step in range(start, total):
            began = time.perf_counter()
            batch = make_batch([documents[index] for index in batches(step)])
            stats = learner.update(batch, loss)
            learner.require_progress(settings.max_skipped_updates)
            seconds = time.perf_counter() - began

            done, count = step + 1, int(batch.lengths_B.sum())
            tokens += count
            # the loss of a skipped update is no number; its "skipped" is
            finite = {name: value for name, value in stats.items() if math.isfinite(value)}
            tail = [*tail, *([finite["loss"]] if "loss" in finite else [])][-max(1, total // 10) :]
            window.append({**finite, "tokens": count})
            if done % settings.log_every == 0 or done == total:
                log.metrics(done, _averages(window))
                log.timings(done, {"seconds": seconds, "tokens_per_second": count / seconds})
                window = []
            stopping = stop.requested  # read once: a signal after this line is for the next step
            if done % settings.save_every == 0 or done == total or stopping:
                state = {"window": window, "tail": tail, "tokens": tokens}
                checkpoints.save(done, learner, log_offsets=log.offsets(), extra=state)
            bar.update(done, loss=stats["loss"], tokens_per_second=count / seconds)
            if stopping and done < total:
                raise Interrupted(f"{name}: stopped after step {done} of {total}, the state is saved")
    return {
        "updates": float(total),
        "tokens": float(tokens),
        "teraflop": learner.operations / 1e12,
        "loss": float(np.mean(tail)) if tail else math.nan,
        "skipped": float(learner.skipped),
    }


def mean_loss(model: nn.Module, documents: Sequence[EncodedDocument], settings: BatchSettings) -> float:
    """Mean negative log-likelihood (nats) of the response tokens of held-out documents.

    The model keeps its number format; a learner computes with wide weights, which hold the same values.
    """
    _require_loss(documents)
    stored = next(model.parameters()).dtype
    once = settings.model_copy(update={"compile": False, "gradient_checkpointing": False})  # no gain here
    learner = Learner(model, OptimizerSettings(), once, total_updates=1)
    batch = make_batch(documents)
    logprobs_BT = learner.logprobs(batch)
    convert_parameters(model, stored)
    return -float(logprobs_BT[batch.loss_mask_BT].double().mean())


def _require_loss(documents: Sequence[EncodedDocument]) -> None:
    for row, document in enumerate(documents, 1):
        if len(document.tokens) <= max(document.response_start, 1):
            raise DataError(f"documents: row {row}: field 'response' has no token to learn from")
    if not documents:
        raise DataError("documents: there are none to train on")


def _identity(documents: Sequence[EncodedDocument], settings: SFTSettings, seed: int) -> dict[str, object]:
    parts = (
        document.response_start.to_bytes(8, "big") + np.asarray(document.tokens, dtype=np.int64).tobytes()
        for document in documents
    )
    return {"settings": settings.model_dump(mode="json"), "seed": seed, "data": fingerprint(parts)}


def _averages(window: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over a window's updates; tokens and skipped updates are summed, the rate is the last."""
    names = sorted({name for stats in window for name in stats})
    means = {name: float(np.mean([stats[name] for stats in window if name in stats])) for name in names}
    return means | {
        "tokens": float(sum(stats["tokens"] for stats in window)),
        "skipped": float(sum(stats["skipped"] for stats in window)),
        "learning_rate": window[-1]["learning_rate"],
    }

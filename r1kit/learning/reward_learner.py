"""The learner of reward models: the same optimizer steps, over the scores of whole conversations.

Shapes: B examples, R rows of each (chosen and rejected, or one judged response).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

import torch
from torch import Tensor, nn

from r1kit.learning import shares
from r1kit.learning.compute import operations
from r1kit.learning.learner import Learner, prepare_for_training
from r1kit.learning.optimizer import make_optimizer
from r1kit.learning.reward_data import RewardExample, microbatches
from r1kit.learning.reward_settings import RewardTrainingSettings
from r1kit.learning.sums import Sums
from r1kit.models.precision import resolve
from r1kit.models.reward_scores import forward_scores, score_tokens, scoring_attention
from r1kit.models.threads import threads_for
from r1kit.objectives.preference import auc, pair_accuracy, pairwise_logistic, pointwise_logistic


class _Part(NamedTuple):
    """Examples that go through the model together."""

    number: int
    examples: Sequence[RewardExample]


class RewardLearner(Learner):
    """Updates a sequence classifier in place; steps, counters and checkpoint state are the `Learner`'s.

    Args:
        model: its weights become float32 if they are narrower.
        settings: of the training.
        total_updates: length of the schedule.
    """

    def __init__(self, model: nn.Module, settings: RewardTrainingSettings, *, total_updates: int) -> None:
        # not the base's own: that one needs a language model's head
        self.model = prepare_for_training(model, settings.gradient_checkpointing)
        self.updates = self.skipped = self.skipped_in_a_row = self.operations = 0
        self.optimizer = make_optimizer(model, settings.optimizer)
        self._settings = settings.optimizer
        self._total_updates = total_updates
        self._training = settings
        self._device = next(model.parameters()).device
        self._narrow = resolve(settings.precision, self._device) == torch.bfloat16
        self._threads = threads_for(model, self._device)

    def learn(self, examples: Sequence[RewardExample]) -> dict[str, float]:
        """One optimizer update on the mean loss of the examples; returns its statistics as plain numbers.

        Those of `measures`, "grad_norm" (before clipping), "learning_rate", "skipped" (0 or 1), "tokens".
        """
        self.model.train()
        dealt = self._dealt(examples)
        parts = [part for share in dealt for part in share]
        found: dict[int, Tensor] = {}

        def measure(part: _Part, sums: Sums) -> Tensor:
            rows = [row for example in part.examples for row in example.rows]
            scores_BR = forward_scores(self.model, rows, narrow=self._narrow).view(len(part.examples), -1)
            found[part.number] = scores_BR.detach().cpu()
            return _losses(scores_BR, part.examples, self._training).sum() / len(examples)

        with scoring_attention(self.model):  # around the backward pass too, which may recompute
            shares.backward(self.model, dealt, [], measure)
        self.model.eval()
        ordered = [example for part in parts for example in part.examples]
        stats = measures(torch.cat([found[part.number] for part in parts]), ordered, self._training)
        tokens = sum(len(row) for example in examples for row in example.rows)
        self.operations += operations(self.model, trained=tokens)
        return stats | self._step(stats["loss"]) | {"tokens": float(tokens)}

    def _dealt(self, examples: Sequence[RewardExample]) -> list[list[_Part]]:
        """The examples' parts for each thread; all threads' together stay within the budget."""
        widths = [example.width for example in examples]
        dealt = shares.deal(widths, range(len(examples)), self._threads)
        budget = -(-self._training.tokens_per_microbatch // len(dealt))
        numbers = count()
        return [
            [_Part(next(numbers), part) for part in microbatches([examples[row] for row in share], budget)]
            for share in dealt
        ]

    def examine(self, examples: Sequence[RewardExample]) -> dict[str, float]:
        """The finite `measures` of the model on held-out examples; {} when there are none."""
        if not examples:
            return {}
        rows = [row for example in examples for row in example.rows]
        budget = self._training.tokens_per_microbatch
        scores = score_tokens(self.model, rows, budget, narrow=self._narrow)
        found = measures(torch.tensor(scores).view(len(examples), -1), examples, self._training)
        return {name: value for name, value in found.items() if math.isfinite(value)}


def measures(
    scores_BR: Tensor, examples: Sequence[RewardExample], settings: RewardTrainingSettings
) -> dict[str, float]:
    """What the scores are worth, as plain numbers.

    "loss" (mean, nats), "accuracy", "score/mean", "score/std"; for pairs "score/lead" (mean of chosen minus
    rejected) and "longer_wins", the accuracy of preferring the longer text, which a model must beat; for
    judged responses "auc". The accuracy of judged responses is that of calling positive scores safe.
    """
    loss = float(_losses(scores_BR, examples, settings).double().mean())
    mean, std = float(scores_BR.mean()), float(scores_BR.std(correction=0))
    shared = {"loss": loss, "score/mean": mean, "score/std": std}
    return shared | _MEASURES[settings.kind](scores_BR, examples)


def _losses(scores_BR: Tensor, examples: Sequence[RewardExample], settings: RewardTrainingSettings) -> Tensor:
    """The loss of each example, (B,)."""
    if settings.kind == "pairwise":
        return pairwise_logistic(scores_BR[:, 0], scores_BR[:, 1], settings.margin)
    return pointwise_logistic(scores_BR[:, 0], _labels(examples).to(scores_BR))


def _pair_measures(scores_B2: Tensor, examples: Sequence[RewardExample]) -> dict[str, float]:
    chosen_B, rejected_B = scores_B2.unbind(1)
    lengths_B2 = torch.tensor([example.characters for example in examples])
    return {
        "accuracy": pair_accuracy(chosen_B, rejected_B),
        "score/lead": float((chosen_B - rejected_B).mean()),
        "longer_wins": pair_accuracy(lengths_B2[:, 0], lengths_B2[:, 1]),
    }


def _label_measures(scores_B1: Tensor, examples: Sequence[RewardExample]) -> dict[str, float]:
    scores_B, labels_B = scores_B1.squeeze(1), _labels(examples)
    right_B = (scores_B > 0) == (labels_B > 0.5)
    return {"accuracy": float(right_B.double().mean()), "auc": auc(scores_B, labels_B)}


_MEASURES = {"pairwise": _pair_measures, "pointwise": _label_measures}


def _labels(examples: Sequence[RewardExample]) -> Tensor:
    return torch.tensor([float(example.safe) for example in examples])

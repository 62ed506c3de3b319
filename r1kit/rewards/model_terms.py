"""Rewards that a model gives, batch by batch: a reward model, or a judge behind an address."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from r1kit.models.llama_like import has_small_decoder
from r1kit.models.precision import Precision, resolve
from r1kit.models.reward_model import load_reward_model
from r1kit.models.reward_scores import TOKENS_PER_BATCH, Part, score_texts, scored_part
from r1kit.rewards.judge import Judge, JudgedText, JudgeSettings
from r1kit.rewards.registry import RewardInput
from r1kit.types import Message


class RewardModelScorer:
    """Scores by a sequence classifier with one output.

    Args:
        place: folder or hub name.
        part: what of a response is scored.
        device: where the model computes.
        precision: number format of the model.
        squash: give sigmoid(score), which is between 0 and 1: a pointwise model's probability of "safe", a
            bound on what a pairwise model's outliers can pay.
        tokens_per_batch: tokens, padding included, that go through at once.
        revision: hub branch, tag or commit.
        trust_remote_code: run Python code that comes with the checkpoint.

    Raises ModelError when it cannot be loaded or is no reward model.
    """

    def __init__(
        self,
        place: str | Path,
        part: Part,
        device: str,
        *,
        precision: Precision = "auto",
        squash: bool = False,
        tokens_per_batch: int = TOKENS_PER_BATCH,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        dtype = resolve(precision, device)
        self._model, self._tokenizer = load_reward_model(place, dtype, device, revision, trust_remote_code)
        # the layers written out cast the weights themselves
        self._narrow = dtype == torch.bfloat16 and has_small_decoder(self._model)
        if self._narrow:
            self._model.float()
        self._part = part
        self._squash = squash
        self._tokens_per_batch = tokens_per_batch

    def scores(self, samples: Sequence[RewardInput]) -> list[float | None]:
        """The model's scores; None for a conversation beyond its positions or a score that is not finite.

        A sample without the part that is scored (a response cut off while thinking has no summary) gets the
        lowest score of the batch: the model never saw an empty text, and unscored it would go unpunished.
        Where no sample has it, all get 0.
        """
        texts = [scored_part(sample.completion.text, self._part) for sample in samples]
        spoken = [
            [*sample.problem.messages, Message("assistant", text)]
            for sample, text in zip(samples, texts, strict=True)
            if text
        ]
        found = iter(
            score_texts(self._model, self._tokenizer, spoken, self._tokens_per_batch, narrow=self._narrow)
        )
        scores = [self._reward(next(found)) if text else None for text in texts]
        lowest = min((score for score in scores if score is not None), default=0.0)
        return [score if text else lowest for text, score in zip(texts, scores, strict=True)]

    def _reward(self, score: float) -> float | None:
        if not math.isfinite(score):
            return None
        return (1 + math.tanh(score / 2)) / 2 if self._squash else score


class JudgeScorer:
    """Scores by a judge, between 0 and 1: helpfulness of the summary, harmlessness of the whole response.

    Args:
        settings: the judge.
        memory: file that keeps its grades, see `Judge`.
    """

    def __init__(self, settings: JudgeSettings, memory: Path | None = None) -> None:
        self._judge = Judge(settings, memory)
        self._part: Part = "summary" if settings.quality == "helpfulness" else "response"

    def scores(self, samples: Sequence[RewardInput]) -> list[float | None]:
        """The judge's grades; 0 without asking where there is nothing to grade.

        Raises EndpointError as `Judge.grades` does.
        """
        texts = [scored_part(sample.completion.text, self._part) for sample in samples]
        items = [
            JudgedText(sample.problem.messages, text)
            for sample, text in zip(samples, texts, strict=True)
            if text
        ]
        found = iter(self._judge.grades(items))
        return [next(found) if text else 0.0 for text in texts]

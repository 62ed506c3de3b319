"""Learning from a frozen teacher that reads the same tokens: from its distributions, or on policy.

Logit distillation is a loss for `Learner.update`; on-policy distillation turns a teacher's opinion of sampled
tokens into advantages for `update_policy`. Shapes: B sequences, T tokens, N tokens that carry loss.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from r1kit.learning import ranks
from r1kit.learning.batch import Batch
from r1kit.learning.learner import Learner
from r1kit.learning.losses import LossOutput, TeacherLoss, token_weights
from r1kit.models.logprobs import States
from r1kit.objectives.distillation import distillation_divergence, on_policy_credit
from r1kit.objectives.supervised import cross_entropy
from r1kit.schedules import Schedule


class DistillationLoss(TeacherLoss):
    """Mean over the response tokens of the whole batch of a divergence between student and teacher.

    Args:
        teacher: is frozen and put into evaluation mode.
        kind: name in `objectives.distillation.DIVERGENCES`.
        temperature: of both distributions; the loss is scaled by its square.
        beta: of "jsd".
        supervised_weight: share w of the text's own cross-entropy in the loss; the divergence has 1 - w.
        chunk: tokens whose logits exist at one time.

    It reports "divergence" (nats, at the temperature, not scaled) and "cross_entropy" (nats).
    """

    def __init__(
        self,
        teacher: nn.Module,
        kind: str,
        *,
        temperature: float = 1.0,
        beta: float = 0.5,
        supervised_weight: float = 0.0,
        chunk: int = 1024,
    ) -> None:
        self.teacher = teacher.requires_grad_(False).eval()
        self._kind = kind
        self._temperature = temperature
        self._beta = beta
        self._supervised_weight = supervised_weight
        self._chunk = chunk

    def __call__(self, logprobs_N: Tensor, batch: Batch, student: States, teacher: States) -> LossOutput:
        """The loss of a part of a batch. Raises ModelError when the vocabularies have different sizes."""
        divergence_N = distillation_divergence(
            student.hidden_ND,
            student.head,
            teacher.hidden_ND,
            teacher.head,
            self._kind,
            temperature=self._temperature,
            beta=self._beta,
            chunk=self._chunk,
        )
        supervised_N, share = cross_entropy(logprobs_N), self._supervised_weight
        loss_N = divergence_N if share == 0 else (1 - share) * divergence_N + share * supervised_N
        weights_N = token_weights(batch, "token_mean", 1).to(loss_N)
        sums = {
            "divergence": divergence_N.detach().sum() / self._temperature**2,
            "cross_entropy": supervised_N.detach().sum(),
        }
        return LossOutput((loss_N * weights_N).sum(), sums)


@dataclass(frozen=True, slots=True)
class Teacher:
    """A frozen model whose opinion of each sampled token is added to its advantage, times the weight."""

    model: nn.Module
    weight: float | Schedule = 1.0


def with_teacher_credit(
    learner: Learner, batch: Batch, teacher: nn.Module, weight: float = 1.0
) -> tuple[Batch, dict[str, float]]:
    """The batch of the student's own samples with a frozen teacher's opinion of each token as its advantage.

    `weight` x credit is added to the advantages that the batch has, if any. The student's log-probabilities
    are computed by the learner, not taken from the sampler, and become the batch's old ones. Both are under
    the learner's temperature, which in on-policy training is that of the sampling.

    Returns the batch and "teacher_kl": the mean of log q - log p over the sampled tokens, an estimate of
    KL(student || teacher) per token in nats.
    """
    own_BT = learner.logprobs(batch)
    credit_BT = on_policy_credit(own_BT, learner.logprobs(batch, teacher)).to(own_BT.dtype)
    earlier_BT = batch.advantages_BT
    advantages_BT = weight * credit_BT if earlier_BT is None else earlier_BT + weight * credit_BT
    stats = {"teacher_kl": ranks.mean(-float(credit_BT.double().sum()), batch.num_tokens)}
    return replace(batch, advantages_BT=advantages_BT, old_logprobs_BT=own_BT), stats


def same_vocabulary(tokenizer_a: Any, tokenizer_b: Any) -> str | None:
    """None where every token id means the same to both and both cut text alike; else why they differ.

    The reason is half a sentence, e.g. "token 9 is 'a' in the first and 'b' in the second".
    """
    first, second = tokenizer_a.get_vocab(), tokenizer_b.get_vocab()
    if first != second:
        return _difference({i: t for t, i in first.items()}, {i: t for t, i in second.items()})
    parts_a, parts_b = _parts(tokenizer_a), _parts(tokenizer_b)
    for name in parts_a.keys() | parts_b.keys():
        if parts_a.get(name) != parts_b.get(name):
            return f"they have the same tokens but cut text differently ({name})"
    return None


def _difference(first: Mapping[int, str], second: Mapping[int, str]) -> str:
    """The lowest token id that the two give different meanings."""
    index = min(i for i in first.keys() | second.keys() if first.get(i) != second.get(i))
    a, b = (f"{tokens[index]!r}" if index in tokens else "missing" for tokens in (first, second))
    sizes = "" if len(first) == len(second) else f" ({len(first)} tokens against {len(second)})"
    return f"token {index} is {a} in the first and {b} in the second{sizes}"


def _parts(tokenizer: Any) -> dict[str, Any]:
    """What decides how text is cut, for tokenizers of the `tokenizers` library; else nothing is known."""
    if not tokenizer.is_fast:
        return {}
    whole = json.loads(tokenizer.backend_tokenizer.to_str())
    merges = {key: value for key, value in whole["model"].items() if key != "vocab"}
    return {"normalizer": whole["normalizer"], "pre_tokenizer": whole["pre_tokenizer"], "merges": merges}

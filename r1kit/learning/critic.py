"""The critic of PPO: what it expects at each token of a response, and its updates beside the policy's.

Either kind is a `Learner` with an optimizer, a schedule and counters of its own, and goes through the same
micro-batches, precision and attention as the policy. Left out: a critic that starts from a reward model
(InstructGPT); one that copies the policy and is pretrained (`pretrain_steps`) needs none.

Shapes: B sequences, T tokens, N tokens that carry loss, D width.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from r1kit.errors import UserError
from r1kit.learning import ranks
from r1kit.learning.batch import Batch
from r1kit.learning.learner import Learner
from r1kit.learning.losses import Loss, LossOutput, StatesLoss, token_weights
from r1kit.learning.microbatches import MicroBatch
from r1kit.learning.optimizer import make_optimizer
from r1kit.learning.settings import CriticSettings, RLSettings
from r1kit.learning.sums import Sums
from r1kit.models.logprobs import Head, States
from r1kit.models.value_head import value_head, value_model, values_of
from r1kit.objectives.gae import value_loss

PolicyLoss = Callable[[Tensor, Tensor, Batch], LossOutput]


class Critic(Learner, ABC):
    """What expects rewards of a policy, and learns beside it."""

    _settings_name = "critic.optimizer"
    pretrain_updates: int  # so many first updates are the critic's alone

    @property
    def pretraining(self) -> bool:
        """Whether the policy still waits for the critic."""
        return self.updates < self.pretrain_updates

    @abstractmethod
    def values(self, batch: Batch) -> Tensor:
        """The value at every token that carries loss, (B, T) on the CPU, 0 elsewhere."""

    @abstractmethod
    def learn(self, batch: Batch, loss: PolicyLoss | None, idle: Sequence[int] = ()) -> dict[str, float]:
        """One update of the critic, and of its policy unless `loss` is None; `idle` as for `Learner.update`.

        The policy's statistics, and "value/loss" (mean over tokens), "value/clipped" (share of tokens whose
        clipped loss counts), "critic/grad_norm" (before clipping), "critic/learning_rate", "critic/skipped".
        """


class ValueLoss(StatesLoss):
    """The value loss of a scalar head, mean over the tokens of the whole batch."""

    def __init__(self, clip: float | None) -> None:
        self._clip = clip

    def __call__(self, logprobs_N: Tensor, entropy_N: Tensor, batch: Batch, states: States) -> LossOutput:
        """The loss of a part of a batch, from its states alone."""
        assert batch.values_BT is not None
        assert batch.returns_BT is not None
        mask_BT = batch.loss_mask_BT
        values_N = values_of(states)
        old_N, returns_N = batch.values_BT[mask_BT].to(values_N), batch.returns_BT[mask_BT].to(values_N)
        loss_N, clipped_N = value_loss(values_N, old_N, returns_N, self._clip)
        weights_N = token_weights(batch, "token_mean", 1).to(loss_N)
        sums = {"value/loss": loss_N.detach().sum(), "value/clipped": clipped_N.sum()}
        return LossOutput((loss_N * weights_N).sum(), sums)


class SeparateCritic(Critic):
    """A copy of the policy under a scalar head.

    Args:
        policy: whose model, as it is now, is copied.
        settings: of the run; its batch settings are the critic's too.
        critic: of the critic.
    """

    def __init__(self, policy: Learner, settings: RLSettings, critic: CriticSettings) -> None:
        model = value_model(policy.model)
        super().__init__(model, settings.critic_optimizer, settings.batch, total_updates=settings.updates)
        self.pretrain_updates = critic.pretrain_steps * settings.batch.updates
        self._policy = policy
        self._loss = ValueLoss(critic.value_clip)

    @torch.no_grad()
    def values(self, batch: Batch) -> Tensor:
        """See `Critic.values`."""
        out_BT = torch.zeros(batch.tokens_BT.shape)
        for part, states in self.passes(batch, self.model):
            part.put(out_BT, values_of(states))
        return out_BT

    def learn(self, batch: Batch, loss: PolicyLoss | None, idle: Sequence[int] = ()) -> dict[str, float]:
        """See `Critic.learn`."""
        own = self.update(batch, self._loss)
        policy = {} if loss is None else self._policy.update(batch, loss, idle=idle)
        return policy | _of_critic(own)

    def _measure(self, part: MicroBatch, loss: Loss, sums: Sums) -> Tensor:
        """As for any learner, but without log-probabilities: there is no vocabulary."""
        states = self._states(part, self.model)
        nothing_0 = states.hidden_ND.new_zeros(0)
        output = self._apply(loss, part, states, nothing_0, nothing_0)
        sums.add(output.loss.detach(), output.token_sums)
        return output.loss


class HeadCritic(Critic):
    """A scalar head on the policy's own hidden states; its optimizer holds the head alone.

    Args:
        policy: which is trained with the loss of the values beside its own.
        settings: of the run.
        critic: of the critic.
    """

    def __init__(self, policy: Learner, settings: RLSettings, critic: CriticSettings) -> None:
        head = value_head(policy.model)
        # not the base's own: that one needs a language model
        self.model = head
        self.updates = self.skipped = self.skipped_in_a_row = self.operations = 0
        self.optimizer = make_optimizer(head, settings.critic_optimizer)
        self._settings = settings.critic_optimizer
        self._total_updates = settings.updates
        self.pretrain_updates = critic.pretrain_steps * settings.batch.updates
        self._policy = policy
        self._head = Head(head.weight, head.bias)
        self._coefficient = critic.coefficient
        self._loss = ValueLoss(critic.value_clip)

    @torch.no_grad()
    def values(self, batch: Batch) -> Tensor:
        """See `Critic.values`."""
        out_BT = torch.zeros(batch.tokens_BT.shape)
        for part, states in self._policy.passes(batch, self._policy.model):
            part.put(out_BT, values_of(States(states.hidden_ND, self._head)))
        return out_BT

    def learn(self, batch: Batch, loss: PolicyLoss | None, idle: Sequence[int] = ()) -> dict[str, float]:
        """See `Critic.learn`; no row is idle: the values are learned on all of them."""
        if loss is None:
            return _of_critic(self._learn_alone(batch))
        both = self._policy.update(batch, _WithValues(loss, self._loss, self._head, self._coefficient))
        # the head's gradients come from the same pass: where the policy's are not finite, nor are these
        own = self._step(math.nan if both["skipped"] else both["loss"])
        return both | _of_critic(both | own)

    def _learn_alone(self, batch: Batch) -> dict[str, float]:
        """One update of the head over a policy that stays as it is."""
        sums = Sums()
        for part, states in self._policy.passes(batch, self._policy.model):
            nothing_0 = states.hidden_ND.new_zeros(0)
            output = self._loss(nothing_0, nothing_0, part.batch, States(states.hidden_ND, self._head))
            output.loss.backward()  # type: ignore[no-untyped-call]
            sums.add(output.loss.detach(), output.token_sums)
        stats = sums.means(batch.num_tokens)
        return stats | self._step(stats["loss"])


class _WithValues(StatesLoss):
    """The policy's loss, and that of the values of a head: in full for the head, times the coefficient for
    the body below both.
    """

    def __init__(self, policy: PolicyLoss, values: ValueLoss, head: Head, coefficient: float) -> None:
        self._policy, self._values = policy, values
        self._head, self._coefficient = head, coefficient

    def __call__(self, logprobs_N: Tensor, entropy_N: Tensor, batch: Batch, states: States) -> LossOutput:
        policy = self._policy(logprobs_N, entropy_N, batch)
        still_ND = states.hidden_ND.detach()
        # the same numbers, with so much less gradient
        damped_ND = still_ND + self._coefficient * (states.hidden_ND - still_ND)
        values = self._values(logprobs_N, entropy_N, batch, States(damped_ND, self._head))
        reported = (1 - self._coefficient) * values.loss.detach()
        sums = {**policy.token_sums, **values.token_sums}
        return LossOutput(policy.loss + values.loss - reported, sums, policy.extremes)


def _of_critic(stats: Mapping[str, float]) -> dict[str, float]:
    """The statistics of an update that are the critic's, under names of their own."""
    steps = {f"critic/{name}": stats[name] for name in ("grad_norm", "learning_rate", "skipped")}
    return {"value/loss": stats["value/loss"], "value/clipped": stats["value/clipped"], **steps}


_KINDS: Mapping[str, type[SeparateCritic | HeadCritic]] = MappingProxyType(
    {"separate": SeparateCritic, "head": HeadCritic}
)


def make_critic(policy: Learner, settings: RLSettings) -> Critic | None:
    """The critic of a run, which expects nothing of any token yet; None where the settings have none.

    Raises ModelError for a model whose logits are not one linear map of its last hidden states, UserError
    among several ranks, whose values and returns nothing brings together yet.
    """
    critic = settings.critic
    if critic is not None and ranks.grouped():
        raise UserError("critic: cannot train among several processes yet; use an advantage without one")
    return None if critic is None else _KINDS[critic.kind](policy, settings, critic)

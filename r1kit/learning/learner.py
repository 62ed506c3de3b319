"""The learner: one optimizer over one model, whatever the loss.

Weights, gradients and AdamW's moments are float32; matrix products run in bfloat16 where the hardware has it.
An update with a loss or gradient that is not finite changes neither weights nor moments; it is counted, and
the schedule moves on. Dropout is switched off: it would make the ratio of new to old policy random.

Shapes: B sequences, T tokens, N tokens that carry loss, D width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from threading import Event
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from r1kit.errors import UserError
from r1kit.learning import ranks, shares
from r1kit.learning.batch import Batch
from r1kit.learning.compute import operations
from r1kit.learning.losses import Loss, LossOutput, StatesLoss, TeacherLoss
from r1kit.learning.microbatches import (
    ANY,
    FEW,
    Grid,
    Layout,
    MicroBatch,
    microbatches,
    one_packed_row,
    packed_rows,
    padded,
    padded_for_written,
    padded_in_few_shapes,
    padding_tokens,
)
from r1kit.learning.optimizer import make_optimizer
from r1kit.learning.schedules import learning_rate_factor
from r1kit.learning.settings import BatchSettings, OptimizerSettings
from r1kit.learning.shared_prompts import dealt_groups, grouped_microbatches
from r1kit.learning.sums import Sums
from r1kit.models.attention import attention_of, takes_boundaries, training_attention_in_use
from r1kit.models.blocks import Blocks
from r1kit.models.logprobs import States, decoder_of, head_of, token_logprobs
from r1kit.models.packable import require_packable
from r1kit.models.precision import resolve
from r1kit.models.threads import in_threads, threads_for
from r1kit.models.written_decoder import written_decoder


class Learner:
    """Updates `model` in place.

    Args:
        model: a causal `transformers` model; its weights become float32 if they are narrower.
        optimizer: optimizer and schedule.
        batch: micro-batches and precision.
        total_updates: length of the schedule.
        temperature: of the distribution whose log-probabilities are trained; in RL that of the sampling.
    """

    _settings_name = "optimizer"  # for messages

    def __init__(
        self,
        model: nn.Module,
        optimizer: OptimizerSettings,
        batch: BatchSettings,
        *,
        total_updates: int,
        temperature: float = 1.0,
    ) -> None:
        head_of(model)  # a model that cannot be trained is refused before any work
        decoder: Any = decoder_of(model)
        self.model = prepare_for_training(model, batch.gradient_checkpointing)
        ranks.start_equal(self.model)
        # the function, not the module: a sampler that shares the model keeps the plain one
        self._compiled: Any = torch.compile(decoder.forward, dynamic=True) if batch.compile else None
        self.updates = 0  # updates done, the skipped ones included
        self.skipped = 0  # updates skipped because loss or gradient was not finite
        self.skipped_in_a_row = 0
        # floating-point operations of all passes so far, other models' too; a prompt's for each response
        self.operations = 0
        self._shared_operations = 0  # those of all ranks, as of the last update; later ones are this rank's
        self.optimizer = make_optimizer(model, optimizer)
        self._settings = optimizer
        self._batch = batch
        self._total_updates = total_updates
        self._temperature = temperature
        self._device = next(model.parameters()).device
        self._dtype = resolve(batch.precision, self._device)
        self._packable = WeakSet[nn.Module]()  # models that are known to keep packed sequences apart
        self._writes_out = batch.writes_layers_out and written_decoder(model) is not None
        self._layout, self._grid = self._layout_of(model)
        self._threads = 1 if batch.compile else threads_for(model, self._device)
        self._blocks = Blocks()  # held from update to update

    def update(self, batch: Batch, loss: Loss, *, idle: Sequence[int] = ()) -> dict[str, float]:
        """One optimizer update on the whole batch; returns its statistics as plain numbers.

        `idle` rows are known to have no gradient: they are measured, without a backward pass. A batch of
        nothing else leaves weights and moments as they are: momentum alone moves nothing.

        "loss", "entropy" (mean over tokens, nats), "grad_norm" (before clipping), "grad_norm/clipped" and
        "skipped" (0 or 1), "learning_rate", "padding" (share of the computed tokens; layers
        written out compute none), and the loss's own
        token means and extremes.

        Among several ranks (`learning/ranks.py`) `batch` is this one's share of the rows; the update and its
        statistics are those of all shares together, and the same on every rank.
        """
        self.model.train()
        batch = ranks.whole(batch)
        live = sorted(set(range(len(batch))) - set(idle))
        threads = 1 if isinstance(loss, TeacherLoss | StatesLoss) else self._threads
        teacher = loss.teacher if isinstance(loss, TeacherLoss) else self.model
        live_parts, idle_parts = (self._shares(batch, some, threads, teacher) for some in (live, idle))
        with self._attention_in_use(self.model):  # around the backward pass too, which may recompute
            sums = shares.backward(
                self.model,
                live_parts,
                idle_parts,
                lambda part, sums: self._measure(part.to(self._device), loss, sums),
            )
        self.model.eval()  # a sampler may share these weights
        trained, forward = (int(batch.lengths_B[rows].sum()) for rows in (live, list(idle)))
        self.operations += operations(self.model, trained=trained, forward=forward)
        self._share_operations()
        ranks.sum_gradients(self.model)
        stats = sums.means(batch.num_tokens)
        parts = [] if self._writes_out else [part for share in live_parts + idle_parts for part in share]
        padding = ranks.mean(*padding_tokens(parts))
        return stats | self._step(stats["loss"]) | {"padding": padding}

    def pass_over(self, updates: int) -> None:
        """Let the learning rate's schedule move on by updates for which there is nothing to learn from."""
        self.updates += updates

    def settle(self, learning_rate: float, temperature: float = 1.0) -> None:
        """The peak learning rate and the temperature of the updates that follow."""
        self._settings = self._settings.model_copy(update={"learning_rate": learning_rate})
        self._temperature = temperature

    @torch.no_grad()
    def logprobs(self, batch: Batch, model: nn.Module | None = None) -> Tensor:
        """Log-probability of every token that carries loss, (B, T) on the CPU, 0 elsewhere.

        Under the learner's model, or under `model` (a reference) in the same precision and temperature.
        """
        model = self.model if model is None else model
        # a teacher may have narrow weights; log-probabilities are float32 all the same
        dtype = torch.promote_types(next(model.parameters()).dtype, torch.float32)
        out_BT = torch.zeros(batch.tokens_BT.shape, dtype=dtype)
        parts = self._shares(batch, range(len(batch)), self._threads, model)
        with self._attention_in_use(model):
            found = in_threads([partial(self._all_logprobs, share, model) for share in parts])
        for part, logprobs_N in chain.from_iterable(found):
            part.put(out_BT, logprobs_N)
        self.operations += operations(model, forward=int(batch.lengths_B.sum()))
        return out_BT

    @torch.no_grad()
    def _all_logprobs(
        self, parts: Sequence[MicroBatch], model: nn.Module, stop: Event
    ) -> list[tuple[MicroBatch, Tensor]]:
        moved = (part.to(self._device) for part in shares.until(stop, parts))
        return [(part, self._logprobs(part, self._states(part, model))[0]) for part in moved]

    def passes(self, batch: Batch, model: nn.Module) -> Iterator[tuple[MicroBatch, States]]:
        """What `model` makes of the batch, micro-batch by micro-batch, without gradient."""
        with self._attention_in_use(model):
            for part in self._parts(batch, range(len(batch))):
                moved = part.to(self._device)
                with torch.no_grad():
                    states = self._states(moved, model)
                yield moved, states
        self.operations += operations(model, forward=int(batch.lengths_B.sum()))

    def counters(self) -> dict[str, int]:
        """The learner's state besides weights and optimizer, for a checkpoint."""
        return {
            "updates": self.updates,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "operations": self.operations,
        }

    def restore_counters(self, counters: Mapping[str, int]) -> None:
        """The inverse of `counters`."""
        self.updates = counters["updates"]
        self.skipped = counters["skipped"]
        self.skipped_in_a_row = counters["skipped_in_a_row"]
        self.operations = self._shared_operations = counters["operations"]

    def require_progress(self, limit: int) -> None:
        """Raise UserError when more than `limit` updates in a row were not finite."""
        if self.skipped_in_a_row > limit:
            raise UserError(
                f"{self._settings_name}: {self.skipped_in_a_row} updates in a row had a loss or gradient that"
                " is not finite; lower learning_rate or max_grad_norm, then resume from the last checkpoint"
            )

    def _share_operations(self) -> None:
        own = self.operations - self._shared_operations
        self.operations = self._shared_operations = self._shared_operations + ranks.total(own)

    def _layout_of(self, model: nn.Module) -> tuple[Layout, Grid]:
        if not self._batch.packing:
            few = self._device.type == "cpu" and _takes_few_shapes(model)
            if not few:
                return padded, ANY
            return padded_for_written if self._writes_out else padded_in_few_shapes, FEW
        with self._attention_in_use(model):
            return (one_packed_row if takes_boundaries(attention_of(model)) else packed_rows), ANY

    @contextmanager
    def _attention_in_use(self, model: nn.Module) -> Iterator[None]:
        """Around every pass through `model`, forward and backward."""
        packing = self._batch.packing
        if packing and model not in self._packable:
            require_packable(model)
            self._packable.add(model)
        with training_attention_in_use(model, packed=packing):
            yield

    def _shares(
        self, batch: Batch, rows: Sequence[int], threads: int, other: nn.Module
    ) -> list[list[MicroBatch]]:
        """Micro-batches of these rows for each thread; all threads' together stay within the budget.

        `other` is a model that computes them too: one that cannot share prompts needs room for all of them.
        """
        if self._writes_out and written_decoder(other) is not None:
            budget = self._thread_budget(threads)
            groups = dealt_groups(batch, rows, budget, threads)
            if groups:
                return [grouped_microbatches(batch, share, budget) for share in groups]
        dealt = shares.deal(batch.lengths_B.tolist(), rows, threads)
        return [self._parts(batch, share, len(dealt)) for share in dealt]

    def _parts(self, batch: Batch, rows: Sequence[int], threads: int = 1) -> list[MicroBatch]:
        return microbatches(batch, rows, self._thread_budget(threads), self._layout, self._grid)

    def _thread_budget(self, threads: int) -> int:
        return -(-self._batch.tokens_per_microbatch // threads)

    def _states(self, part: MicroBatch, model: nn.Module) -> States:
        """What `model` makes of the N positions before the tokens that carry loss."""
        narrow = self._dtype == torch.bfloat16
        compiled = self._compiled if model is self.model else None
        written = written_decoder(model, self._blocks) if self._batch.writes_layers_out else None
        if written is not None:
            dtype = torch.bfloat16 if narrow else next(model.parameters()).dtype
            lengths_R, places_N = part.predicting_lengths_R(), part.predicting_N()
            hidden_ND = written(part.inputs.input_ids_RW, lengths_R, places_N, dtype, part.shared_R)
            return States(hidden_ND, head_of(model))
        with torch.autocast(self._device.type, torch.bfloat16, enabled=narrow):
            inputs = part.inputs.decoder_inputs(attention_of(model))
            hidden_RWD = (compiled or decoder_of(model))(**inputs, use_cache=False).last_hidden_state
        if narrow:
            hidden_RWD = hidden_RWD.bfloat16()
        # selecting first means that prompts and padding never meet the head
        return States(hidden_RWD.flatten(0, 1).index_select(0, part.predicting_N()), head_of(model))

    def _logprobs(self, part: MicroBatch, states: States) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies of the N tokens that carry loss."""
        return token_logprobs(
            states.hidden_ND,
            states.head,
            part.batch.tokens_BT[part.batch.loss_mask_BT],
            temperature=self._temperature,
            chunk=self._batch.logprob_chunk,
        )

    def _measure(self, part: MicroBatch, loss: Loss, sums: Sums) -> Tensor:
        """The part's share of the loss; the statistics are added to `sums`."""
        states = self._states(part, self.model)
        logprobs_N, entropy_N = self._logprobs(part, states)
        output = self._apply(loss, part, states, logprobs_N, entropy_N)
        sums.add(output.loss.detach(), {"entropy": entropy_N.detach().sum(), **output.token_sums})
        sums.add_extremes(output.extremes)
        return output.loss

    def _apply(
        self, loss: Loss, part: MicroBatch, states: States, logprobs_N: Tensor, entropy_N: Tensor
    ) -> LossOutput:
        if isinstance(loss, StatesLoss):
            return loss(logprobs_N, entropy_N, part.batch, states)
        if not isinstance(loss, TeacherLoss):
            return loss(logprobs_N, entropy_N, part.batch)
        with torch.no_grad(), self._attention_in_use(loss.teacher):
            teacher = self._states(part, loss.teacher)
        self.operations += operations(loss.teacher, forward=int(part.batch.lengths_B.sum()))
        return loss(logprobs_N, part.batch, states, teacher)

    def _step(self, loss: float) -> dict[str, float]:
        """Clip, step and clear the gradients, or skip the step when a number is not finite."""
        settings = self._settings
        factor = learning_rate_factor(
            settings.schedule, self.updates, self._total_updates, settings.warmup_steps, settings.min_ratio
        )
        learning_rate = settings.learning_rate * factor
        grad_norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), settings.max_grad_norm))
        finite = math.isfinite(loss) and math.isfinite(grad_norm)
        if finite:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        self.skipped += not finite
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        clipped = float(grad_norm > settings.max_grad_norm)
        return {
            "grad_norm": grad_norm,
            "grad_norm/clipped": clipped,
            "learning_rate": learning_rate,
            "skipped": float(not finite),
        }


def _takes_few_shapes(model: nn.Module) -> bool:
    """Whether no row becomes wider than the model's context where widths are rounded up."""
    config: Any = model.config
    context = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return context is None or context % FEW.width == 0


def prepare_for_training(model: nn.Module, gradient_checkpointing: bool) -> nn.Module:
    """The same model, changed in place: float32 weights where they were narrower, no dropout.

    With `gradient_checkpointing`, activations are recomputed in the backward pass.
    """
    if next(model.parameters()).dtype in (torch.float16, torch.bfloat16):
        model.float()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):  # transformers' attention layers hold it as a number
            module.attention_dropout = 0.0  # type: ignore[assignment]
    if gradient_checkpointing:
        checkpointed: Any = model
        checkpointed.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        # the hook that it leaves is for reentrant checkpoints; fast paths are for models without hooks
        checkpointed.disable_input_require_grads()
    return model

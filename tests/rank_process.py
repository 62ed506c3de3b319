"""What ranks do together: each case is run by every rank on its share, and by one process on all rows.

    python rank_process.py RANK WORLD FOLDER

joins the group whose store is in FOLDER, runs all cases, and leaves there RANK.safetensors with gradients and
weights by case, and RANK.json with the statistics.
"""

from __future__ import annotations

import json
import math
import sys
from datetime import timedelta
from pathlib import Path

import torch
from safetensors.torch import save_file
from test_learning_learner import LOSSES, MANY_PARTS, ONE_PART, learner_of, ragged_batch, tiny_model
from torch import distributed, nn

from r1kit.learning import ranks
from r1kit.learning.batch import no_rows
from r1kit.learning.distillation import DistillationLoss, with_teacher_credit
from r1kit.learning.losses import LossOutput, supervised_loss
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, RLSettings
from r1kit.models.reference import frozen_copy

ALL = list(range(6))
UNEVEN = ([0, 1, 2, 3, 5], [4])  # 26 learned tokens in 5 sequences, 2 in one
IDLE = ([0, 1, 3, 4, 5], [2])  # the second rank's only row has the advantage 0
UPDATES = 3


class Recorded:
    """A learner whose gradients are kept, as the optimizer gets them."""

    def __init__(self, seed=0, dtype=torch.float64, budget=ONE_PART):
        model = tiny_model(dtype)
        if seed:  # another start, which the group must not keep
            torch.manual_seed(seed)
            for parameter in model.parameters():
                nn.init.normal_(parameter)
        self.learner = learner_of(model, budget, total_updates=UPDATES)
        self.gradients = {}
        step = self.learner.optimizer.step

        def recorded():
            for name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    self.gradients.setdefault(name, parameter.grad.clone())
            step()

        self.learner.optimizer.step = recorded

    def outcome(self, stats):
        weights = {f"weights/{n}": v.detach().clone() for n, v in self.learner.model.named_parameters()}
        gradients = {f"gradients/{name}": value for name, value in self.gradients.items()}
        return weights | gradients, [*stats, {**self.learner.counters()}]


def updates(name, rank, rows, **how):
    """UPDATES updates by a loss of the learner's tests; rank 1 starts from other weights."""
    loss, extra = LOSSES[name]
    recorded = Recorded(rank, **how)
    share = ragged_batch(**extra).part(rows).on_its_own()
    idle = [index for index, row in enumerate(rows) if row == 2 and name in ("sequence_mean", "token_mean")]
    return recorded.outcome([recorded.learner.update(share, loss, idle=idle) for _ in range(UPDATES)])


def rl_settings(minibatches=1, **objective):
    batch = BatchSettings(minibatches=minibatches, rollout_epochs=UPDATES, precision="float32")
    return RLSettings(objective=ObjectiveSettings(aggregation="token_mean", **objective), batch=batch)


def policy_updates(rank, rows, teacher=False, minibatches=1, **objective):
    """Passes over a rank's rollouts, which may be none, with a reference and perhaps a teacher."""
    recorded = Recorded(rank)
    learner, seen = recorded.learner, {}
    reference = frozen_copy(learner.model)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.mul_(1.1)
    share = ragged_batch().part(rows).on_its_own() if rows else None
    if teacher:
        share, seen = with_teacher_credit(learner, share or no_rows(), reference)
    settings = rl_settings(minibatches, **objective)
    stats = update_policy(learner, share, settings, reference if settings.objective.kl_beta else None, seed=5)
    return recorded.outcome([stats | seen])


def distillation(rank, rows):
    recorded = Recorded(rank)
    loss = DistillationLoss(Recorded(7).learner.model, kind="jsd", supervised_weight=0.25)
    share = ragged_batch().part(rows).on_its_own()
    return recorded.outcome([recorded.learner.update(share, loss) for _ in range(UPDATES)])


def no_rollouts(rank, rows):
    recorded = Recorded(rank)
    return recorded.outcome([update_policy(recorded.learner, None, rl_settings(), None, seed=5)])


def broken_update(rank, rows):
    """The second of three updates is not finite on the rows of one rank alone."""
    recorded = Recorded(rank)
    share = ragged_batch().part(rows).on_its_own()

    def broken(logprobs_N, entropy_N, part):
        bad = (part.lengths_B == 4).any()  # row 4
        return LossOutput((logprobs_N * (math.nan if bad else 1.0)).sum())

    losses = (supervised_loss, broken, supervised_loss)
    return recorded.outcome([recorded.learner.update(share, loss) for loss in losses])


def partial_gradients(rank, rows):
    """Parameters with a gradient on one rank, on the other, on both, on none; in two formats."""
    module = nn.Module()
    gradients = {"first": ([1.0, 2.0], None), "second": (None, [3.0, 4.0]), "both": ([5.0, 6.0], [7.0, 8.0])}
    for name in (*gradients, "none"):
        parameter = nn.Parameter(torch.zeros(2, dtype=torch.float32 if name == "both" else torch.float64))
        module.register_parameter(name, parameter)
    for name, by_rank in gradients.items():
        own = [by_rank[rank]] if ranks.grouped() else by_rank
        known = [torch.tensor(values) for values in own if values is not None]
        if known:
            parameter = module.get_parameter(name)
            parameter.grad = sum(known).to(parameter.dtype)
    ranks.sum_gradients(module)
    tensors = {f"gradients/{n}": p.grad for n, p in module.named_parameters() if p.grad is not None}
    return tensors, []


CASES = {
    **{name: (UNEVEN, lambda rank, rows, name=name: updates(name, rank, rows)) for name in LOSSES},
    **{
        f"{name} in many parts, float32": (
            UNEVEN,
            lambda rank, rows, name=name: updates(name, rank, rows, dtype=torch.float32, budget=MANY_PARTS),
        )
        for name in ("sequence_mean", "token_mean")
    },
    "distillation": (UNEVEN, distillation),
    "one rank is idle": (IDLE, lambda rank, rows: updates("sequence_mean", rank, rows)),
    "one rank has no rollouts": ((ALL, []), policy_updates),
    "whitened, KL in the reward": (
        UNEVEN,
        lambda rank, rows: policy_updates(
            rank, rows, whiten=True, kl_beta=0.1, kl_in="reward", kl_kind="k1", importance_cap=1.05
        ),
    ),
    "whitened, KL in the reward, one rank has no rollouts": (
        (ALL, []),
        lambda rank, rows: policy_updates(
            rank, rows, whiten=True, kl_beta=0.1, kl_in="reward", kl_kind="k1"
        ),
    ),
    "credit of a teacher, one rank has no rollouts": (
        (ALL, []),
        lambda rank, rows: policy_updates(rank, rows, teacher=True, kl_beta=0.1),
    ),
    "credit of a teacher": (
        UNEVEN, lambda rank, rows: policy_updates(rank, rows, teacher=True, entropy_bonus=0.1)
    ),
    "no rank has rollouts": (([], []), no_rollouts),
    "not finite on one rank": (UNEVEN, broken_update),
    "gradients of some ranks": (([], []), partial_gradients),
    # other rows meet in a minibatch than in one process, so that only the ranks can be compared
    "minibatches": (UNEVEN, lambda rank, rows: policy_updates(rank, rows, minibatches=4, kl_beta=0.1)),
}  # fmt: skip


def run_cases(rank, shares_of):
    """Tensors by "case/kind/parameter" and statistics by case."""
    tensors, stats = {}, {}
    for name, (shares, run) in CASES.items():
        found, stats[name] = run(rank, shares_of(shares))
        tensors |= {f"{name}/{key}": value for key, value in found.items()}
    return tensors, stats


if __name__ == "__main__":
    rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    ranks._BUCKET = 700  # several buckets, and a parameter larger than one
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=world,
        timeout=timedelta(minutes=10),
    )
    tensors, stats = run_cases(rank, lambda shares: shares[rank])
    save_file(tensors, folder / f"{rank}.safetensors")
    (folder / f"{rank}.json").write_text(json.dumps(stats), encoding="utf-8")
    distributed.destroy_process_group()

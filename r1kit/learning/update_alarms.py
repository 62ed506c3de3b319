"""Rules for alarms over what the updates do: entropy, KL, clipping, gradients, off-policy data."""

from __future__ import annotations

import math
from statistics import median

from r1kit.learning.alarms import Rule, Steps

SPIKE = 10.0  # times the median gradient norm
SPIKE_WINDOW = 12  # steps of that median


def _entropy_collapse(steps: Steps) -> str:
    """Below 0.15 of the start, and answers still wrong: where all are right nothing is left to explore.

    R1-Zero on the laptop ends at 0.4 of it. Cui et al., arXiv 2505.22617: what is gained is paid for with
    entropy, nearly all of it by the time that a tenth is left.
    """
    start, now = steps.start("entropy"), steps.mean("entropy", 6)
    if now < 0.15 * start and steps.mean("accuracy", 6) < 0.9:
        return f"the entropy fell from {start:.3g} to {now:.3g} nats per token"
    return ""


def _entropy_explosion(steps: Steps) -> str:
    """e^3: a choice among 20 equally likely tokens at every place. Language models have up to about 1.5."""
    start, now = steps.start("entropy"), steps.mean("entropy", 4)
    if now > 3.0:
        return f"the entropy is {now:.3g} nats per token, so that most tokens are drawn at random"
    if now > 2.5 * start and now > start + 0.3:
        return f"the entropy rose from {start:.3g} to {now:.3g} nats per token"
    return ""


def _kl(steps: Steps) -> str:
    """Medians: one step's estimate may be a few tokens' alone."""
    near, far = steps.last("kl", 4), steps.last("kl", 12)
    if near and (now := median(near)) > 1.0:
        return f"the policy is {now:.3g} nats per token away from the reference"
    if far and (late := median(far[6:])) > 0.3 and late > 4 * (early := median(far[:6])):
        return f"the KL to the reference rose from {early:.3g} to {late:.3g} nats per token in 12 steps"
    return ""


def _kl_spike(steps: Steps) -> str:
    """R1's settings on the laptop: 34 nats at one step, 0.02 to 0.08 at all others."""
    *before, now = steps.last("kl", 9) or [math.nan]
    if not (now > 1.0 and now > 20 * (usual := median(before))):
        return ""
    return f"the KL of this step is {now:.3g} nats per token, else {usual:.2g}"


def _clipped(steps: Steps) -> str:
    """GSPO's authors report 0.15 with bounds that are meant to cut (arXiv 2507.18071, figure 2)."""
    share = steps.mean("clip/low", 6) + steps.mean("clip/high", 6)
    return f"{share:.0%} of the tokens with an advantage are clipped" if share > 0.3 else ""


def _one_sided(steps: Steps) -> str:
    low, high = steps.mean("clip/low", 6), steps.mean("clip/high", 6)
    if not low + high > 0.05 or not max(low, high) > 0.95 * (low + high):
        return ""
    side = "low" if low > high else "high"
    return f"of the {low + high:.0%} clipped tokens nearly all are cut off on the {side} side"


def _ratios(steps: Steps) -> str:
    """In sound runs of four minibatches tokens become up to 300 times rarer in a step, 10 times likelier."""
    high, low = steps.last("ratio/max", 6), steps.last("ratio/min", 6)
    far = sum(top > 50 or least < 1e-4 for top, least in zip(high, low, strict=True))
    if far < 4:
        return ""
    return (
        f"in {far} of the last 6 steps some token became more than 50 times likelier or 10,000 times rarer "
        f"(ratios from {min(low):.2g} to {max(high):.2g})"
    )


def _gap(steps: Steps) -> str:
    gap, alike = steps.mean("logprob_gap/mean", 6), steps.mean("logprob_gap/correlation", 6)
    if gap > 0.05 or alike < 0.98:
        return (
            f"sampler and learner disagree by {gap:.2g} nats per token about the same policy"
            f" (correlation {alike:.3f})"
        )
    return ""


def _spike(steps: Steps) -> str:
    norms = steps.last("grad_norm/max", SPIKE_WINDOW + 1)
    if not norms or not norms[-1] > SPIKE * (usual := median(norms[:-1])) > 0:
        return ""
    return f"a gradient had {norms[-1] / usual:.0f} times the usual norm ({norms[-1]:.3g}, else {usual:.3g})"


def _always_clipped(steps: Steps) -> str:
    share, norm = steps.mean("grad_norm/clipped", 12), steps.mean("grad_norm", 12)
    if share > 0.95:
        return f"nearly all gradients of the last 12 steps were scaled down (their norm is {norm:.3g})"
    return ""


def _skipped(steps: Steps) -> str:
    skipped = sum(steps.last("skipped", 4))
    if skipped < 2:
        return ""
    return f"{skipped:.0f} updates of the last 4 steps were skipped because a loss or gradient was not finite"


def _sample_size(steps: Steps) -> str:
    """With four minibatches a step the laptop's R1-Zero has 0.998 of the tokens, 0.93 of the sequences."""
    tokens, sequences = steps.mean("ess/tokens", 4), steps.mean("ess/sequences", 4)
    if tokens < 0.8 or sequences < 0.3:
        return (
            f"the effective sample size is {tokens:.0%} of the tokens ({sequences:.0%} of the sequences):"
            " the rollouts are no longer the policy's own"
        )
    return ""


def _empty(steps: Steps) -> str:
    trained = steps.last("trained_sequences", 1)
    return "the step had nothing to train on, there was no update" if trained == [0.0] else ""


def _explained(steps: Steps) -> str:
    explained = steps.mean("value/explained_variance", 16)
    if explained <= 0:
        return (
            f"the critic has explained none of the returns for 16 steps (explained variance {explained:.2g})"
        )
    return ""


UPDATE_RULES = (
    Rule(
        "entropy_collapse",
        "warning",
        ("entropy", "accuracy"),
        _entropy_collapse,
        "the policy has stopped exploring and will improve little; set objective.entropy_bonus, raise "
        "objective.clip_high (DAPO: 0.28) or sampling.temperature, or lower optimizer.learning_rate",
    ),
    Rule(
        "entropy_explosion",
        "critical",
        ("entropy",),
        _entropy_explosion,
        "the policy comes apart, or was never trained; lower optimizer.learning_rate, "
        "objective.entropy_bonus or sampling.temperature",
    ),
    Rule(
        "kl_runaway",
        "warning",
        ("kl",),
        _kl,
        "updates are larger than the KL holds back; raise objective.kl_beta, lower "
        "optimizer.learning_rate, or set objective.reference_refresh if it is meant to go that far",
    ),
    Rule(
        "kl_spike",
        "note",
        ("kl",),
        _kl_spike,
        "k3 and its gradient grow without bound at a token that the policy has made much rarer than the "
        "reference has it; keep optimizer.max_grad_norm, or set objective.kl_kind to k2",
    ),
    Rule(
        "clipping",
        "warning",
        ("clip/low", "clip/high"),
        _clipped,
        "the later updates of a step are mostly cut off; lower optimizer.learning_rate, batch.minibatches "
        "or batch.rollout_epochs, or widen objective.clip_low and objective.clip_high",
    ),
    Rule(
        "one_sided_clipping",
        "note",
        ("clip/low", "clip/high"),
        _one_sided,
        "high alone keeps unlikely tokens from becoming likely, which costs entropy, and low alone keeps "
        "bad ones from being unlearned; set that side wider (objective.clip_high, objective.clip_low)",
    ),
    Rule(
        "ratio_extremes",
        "warning",
        ("ratio/max", "ratio/min"),
        _ratios,
        "single tokens dominate the update where no clip holds them; lower optimizer.learning_rate, "
        "batch.minibatches or batch.rollout_epochs, or set objective.dual_clip: 3",
    ),
    Rule(
        "logprob_gap",
        "warning",
        ("logprob_gap/mean", "logprob_gap/correlation"),
        _gap,
        "the rollouts are in truth another policy's; set objective.importance_cap: 2 and batch.precision: "
        "float32, and check that sampler and learner use the same weights, temperature and chat template",
    ),
    Rule(
        "gradient_spike",
        "note",
        ("grad_norm/max",),
        _spike,
        "one batch pulled far harder than others; optimizer.max_grad_norm should be near the usual norm, "
        "and optimizer.learning_rate lower if it happens again",
    ),
    Rule(
        "gradients_always_clipped",
        "note",
        ("grad_norm/clipped", "grad_norm"),
        _always_clipped,
        "the size of the updates no longer follows the gradient's; raise optimizer.max_grad_norm, and "
        "lower optimizer.learning_rate if learning is unsteady",
        silent=80,
    ),
    Rule(
        "skipped_updates",
        "critical",
        ("skipped",),
        _skipped,
        "numbers overflow; lower optimizer.learning_rate, or set batch.precision: float32 (above "
        "limits.skipped_updates in a row the run ends)",
    ),
    Rule(
        "effective_sample_size",
        "warning",
        ("ess/tokens", "ess/sequences"),
        _sample_size,
        "lower optimizer.learning_rate, batch.minibatches or batch.rollout_epochs; if it is low with a "
        "single update too, sampler and learner disagree (batch.precision, objective.importance_cap)",
    ),
    Rule(
        "empty_step",
        "warning",
        ("trained_sequences",),
        _empty,
        "all groups had equal rewards or all responses were left out; raise rollouts.refill_rounds, "
        "group_size or sampling.max_new_tokens, or ask questions that it solves about half the time",
    ),
    Rule(
        "critic_explains_nothing",
        "warning",
        ("value/explained_variance",),
        _explained,
        "advantages are noise then; raise critic.optimizer.learning_rate if value/loss stands still, lower "
        "it if it jumps, or let the critic learn alone for longer (critic.pretrain_steps)",
    ),
)

"""What an update does to the policy, as numbers that add up exactly over parts and over updates.

A part gives sums and extremes over its tokens. What is no plain mean over tokens, such as a correlation, is
made of "raw/…" sums once those of all parts and updates are together.

Shapes: N tokens that carry loss, S sequences. The ratio is pi / pi_old of a token, where pi_old is the policy
before any update on these rollouts; the importance weight is pi / pi_sampler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from r1kit.objectives.kl import k3
from r1kit.objectives.policy import PolicyLoss, Tokens, bounded_exp

_PER_UPDATE = (  # no means over tokens
    *("loss", "grad_norm", "grad_norm/clipped", "learning_rate", "padding"),
    *("critic/grad_norm", "critic/learning_rate"),
)
_RAW = "raw/"


@dataclass(frozen=True, slots=True)
class TokenStats:
    """Of some tokens: sums by name, to be divided by the number of tokens, and extremes."""

    sums: Mapping[str, Tensor]
    extremes: Mapping[str, Tensor]  # names end in /max or /min


@torch.no_grad()
def policy_stats(tokens: Tokens, clipped: PolicyLoss, sampler_logprobs_N: Tensor | None) -> TokenStats:
    """What is measured of the tokens of a part beside its loss.

    "approx_kl" estimates KL(pi_old || pi) by k3 (J. Schulman, http://joschu.net/blog/kl-approx.html); with
    the sampler's log-probabilities also "logprob_gap/…", their distance from those of pi_old, which is no
    update's doing, and what `policy_metrics` needs for the effective sample size.
    """
    now_N, old_N = tokens.logprobs_N.detach().double(), tokens.old_logprobs_N.double()
    credited_N = tokens.advantages_N != 0
    sums = {
        "approx_kl": k3(old_N, now_N.clamp(old_N - 20.0, old_N + 20.0)).sum(),
        "raw/credited": credited_N.sum(),
        "raw/clipped_low": (clipped.clipped_low_N & credited_N).sum(),
        "raw/clipped_high": (clipped.clipped_high_N & credited_N).sum(),
    }
    extremes = _ends("ratio", bounded_exp(now_N - old_N))
    if sampler_logprobs_N is not None:
        sampler_N = sampler_logprobs_N.double()
        sums |= _weight_sums(now_N - sampler_N, tokens.sequence_N) | _gap_sums(old_N, sampler_N)
        extremes |= _ends("logprob_gap", (old_N - sampler_N).abs(), least=False)
    return TokenStats(sums, extremes)


def policy_metrics(updates: Sequence[Mapping[str, float]], tokens: Sequence[int]) -> dict[str, float]:
    """The statistics of a step from those of its updates (`Learner.update`), which had so many tokens.

    Means over tokens weigh each update by its tokens, so that they are those of all tokens together; "loss",
    norms, rates and "padding" are means over the updates; extremes are over all. Skipped updates are counted
    and otherwise left out, unless there is no other. A critic's updates ("critic/…", "value/…") are skipped
    or made by themselves; the policy may have none beside them.

    "staleness" is the mean over the trained tokens, and "staleness/max" the most, of the updates that the
    policy has had since it was what the rollouts are credited to.
    """
    stats = {}
    for name in updates[0]:
        made = _made(updates, "critic/skipped" if name.startswith(("critic/", "value/")) else "skipped")
        stats[name] = _over(name, [updates[k][name] for k in made], [max(tokens[k], 1) for k in made])
    for name in stats.keys() & {"skipped", "critic/skipped"}:
        stats[name] = sum(update[name] for update in updates)
    if "grad_norm" in stats:
        stats["grad_norm/max"] = max(updates[k]["grad_norm"] for k in _made(updates, "skipped"))
    if "skipped" in stats:
        stats |= _staleness(updates, tokens)
    return _finished(stats)


def _made(updates: Sequence[Mapping[str, float]], skipped: str) -> list[int]:
    """Which updates were made; all where none was."""
    return [k for k, update in enumerate(updates) if not update[skipped]] or list(range(len(updates)))


def _staleness(updates: Sequence[Mapping[str, float]], tokens: Sequence[int]) -> dict[str, float]:
    """Over the updates that were made: how many changed the policy before each."""
    made = _made(updates, "skipped")
    weights = [max(tokens[k], 1) for k in made]
    lags = [sum(not update["skipped"] for update in updates[:k]) for k in made]
    mean = sum(weight * lag for weight, lag in zip(weights, lags, strict=True)) / sum(weights)
    return {"staleness": mean, "staleness/max": float(max(lags))}


def _over(name: str, values: Sequence[float], weights: Sequence[int]) -> float:
    if name.endswith("/max"):
        return max(values)
    if name.endswith("/min"):
        return min(values)
    if name in _PER_UPDATE:
        return sum(values) / len(values)
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def _finished(stats: Mapping[str, float]) -> dict[str, float]:
    """The statistics with numbers for people in place of the raw sums, which are means over tokens here."""
    raw = {name.removeprefix(_RAW): value for name, value in stats.items() if name.startswith(_RAW)}
    found = {name: value for name, value in stats.items() if not name.startswith(_RAW)}
    if raw:
        credited = raw["credited"]
        found["zero_advantage_tokens"] = 1.0 - credited
        found["clip/low"] = _share(raw["clipped_low"], credited)
        found["clip/high"] = _share(raw["clipped_high"], credited)
    if "weight" in raw:
        # Kish's effective sample size (sum w)^2 / sum w^2, as a share of the sample: L. Kish, Survey
        # Sampling, 1965, section 11.7; A. B. Owen, https://artowen.su.domains/mc/Ch-var-is.pdf, eq. 9.13
        found["ess/tokens"] = _share(raw["weight"] ** 2, raw["weight_square"])
        found["ess/sequences"] = _share(
            raw["sequence_weight"] ** 2, raw["sequences"] * raw["sequence_weight_square"]
        )
        found["logprob_gap/correlation"] = _correlation(raw)
    return found


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _correlation(raw: Mapping[str, float]) -> float:
    """Pearson's, from the means of the learner's and the sampler's values, their squares and products."""
    learner = raw["learner_square"] - raw["learner"] ** 2
    sampler = raw["sampler_square"] - raw["sampler"] ** 2
    if learner <= 0 or sampler <= 0:
        return math.nan
    found = (raw["product"] - raw["learner"] * raw["sampler"]) / math.sqrt(learner * sampler)
    return max(-1.0, min(1.0, found))


def _weight_sums(log_weight_N: Tensor, sequence_N: Tensor) -> dict[str, Tensor]:
    """Importance weights and their squares: of tokens, and of sequences, whose weight is the product."""
    count_S = torch.bincount(sequence_N)
    sum_S = torch.zeros(len(count_S), dtype=log_weight_N.dtype, device=log_weight_N.device)
    sum_S.index_add_(0, sequence_N, log_weight_N)
    weight_N, weight_S = bounded_exp(log_weight_N), bounded_exp(sum_S[count_S > 0])
    return {
        "raw/weight": weight_N.sum(),
        "raw/weight_square": weight_N.square().sum(),
        "raw/sequences": (count_S > 0).sum(),
        "raw/sequence_weight": weight_S.sum(),
        "raw/sequence_weight_square": weight_S.square().sum(),
    }


def _gap_sums(learner_N: Tensor, sampler_N: Tensor) -> dict[str, Tensor]:
    return {
        "logprob_gap/mean": (learner_N - sampler_N).abs().sum(),
        "raw/learner": learner_N.sum(),
        "raw/learner_square": learner_N.square().sum(),
        "raw/sampler": sampler_N.sum(),
        "raw/sampler_square": sampler_N.square().sum(),
        "raw/product": (learner_N * sampler_N).sum(),
    }


def _ends(name: str, values_N: Tensor, *, least: bool = True) -> dict[str, Tensor]:
    """The largest and the least value; nothing of no tokens."""
    if not values_N.numel():
        return {}
    return {f"{name}/max": values_N.max()} | ({f"{name}/min": values_N.min()} if least else {})

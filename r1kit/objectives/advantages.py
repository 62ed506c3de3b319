"""Advantages from the rewards of a group of samples of one problem.

Shapes: P problems, G samples per problem; a function takes the rewards and the response lengths in tokens,
both P x G, and gives an advantage for each sample. NaN marks an unscored sample: it stays out of its group's
statistics, and its own advantage is NaN, so that training on it by mistake cannot pass unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor


def grpo(rewards_PG: Tensor, lengths_PG: Tensor) -> Tensor:
    """(r - group mean) / (sample std + 1e-4). Source: DeepSeekMath, arXiv 2402.03300, section 4.1.2."""
    centred_PG = _centred(rewards_PG, torch.ones_like(rewards_PG))
    others_P1 = (_scored(rewards_PG).sum(1, keepdim=True) - 1).clamp_min(1)
    std_P1 = (centred_PG.nan_to_num().square().sum(1, keepdim=True) / others_P1).sqrt()
    return centred_PG / (std_P1 + 1e-4)


def dr_grpo(rewards_PG: Tensor, lengths_PG: Tensor) -> Tensor:
    """r - group mean, without the division by the std. Source: Dr.GRPO, arXiv 2503.20783, section 3.2."""
    return _centred(rewards_PG, torch.ones_like(rewards_PG))


def rloo(rewards_PG: Tensor, lengths_PG: Tensor) -> Tensor:
    """r - mean of the other samples of the group = G / (G - 1) (r - group mean).

    Source: RLOO, arXiv 2402.14740, eq. 8, after Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline
    for free".
    """
    scored_P1 = _scored(rewards_PG).sum(1, keepdim=True).to(rewards_PG)
    return dr_grpo(rewards_PG, lengths_PG) * (scored_P1 / (scored_P1 - 1).clamp_min(1))


def raw(rewards_PG: Tensor, lengths_PG: Tensor) -> Tensor:
    """r itself, without a baseline. Source: REINFORCE, Williams 1992, Machine Learning 8, section 4."""
    return rewards_PG.clone()


def opo(rewards_PG: Tensor, lengths_PG: Tensor) -> Tensor:
    """r - sum(length * r) / sum(length). Source: OPO, arXiv 2505.23585, section 3.

    The baseline of least variance if a squared gradient grows with the length of its response. Summed over
    the tokens of a group the advantages are 0, so that long wrong responses can't push down what all share.
    """
    return _centred(rewards_PG, lengths_PG)


def best_of_n(rewards_PG: Tensor, lengths_PG: Tensor) -> Tensor:
    """1 for the best sample of the group, the first one of equals, and 0 for the others.

    With -A log pi that is supervised learning on the best of n, also where all are wrong. Source: RAFT, arXiv
    2304.06767, algorithm 1.
    """
    best_P1 = rewards_PG.nan_to_num(nan=-torch.inf).argmax(1, keepdim=True)
    chosen_PG = torch.zeros_like(rewards_PG).scatter(1, best_P1, 1.0)
    return torch.where(_scored(rewards_PG), chosen_PG, torch.nan)


def gdpo(terms_KPG: Tensor, weights_K: Tensor) -> Tensor:
    """Sum over the K reward terms of weight times `grpo` of the term alone: (P, G).

    Each term is brought to one size within its group before terms are summed, so that a term which varies
    little is not drowned, and different mixtures with one sum keep different advantages. A term that does not
    concern a group is NaN in all of it and adds nothing; a sample is unscored where all its terms are NaN.
    Source: GDPO, arXiv 2601.05242, section 3.1; its last step, over the batch, is `whitened`.
    """
    each_KPG = torch.stack([grpo(terms_PG, terms_PG) for terms_PG in terms_KPG])
    unscored_PG = terms_KPG.isnan().all(0)
    total_PG = (weights_K.view(-1, 1, 1) * each_KPG.nan_to_num(nan=0.0)).sum(0)
    return torch.where(unscored_PG, torch.nan, total_PG)


def _centred(rewards_PG: Tensor, weights_PG: Tensor) -> Tensor:
    """r - weighted group mean over the scored samples. Equal rewards give exactly 0."""
    scored_PG = _scored(rewards_PG)
    weights_PG = torch.where(scored_PG, weights_PG, 0.0).to(rewards_PG)
    total_P1 = weights_PG.sum(1, keepdim=True)
    mean_P1 = (weights_PG * rewards_PG.nan_to_num()).sum(1, keepdim=True) / total_P1.clamp_min(1)
    dead_P1 = dead_groups(rewards_PG)[:, None]
    # the mean of equal numbers may be off by a rounding error, which the small std would blow up
    return torch.where(dead_P1 & scored_PG, 0.0, rewards_PG - mean_P1)


def _scored(rewards_PG: Tensor) -> Tensor:
    return ~rewards_PG.isnan()


def dead_groups(rewards_PG: Tensor) -> Tensor:
    """True for groups with fewer than two different scored rewards: no group baseline tells them apart."""
    highest_P = rewards_PG.nan_to_num(nan=-torch.inf).amax(1)
    lowest_P = rewards_PG.nan_to_num(nan=torch.inf).amin(1)
    return highest_P <= lowest_P


ADVANTAGES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "grpo": grpo,
        "dr_grpo": dr_grpo,
        "rloo": rloo,
        "opo": opo,
        "raw": raw,
        "best_of_n": best_of_n,
        "gae": raw,
    }
)
"""Of total rewards. `gae` starts from the reward itself; a critic's values come off it token by token
(`objectives.gae`)."""

TERM_ADVANTAGES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType({"gdpo": gdpo})
"""Of each reward term by itself."""

WITHOUT_BASELINE = frozenset({"raw", "best_of_n", "gdpo", "gae"})
"""Advantages that a group of equal total rewards may have."""

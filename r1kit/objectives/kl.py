"""Estimators of KL(policy || reference) per sampled token, from samples of the policy.

With r = pi_ref / pi. Source: J. Schulman, http://joschu.net/blog/kl-approx.html. Shapes: N tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor


def k1(logprobs_N: Tensor, ref_logprobs_N: Tensor) -> Tensor:
    """-log r: unbiased, high variance; as a loss its expected gradient is zero."""
    return logprobs_N - ref_logprobs_N


def k2(logprobs_N: Tensor, ref_logprobs_N: Tensor) -> Tensor:
    """(log r)^2 / 2: biased value, but as a loss its expected gradient is that of the reverse KL."""
    return (ref_logprobs_N - logprobs_N).square() / 2


def k3(logprobs_N: Tensor, ref_logprobs_N: Tensor) -> Tensor:
    """r - 1 - log r: unbiased and never negative; GRPO states it as its loss (arXiv 2402.03300, eq. 4)."""
    log_ratio_N = ref_logprobs_N - logprobs_N
    return log_ratio_N.expm1() - log_ratio_N


KL_ESTIMATORS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"k1": k1, "k2": k2, "k3": k3}
)

"""Log-probabilities and entropies of target tokens, without ever holding the logits of a whole batch.

Logits of N tokens cost N x V numbers, often more memory than the rest of the network. Here the head is
applied to `chunk` tokens at a time and the backward pass computes each chunk's logits again, so that the peak
is chunk x V. Values and gradients are those of `log_softmax(hidden @ weight.T / temperature)`.

Shapes: B sequences, T tokens, N selected tokens (flat), V vocabulary, D width.
"""

# ruff: noqa: N815 - fields that are tensors carry shape suffixes
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from r1kit.errors import ModelError
from r1kit.kernels.arrays import call, loops_are_faster


@dataclass(frozen=True, slots=True)
class Head:
    """The linear map from last hidden states to logits: `logits = hidden @ weight_VD.T + bias_V`."""

    weight_VD: Tensor
    bias_V: Tensor | None = None


@dataclass(frozen=True, slots=True)
class States:
    """What a model makes of the positions that predict N tokens: everything its logits follow from."""

    hidden_ND: Tensor  # last hidden states
    head: Head


def head_of(model: nn.Module) -> Head:
    """The output head of a causal `transformers` model.

    Raises ModelError where the logits are not one linear map of the last hidden states (logit scaling or
    soft-capping, or a head that is no `nn.Linear`), since the log-probabilities would silently be others.
    """
    name = type(model).__name__
    get_head = getattr(model, "get_output_embeddings", None)
    head = get_head() if callable(get_head) else None
    if not isinstance(head, nn.Linear):
        raise ModelError(
            f"{name}: its output head is {type(head).__name__}, not nn.Linear; choose another model"
        )
    config: Any = getattr(model, "config", None)
    for key in _LOGIT_CHANGES:
        value = getattr(config, key, None)
        if value not in (None, 1, 1.0):
            raise ModelError(
                f"{name}: config.{key}={value} changes the logits after the head; choose another model"
            )
    return Head(head.weight, head.bias)


# Settings of Gemma 2/3, Cohere and Granite that act on the logits after the linear head.
_LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


def decoder_of(model: nn.Module) -> nn.Module:
    """The part of a causal model that yields `last_hidden_state`. Raises ModelError if there is none."""
    get_decoder = getattr(model, "get_decoder", None)
    decoder = get_decoder() if callable(get_decoder) else None
    if not isinstance(decoder, nn.Module) or decoder is model:
        raise ModelError(
            f"{type(model).__name__}: no decoder body below its head; choose a causal language model"
        )
    return decoder


def token_logprobs(
    hidden_ND: Tensor,
    head: Head,
    targets_N: Tensor,
    *,
    temperature: float = 1.0,
    chunk: int = 4096,
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target, and entropy of each distribution, both float32 (or float64) in nats.

    `hidden_ND` are the last hidden states at the positions that predict `targets_N`. Both carry
    gradients. At most `chunk` x V logits exist at any time, forward or backward; on a
    CPU a chunk of more than 128 tokens counts as the next multiple of 128.
    """
    assert hidden_ND.dim() == 2, f"hidden states must be flat (N, D), got {tuple(hidden_ND.shape)}"
    assert targets_N.shape == hidden_ND.shape[:1]
    assert temperature > 0
    assert chunk > 0
    vocabulary = len(head.weight_VD)
    if len(targets_N) and loops_are_faster(hidden_ND):  # whose bounds are not checked
        least, most = (int(number) for number in targets_N.aminmax())
        if not 0 <= least <= most < vocabulary:
            raise ModelError(
                f"token {most} to predict: the model knows {vocabulary}; the tokenizer is not its own"
            )
    logprobs_N, entropy_N = _ChunkedLogprobs.apply(
        hidden_ND, head.weight_VD, head.bias_V, targets_N, temperature, chunk
    )  # type: ignore[no-untyped-call]
    return logprobs_N, entropy_N


def chunk_log_softmax(
    hidden_CD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, temperature: float
) -> Tensor:
    """(C, V) log-probabilities of every token, float32 (or float64), in nats."""
    logits_CV = _logits(hidden_CD, weight_VD, bias_V)
    if logits_CV.dtype != torch.float64:
        logits_CV = logits_CV.float()
    if temperature != 1.0:
        logits_CV = logits_CV / temperature
    return torch.log_softmax(logits_CV, dim=-1)


def _filled_up(rows_CX: Tensor) -> Tensor:
    """On a CPU more than 128 rows, with zeros, to a multiple of that: oneDNN makes code for every shape."""
    missing = -len(rows_CX) % 128 if rows_CX.device.type == "cpu" and len(rows_CX) > 128 else 0
    return torch.nn.functional.pad(rows_CX, (0, 0, 0, missing)) if missing else rows_CX


class HeadGradients:
    """Gradients of hidden states, weight and bias, from those of the logits of one chunk after another.

    Args:
        hidden_ND: the hidden states of all chunks.
        weight_VD: of the head; sums over chunks are kept in its own (master) precision.
        bias_V: of the head, or None.
        wanted: which of the three are needed.
    """

    def __init__(
        self, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, wanted: Sequence[bool]
    ) -> None:
        self._hidden_ND = hidden_ND
        self._weight_cast = weight_VD.to(hidden_ND.dtype)
        self._of_hidden = torch.empty_like(hidden_ND) if wanted[0] else None
        self._of_weight = torch.zeros_like(weight_VD) if wanted[1] else None
        self._of_bias = torch.zeros_like(bias_V) if wanted[2] and bias_V is not None else None

    def add(self, part: slice, d_logits_CV: Tensor) -> None:
        """Take in the gradient of the logits of the tokens in `part`; each token comes once."""
        tokens = len(d_logits_CV)
        d_logits_CV = _filled_up(d_logits_CV.to(self._hidden_ND.dtype))
        if self._of_hidden is not None:
            self._of_hidden[part] = (d_logits_CV @ self._weight_cast)[:tokens]
        if self._of_weight is not None:
            self._of_weight += d_logits_CV.T @ _filled_up(self._hidden_ND[part])
        if self._of_bias is not None:
            self._of_bias += d_logits_CV.sum(0)

    def all(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The gradients of hidden states, weight and bias; None where not wanted."""
        return self._of_hidden, self._of_weight, self._of_bias


class _ChunkedLogprobs(torch.autograd.Function):
    """d logprob / d logits = (one_hot(target) - p) / temperature, d entropy H / d logits = -p (log p + H) /
    temperature; chunk by chunk in both directions.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_N: Tensor,
        temperature: float,
        chunk: int,
    ) -> tuple[Tensor, Tensor]:
        weight_cast = weight_VD.to(hidden_ND.dtype)
        bias_cast = None if bias_V is None else bias_V.to(hidden_ND.dtype)
        logprobs, entropies = [], []
        for start in range(0, max(len(targets_N), 1), chunk):
            part = slice(start, start + chunk)
            if loops_are_faster(hidden_ND):
                found = _by_loops(hidden_ND[part], weight_cast, bias_cast, targets_N[part], temperature)
                logprobs.append(found[0])
                entropies.append(found[1])
                continue
            log_p_CV = chunk_log_softmax(hidden_ND[part], weight_cast, bias_cast, temperature)
            logprobs.append(log_p_CV.gather(1, targets_N[part, None]).squeeze(1))
            entropies.append(_entropy(log_p_CV))
        ctx.save_for_backward(hidden_ND, weight_VD, bias_V, targets_N)
        ctx.temperature, ctx.chunk = temperature, chunk
        ctx.set_materialize_grads(False)  # an entropy that is only measured costs no backward pass
        return torch.cat(logprobs), torch.cat(entropies)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(grad_N is None for grad_N in grads):
            return None, None, None, None, None, None
        hidden_ND, weight_VD, bias_V, targets_N = ctx.saved_tensors
        weight_cast = weight_VD.to(hidden_ND.dtype)
        bias_cast = None if bias_V is None else bias_V.to(hidden_ND.dtype)
        gradients = HeadGradients(hidden_ND, weight_VD, bias_V, ctx.needs_input_grad[:3])
        for start in range(0, len(targets_N), ctx.chunk):
            part = slice(start, start + ctx.chunk)
            if loops_are_faster(hidden_ND):
                given = [grads[0], grads[1], hidden_ND, targets_N]
                of_logits = _by_loops_back(weight_cast, bias_cast, ctx.temperature, part, given)
                gradients.add(part, of_logits)
                continue
            log_p_CV = chunk_log_softmax(hidden_ND[part], weight_cast, bias_cast, ctx.temperature)
            parts = [None if grad_N is None else grad_N[part] / ctx.temperature for grad_N in grads]
            gradients.add(part, _logits_gradient(log_p_CV, targets_N[part], parts[0], parts[1]))
        return *gradients.all(), None, None, None


def _logits(hidden_CD: Tensor, weight_VD: Tensor, bias_V: Tensor | None) -> Tensor:
    """(C, V), in the format of the hidden states."""
    return torch.nn.functional.linear(_filled_up(hidden_CD), weight_VD, bias_V)[: len(hidden_CD)]


def _by_loops(
    hidden_CD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_C: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies of a chunk, float32."""
    from r1kit.kernels import heads

    logprobs, entropies = torch.empty(2, len(hidden_CD)).unbind()
    logits_CV = _logits(hidden_CD, weight_VD, bias_V)
    call(heads.log_softmax, logits_CV, targets_C, temperature, logprobs, entropies)
    return logprobs, entropies


def _by_loops_back(
    weight_VD: Tensor, bias_V: Tensor | None, temperature: float, part: slice, given: Sequence[Tensor | None]
) -> Tensor:
    """The gradient of a chunk's logits. given: gradients of log-probabilities and entropies, hidden states,
    targets; of all chunks.
    """
    from r1kit.kernels import heads

    of_logprobs, of_entropies, hidden_ND, targets_N = given
    assert hidden_ND is not None
    assert targets_N is not None
    logits_CV = _logits(hidden_ND[part], weight_VD, bias_V)
    none = torch.zeros(0)
    of_logprobs = torch.zeros(len(logits_CV)) if of_logprobs is None else of_logprobs[part].contiguous()
    of_entropies = none if of_entropies is None else of_entropies[part].contiguous()
    of_logits = torch.empty_like(logits_CV)
    call(
        heads.log_softmax_back,
        *(logits_CV, targets_N[part], temperature, of_logprobs, of_entropies, of_logits),
    )
    return of_logits


def _logits_gradient(
    log_p_CV: Tensor, targets_C: Tensor, logprob_grad_C: Tensor | None, entropy_grad_C: Tensor | None
) -> Tensor:
    """From the gradients of log-probabilities and entropies, at least one of them; consumes `log_p_CV`."""
    pull_CV = None
    if entropy_grad_C is not None:
        pull_CV = (_finite(log_p_CV) + _entropy(log_p_CV)[:, None]) * log_p_CV.exp()
        pull_CV.mul_(-entropy_grad_C[:, None])
    if logprob_grad_C is None:
        assert pull_CV is not None
        return pull_CV
    d_logits_CV = log_p_CV.exp_().neg_()
    d_logits_CV.scatter_add_(1, targets_C[:, None], torch.ones_like(d_logits_CV[:, :1]))
    d_logits_CV.mul_(logprob_grad_C[:, None])
    return d_logits_CV if pull_CV is None else d_logits_CV.add_(pull_CV)


def _entropy(log_p_CV: Tensor) -> Tensor:
    return -(log_p_CV.exp() * _finite(log_p_CV)).sum(-1)


def _finite(log_p_CV: Tensor) -> Tensor:
    """-inf logits have probability 0 and add nothing; 0 * -inf would be NaN."""
    return log_p_CV.clamp_min(torch.finfo(log_p_CV.dtype).min)

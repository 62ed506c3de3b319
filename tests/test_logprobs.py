"""Chunked log-probabilities agree with the full logits, forward and backward, without holding them."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.gemma2 import Gemma2Config, Gemma2ForCausalLM

from r1kit.errors import ModelError
from r1kit.models.logprobs import Head, decoder_of, head_of, token_logprobs


def _inputs(bias: bool, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(11, 6, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(17, 6, generator=generator, dtype=dtype).requires_grad_()
    bias_V = torch.randn(17, generator=generator, dtype=dtype).requires_grad_() if bias else None
    targets = torch.randint(0, 17, (11,), generator=generator)
    return hidden, weight, bias_V, targets


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("chunk", [1, 4, 11, 100])
def test_values_and_gradients_equal_those_of_the_full_logits(bias, temperature, chunk):
    hidden, weight, bias_V, targets = _inputs(bias)
    leaves = [leaf for leaf in (hidden, weight, bias_V) if leaf is not None]
    upstream = torch.linspace(-1, 2, 11, dtype=torch.float64)

    full = torch.log_softmax(nn.functional.linear(hidden, weight, bias_V) / temperature, dim=-1)
    expected = full[torch.arange(11), targets]
    expected_grads = torch.autograd.grad((expected * upstream).sum(), leaves)

    got, entropy = token_logprobs(hidden, Head(weight, bias_V), targets, temperature=temperature, chunk=chunk)
    grads = torch.autograd.grad((got * upstream).sum(), leaves)

    torch.testing.assert_close(got, expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(entropy, -(full.exp() * full).sum(-1), rtol=0, atol=1e-13)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_chunks_of_any_size_are_filled_up_without_a_trace(bias):
    generator = torch.Generator().manual_seed(4)
    hidden, weight = (torch.randn(size, 6, generator=generator, dtype=torch.float64) for size in (300, 17))
    bias_V = torch.randn(17, generator=generator, dtype=torch.float64) if bias else None
    leaves = [leaf.requires_grad_() for leaf in (hidden, weight, bias_V) if leaf is not None]
    targets = torch.randint(0, 17, (300,), generator=generator)
    upstream = torch.linspace(-1, 2, 300, dtype=torch.float64)
    full = torch.log_softmax(nn.functional.linear(hidden, weight, bias_V), dim=-1)
    expected = full[torch.arange(300), targets]
    got, _ = token_logprobs(hidden, Head(weight, bias_V), targets, chunk=170)  # 170 and 130 rows: both 256
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-13)
    for grad, expected_grad in zip(
        torch.autograd.grad((got * upstream).sum(), leaves),
        torch.autograd.grad((expected * upstream).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(grad, expected_grad, rtol=0, atol=1e-11)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_entropys_gradient_equals_that_of_the_full_logits(temperature):
    hidden, weight, bias_V, targets = _inputs(True)
    leaves, upstream = [hidden, weight, bias_V], torch.linspace(-1, 2, 11, dtype=torch.float64)
    full = torch.log_softmax(nn.functional.linear(hidden, weight, bias_V) / temperature, dim=-1)
    both = ((full[torch.arange(11), targets] - (full.exp() * full).sum(-1)) * upstream).sum()
    alone = (-(full.exp() * full).sum(-1) * upstream).sum()
    got, entropy = token_logprobs(hidden, Head(weight, bias_V), targets, temperature=temperature, chunk=4)
    for loss, expected in ((((got + entropy) * upstream).sum(), both), ((entropy * upstream).sum(), alone)):
        for grad, expected_grad in zip(
            torch.autograd.grad(loss, leaves, retain_graph=True),
            torch.autograd.grad(expected, leaves, retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(grad, expected_grad, rtol=0, atol=1e-12)


def test_a_certain_prediction_has_no_gradient_by_its_entropy():
    bias = torch.tensor([0.0, -torch.inf, -torch.inf], requires_grad=True)
    _, entropy = token_logprobs(torch.zeros(1, 3), Head(torch.eye(3), bias), torch.tensor([0]))
    assert torch.autograd.grad(entropy.sum(), bias)[0].tolist() == [0.0, 0.0, 0.0]


def test_the_gradient_passes_the_numerical_check():
    hidden, weight, bias_V, targets = _inputs(True)

    def logprobs(hidden, weight, bias_V):
        return token_logprobs(hidden, Head(weight, bias_V), targets, temperature=1.3, chunk=4)[0]

    assert torch.autograd.gradcheck(logprobs, (hidden, weight, bias_V))


def test_bfloat16_states_give_float32_logprobs_and_gradients_in_the_parameters_precision():
    hidden, weight, _, targets = _inputs(False, torch.float32)
    narrow = hidden.detach().bfloat16().requires_grad_()
    logprobs, entropy = token_logprobs(narrow, Head(weight), targets, chunk=4)
    logprobs.sum().backward()
    assert (logprobs.dtype, entropy.dtype, narrow.grad.dtype) == (
        torch.float32,
        torch.float32,
        torch.bfloat16,
    )
    exact, _ = token_logprobs(hidden, Head(weight), targets)
    expected = torch.autograd.grad(exact.sum(), weight)[0]
    torch.testing.assert_close(logprobs, exact, rtol=0, atol=0.1)
    torch.testing.assert_close(weight.grad, expected, rtol=0.05, atol=0.1)


def test_no_tensor_of_all_logits_is_ever_made():
    tokens, vocabulary, chunk = 512, 1000, 64
    hidden = torch.randn(tokens, 8, requires_grad=True)
    weight = torch.randn(vocabulary, 8, requires_grad=True)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    with Watch():
        token_logprobs(hidden, Head(weight), torch.zeros(tokens, dtype=torch.long), chunk=chunk)[
            0
        ].sum().backward()
    assert largest == chunk * vocabulary


def test_no_tokens_give_no_logprobs_and_a_zero_gradient():
    hidden = torch.zeros(0, 6, requires_grad=True)
    weight = torch.randn(17, 6, requires_grad=True)
    logprobs, entropy = token_logprobs(hidden, Head(weight), torch.zeros(0, dtype=torch.long))
    logprobs.sum().backward()
    assert logprobs.shape == entropy.shape == (0,)
    assert float(weight.grad.abs().sum()) == 0.0


def test_a_certain_prediction_has_zero_entropy_even_with_infinite_logits():
    head = Head(torch.eye(3), torch.tensor([0.0, -torch.inf, -torch.inf]))
    logprobs, entropy = token_logprobs(torch.zeros(1, 3), head, torch.tensor([0]))
    assert (float(logprobs), float(entropy)) == (0.0, 0.0)


def test_head_and_body_of_a_llama_model_reproduce_its_logits():
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=13, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
        )
    )
    tokens = torch.tensor([[1, 5, 3]])
    head = head_of(model)
    hidden = decoder_of(model)(input_ids=tokens, use_cache=False).last_hidden_state
    torch.testing.assert_close(hidden @ head.weight_VD.T, model(input_ids=tokens).logits)


def test_a_model_whose_logits_are_changed_after_the_head_is_refused():
    config = Gemma2Config(
        vocab_size=13, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=4, final_logit_softcapping=30.0,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"final_logit_softcapping=30\.0"):
        head_of(Gemma2ForCausalLM(config))


def test_a_model_without_a_linear_head_is_refused():
    with pytest.raises(ModelError, match=r"not nn\.Linear"):
        head_of(nn.Linear(2, 2))

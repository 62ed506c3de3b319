"""Whether the sampler's log-probabilities are those of the plain forward pass of `transformers`."""

from __future__ import annotations

import torch

from bench.peers.talk import Record
from r1kit.models.load import load_model, load_tokenizer
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Prompt

PROMPTS, GROUP_SIZE = 8, 4  # of the job's, enough for ragged batches and prompts that are shared


@torch.no_grad()
def largest_difference(job: Record) -> float:
    """The largest distance of a token's log-probability (float32), over responses to some of the prompts.

    Each response goes through the model alone, without a cache, a mask or padding.
    """
    model = load_model(job["model"], torch.float32, "cpu")
    prompts = [Prompt(tuple(tokens)) for tokens in job["prompts"][:PROMPTS]]
    sampler = LocalSampler(model, load_tokenizer(job["model"]), dtype=torch.float32)
    params = SamplingParams(max_new_tokens=job["new_tokens"])
    groups = sampler.sample(prompts, GROUP_SIZE, params, list(range(len(prompts))))
    largest = 0.0
    for completion in (completion for group in groups for completion in group):
        tokens = torch.tensor([(*completion.prompt_tokens, *completion.tokens)])
        logits_TV = model(input_ids=tokens).logits[0, len(completion.prompt_tokens) - 1 : -1]
        plain_T = logits_TV.log_softmax(-1).gather(1, torch.tensor(completion.tokens)[:, None])[:, 0]
        largest = max(largest, float((plain_T - torch.tensor(completion.logprobs)).abs().max()))
    return largest

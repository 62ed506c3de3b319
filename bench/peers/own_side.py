"""r1kit's side: sampling, a whole step of reinforcement learning, supervised updates.

Responses end as the model says; how long they became is reported, so that the other sides can be made to
draw responses of the same lengths.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers

from bench.peers.grading import grade
from bench.peers.talk import Record, Repeat, serve
from r1kit.learning.batch import EncodedDocument, make_batch
from r1kit.learning.credit import assign_credit, rollout_batch
from r1kit.learning.learner import Learner
from r1kit.learning.losses import supervised_loss
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, OptimizerSettings, RLSettings
from r1kit.models.load import load_model, load_tokenizer
from r1kit.models.precision import Precision, resolve
from r1kit.pipeline.machine import choose_device
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Completion, Outcome, Problem, Prompt, Reward, Rollout, RolloutGroup, Verdict

Prepared = tuple[Record, Repeat]


def sampling(job: Record) -> Prepared:
    """Rollouts alone."""
    sampler = sampler_of(job, load_model(job["model"], torch.float32, "cpu"))

    def repeat(request: Record) -> Record:
        began = time.perf_counter()
        groups = _draw(sampler, job, request["repeat"])
        return _drawn(groups, time.perf_counter() - began)

    return facts(job), repeat


def step(job: Record) -> Prepared:
    """Sampling, grading, one update of the policy, and its weights handed to the sampler."""
    model = load_model(job["model"], torch.float32, "cpu")
    sampler = sampler_of(job, model)
    settings = RLSettings(
        group_size=job["group_size"],
        sampling=SamplingParams(max_new_tokens=job["new_tokens"]),
        optimizer=OptimizerSettings(learning_rate=job["learning_rate"]),
        batch=BatchSettings(precision=job["precision"]),
    )
    learner = Learner(model, settings.optimizer, settings.batch, total_updates=1000)

    def repeat(request: Record) -> Record:
        began = time.perf_counter()
        drawn = _draw(sampler, job, request["repeat"])
        sampled = time.perf_counter()
        groups = [_graded(place, group) for place, group in enumerate(drawn)]
        batch = rollout_batch(groups, assign_credit(groups, settings.objective.advantage), settings)
        stats = update_policy(learner, batch, settings, None, seed=request["repeat"])
        sampler.update(model)
        ended = time.perf_counter()
        assert stats["skipped"] == 0
        rewards = [rollout.reward.total for group in groups for rollout in group.rollouts if rollout.reward]
        parts = {"seconds/sampling": sampled - began, "reward": sum(rewards) / len(rewards)}
        return _drawn(drawn, ended - began) | parts

    return facts(job), repeat


def supervised(job: Record) -> Prepared:
    """One update on a batch of documents, each token of which but the first is learned."""
    _threads(job)
    model = load_model(job["model"], torch.float32, "cpu")
    settings = BatchSettings(precision=job["precision"])
    optimizer = OptimizerSettings(learning_rate=job["learning_rate"])
    learner = Learner(model, optimizer, settings, total_updates=1000)
    documents = [EncodedDocument(tuple(tokens), 1) for tokens in job["documents"]]

    def repeat(request: Record) -> Record:
        began = time.perf_counter()
        stats = learner.update(make_batch(documents), supervised_loss)
        tokens = sum(len(document.tokens) for document in documents)
        return {"seconds": time.perf_counter() - began, "tokens": tokens, "loss": stats["loss"]}

    return facts(job), repeat


def _threads(job: Record) -> None:
    choose_device("cpu", job["threads"])


def facts(job: Record) -> Record:
    """Versions and settings."""
    precision: Precision = job["precision"]
    return {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "threads": torch.get_num_threads(),
        "precision": str(resolve(precision, "cpu")).removeprefix("torch."),
    }


def sampler_of(job: Record, model: Any) -> LocalSampler:
    """In the job's precision, with its threads."""
    _threads(job)
    dtype = resolve(job["precision"], "cpu")
    return LocalSampler(model, load_tokenizer(job["model"]), dtype=dtype)


def _draw(sampler: LocalSampler, job: Record, repeat: int) -> list[tuple[Completion, ...]]:
    prompts = [Prompt(tuple(tokens)) for tokens in job["prompts"]]
    seeds = [repeat * 10_000 + place for place in job["places"]]
    params = SamplingParams(max_new_tokens=job["new_tokens"])
    return sampler.sample(prompts, job["group_size"], params, seeds)


def _drawn(groups: Sequence[Sequence[Completion]], seconds: float) -> Record:
    lengths = [len(completion.tokens) for group in groups for completion in group]
    return {"seconds": seconds, "new_tokens": sum(lengths), "lengths": lengths}


def _graded(place: int, completions: Sequence[Completion]) -> RolloutGroup:
    rewards = [grade(completion.text) for completion in completions]
    rollouts = tuple(
        Rollout(completion, Verdict(Outcome.WRONG), Reward(reward, {"graded": reward}, {"graded": 1.0}))
        for completion, reward in zip(completions, rewards, strict=True)
    )
    problem = Problem(f"bench/{place}", "bench", (), {})
    return RolloutGroup(problem, Prompt(completions[0].prompt_tokens), rollouts)


KINDS: dict[str, Callable[[Record], Prepared]] = {
    "sampling": sampling,
    "step": step,
    "supervised": supervised,
}

if __name__ == "__main__":
    serve(lambda job: KINDS[job["kind"]](job))

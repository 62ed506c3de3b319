"""r1kit's side of learning: each repeat is one step of GRPO on the next problems of Countdown."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from bench.peers.countdown import grade
from bench.peers.own_side import facts, sampler_of
from bench.peers.talk import Record, Repeat, serve
from r1kit import seeds
from r1kit.learning.credit import assign_credit, rollout_batch
from r1kit.learning.learner import Learner
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings, RLSettings
from r1kit.models.load import load_model
from r1kit.rollouts.protocol import SamplingParams
from r1kit.types import Completion, Outcome, Problem, Prompt, Reward, Rollout, RolloutGroup, Verdict


def settings_of(job: Record) -> RLSettings:
    """Everything that the other side is told too, and nothing of a recipe's own."""
    return RLSettings(
        group_size=job["group_size"],
        sampling=SamplingParams(max_new_tokens=job["new_tokens"], temperature=1.0, top_p=1.0, top_k=0),
        objective=ObjectiveSettings(
            advantage="grpo",
            loss="ppo",
            aggregation="sequence_mean",
            clip_low=job["clip"],
            clip_high=job["clip"],
            kl_beta=0.0,
            truncated="train",
        ),
        optimizer=OptimizerSettings(**job["optimizer"], schedule="constant"),
        batch=BatchSettings(precision=job["precision"], minibatches=1, rollout_epochs=1),
    )


def prepare(job: Record) -> tuple[Record, Repeat]:
    """See `talk.serve`."""
    model = load_model(job["model"], torch.float32, "cpu")
    sampler = sampler_of(job, model)
    settings, questions = settings_of(job), job["questions"]
    learner = Learner(model, settings.optimizer, settings.batch, total_updates=len(questions))

    def repeat(request: Record) -> Record:
        step = request["repeat"]
        asked = questions[step]
        began = time.perf_counter()
        drawn = sampler.sample(
            [Prompt(tuple(question["tokens"])) for question in asked],
            settings.group_size,
            settings.sampling,
            [seeds.derive(job["seed"], "step", step, place) for place in range(len(asked))],
        )
        groups = [_graded(question, group) for question, group in zip(asked, drawn, strict=True)]
        batch = rollout_batch(groups, assign_credit(groups, settings.objective.advantage), settings)
        stats = update_policy(learner, batch, settings, None, seed=step)
        sampler.update(model)
        seconds = time.perf_counter() - began
        assert stats["skipped"] == 0
        return {"seconds": seconds, **_means(groups), **{n: stats[n] for n in ("entropy", "grad_norm")}}

    return facts(job), repeat


def _graded(question: Record, completions: Sequence[Completion]) -> RolloutGroup:
    rollouts = []
    for completion in completions:
        found = grade(completion.text, question["nums"], question["target"])
        terms = {"accuracy": found.accuracy, "format": found.format}
        reward = Reward(found.reward, terms, dict.fromkeys(terms, 1.0))
        rollouts.append(Rollout(completion, Verdict(Outcome.WRONG), reward))
    problem = Problem(question["content"], "countdown", (), {})
    return RolloutGroup(problem, Prompt(completions[0].prompt_tokens), tuple(rollouts))


def _means(groups: Sequence[RolloutGroup]) -> Record:
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    rewards = [rollout.reward for rollout in rollouts if rollout.reward]
    assert len(rewards) == len(rollouts)
    return {
        "reward": sum(reward.total for reward in rewards) / len(rollouts),
        "accuracy": sum(reward.terms["accuracy"] for reward in rewards) / len(rollouts),
        "tokens": sum(len(rollout.completion.tokens) for rollout in rollouts) / len(rollouts),
    }


if __name__ == "__main__":
    serve(prepare)

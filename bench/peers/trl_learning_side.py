"""TRL's side of learning: each repeat is one step of its GRPOTrainer on the next problems of Countdown.

The trainer runs as it is. Callbacks wait before each step until it is asked for and answer with what it logs;
what it was given to generate from is compared with the prompts that the other side gets.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.peers.countdown import grade
from bench.peers.talk import Record, Talk
from bench.peers.trl_side import Asked, NothingMoreError, common


class Learned(Asked):
    """Each step of a trainer is one repeat, answered when the trainer logs it."""

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.result["seconds"] = time.perf_counter() - self.began

    def on_log(self, _arguments: Any, _state: Any, _control: Any, logs: Record, **__: Any) -> None:
        self.result |= {name: float(logs[name]) for name in ("entropy", "grad_norm")}
        self.talk.done(self.result)


def settings_of(job: Record, output: str) -> Any:
    """Everything that the other side is told too; what is a default here is named where it decides."""
    from trl import GRPOConfig

    optimizer, rows = job["optimizer"], len(job["questions"][0]) * job["group_size"]
    return GRPOConfig(
        **common(job | optimizer, output, rows)
        | {
            "logging_strategy": "steps",
            "logging_steps": 1,
            "adam_beta1": optimizer["beta1"],
            "adam_beta2": optimizer["beta2"],
            "adam_epsilon": optimizer["eps"],
            "weight_decay": optimizer["weight_decay"],
            "max_grad_norm": optimizer["max_grad_norm"],
            "warmup_steps": 0,
            "seed": job["seed"],
        },
        num_generations=job["group_size"],
        num_iterations=1,
        max_completion_length=job["new_tokens"],
        mask_truncated_completions=False,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        loss_type="grpo",
        scale_rewards="group",
        importance_sampling_level="token",
        epsilon=job["clip"],
        epsilon_high=job["clip"],
        beta=0.0,
        shuffle_dataset=False,
    )


def trainer_of(talk: Talk, output: str) -> Any:
    """A GRPOTrainer whose every step samples, grades and learns from the next problems."""
    from datasets import Dataset
    from trl import GRPOTrainer

    job, learned = talk.job, Learned(talk)
    rows = [
        {"prompt": [{"role": "user", "content": q["content"]}], "nums": q["nums"], "target": q["target"]}
        for step in job["questions"]
        for q in step
    ]

    def reward(completions: Any, completion_ids: Any, nums: Any, target: Any, **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        found = [grade(*row) for row in zip(texts, nums, target, strict=True)]
        learned.result = {
            "reward": sum(graded.reward for graded in found) / len(found),
            "accuracy": sum(graded.accuracy for graded in found) / len(found),
            "tokens": sum(map(len, completion_ids)) / len(found),
        }
        return [graded.reward for graded in found]

    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32),
        reward_funcs=reward,
        args=settings_of(job, output),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        callbacks=[learned],
    )
    plain = trainer.model.generate

    def generate(**inputs: Any) -> torch.Tensor:
        pairs = zip(inputs["input_ids"], inputs["attention_mask"].bool(), strict=True)
        asked = job["questions"][learned.request["repeat"]]
        meant = [question["tokens"] for question in asked for _ in range(job["group_size"])]
        assert [row[mask].tolist() for row, mask in pairs] == meant
        drawn: torch.Tensor = plain(**inputs)
        return drawn

    trainer.model.generate = generate
    return trainer


def main() -> None:
    talk = Talk()
    torch.set_num_threads(talk.job["threads"])
    with tempfile.TemporaryDirectory(prefix="r1kit-trl-") as output:
        try:
            trainer_of(talk, output).train()
        except NothingMoreError:
            return


if __name__ == "__main__":
    main()

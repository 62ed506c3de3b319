"""TRL's side: whole steps of its GRPOTrainer, and supervised updates of its SFTTrainer.

Its trainers run as they are. A callback waits before each step until it is asked for, and times it. In a step
of GRPO the responses are given the lengths asked for, by a logits processor that lets the end token come when
it shall.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LogitsProcessor,
    LogitsProcessorList,
    TrainerCallback,
)

from bench.peers.grading import grade
from bench.peers.talk import Record, Talk


class NothingMoreError(Exception):
    """No further step is asked for."""


class Asked(TrainerCallback):
    """Each step of a trainer is one repeat."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self._requests: Iterator[Record] | None = None
        self.request: Record = {}
        self.result: Record = {}
        self.began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        if self._requests is None:
            self.talk.ready(facts(self.talk.job))
            self._requests = self.talk.requests()
        asked = next(self._requests, None)
        if asked is None:
            raise NothingMoreError
        self.request = asked
        self.began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        seconds = time.perf_counter() - self.began
        self.talk.done({"seconds": seconds, **self.result})


class EndsAtLength(LogitsProcessor):
    """The end token comes as the last of a row's number of new tokens, and not before."""

    def __init__(self, end: int, totals_B: torch.Tensor) -> None:
        self._end = end
        self._totals_B = totals_B  # prompt, padding and response

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        last_B = self._totals_B == input_ids.shape[1] + 1
        scores[:, self._end] = -torch.inf
        scores[last_B] = -torch.inf
        scores[last_B, self._end] = 0.0
        return scores


def facts(job: Record) -> Record:
    import trl

    versions = {"trl": trl.__version__, "torch": torch.__version__, "transformers": transformers.__version__}
    return versions | {"threads": torch.get_num_threads(), "precision": job["precision"]}


def common(job: Record, output: str, rows: int) -> Record:
    """The settings of both trainers: no logging, saving or recomputing; `rows` in one update."""
    return {
        "output_dir": output,
        "per_device_train_batch_size": rows // job["microbatches"],
        "gradient_accumulation_steps": job["microbatches"],
        "learning_rate": job["learning_rate"],
        "lr_scheduler_type": "constant",
        "max_steps": 1000,
        "use_cpu": True,
        "bf16": job["precision"] == "bfloat16",
        "gradient_checkpointing": False,
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }


def step(talk: Talk, output: str) -> Any:
    """A GRPOTrainer whose every step samples, grades and learns from all prompts."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    job, asked = talk.job, Asked(talk)
    rows = len(job["prompts"]) * job["group_size"]
    config = GRPOConfig(
        **common(job, output, rows),
        num_generations=job["group_size"],
        max_completion_length=job["new_tokens"],
        temperature=1.0,
        beta=0.0,
        loss_type="grpo",
        shuffle_dataset=False,
    )
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    texts = [" ".join(tokenizer.convert_ids_to_tokens(prompt)) for prompt in job["prompts"]]

    def reward(completions: list[str], **_: Any) -> list[float]:
        found = [grade(text) for text in completions]
        asked.result["reward"] = sum(found) / len(found)
        return found

    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32),
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list([{"prompt": text} for text in texts]),
        processing_class=tokenizer,
        callbacks=[asked],
    )
    plain, end = trainer.model.generate, tokenizer.eos_token_id

    def generate(**inputs: Any) -> torch.Tensor:
        lengths, start = asked.request["lengths"], inputs["input_ids"].shape[1]
        assert inputs["input_ids"].shape[0] == len(lengths)
        longest_prompt = max(map(len, job["prompts"]))
        assert start == longest_prompt
        ends = EndsAtLength(end, torch.tensor(lengths) + start)
        drawn: torch.Tensor = plain(logits_processor=LogitsProcessorList([ends]), **inputs)
        found = ((drawn[:, start:] == end).int().argmax(1) + 1).tolist()
        asked.result |= {"new_tokens": sum(found), "lengths": found}
        return drawn

    trainer.model.generate = generate
    return trainer


def supervised(talk: Talk, output: str) -> Any:
    """An SFTTrainer whose every step is one update on all documents, in the order in which they come."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    job, asked = talk.job, Asked(talk)
    documents = job["documents"]
    asked.result = {"tokens": sum(map(len, documents))}
    config = SFTConfig(
        **common(job, output, len(documents)),
        max_length=None,
        train_sampling_strategy="sequential",
    )
    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32),
        args=config,
        train_dataset=Dataset.from_list([{"input_ids": tokens} for tokens in documents]),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        callbacks=[asked],
    )


KINDS = {"step": step, "supervised": supervised}


def main() -> None:
    talk = Talk()
    torch.set_num_threads(talk.job["threads"])
    with tempfile.TemporaryDirectory(prefix="r1kit-trl-") as output:
        try:
            KINDS[talk.job["kind"]](talk, output).train()
        except NothingMoreError:
            return


if __name__ == "__main__":
    main()

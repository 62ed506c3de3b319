"""The longest batch, really run: in a process of its own, with random weights and tokens, and its peak of
memory.

`python -m r1kit.memory.measure` reads one `Work` as JSON and writes `{"sampling": bytes, "learning":
bytes}`, or one number where both are done beside each other: what was resident at most in each phase (Linux:
VmHWM; elsewhere and on CUDA the process's or device's peak so far).
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from r1kit import seeds
from r1kit.errors import UserError
from r1kit.learning.batch import Batch, EncodedDocument, make_batch
from r1kit.learning.critic import make_critic
from r1kit.learning.learner import Learner
from r1kit.learning.losses import supervised_loss
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, OptimizerSettings, RLSettings
from r1kit.memory.estimate import BESIDE
from r1kit.models.precision import Precision, resolve
from r1kit.models.reference import frozen_copy
from r1kit.models.threads import Beside
from r1kit.rollouts.local import LocalSampler
from r1kit.rollouts.protocol import SamplingParams
from r1kit.settings import Settings
from r1kit.types import Prompt


class Work(Settings):
    """What to run."""

    config: dict[str, Any]
    """The model's `config.json`."""
    device: str = "cpu"
    """Where."""
    threads: int = Field(default=0, ge=0)
    """Of torch; 0 leaves its own choice."""
    precision: Precision = "auto"
    """Of a model that only samples."""
    questions: int = 0
    """Prompts of one call of the sampler; 0: nothing is sampled."""
    group_size: int = 1
    """Responses to each."""
    prompt: int = 1
    """Tokens of a prompt."""
    sampling: SamplingParams = SamplingParams()
    """How they are drawn; all are as long as they may be."""
    rows: int = 0
    """Sequences of a micro-batch; 0: nothing is learned."""
    shares: int = 1
    """Micro-batches at the same time, each in a thread."""
    length: int = 1
    """Tokens of each."""
    learned: int = 1
    """Tokens at the end of each that carry loss."""
    batch: BatchSettings = BatchSettings()
    """Of supervised learning."""
    rl: RLSettings | None = None
    """Of reinforcement learning, which samples with the model that learns."""


class _Tokens:
    """A tokenizer of a model whose responses never end and are never read."""

    eos_token_id = None

    def batch_decode(self, batch: list[list[int]], **_: Any) -> list[str]:
        """A text without a character for each."""
        return [""] * len(batch)


def measure(work: Work) -> dict[str, int]:
    """The peak of each phase, in a new process. Raises UserError when it does not come to its end."""
    command = [sys.executable, "-m", "r1kit.memory.measure"]
    done = subprocess.run(command, input=work.model_dump_json(), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1][:300]
        killed = "; the system killed it, as it does when memory runs out" if done.returncode < 0 else ""
        raise UserError(f"measuring: the process ended with status {done.returncode}{killed}: {last}")
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(work: Work) -> dict[str, int]:
    """The work, in this process: two updates, of which the second finds moments, with the sampling between
    them."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if work.threads:
        torch.set_num_threads(work.threads)
    torch.manual_seed(0)
    given = {key: value for key, value in work.config.items() if key != "model_type"}
    config = AutoConfig.for_model(work.config["model_type"], **given)
    config.eos_token_id = None
    trained = work.rl is not None or work.rows > 0
    dtype = torch.float32 if trained else resolve(work.precision, work.device)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype).to(work.device).eval()
    model.generation_config.eos_token_id = None
    if work.rl is not None:
        return _reinforcement(model, work, work.rl)
    if work.rows:
        cut = _of_this_size(work.batch, work)
        learner = Learner(model, OptimizerSettings(), cut, total_updates=2)
        for _ in range(2):
            learner.update(_batch(work, model), supervised_loss)
        return {"learning": peak(work.device)}
    sampler = LocalSampler(model, _Tokens())
    _sample(sampler, work, model)
    return {"sampling": peak(work.device)}


def _reinforcement(model: nn.Module, work: Work, settings: RLSettings) -> dict[str, int]:
    whole = {"minibatches": 1, "rollout_epochs": 1}  # the sequences below are one minibatch
    batch = _of_this_size(settings.batch, work).model_copy(update=whole)
    settings = settings.model_copy(update={"batch": batch})
    temperature = settings.sampling.temperature
    learner = Learner(model, settings.optimizer, settings.batch, total_updates=2, temperature=temperature)
    ahead = settings.rollouts.staleness > 0
    dtype = resolve(settings.batch.precision, work.device)
    sampler = LocalSampler(model, _Tokens(), dtype=dtype, apart=ahead)
    critic = make_critic(learner, settings)
    reference = frozen_copy(model) if settings.ever("objective.kl_beta") > 0 else None
    older = frozen_copy(model) if ahead else None  # as the loop keeps it
    update_policy(learner, _batch(work, model), settings, reference, 1, critic)
    sampler.update(model)
    first = _start(work.device)
    if older is not None:
        held = _sample(sampler, work, model)
        drawn = Beside("r1kit-rollouts", partial(_sample, sampler, work, model))
        update_policy(learner, _batch(work, model), settings, reference, 2, critic)
        assert len(held) == len(drawn.result())  # those of two steps are there at the same time
        return {BESIDE: max(peak(work.device), first)}

    rollouts = _sample(sampler, work, model)
    found = {"sampling": max(peak(work.device), first)}
    _start(work.device)
    update_policy(learner, _batch(work, model), settings, reference, 2, critic)
    assert rollouts  # they are held meanwhile, as the loop does
    return {**found, "learning": peak(work.device)}


def _of_this_size(batch: BatchSettings, work: Work) -> BatchSettings:
    """The settings under which the sequences of `_batch` make two micro-batches for each thread."""
    return batch.model_copy(update={"tokens_per_microbatch": work.shares * work.rows * work.length})


def _sample(sampler: LocalSampler, work: Work, model: Any) -> list[Any]:
    random = seeds.generator("measure", "prompts")
    vocabulary = model.config.vocab_size
    prompts = [Prompt(tuple(random.choices(range(vocabulary), k=work.prompt))) for _ in range(work.questions)]
    return sampler.sample(prompts, work.group_size, work.sampling, list(range(work.questions)))


def _batch(work: Work, model: Any) -> Batch:
    """Two micro-batches of random tokens for each thread, with advantages that leave no row idle."""
    random = seeds.generator("measure", "sequences")
    vocabulary, start = model.config.vocab_size, work.length - work.learned
    count = 2 * work.shares * work.rows
    documents = [
        EncodedDocument(random.choices(range(vocabulary), k=work.length), start) for _ in range(count)
    ]
    if work.rl is None:
        return make_batch(documents)
    advantages = [1.0 if row % 2 else -1.0 for row in range(len(documents))]
    drawn = [[-1.0] * work.learned for _ in documents]
    return make_batch(documents, advantages=advantages, sampler_logprobs=drawn)


def peak(device: str) -> int:
    """Bytes resident at most since the process began, or since `_start`; on CUDA what the allocator
    reserved."""
    if device == "cuda":
        return int(torch.cuda.max_memory_reserved())
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _start(device: str) -> int:
    """Let `peak` begin anew, where the system can; bytes that are resident now, or 0 where it does not
    say."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return 0
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return 0
    return peak(device)


if __name__ == "__main__":
    print(json.dumps(run(Work.model_validate_json(sys.stdin.read()))))

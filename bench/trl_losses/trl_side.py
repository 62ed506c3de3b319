"""TRL's side: its own GRPOTrainer scores the rollouts, computes the loss and its gradient.

Nothing of TRL is replaced. Its hook for own sampling (`rollout_func`) hands over the rollouts; advantages,
masks, old and reference log-probabilities and importance weights are what `_generate_and_score_completions`
makes of them, and the loss is `compute_loss` on its batch, whole or cut by its `split_tensor_dict`. The two
things that a training loop would have done are set by hand: the model moves to its next state after scoring,
and `use_vllm` is switched on after the trainer is made (no server starts), so that the correction for the
sampler, which TRL has for vLLM alone, is on.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.trl_losses.gradient import Gradient
from bench.trl_losses.scene import GROUP, LONGEST, Scene, load, make_tokenizer, states


def gradient(
    scene: Scene, folder: Path, options: Mapping[str, Any], *, parts: int, on_policy: bool, corrected: bool
) -> Gradient:
    """TRL's loss and gradient.

    Args:
        scene: the rollouts.
        folder: of the model's states.
        options: fields of `GRPOConfig`.
        parts: micro-batches that the gradient is accumulated over.
        on_policy: the rollouts come from the state that is trained.
        corrected: the importance weights of the sampler are applied.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer
    from trl.trainer.utils import split_tensor_dict

    samples = scene.samples

    def right(**_: Any) -> list[float | None]:
        return [sample.reward for sample in samples]

    def style(**_: Any) -> list[float]:
        return [sample.style for sample in samples]

    with tempfile.TemporaryDirectory(prefix="r1kit-trl-") as output:
        config = GRPOConfig(
            output_dir=output,
            per_device_train_batch_size=len(samples) // parts,
            gradient_accumulation_steps=parts,
            num_iterations=1 if on_policy else 2,  # with more than 1 it computes old log-probabilities
            num_generations=GROUP,
            max_completion_length=LONGEST,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to=[],
            **options,
        )
        trainer = GRPOTrainer(
            model=load(folder, "now" if on_policy else "old"),
            reward_funcs=[right, style] if "multi_objective_aggregation" in options else right,
            args=config,
            train_dataset=Dataset.from_list([{"prompt": f"t{sample.problem + 2}"} for sample in samples]),
            processing_class=make_tokenizer(),
            rollout_func=lambda prompts, trainer: {
                "prompt_ids": [list(sample.prompt) for sample in samples],
                "completion_ids": [list(sample.tokens) for sample in samples],
                "logprobs": [list(sample.logprobs) for sample in samples],
            },
        )
        model = trainer.model.train()
        if corrected:
            trainer.use_vllm, trainer._last_loaded_step = True, trainer.state.global_step
        trainer.current_gradient_accumulation_steps = parts
        batch = trainer._generate_and_score_completions(list(trainer.train_dataset))
        assert ("old_per_token_logps" in batch) is not on_policy
        model.load_state_dict(states(folder)["now"])
        loss = 0.0
        for part in split_tensor_dict(batch, parts):
            of_part = trainer.compute_loss(model, part)
            of_part.backward()
            loss += float(of_part)
        return Gradient(loss, {name: p.grad for name, p in model.named_parameters()})


def place(snippet: str) -> str:
    """Where TRL's trainer has these words: `grpo_trainer.py:3178`."""
    from trl.trainer import grpo_trainer

    path = Path(inspect.getsourcefile(grpo_trainer) or "")
    lines = [n for n, line in enumerate(path.read_text("utf-8").splitlines(), 1) if snippet in line]
    assert lines, f"{path} has no line with {snippet!r}"
    return f"{path.name}:{lines[0]}"

"""Which part of a run a stack belongs to, by the files and functions of its frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.looks import Stack


@dataclass(frozen=True, slots=True)
class Rule:
    """Stacks with a frame whose name begins with one of `frames`, and another with one of `within`."""

    part: str
    frames: tuple[str, ...]
    within: tuple[str, ...] = ("",)

    def holds(self, stack: Stack) -> bool:
        """Whether the stack has such frames."""
        return any(n.startswith(self.frames) for n in stack) and any(n.startswith(self.within) for n in stack)


_ENGINES = ("r1kit/rollouts/engine.py:Engine.", "r1kit/rollouts/compiled_engine.py:CompiledEngine.")
_LEARNER = "r1kit/learning/learner.py:Learner."
_EVALUATION = ("r1kit/stages/evaluation.py:evaluate_model",)
_GRADING = ("r1kit/rewards/", "r1kit/verify/")

RULES: tuple[Rule, ...] = (
    Rule("progress bar", ("r1kit/tracking/progress.py", "rich/progress.py", "rich/live.py")),
    Rule("start-up: compiling loops", ("numba/", "llvmlite/")),
    Rule("start-up: importing", ("<frozen importlib.", "importlib/")),
    Rule(
        "start-up: loading models",
        ("r1kit/models/load.py", "r1kit/models/reward_model.py:load", "transformers/core_model_loading.py"),
    ),
    Rule(
        "checkpoints",
        (
            *("r1kit/learning/checkpoint.py", "r1kit/stages/checkpoint.py:publish"),
            *("r1kit/pipeline/store.py:RunFolder.finish", "r1kit/files/durable.py:publish"),
        ),
    ),
    Rule("report", ("r1kit/report/", "r1kit/commands/run.py:_print_results")),
    Rule("evaluation: metrics", ("r1kit/stages/metrics.py",), _EVALUATION),
    Rule("evaluation: grading", _GRADING, _EVALUATION),
    Rule("evaluation: sampling", ("r1kit/rollouts/",), _EVALUATION),
    Rule("evaluation: around them", _EVALUATION),
    Rule(
        "logging",
        (
            *("r1kit/tracking/metrics.py", "r1kit/learning/rollout_stats.py", "r1kit/learning/alarms.py"),
            *("r1kit/learning/rl_loop.py:_tell", "r1kit/learning/rl_loop.py:_summary"),
        ),
    ),
    Rule("grading", _GRADING),
    Rule("sampling: prefill", ("r1kit/rollouts/jobs.py:Waiting.enter", *(e + "_enter" for e in _ENGINES))),
    Rule("sampling: decoding", tuple(e + "_decode" for e in _ENGINES)),
    Rule("sampling: retiring", tuple(e + "_retire" for e in _ENGINES)),
    Rule("sampling: around the steps", ("r1kit/rollouts/",)),
    Rule("learning: optimizer", (_LEARNER + "_step", "r1kit/learning/optimizer.py")),
    Rule("learning: statistics", ("r1kit/learning/policy_stats.py", "r1kit/learning/sums.py")),
    Rule("learning: backward", ("torch/autograd/__init__.py:", "torch/autograd/graph.py:_engine")),
    Rule(
        "learning: forward",
        (_LEARNER + "_measure", _LEARNER + "_all_logprobs", "r1kit/models/reward_scores.py"),
    ),
    Rule(
        "learning: batches",
        (
            *("r1kit/learning/batch.py", "r1kit/learning/microbatches.py", "r1kit/learning/credit.py"),
            "r1kit/learning/reward_data.py",
        ),
    ),
    Rule("learning: around the passes", ("r1kit/learning/",)),
    Rule(
        "data",
        ("r1kit/stages/", "r1kit/tasks/", "r1kit/datasets/", "r1kit/text/templates.py", "r1kit/world/"),
    ),
    Rule("runner", ("r1kit/",)),
)
"""The first that holds decides."""
REST = "elsewhere"
BESIDE = ("runner", "logging", "report")
"""What a run adds to its work."""


def part_of(stack: Stack) -> str:
    """The name of a part, "learning: backward"; `REST` where no frame is r1kit's."""
    return next((rule.part for rule in RULES if rule.holds(stack)), REST)


def by_part(seconds: Mapping[Stack, float]) -> dict[str, float]:
    """Seconds of every part that has any, in the order of the rules."""
    found = dict.fromkeys([*(rule.part for rule in RULES), REST], 0.0)
    for stack, spent in seconds.items():
        found[part_of(stack)] += spent
    return {part: spent for part, spent in found.items() if spent}


_STEP = "r1kit/learning/rl_loop.py:train_rl"
CLOCK: Mapping[str, tuple[str, ...]] = {
    "sampling": ("r1kit/learning/timing.py:TimedSampler.sample",),
    "grading": (
        *("r1kit/learning/refill.py:", "r1kit/learning/credit.py:", "r1kit/rollouts/collect.py:"),
        *("r1kit/learning/settings.py:RLSettings.at", "r1kit/learning/learner.py:Learner.settle"),
    ),
    "learning": (
        *("r1kit/learning/policy_update.py:", "r1kit/learning/distillation.py:"),
        *("r1kit/learning/timing.py:TimedSampler.update", "r1kit/models/reference.py:refresh"),
    ),
}
"""The parts of a step that its clock (`learning/timing.py`) tells apart."""


def timed_as(stack: Stack) -> str | None:
    """What the clock of a step counts the stack under; None outside of steps and between these parts."""
    if _STEP not in stack:
        return None
    return next((name for name, frames in CLOCK.items() if any(n.startswith(frames) for n in stack)), None)

"""Checkpoints of a training loop: whole folders of safetensors and JSON that appear at once or not at all.

A folder `step-000040` holds the state after 40 steps: `model.safetensors`, `optimizer.safetensors`, with a
reference model `reference.safetensors`, with older weights for rollouts `older.safetensors`, with a critic
`critic.safetensors`, `critic_optimizer.safetensors`, and `state.json`. All randomness is derived from the
seed and the step, so there is no generator to save.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from r1kit.errors import CheckpointError
from r1kit.files import publish_folder, remove_folder, tidy, verify_folder, write_json
from r1kit.learning.learner import Learner
from r1kit.learning.optimizer import load_optimizer_tensors, optimizer_tensors
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress

_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a run goes on."""

    step: int  # steps done
    log_offsets: Mapping[str, int]  # length of each log at that point, in bytes
    extra: Mapping[str, Any]  # what the loop saved besides
    notes: tuple[str, ...]  # what people should know: damaged checkpoints passed over, other software


class Checkpoints:
    """The checkpoints in one folder.

    Args:
        folder: where they lie.
        keep: how many of the newest to keep.
        identity: settings, seed and data of the run, JSON-serialisable; a resume with others is refused.
        company: other models by name that are saved and restored beside the learner's; None for one that the
        run does without.
        critic: a learner that is, with its optimizer.
    """

    def __init__(
        self,
        folder: Path,
        keep: int,
        identity: Mapping[str, Any],
        company: Mapping[str, nn.Module | None] = MappingProxyType({}),
        *,
        critic: Learner | None = None,
    ) -> None:
        self._folder = folder
        self._keep = keep
        self._identity = json.loads(json.dumps(identity))
        self._company = {name: model for name, model in company.items() if model is not None}
        self._critic = critic

    def save(
        self,
        step: int,
        learner: Learner,
        *,
        log_offsets: Mapping[str, int],
        extra: Mapping[str, Any] | None = None,
    ) -> Path:
        """Publish the state after `step` steps; older ones go only once it has been verified."""
        tensors = {
            "model": model_tensors(learner.model),
            "optimizer": optimizer_tensors(learner.model, learner.optimizer),
        }
        tensors |= {name: model_tensors(model) for name, model in self._company.items()}
        if self._critic is not None:
            tensors["critic"] = model_tensors(self._critic.model)
            tensors["critic_optimizer"] = optimizer_tensors(self._critic.model, self._critic.optimizer)
            _require_finite(tensors["critic"], step)
        _require_finite(tensors["model"], step)
        state = {
            "step": step,
            "learner": learner.counters(),
            "critic": None if self._critic is None else self._critic.counters(),
            "log_offsets": dict(log_offsets),
            "extra": dict(extra or {}),
            "identity": self._identity,
            "software": _software(),
        }

        def build(folder: Path) -> None:
            for name, content in tensors.items():
                save_file(
                    {key: value.cpu() for key, value in content.items()}, folder / f"{name}.safetensors"
                )
            write_json(folder / "state.json", state)

        final = self._folder / f"step-{step:06d}"
        size = sum(t.numel() * t.element_size() for content in tensors.values() for t in content.values())
        publish_folder(build, final, needed=size + 65536)
        if problems := verify_folder(final):
            raise CheckpointError(f"{problems[0]} just after it was written; the older checkpoints are kept")
        for old in self._newest_first()[self._keep :]:
            remove_folder(old)
        return final

    def restore(self, learner: Learner) -> Resumed | None:
        """Load the newest valid checkpoint into the learner and its company; None when there is none at all.

        Raises CheckpointError when there are checkpoints but none is whole, or the run was another one.
        """
        notes = tidy(self._folder) if self._folder.exists() else []
        folders = self._newest_first()
        for folder in folders:
            if problems := verify_folder(folder):
                notes += [f"{problem}; this checkpoint is passed over" for problem in problems]
                continue
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            self._require_same_run(folder, state["identity"])
            _load(learner, state["learner"], folder, "model", "optimizer")
            if self._critic is not None:
                _load(self._critic, state["critic"], folder, "critic", "critic_optimizer")
            for name, model in self._company.items():
                load_model_tensors(model, load_file(folder / f"{name}.safetensors"))
            notes += _software_changes(state["software"])
            return Resumed(state["step"], state["log_offsets"], state["extra"], tuple(notes))
        if folders:
            raise CheckpointError(
                f"{self._folder}: none of its {len(folders)} checkpoints is whole ({notes[-1]});"
                " remove the folder to start anew"
            )
        return None

    def begin(self, learner: Learner, log: RunLog, progress: Progress) -> tuple[int, Mapping[str, Any]]:
        """Restore what there is and cut the logs back to it: the steps done, and what the loop saved besides.

        Without a checkpoint the logs are emptied: rows of a run that died before its first save come again.
        """
        resumed = self.restore(learner)
        if resumed is None:
            log.truncate(dict.fromkeys(log.offsets(), 0), 1)
            return 0, {}
        log.truncate(resumed.log_offsets, resumed.step + 1)
        for note in resumed.notes:
            progress.say(note)
        return resumed.step, resumed.extra

    def _newest_first(self) -> list[Path]:
        if not self._folder.exists():
            return []
        found = [(int(m[1]), path) for path in self._folder.iterdir() if (m := _NAME.fullmatch(path.name))]
        return [path for _, path in sorted(found, reverse=True)]

    def _require_same_run(self, folder: Path, identity: Mapping[str, Any]) -> None:
        changes = list(_differences(identity, self._identity))
        if changes:
            raise CheckpointError(
                f"{folder}: was made with other settings: {'; '.join(changes)}."
                " Put them back to resume, or start in another folder"
            )


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every distinct parameter and persistent buffer by name; of tied ones the first name only."""
    kept: dict[str, Tensor] = {}
    seen = set()
    for name, tensor in model.state_dict().items():
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
        if tensor.numel() == 0 or key not in seen:
            seen.add(key)
            kept[name] = tensor.detach().contiguous()
    return kept


@torch.no_grad()
def load_model_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `model_tensors`, in place. CheckpointError when names or shapes are not the model's."""
    own = model_tensors(model)
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())[0]
        raise CheckpointError(f"the checkpoint is of another model: tensor {odd!r} is in one of them only")
    for name, tensor in model.state_dict().items():
        if name in tensors:
            if tensor.shape != tensors[name].shape:
                raise CheckpointError(
                    f"the checkpoint is of another model: {name!r} has shape {tuple(tensors[name].shape)},"
                    f" the model's {tuple(tensor.shape)}"
                )
            tensor.copy_(tensors[name])


def _load(learner: Learner, counters: Mapping[str, int], folder: Path, weights: str, optimizer: str) -> None:
    load_model_tensors(learner.model, load_file(folder / f"{weights}.safetensors"))
    moments = load_file(folder / f"{optimizer}.safetensors")
    load_optimizer_tensors(learner.model, learner.optimizer, moments)
    learner.restore_counters(counters)


def _require_finite(tensors: Mapping[str, Tensor], step: int) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"step {step}: weight {name!r} is not finite, nothing was saved; lower learning_rate, resume"
            )


def _differences(old: Any, new: Any, path: str = "") -> Any:
    """Yield `"optimizer.learning_rate was 0.1, now 0.2"` for every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield f"{path} was {old!r}, now {new!r}"


def _software() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": version("numba"),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def _software_changes(saved: Mapping[str, Any]) -> list[str]:
    """Results are bit-identical only on the same software with the same number of threads."""
    return [
        f"{key} was {saved.get(key)}, now {value}: the last bits of the results may differ"
        for key, value in _software().items()
        if saved.get(key) != value
    ]

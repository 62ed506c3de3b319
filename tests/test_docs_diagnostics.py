"""docs/diagnostics.md lists what is logged, no more and no less, and every alarm."""

import json
import re
from pathlib import Path

import pytest
import test_learning_resume as tiny
import test_learning_resume_changes as supervised
import test_reward_loop as reward_models

from r1kit.learning.difficulty import DifficultySettings
from r1kit.learning.distillation import DistillationLoss, Teacher
from r1kit.learning.questions import Source
from r1kit.learning.rl_loop import train_rl
from r1kit.learning.rollout_alarms import GROUP_RULES, ROLLOUT_RULES, hacking_rules
from r1kit.learning.settings import CriticSettings, ObjectiveSettings
from r1kit.learning.sft_loop import train_supervised
from r1kit.learning.update_alarms import UPDATE_RULES
from r1kit.rollouts.local import LocalSampler
from r1kit.tracking.metrics import RunLog
from r1kit.tracking.progress import Progress
from r1kit.tracking.stop import StopFlag
from r1kit.types import Failure, Problem, Unscored

TEXT = (Path(__file__).parents[1] / "docs" / "diagnostics.md").read_text(encoding="utf-8")
RULES = (*GROUP_RULES, *ROLLOUT_RULES, *UPDATE_RULES, *hacking_rules({"reward/x": ["accuracy"]}))


def section(title):
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(title):
    """The names in the first column of the tables of a section."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [name for line in lines for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])]


def logged(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {name for row in rows for name in row} - {"step"}


def assert_listed(names, title):
    documented = first_cells(title)
    assert len(documented) == len(set(documented))
    patterns = [re.sub(r"\b[A-Z]+\b", ".+", name) for name in documented]
    assert [name for name in names if not any(re.fullmatch(p, name) for p in patterns)] == []
    assert [p for p in patterns if not any(re.fullmatch(p, name) for name in names)] == []


class OftenUnscored(tiny.SevensRubric):
    def outcomes(self, samples, steps_left=None, step=1):
        found = super().outcomes(samples, steps_left, step)
        return [Unscored("sevens", Failure.RAISED), *found[1:]]


def train(folder, rubric, objective, critic=None, **extra):
    """Two steps on two tasks."""
    tokenizer = tiny.make_tokenizer()
    model = tiny.make_model(tokenizer)
    settings = tiny.RL.model_copy(update={"steps": 2, "objective": objective, "critic": critic})
    other = [Problem(p.id, "other", p.messages, p.reference) for p in tiny.PROBLEMS]
    with RunLog(folder) as log:
        train_rl(
            model, tokenizer, {"echo": tiny.EchoTask(), "other": tiny.EchoTask()},
            {"echo": Source(tiny.PROBLEMS), "other": Source(other)}, LocalSampler(model, tokenizer),
            rubric, settings, seed=3, workdir=folder / "checkpoints", log=log,
            progress=Progress(quiet=True), stop=StopFlag(), **extra,
        )  # fmt: skip
    return logged(folder)


def test_the_metrics_of_reinforcement_learning_are_those_of_the_document(tmp_path):
    grpo = ObjectiveSettings(kl_beta=0.01, importance_cap=2.0)
    teacher = Teacher(tiny.make_model(tiny.make_tokenizer()))
    names = train(tmp_path / "grpo", OftenUnscored(), grpo, teacher=teacher)
    ppo = ObjectiveSettings(advantage="gae")
    levels = DifficultySettings(levels=("echo", "other"), start=0.5)
    names |= train(tmp_path / "ppo", tiny.SevensRubric(), ppo, CriticSettings(), difficulty=levels)
    assert_listed(names, "Metrics of reinforcement learning")


def test_the_metrics_of_supervised_training_are_those_of_the_document(tmp_path):
    supervised.run_sft(tmp_path / "text")
    teacher = tiny.make_model(tiny.make_tokenizer())
    with RunLog(tmp_path / "logits") as log:
        train_supervised(
            tiny.make_model(tiny.make_tokenizer()), supervised.DOCUMENTS, supervised.SFT, seed=3,
            workdir=tmp_path / "checkpoints", log=log, progress=Progress(quiet=True), stop=StopFlag(),
            loss=DistillationLoss(teacher, "forward_kl"),
        )  # fmt: skip
    assert_listed(logged(tmp_path / "text") | logged(tmp_path / "logits"), "Metrics of supervised training")


def test_the_metrics_of_reward_models_are_those_of_the_document(tmp_path):
    reward_models.save_base(tmp_path / "base")
    names = set()
    for settings in (reward_models.PAIRWISE, reward_models.POINTWISE):
        folder = tmp_path / settings.kind
        reward_models.run(tmp_path / "base", folder, settings.model_copy(update={"epochs": 1}))
        names |= logged(folder)
    assert_listed(names, "Metrics of reward models")


def test_every_alarm_is_in_the_document_with_its_severity():
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\w+) \|", section("Alarms"))
    assert sorted(rows) == sorted((rule.name, rule.severity) for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_document_names_settings_of_which_the_alarm_speaks(rule):
    (row,) = re.findall(rf"(?m)^\| `{rule.name}` \|.*$", section("Alarms"))
    advice = row.rstrip(" |").rpartition(" | ")[2]
    named = re.findall(r"`((?:\w+\.)?\w+)`", advice)
    assert [name for name in named if name.rpartition(".")[2] not in rule.advice] == []
    assert (rule.silent == 20) is (f"silent for {rule.silent}" not in row)

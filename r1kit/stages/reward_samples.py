"""A model's own samples as data for a reward model, told apart by the tasks' verifiers.

Source: DeepSeek-R1 (Nature 2025, supplementary information on the reward models): responses of the model
are compared in pairs for helpfulness, of comparable lengths, and judged one by one for harmlessness. There
a large model judges; here the task's own check does. A reward model that has only seen what somebody else
wrote knows the faults of that writer; these are the faults of the policy that it is going to score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from r1kit.datasets.fields import text_fault
from r1kit.datasets.folder import publish_dataset
from r1kit.datasets.forms import read, write
from r1kit.datasets.records import judged_row, preference_row
from r1kit.errors import DataError
from r1kit.models.load import revision_of
from r1kit.seeds import derive
from r1kit.stages.data_settings import RewardSamplesSettings
from r1kit.stages.problems import first_problems
from r1kit.stages.protocol import StageContext
from r1kit.stages.sampling_log import SAMPLES, Draw, LoggedSample, sample_model
from r1kit.tasks.protocol import Task
from r1kit.types import Artifact, Judged, Outcome, Preference, Problem


class RewardSamplesStage:
    """Samples a model on training problems; what the verifier tells apart becomes pairs or judged rows."""

    def __init__(self, settings: RewardSamplesSettings) -> None:
        self.settings = settings

    def run(self, context: StageContext) -> Artifact:
        """Sample `context.inputs["model"]`, tell apart, publish. Raises DataError: nothing came of it."""
        settings, source = self.settings, context.inputs["model"]
        problems = first_problems(
            context.tasks, settings.tasks, settings.problems, derive(context.seed, "problems")
        )
        draw = Draw(
            problems, settings.samples, settings.template, settings.sampling, derive(context.seed, "samples")
        )
        left_out: Counter[str] = Counter()
        groups = usable(sample_model(draw, source, context.folder / SAMPLES, context.name, context), left_out)
        if settings.rows == "preferences":
            rows = [preference_row(pair) for pair in self.pairs(problems, groups, context.tasks)]
        else:
            rows = [judged_row(judged) for judged in self.judged(problems, groups)]
        if not rows:
            raise DataError(f"{context.name}: no problem has both a right and a wrong response")
        gold = sum(str(row["id"]).endswith("/gold") for row in rows)
        summary = {"problems": len(problems), "gold": gold, "left_out": dict(left_out)}
        made = {
            "kind": "reward_samples",
            "settings": settings.model_dump(mode="json"),
            "model": {"model": source.place, "commit": revision_of(source.place, source.revision)},
            **summary,
        }
        card = f"Right and wrong responses of one model to training problems of {', '.join(settings.tasks)}."
        count = publish_dataset(context.output, context.name, rows, card, made)
        context.progress.say(
            f"{context.name}: {count} {settings.rows}, {gold} of them with a gold response; left out "
            f"{left_out['unverified']} unverified, {left_out['unreadable']} empty or with NUL"
        )
        return Artifact("dataset", context.output, context.fingerprint, {**summary, "examples": count})

    def pairs(
        self,
        problems: Sequence[Problem],
        groups: Iterator[tuple[LoggedSample, ...]],
        tasks: Mapping[str, Task],
    ) -> Iterator[Preference]:
        """At most `per_problem` pairs of each problem, in the order of the problems.

        Each wrong response is set against the right one whose length is nearest. Where no response is right,
        the task's gold answer may stand in, in the form and behind the thinking of the wrong one.
        """
        for problem, group in zip(problems, groups, strict=True):
            right, wrong = sides(group)
            if not right and not self.settings.gold:
                continue
            for index, rejected in enumerate(wrong[: self.settings.per_problem]):
                if right:
                    chosen = min(right, key=lambda text: abs(len(text) - len(rejected)))
                else:
                    chosen = with_answer(rejected, tasks[problem.task].gold(problem))
                name = f"{problem.id}/{index}/{'sample' if right else 'gold'}"
                yield Preference(name, problem.task, problem.messages, chosen, rejected, problem.language)

    def judged(
        self, problems: Sequence[Problem], groups: Iterator[tuple[LoggedSample, ...]]
    ) -> Iterator[Judged]:
        """As many right ("safe") as wrong responses of each problem, at most `per_problem` of each.

        The verifier reads answers alone: a right answer behind an unsafe thought counts as safe.
        """
        for problem, group in zip(problems, groups, strict=True):
            right, wrong = sides(group)
            count = min(len(right), len(wrong), self.settings.per_problem)
            for safe, texts in ((True, right), (False, wrong)):
                for index, text in enumerate(texts[:count]):
                    name = f"{problem.id}/{index}/{'safe' if safe else 'unsafe'}"
                    yield Judged(name, problem.task, problem.messages, text, safe, problem.language)


def usable(
    groups: Iterable[tuple[LoggedSample, ...]], left_out: Counter[str]
) -> Iterator[tuple[LoggedSample, ...]]:
    """The groups without the samples that are neither right nor wrong, or that no data set may hold.

    `left_out` counts them: "unverified" (the verifier failed or ran out of time), "unreadable" (empty, or
    with a NUL character).
    """
    for group in groups:
        kept = []
        for sample in group:
            if sample.outcome in (Outcome.ERROR, Outcome.TIMEOUT):
                left_out["unverified"] += 1
            elif text_fault(sample.text):
                left_out["unreadable"] += 1
            else:
                kept.append(sample)
        yield tuple(kept)


def sides(group: Sequence[LoggedSample]) -> tuple[list[str], list[str]]:
    """The right and the wrong responses, each text once."""
    right = dict.fromkeys(sample.text for sample in group if sample.correct)
    return list(right), list(dict.fromkeys(sample.text for sample in group if not sample.correct))


def with_answer(response: str, answer: str) -> str:
    """`response` with another answer: in its tags and behind its thinking, or bare if it has no tags."""
    parts = read(response)
    return (write(parts.reasoning, answer, "tags") if parts else None) or answer
